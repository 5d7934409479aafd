"""model pin on fake nodes: what is written into sparkctl.lock, what moves, what stays."""

import json
from typing import Any

import pytest
from caches import DIGEST, NEW, OLD
from cli_fakes import Cli
from model_nodes import answering, complete, with_models

from sparkctl.config.lock import NAME
from sparkctl.facts.probe import Answer

cli = pytest.fixture(with_models)


def lock_of(cli: Cli) -> dict[str, Any]:
    return dict(json.loads((cli.folder / NAME).read_text()))


def test_pins_are_written_once_and_moved_on_demand(cli: Cli) -> None:
    document = complete(cli, "model", "pin")
    assert [pin["pinned"] for pin in document["pins"]] == [NEW, DIGEST]
    assert lock_of(cli) == {
        "lock": 1,
        "models": {"org/tiny": {"main": NEW}},
        "images": {"registry.example/vllm:1": DIGEST},
    }
    answering(cli, **{"hub-head": json.dumps({"commit": "e" * 40})})
    assert cli("model", "pin") == 0
    assert f"by now it is {'e' * 40}; sparkctl model pin --update moves the pin" in cli.out
    assert lock_of(cli)["models"] == {"org/tiny": {"main": NEW}}
    assert "started anew by the next sparkctl up" not in cli.out
    assert cli("model", "pin", "--update") == 0
    assert f"org/tiny at main: {'e' * 40} (was {NEW})" in cli.out
    assert "started anew by the next sparkctl up" in cli.out
    assert lock_of(cli)["models"] == {"org/tiny": {"main": "e" * 40}}


def test_what_another_pin_wrote_meanwhile_stays(cli: Cli) -> None:
    host, other = cli.hosts["spark-1"], {"lock": 1, "models": {"org/other": {"main": OLD}}, "images": {}}
    answer = host.probes
    assert callable(answer)

    def meanwhile(name: str) -> Answer | str | None:
        (cli.folder / NAME).write_text(json.dumps(other))
        return answer(name)

    host.probes = meanwhile
    assert cli("model", "pin") == 0
    assert lock_of(cli)["models"] == {"org/other": {"main": OLD}, "org/tiny": {"main": NEW}}


def test_what_nobody_knows_is_not_pinned(cli: Cli) -> None:
    nobody = {"hub-cache": "", "images": "[]", "tag": "", "hub-head": json.dumps({"error": "the hub says no"})}
    answering(cli, **nobody)
    assert cli("model", "pin") == 0
    assert "org/tiny at main: not pinned (unknown: the head has it not, and the hub says no)" in cli.out
    assert "registry.example/vllm:1: not pinned" in cli.out
    assert not (cli.folder / NAME).exists()


def test_a_lock_that_is_nonsense_stops_every_verb(cli: Cli) -> None:
    (cli.folder / NAME).write_text('{"lock": 1, "models": {"org/tiny": {"main": "abc"}}}')
    for argv in (["plan"], ["model", "list"], ["model", "pin"], ["image", "list"]):
        assert cli(*argv) == 3
        assert "sparkctl.lock:1: org/tiny at main: 'abc'" in cli.err
