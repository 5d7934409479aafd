"""The program that changes a node's netplan: files as they were, and what it hands to netplan and systemd."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.node import netplan

WISH = "network: {version: 2}\n"


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own below /run, and commands that write down how they were called."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("netplan", "systemd-run", "systemctl"):
        script = commands / name
        asleep = f'[ "$1" != is-active ] || [ -e {tmp_path}/armed ] || exit 3'
        fails = f"[ ! -e {tmp_path}/fail-{name} ] || {{ echo no >&2; exit 1; }}"
        script.write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/calls\n{asleep}\n{fails}\n')
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{commands}:{os.environ['PATH']}")
    monkeypatch.setattr(netplan, "FOLDER", tmp_path / "run")
    monkeypatch.setattr(netplan, "CONFIGS", ())
    monkeypatch.setattr(netplan, "HEAD_START", 0.0)
    return tmp_path


def _job(node: Path, **more: object) -> netplan.Json:
    job = {"file": str(node / "etc" / "40.yaml"), "links": {}, "seconds": 30, "record": str(node / "record")}
    return {**job, "content": WISH, **more}


def _calls(node: Path) -> list[str]:
    return [call for call in (node / "calls").read_text().splitlines() if "is-active" not in call]


def test_the_timer_is_armed_before_anything_is_applied(node: Path) -> None:
    netplan.change(_job(node))
    assert not (node / "etc" / "40.yaml").exists(), "only the unit of the apply writes it"
    checked, reset, armed, started = _calls(node)
    assert checked.startswith("netplan generate --root-dir ") and reset.startswith("systemctl reset-failed")
    assert "--unit=sparkctl-netplan-back --on-active=30 " in armed and armed.endswith(" back")
    assert "--unit=sparkctl-netplan-apply " in started and started.endswith(" apply")
    netplan.apply()
    file = node / "etc" / "40.yaml"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (WISH, 0o600)
    assert netplan.ended() == {"ended": True, "error": "", "back": False}


def test_what_netplan_refuses_changes_nothing(node: Path) -> None:
    (node / "fail-netplan").touch()
    with pytest.raises(netplan.Refused, match="no"):
        netplan.change(_job(node))
    assert not (node / "record").exists() and not (node / "etc").exists()
    assert [call for call in _calls(node) if "systemd-run" in call] == []


def test_a_change_that_may_still_go_back_is_left_alone(node: Path) -> None:
    netplan.change(_job(node))
    netplan.apply()
    before = (node / "run" / "back.json").read_text()
    (node / "armed").touch()
    for again in (netplan.change, netplan.undo):
        with pytest.raises(netplan.Refused, match="an earlier change has not been kept"):
            again(_job(node))
    assert (node / "run" / "back.json").read_text() == before


def test_what_has_begun_to_go_back_is_not_kept_any_more(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection may come in when the way back has mended the network and is not over yet."""
    netplan.change(_job(node))
    netplan.apply()
    refused = list[str]()

    def keep_meanwhile(state: netplan.Json) -> None:
        try:
            netplan.keep()
        except netplan.Refused as error:
            refused.append(str(error))

    monkeypatch.setattr(netplan, "restore", keep_meanwhile)
    netplan.back()
    assert netplan.ended()["back"], "its folder is still there"
    keep_meanwhile({})
    assert refused == ["nobody got in before its time was over: the node has gone back"] * 2


