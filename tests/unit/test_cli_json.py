"""docs/json.md says what the documents hold: no member that it lacks, none that never comes, no other type."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_fakes import Cli, FakeStep, World, answers, containers, small_world, with_logs
from documents import TABLES, check_document, check_members, members, own

from sparkctl.core.step import Layer
from sparkctl.errors import StepFailed
from sparkctl.prove import Proof
from sparkctl.report.explain import examination_data
from sparkctl.report.proofs import proofs_data

WITHOUT_SAMPLE = {
    "bench-fabric",
    "bench-serve",
    "bench-compare",
    "gpu-stats",
    "rollback",
    "test",
    "doctor",
    "init",
    "lab-up",
    "lab-down",
    "lab-ssh",
}
"""Made by commands that need more than fake nodes; their own tests see them."""
WITHOUT_SAMPLE |= {f"model-{verb}" for verb in ("list", "show", "pull", "verify", "pin", "prune")}
WITHOUT_SAMPLE |= {"image-list", "image-pull", "image-prune", "profile-import"}  # test_cli_prune.py, test_recipe.py
WITHOUT_SAMPLE |= {f"role-{verb}" for verb in ("list", "status", "launch", "switch", "stop")}  # the lab
WITHOUT_SAMPLE |= {"setup", "setup-undo"}  # the lab
WITHOUT_SAMPLE |= {"export-compose"}  # test_export.py
WITHOUT_SAMPLE |= {"fit"}  # test_cli_fit.py
WITHOUT_SAMPLE |= {"agents-doctor"}  # tests/agents/test_doctor.py
WITHOUT_SAMPLE |= {"agents-selftest"}  # tests/agents/test_sandbox_selftest.py
WITHOUT_SAMPLE |= {"agents-eval"}  # tests/agents/test_eval_command.py
WATCHED = ("ENABLE_MULTI_AGENT", "ENABLE_PROMETHEUS", "ENABLE_GRAFANA")
HISTORY = '{"generation": 1, "unit": "main", "outcome": "serves", "changes": ["vllm@spark-1: image a -> b"]}\n'
OPTIONAL = {"notes[]", "previous[]"}
"""Members that an ordinary configuration, and a change of nothing that serves, has none of."""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(monkeypatch, capsys, tmp_path).use(*every_finding())


def every_finding() -> tuple[World, list[FakeStep]]:
    world = World()
    steps = [
        FakeStep(world, state, "spark-1", Layer.HOST) for state in ("ok", "absent", "drifted", "pending", "blocked")
    ]
    steps[3] = FakeStep(world, "pending", "spark-1", Layer.HOST, ("absent@spark-1",))
    world.states = {step.key: step.name for step in steps}
    return world, steps


def failing(**how: Any) -> tuple[World, list[FakeStep]]:
    """Two workloads that fail side by side, one that they stand on, one that stands on them."""
    world = World()
    base = FakeStep(world, "base", "spark-1", Layer.WORKLOAD)
    both = [
        FakeStep(world, "vllm", f"spark-{n}", Layer.WORKLOAD, ("base@spark-1",), seconds=0.5, **how) for n in (1, 2)
    ]
    top = FakeStep(world, "serving", "spark-1", Layer.WORKLOAD, ("vllm@spark-1", "vllm@spark-2"))
    return world, [base, *both, top]


def samples(cli: Cli) -> Iterator[dict[str, Any]]:
    """Documents of every command, among them every member."""
    for argv in (
        ["plan"],
        ["credentials", *(f"--set={name}=1" for name in WATCHED)],
        ["config", "show"],
        ["config", "validate"],
        ["profile", "list"],
        ["profile", "show", "stacked"],
    ):
        cli.hosts["spark-1"].reply(["cat"], "sk-1\n")
        cli(*argv, "--json")
        yield cli.document
    containers(cli)
    cli("status", "--json")
    yield cli.document
    for world, steps in (small_world(), failing(fails=StepFailed("it exited"))):
        cli.use(world, steps)
        for argv in (["up"], ["stop", "-y"], ["down", "-y"]):
            cli(*argv, "--json", "-q")
            yield cli.document
    world, steps = failing(undo_fails=StepFailed("it stays"))
    world.states = {step.key: "ok" for step in steps}
    cli.use(world, steps)
    for verb in ("stop", "down"):
        cli(verb, "-y", "--json", "-q")
        yield cli.document
    cli.hosts["spark-1"].probes = {"history": HISTORY}
    cli("history", "--json")
    yield cli.document
    cli.hosts["spark-1"].probes = answers
    with_logs(cli)
    cli("logs", "--json")
    yield json.loads(cli.out.splitlines()[0])
    cli("plan", "--json", "--set", "VLLM_PROT=1")
    yield cli.document


def test_documents_hold_what_the_page_says(cli: Cli) -> None:
    seen: dict[str, set[str]] = {}
    for document in samples(cli):
        schema, places = check_document(document)
        seen.setdefault(schema, set()).update(places)
    assert seen.keys() == TABLES.keys() - WITHOUT_SAMPLE
    for schema, places in seen.items():
        assert own(schema).keys() - places - OPTIONAL == set(), f"{schema}: documented, never seen"


def test_documents_of_proofs_and_checks() -> None:
    known = members("doctor")
    _, steps = every_finding()
    from cli_fakes import hosts_of

    from sparkctl.core.plan import gather, make_plan

    plan = make_plan(steps, gather(hosts_of(), [want for step in steps for want in step.wants]))
    document = {"cluster": "demo", **examination_data(plan.items, {"spark-2": "no answer"})}
    document |= proofs_data([Proof("token", passed=False, shows="nothing", seconds=1.5, fix="sparkctl up")])
    assert check_members(document, known) == known.keys() - {path for path in known if path.startswith("endpoints")}
