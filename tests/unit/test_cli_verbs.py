"""The verbs on fake nodes: what they show, what they change, how they end."""

import json
from pathlib import Path

import pytest
from cli_fakes import Cli, FakeEngine, FakeLog, FakeStep, containers, small_world, with_logs

from sparkctl.__main__ import main
from sparkctl.cli.common import Options
from sparkctl.cli.plan import within
from sparkctl.core.step import Layer
from sparkctl.errors import StepFailed
from sparkctl.facts.probe import Answer
from sparkctl.report.hints import naming
from sparkctl.transport.memory import MemoryHost


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    return Cli(monkeypatch, capsys, tmp_path).use(*small_world())


def commands(hosts: dict[str, MemoryHost]) -> list[object]:
    return [command for host in hosts.values() for command in host.log]


def test_plan_changes_nothing_and_exits_with_0(cli: Cli) -> None:
    assert cli("plan") == 0
    assert "Plan: 3 to create, 0 to change, 0 unchanged." in cli.out
    assert (cli.world.did, commands(cli.hosts)) == ([], [])
    assert [host.round_trips for host in cli.hosts.values()] == [1, 1]
    assert all(host.closed for host in cli.hosts.values())


@pytest.mark.parametrize(
    ("states", "argv", "code"),
    [
        ({}, [], 0),
        ({}, ["--exit-code"], 2),
        ({"vllm@spark-1": "blocked"}, [], 1),
        ({"vllm@spark-1": "ok", "packages@spark-1": "ok", "packages@spark-2": "ok"}, ["--exit-code"], 0),
    ],
)
def test_exit_codes_of_plan(cli: Cli, states: dict[str, str], argv: list[str], code: int) -> None:
    cli.world.states = states
    assert cli("plan", *argv) == code


def test_a_quiet_plan_is_its_sum(cli: Cli) -> None:
    assert cli("plan", "-q") == 0
    assert cli.out == "Plan: 3 to create, 0 to change, 0 unchanged.\n"
    assert cli("plan", "-q", "--json") == 0
    assert cli.document["summary"]["create"] == 3
    assert cli("up", "-q") == 0
    assert "Plan:" not in cli.out


def test_dry_run_is_plan(cli: Cli) -> None:
    assert cli("plan") == 0
    shown = cli.out
    assert cli("up", "--dry-run") == 0
    assert cli.out == shown
    assert cli.world.did == []


def test_up_makes_everything_once(cli: Cli) -> None:
    assert cli("up", "--timings") == 0
    assert sorted(cli.world.did) == ["make packages", "make packages", "make vllm"]
    assert "vllm@spark-1 changed after" in cli.out
    assert "critical path" in cli.out
    assert cli.out.endswith("next: sparkctl test\n")
    assert "http://192.0.2.1:8000/v1" in cli.out
    assert cli("up") == 0
    assert "no changes\n" in cli.out
    assert len(cli.world.did) == 3
    assert all(hold.released for hold in cli.hosts["spark-1"].holds)


def test_a_hint_means_the_same_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARKCTL_PROFILE", raising=False)
    assert Options().again == ""
    assert Options(profile="./my own.yaml").again == " --profile './my own.yaml'"
    monkeypatch.setenv("SPARKCTL_PROFILE", "lab")
    assert Options(profile="lab").again == ""
    assert Options(profile="stacked").again == " --profile stacked"
    elsewhere = Options(profile="lab", env_file=Path("a.env"), set_values=["MODEL=org/m"])
    assert elsewhere.again == " --env-file a.env --set MODEL=org/m"
    hint = "read its log: sparkctl logs vllm; then: sparkctl up. See sparkctl lab up, sparkctl up --profile lab"
    assert naming(hint, " -X") == (
        "read its log: sparkctl logs -X vllm; then: sparkctl up -X. See sparkctl lab up, sparkctl up --profile lab"
    )
    several = "sparkctl role launch dev; or sparkctl setup, or sparkctl config show"
    assert naming(several, " -X") == "sparkctl role launch -X dev; or sparkctl setup -X, or sparkctl config show"


def test_hints_of_every_kind_name_the_deployment(cli: Cli) -> None:
    named = ("--set", "MODEL=org/m")
    assert cli("status", *named) == 2
    assert "Next: sparkctl up --set MODEL=org/m\n" in cli.out
    assert cli("up", *named) == 0
    assert "next: sparkctl test --set MODEL=org/m\n" in cli.out
    cli.hosts["spark-1"].reply(["cat"], "")
    assert cli("credentials", *named) == 1
    assert "next: deploy first: sparkctl up --set MODEL=org/m\n" in cli.err


