"""stop and down on fake nodes: what they take away, what they keep."""

import pytest
from cli_fakes import Cli, FakeStep, deployed

from sparkctl.facts.probe import Answer


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
