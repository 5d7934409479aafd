"""Changing a netplan over SSH: what is asked of the node, and in which order, when it goes well and when not."""

import json
from collections.abc import Iterator

import pytest

from sparkctl.core.action import Context
from sparkctl.errors import StepFailed
from sparkctl.steps import netplan_actions
from sparkctl.steps.netplan_actions import PROGRAM, ChangeNetplan
from sparkctl.transport.memory import MemoryHost

CHANGE = ChangeNetplan("spark-1", "network: {}\n", (("lan0", "10.0.0.1"),), "/record", 30.0)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> MemoryHost:
    monkeypatch.setattr(netplan_actions, "LOOK_SECONDS", 0.0)
    return MemoryHost()


def _ends(host: MemoryHost, *looks: dict[str, object]) -> None:
    """What the node says of the change, look by look; the last one stays."""
    told: Iterator[dict[str, object]] = iter(looks)
    last = dict[str, object]()

    def look(_: object) -> str:
        last.update(next(told, last))
        return json.dumps({"ended": False, "error": "", "back": False, **last})

    host.reply(("python3", "-IS", PROGRAM, "ended"), look)


def _verbs(host: MemoryHost) -> list[str]:
    """What was asked, one word each."""
    return [command.argv[-1] if command.argv[0] == "python3" else command.argv[1] for command in host.log]


def _perform(host: MemoryHost) -> None:
    CHANGE.perform(Context(host, {}, lambda _: None))


def test_a_change_is_kept_over_a_new_connection(host: MemoryHost) -> None:
    _ends(host, {}, {"ended": True})
    _perform(host)
    assert _verbs(host) == ["change", "ended", "ended", "keep"]
    assert host.reconnects == 3


def test_a_failed_apply_is_sent_back_and_its_folder_stays_until_it_is_back(host: MemoryHost) -> None:
    _ends(host, {"ended": True, "error": "no such renderer"}, {}, {}, {"back": True})
    with pytest.raises(StepFailed, match="netplan failed on spark-1, which went back to what it had") as failed:
        _perform(host)
    assert failed.value.output == "no such renderer"
    assert _verbs(host) == ["change", "ended", "start", "ended", "ended", "ended", "leave"]


def test_a_failed_apply_that_does_not_go_back_leads_to_the_console(
    host: MemoryHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(netplan_actions, "RETURN_SECONDS", -CHANGE.seconds)
    _ends(host, {"ended": True, "error": "no such renderer"})
    with pytest.raises(StepFailed, match="has not gone back to what it had") as failed:
        _perform(host)
    assert "at its console: sudo rm /etc/netplan/40-sparkctl.yaml && sudo netplan apply" in failed.value.fix
    assert "leave" not in _verbs(host)


def test_a_node_that_went_back_by_itself_is_told_apart(host: MemoryHost) -> None:
    _ends(host, {"back": True})
    with pytest.raises(StepFailed, match="did not answer over SSH within 30 s of its new netplan, so it went back"):
        _perform(host)
    assert _verbs(host) == ["change", "ended", "ended", "leave"], "it waits no longer for what is over"