def test_a_deployment_that_serves_nothing_claims_nothing(cli: Cli) -> None:
    assert cli("up", "--set", "ENABLE_VLLM=0") == 0
    assert cli.out.endswith("done\n")
    assert cli("test", "--set", "ENABLE_VLLM=0") == 1
    assert "serves no model" in cli.err
    assert cli("status", "--set", "ENABLE_VLLM=0") == 0
    assert "demo: no model is served" in cli.out


def test_up_until_a_layer(cli: Cli) -> None:
    assert cli("up", "--until", "host") == 0
    assert cli.world.did == ["make packages"] * 2
    assert "answers at" not in cli.out
    assert cli("up", "--until", "roof") == 3
    assert "Invalid value for --until: 'roof' is none of host, storage, image, model, workload" in cli.err
    assert "next: try: sparkctl up --help" in cli.err


def test_until_a_layer_takes_what_it_needs_of_a_later_one() -> None:
    """Packages and the cache are of late layers, since they stay on `down`; a mount needs them all the same."""
    world, _ = small_world()
    tools = FakeStep(world, "tools", "spark-1", Layer.IMAGE)
    folder = FakeStep(world, "folder", "spark-1", Layer.MODEL, needs=(tools.key,))
    mount = FakeStep(world, "mount", "spark-1", Layer.STORAGE, needs=(folder.key,))
    model = FakeStep(world, "model", "spark-1", Layer.MODEL, needs=(mount.key,))
    assert within([tools, folder, mount, model], "storage") == [tools, folder, mount]
    assert within([tools, folder, mount, model], "host") == []


def test_up_refuses_what_is_blocked(cli: Cli) -> None:
    cli.world.states["packages@spark-2"] = "blocked"
    assert cli("up") == 1
    assert cli.world.did == []
    assert "error: the plan is blocked; nothing was changed" in cli.err
    assert "packages@spark-2: packages is in the way" in cli.err
    assert "next: move packages" in cli.err


def test_up_asks_before_it_stops_what_serves(cli: Cli) -> None:
    cli.world.states = {"packages@spark-1": "ok", "packages@spark-2": "drifted", "vllm@spark-1": "ok"}
    assert cli("up") == 0, "nothing that serves is stopped, so there is no question"
    cli.world.states["vllm@spark-1"] = "stale"
    assert cli("up") == 1
    assert "--yes" in cli.err
    assert cli.world.states["vllm@spark-1"] == "stale"
    assert cli("up", "--yes") == 0
    assert cli.world.states["vllm@spark-1"] == "ok"


def test_a_failure_says_what_where_and_what_next(cli: Cli) -> None:
    error = StepFailed("it exited with status 1", where="spark-1: docker start vllm", output="one\ntwo\x1b[2J", fix="")
    cli.use(*small_world(fails=error))
    assert cli("up") == 1
    assert "vllm@spark-1 failed after" in cli.out
    assert cli.err == (
        "error: it exited with status 1\n"
        "  where: vllm@spark-1: spark-1: docker start vllm\n"
        "  │ one\n"
        "  │ two\n"
        "  next: run again, it goes on from what the nodes hold: sparkctl up\n"
    )
    assert cli("up", "--json") == 1
    assert cli.document["error"]["what"] == "it exited with status 1"
    assert cli.document["run"]["outcome"] == "failed"


def test_another_admin_is_locked_out(cli: Cli) -> None:
    cli.hosts["spark-1"].hold_line = "busy\tann@laptop\tup\t2026-11-20T10:00:00Z"
    assert cli("up") == 5
    assert "ann@laptop" in cli.err
    assert cli.world.did == []


@pytest.mark.parametrize("verb", ["plan", "up", "stop", "down", "logs", "credentials"])
def test_a_node_out_of_reach_ends_with_4(cli: Cli, verb: str) -> None:
    for host in cli.hosts.values():
        host.unreachable = True
    assert cli(verb) == 4
    assert "did not answer" in cli.err
    assert "next: switch it on" in cli.err


def deployed(cli: Cli) -> None:
    cli.world.states = {step.key: "ok" for step in cli.steps}


def test_stop_takes_the_workload_only(cli: Cli) -> None:
    deployed(cli)
    assert cli("stop") == 1
    assert "no terminal" in cli.err
    assert cli.world.did == []
    assert cli("stop", "-y") == 0
    assert cli.world.did == ["remove vllm"]
    assert "kept" in cli.out
    assert cli("stop", "-y") == 0
    assert "nothing to remove" in cli.out


