"""docs/json.md says what the documents hold: no member that it lacks, none that never comes, no other type."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_fakes import Cli, FakeStep, World, containers, small_world, with_logs

from sparkctl.core.step import Layer
from sparkctl.errors import StepFailed
from sparkctl.prove import Proof
from sparkctl.report.explain import examination_data
from sparkctl.report.proofs import proofs_data

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"
TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
}
SCHEMAS = dict(re.findall(r"^## sparkctl/(\S+)/1\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.M | re.S))
WITHOUT_SAMPLE = {"test", "doctor", "init", "lab-up", "lab-down", "lab-ssh"}
"""Made by commands that need more than fake nodes; their own tests see them."""
OPTIONAL = {"notes[]"}
"""Members that an ordinary configuration has none of."""


def own(name: str) -> dict[str, str]:
    """The paths of a schema's own table with their types."""
    return dict(re.findall(r"^\| `(\S+)` \| (\w+) \|", SCHEMAS[name], re.M))


def members(name: str) -> dict[str, str]:
    """The documented paths of a schema, those that it shares with another included."""
    base = re.search(r"All members of `sparkctl/(\S+)/1`", SCHEMAS[name])
    return {**(members(base[1]) if base else {}), **own(name)}


def leaves(value: Any, known: dict[str, str], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every documented place of a document, with its value; elements of one list share a place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            free = f"{path}.*" in known
            place = f"{path}.*" if free else f"{path}.{key}".lstrip(".")
            if not isinstance(inner, list) and not (isinstance(inner, dict) and f"{place}.*" in known):
                yield place, inner
            yield from leaves(inner, known, place)
    elif isinstance(value, list):
        for inner in value:
            yield f"{path}[]", inner
            yield from leaves(inner, known, f"{path}[]")


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
        FakeStep(world, "vllm", f"spark-{n}", Layer.WORKLOAD, ("base@spark-1",), seconds=0.1, **how) for n in (1, 2)
    ]
    top = FakeStep(world, "serving", "spark-1", Layer.WORKLOAD, ("vllm@spark-1", "vllm@spark-2"))
    return world, [base, *both, top]


def samples(cli: Cli) -> Iterator[dict[str, Any]]:
    """Documents of every command, among them every member."""
    for argv in (["plan"], ["credentials"], ["config", "show"], ["config", "validate"], ["profile", "list"]):
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
    with_logs(cli)
    cli("logs", "--json")
    yield json.loads(cli.out.splitlines()[0])
    cli("plan", "--json", "--set", "VLLM_PROT=1")
    yield cli.document


def test_documents_hold_what_the_page_says(cli: Cli) -> None:
    seen: dict[str, set[str]] = {}
    for document in samples(cli):
        name = re.fullmatch(r"sparkctl/(\S+)/1", document.pop("schema"))
        assert name
        known = members(name[1])
        nested = {place for place, kind in known.items() if kind == "object" and place in ("error", "also[]")}
        for place, value in leaves(document, known):
            if name[1] != "error" and place.startswith(("error.", "also[].")) and nested:
                place = re.sub(r"^(error|also\[\])", "error", place)
                assert place in members("error"), f"{name[1]}: {place} of an error is not documented"
                continue
            assert place in known, f"{name[1]}: {place} is not in docs/json.md"
            assert isinstance(value, TYPES[known[place]]), f"{name[1]}: {place} is {value!r}"
            seen.setdefault(name[1], set()).add(place)
    assert seen.keys() == SCHEMAS.keys() - WITHOUT_SAMPLE
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
    places = dict(leaves(document, known))
    assert places.keys() == known.keys() - {"endpoint"}
    assert all(isinstance(value, TYPES[known[place]]) for place, value in places.items())
