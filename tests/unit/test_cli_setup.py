"""`sparkctl setup` as a verb: what it shows, does, asks and refuses; its steps have tests of their own."""

import json
from pathlib import Path

import pytest
from cli_fakes import CONTAINER, Cli, FakeStep, World, answers, small_world

from sparkctl.core.step import Layer
from sparkctl.facts.host import HOST
from sparkctl.facts.probe import Answer, Want


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Cli:
    monkeypatch.delenv("SPARKCTL_SUDO_PASSWORD", raising=False)
    return Cli(monkeypatch, capsys, tmp_path).use(*small_world())


def test_setup_is_done_once_and_undone(cli: Cli) -> None:
    assert cli("setup", "--dry-run") == 0
    assert "make packages" in cli.out and cli.world.did == []
    assert cli("setup", "--yes", "--json", "-q") == 0
    assert (cli.document["schema"], cli.document["result"]) == ("sparkctl/setup/1", "done")
    assert cli("setup", "--yes", "--json", "-q") == 0
    assert cli.document["result"] == "no changes"
    assert cli("setup", "--undo", "--dry-run", "--json", "-q") == 0
    assert (cli.document["schema"], len(cli.document["items"])) == ("sparkctl/setup-undo/1", 3)
    assert len(cli.hosts["spark-1"].holds) == 2, "a look leaves no lock on the head"
    assert cli("setup", "--undo", "--yes", "--json", "-q") == 0
    assert cli.document["result"] == "done"
    assert set(cli.world.states.values()) == {"absent"}
    assert cli("setup", "--undo", "--dry-run") == 0
    assert cli.out == "nothing to remove\n"


def test_an_undo_under_a_deployment_is_refused(cli: Cli) -> None:
    cli.world.states = {step.key: "ok" for step in cli.steps}
    deployed = Answer(json.dumps(CONTAINER) + "\n")
    cli.hosts["spark-1"].probes = lambda name: deployed if name == "containers" else answers(name)
    assert cli("setup", "--undo", "--yes") == 1
    assert "a deployment stands on this setup: sparkctl-demo-vllm@spark-1" in cli.err
    assert "sparkctl down" in cli.err
    assert cli.world.did == []


class _AsksHost(FakeStep):
    """A step that asks what the node is, as those of every real setup do."""

    @property
    def wants(self) -> tuple[Want, ...]:
        return (*super().wants, Want(self.node, HOST))


def test_an_undo_that_cannot_see_as_root_is_refused(cli: Cli) -> None:
    step = _AsksHost(World({"state@spark-1": "ok"}), "state", "spark-1", Layer.HOST)
    cli.use(step.world, [step])
    said = {"host": "user=spark\n", "dockerd": "client=yes\nengine=yes\n", "alive": "yes\n"}
    cli.hosts["spark-1"].probes = said
    assert cli("setup", "--undo", "--yes") == 1
    assert "sudo asks for a password on spark-1, so what setup made there is unknown" in cli.err
    assert "on spark-1: echo 'spark ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/90-spark" in cli.err
    assert "then run again: sparkctl setup --undo" in cli.err
    assert cli.world.did == []


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("--purge",), "goes with --undo"),
        (("--ask-sudo-password",), "goes with --sudoers"),
        (("--sudoers", "--ask-sudo-password"), "needs a terminal; scripts set SPARKCTL_SUDO_PASSWORD"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(cli: Cli, argv: tuple[str, ...], said: str) -> None:
    assert cli("setup", *argv) == 3
    assert said in cli.err