def test_down_takes_everything_in_reverse(cli: Cli) -> None:
    image = FakeStep(cli.world, "image", "spark-1", list(type(cli.steps[0].layer))[2])
    cli.use(cli.world, [*cli.steps, image])
    deployed(cli)
    assert cli("down", "-y") == 0
    assert cli.world.did[0] == "remove vllm"
    assert sorted(cli.world.did[1:]) == ["remove packages", "remove packages"]
    assert "images, models and packages are kept" in cli.out
    assert cli("down", "--purge", "-y") == 0
    assert cli.world.did[-1] == "remove image"


@pytest.mark.parametrize("verb", ["stop", "down"])
def test_nothing_is_removed_while_an_engine_is_silent(cli: Cli, verb: str) -> None:
    """What runs there is unknown: `nothing to remove` and `done` would be lies."""
    deployed(cli)
    silent = {
        "alive": Answer("yes\n"),
        "dockerd": Answer("client=yes\nengine=yes\ninfo=\n"),
        "containers": Answer("", 3),
    }
    cli.hosts["spark-2"].probes = silent.get
    assert cli(verb, "-y") == 1
    assert cli.world.did == []
    assert "Docker does not answer on spark-2" in cli.err
    assert f"on spark-2: sudo systemctl start docker; then run again: sparkctl {verb}" in " ".join(cli.err.split())
    cli.hosts["spark-2"].probes = {**silent, "dockerd": Answer("")}.get
    assert cli(verb, "-y") == 0, "no engine is installed, so nothing of ours can run there"


def test_status_of_what_is_well(cli: Cli) -> None:
    deployed(cli)
    containers(cli)
    assert cli("status") == 0
    assert "✓ vllm          running for" in cli.out
    assert "All of 3 steps as configured." in cli.out


def test_status_shows_drift_and_what_died(cli: Cli) -> None:
    deployed(cli)
    cli.world.states["vllm@spark-1"] = "drifted"
    containers(cli, status="exited", exit_code=137)
    assert cli("status") == 2
    assert "✗ vllm          exited with status 137, started" in cli.out
    assert "~ vllm: it differs" in cli.out
    assert "Drifted. 3 steps: 1 not as configured. Next: sparkctl up" in cli.out


def test_status_with_a_node_down_shows_the_other(cli: Cli) -> None:
    deployed(cli)
    containers(cli)
    cli.hosts["spark-2"].unreachable = True
    assert cli("status") == 2
    assert "✗ spark-2 did not answer. Next: switch it on" in cli.out
    assert "✓ vllm" in cli.out
    assert "1 unknown" in cli.out
    cli.hosts["spark-1"].unreachable = True
    assert cli("status", "--json") == 4
    assert cli.document["state"] == "unreachable"


def test_status_before_anything_is_deployed(cli: Cli) -> None:
    assert cli("status") == 2
    assert "Not deployed." in cli.out


def test_status_of_a_node_that_breaks_off_while_it_answers(cli: Cli) -> None:
    deployed(cli)
    cli.hosts["spark-2"].cut_after = 0
    assert cli("status") == 2
    assert "the connection to spark-2 broke" in cli.out