def test_what_is_kept_does_not_go_back_any_more(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer may run out at the moment at which somebody comes in."""
    netplan.change(_job(node))
    netplan.apply()
    monkeypatch.setattr(netplan, "drop", lambda state: netplan.back())
    netplan.keep()
    assert (node / "etc" / "40.yaml").read_text() == WISH


@pytest.mark.parametrize("former", [None, "network: {}\n"])
def test_the_way_back_brings_the_former_file_and_no_record(node: Path, former: str | None) -> None:
    file = node / "etc" / "40.yaml"
    if former is not None:
        file.parent.mkdir()
        file.write_text(former)
    netplan.change(_job(node))
    netplan.apply()
    netplan.back()
    assert (file.read_text() if file.exists() else None) == former
    assert netplan.ended()["back"] and not (node / "record").exists()
    assert any("stop sparkctl-netplan-back.timer" in call for call in _calls(node)), "it does not come a second time"
    netplan.leave()
    assert not (node / "run").exists()


def test_undo_goes_to_what_was_there_first_of_all(node: Path) -> None:
    file = node / "etc" / "40.yaml"
    for content in (WISH, f"# again\n{WISH}"):
        netplan.change(_job(node, content=content))
        netplan.apply()
        netplan.keep()
    assert json.loads((node / "record").read_text())["content"] is None
    netplan.undo(_job(node))
    netplan.apply()
    assert not file.exists() and (node / "record").exists(), "until it is confirmed"
    netplan.keep()
    assert not (node / "record").exists()


def test_an_undo_that_cuts_the_node_off_goes_back_and_keeps_its_record(node: Path) -> None:
    netplan.change(_job(node))
    netplan.apply()
    netplan.keep()
    netplan.undo(_job(node))
    netplan.apply()
    netplan.back()
    assert (node / "etc" / "40.yaml").read_text() == WISH and (node / "record").exists()


def test_a_failed_apply_is_told(node: Path) -> None:
    netplan.change(_job(node))
    (node / "fail-netplan").touch()
    netplan.apply()
    assert netplan.ended() == {"ended": True, "error": "no", "back": False}


def test_the_apply_ends_when_the_addresses_are_there(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A link may be down for a while when its MTU changes: what is seen then is not what was wished."""
    looks = iter(["", "", "10.1.2.3/24"])
    monkeypatch.setattr(netplan, "exists", lambda link: True)
    monkeypatch.setattr(netplan, "look_at", lambda link: {"addresses": {next(looks, "10.1.2.3/24"): ""}})
    netplan.change(_job(node))
    wished = json.loads((node / "run" / "wished.json").read_text())
    (node / "run" / "wished.json").write_text(json.dumps({**wished, "arrive": {"lan0": "10.1.2.3"}}))
    netplan.apply()
    assert next(looks, None) is None
    assert netplan.ended()["ended"]


def test_an_address_that_never_comes_is_waited_for_half_of_the_time(node: Path) -> None:
    netplan.change(_job(node, seconds=0.2, links={"no-such-link": "10.1.2.3"}))
    wished = json.loads((node / "run" / "wished.json").read_text())
    assert (wished["arrive"], wished["patience"]) == ({"no-such-link": "10.1.2.3"}, 0.1)
    netplan.apply()
    assert netplan.ended() == {"ended": True, "error": "", "back": False}


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs a network namespace of its own")
def test_addresses_routes_and_mtu_of_a_link_come_back() -> None:
    script = f"""
set -e
ip link add lan0 type veth peer name lan1
ip link set lan1 up
ip link set lan0 mtu 1400 up
ip addr add 10.1.2.3/24 dev lan0
ip route add 10.9.0.0/16 via 10.1.2.1 dev lan0
before=$(ip -4 addr show lan0; ip -4 route; cat /sys/class/net/lan0/mtu)
{sys.executable} - <<'END'
import sys
sys.path.insert(0, {str(Path(netplan.__file__).parent)!r})
import netplan
was = netplan.look_at("lan0")
netplan.call("ip", "addr", "flush", "dev", "lan0")
netplan.call("ip", "addr", "add", "10.7.7.7/24", "dev", "lan0")
netplan.call("ip", "link", "set", "lan0", "mtu", "1300")
assert netplan.lacking("lan0", was) == ["10.1.2.3/24"]
netplan.mend("lan0", was)
END
after=$(ip -4 addr show lan0; ip -4 route; cat /sys/class/net/lan0/mtu)
[ "$before" = "$after" ] || {{ diff <(echo "$before") <(echo "$after"); exit 1; }}
"""
    # A sysfs of its own, as /sys shows the interfaces of the namespace in which it was mounted.
    argv = ["unshare", "--net", "--mount", "bash", "-c", f"mount -t sysfs none /sys\n{script}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