def test_watch_draws_again_until_ctrl_c(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(cli)
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        cli.world.states["vllm@spark-1"] = "drifted"
        if len(waits) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("sparkctl.cli.watching.time.sleep", sleep)
    assert cli("status", "--watch", "--interval", "5", "--json") == 0
    first, second = map(json.loads, cli.out.splitlines())
    assert (first["state"], second["state"]) == ("ok", "drifted")
    assert waits == [5, 5]


def test_credentials_are_the_one_way_to_the_key(cli: Cli) -> None:
    assert cli("credentials") == 1
    assert "sparkctl up" in cli.err
    cli.hosts["spark-1"].reply(["cat"], "sk-canary\n")
    assert cli("credentials") == 0
    assert "sk-canary" in cli.out
    assert cli("credentials", "--env") == 0
    assert cli.out == "export OPENAI_BASE_URL=http://192.0.2.1:8000/v1\nexport OPENAI_API_KEY=sk-canary\n"
    assert cli("credentials", "--json") == 0
    assert cli.document["api_key"] == "sk-canary"


def test_logs_of_several_in_order_of_time(cli: Cli) -> None:
    with_logs(cli)
    assert cli("logs") == 0
    assert cli.out == "vllm@spark-1 │ loading\nray-worker@spark-2 │ joined\nvllm@spark-1 │ ready\n"
    assert cli("logs", "vllm", "--tail", "1") == 0
    assert cli.out == "ready\n"
    assert cli("logs", "--node", "spark-2", "--json") == 0
    line = {"schema": "sparkctl/logs/1", "node": "spark-2", "service": "ray-worker", "line": "joined"}
    assert cli.document == line


def test_logs_follow_until_all_have_ended(cli: Cli) -> None:
    with_logs(cli)
    assert cli("logs", "-f") == 0
    assert sorted(cli.out.splitlines()) == [
        "ray-worker@spark-2 │ joined",
        "vllm@spark-1 │ loading",
        "vllm@spark-1 │ ready",
    ]


def test_logs_that_break_off_say_so(cli: Cli) -> None:
    broken = FakeLog("vllm", "2026-01-01T00:00:01Z loading")
    broken.lost = True
    cli.hosts["spark-1"].engine = FakeEngine(broken)  # type: ignore[assignment]
    assert cli("logs", "-f", "--node", "spark-1") == 4
    assert cli.out == "loading\n"
    assert "connection to Docker broke" in cli.err


def test_logs_of_what_is_not_there_say_what_is(cli: Cli) -> None:
    with_logs(cli)
    assert cli("logs", "vlm") == 1
    assert "there is no container of vlm" in cli.err
    assert "vllm@spark-1, ray-worker@spark-2" in cli.err
    cli.hosts["spark-2"].engine = FakeEngine()  # type: ignore[assignment]
    assert cli("logs", "--node", "spark-2") == 1
    assert "sparkctl up" in cli.err


def test_ssh_becomes_openssh_with_our_arguments(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda file, argv: taken.append([file, *argv]))
    (cli.folder / "unified-config.local.env").write_text(
        "SSH_KEY_FILE=key\nSSH_KNOWN_HOSTS_FILE=hosts\nWORKER_NODE_SSH_PORT=2222\n"
    )
    (cli.folder / "key").write_text("")
    (cli.folder / "hosts").write_text("")
    for argv in (["ssh"], ["ssh", "--accept-new-host-keys", "spark-2", "--", "echo a; echo b", "--color"]):
        cli.patch.setattr("sys.argv", ["sparkctl", *argv])
        with pytest.raises(SystemExit):
            main()
    own = ["-i", str(cli.folder / "key"), "-o", "IdentitiesOnly=yes", "-o", "UserKnownHostsFile=hosts"]
    new = ["-o", "StrictHostKeyChecking=accept-new"]
    patience = ["-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3"]
    start, words = ["ssh", "ssh", *patience, "-l", "spark"], ["--", "echo a; echo b", "--color"]
    assert taken == [
        [*start, *own, "192.0.2.1"],
        [*start, "-p", "2222", *own, *new, "192.0.2.2", *words],
    ]


@pytest.mark.parametrize(
    ("words", "terminal", "asked"), [(["top"], True, True), (["top"], False, False), ([], True, False)]
)
def test_a_command_has_the_terminal_that_we_have(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, words: list[str], terminal: bool, asked: bool
) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr("os.execvp", lambda file, argv: taken.append(argv))
    monkeypatch.setattr("sys.stdin.isatty", lambda: terminal, raising=False)
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal)
    cli("ssh", "spark-2", "--", *words)
    assert ("-t" in taken[0]) is asked


def test_configuration_errors_come_all_at_once(cli: Cli) -> None:
    (cli.folder / "unified-config.local.env").write_text("VLLM_PROT=8000\nWORKER_NODE_IP=not-an-address\n")
    assert cli("plan") == 3
    assert "unified-config.local.env:1: VLLM_PROT" in cli.err
    assert "did you mean VLLM_PORT?" in cli.err
    assert "unified-config.local.env:2: WORKER_NODE_IP" in cli.err
    assert cli("plan", "--json") == 3
    assert [problem["name"] for problem in cli.document["error"]["problems"]] == ["VLLM_PROT", "WORKER_NODE_IP"]


def test_set_overrides_and_is_checked(cli: Cli) -> None:
    assert cli("up", "--set", "VLLM_PORT=9000") == 0
    assert "http://192.0.2.1:9000/v1" in cli.out
    assert cli("plan", "--set", "hf_secret") == 3
    assert "Invalid value for --set: needs NAME=VALUE, such as VLLM_PORT=8001" in cli.err
    assert "next: try: sparkctl plan --help" in cli.err
    assert "hf_secret" not in cli.err
