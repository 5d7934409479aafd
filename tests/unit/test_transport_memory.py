"""The fake host: what tests of other rooms rely on."""

import pytest

from sparkctl.core.plan import gather
from sparkctl.errors import CommandFailed, ConnectionLost, UnreachableError
from sparkctl.facts.probe import Answer, Probe, Want
from sparkctl.transport.memory import Command, MemoryHost
from sparkctl.transport.session import HoldingSession, Result


def test_it_is_a_session() -> None:
    host: HoldingSession = MemoryHost()
    assert host.node.name == "spark-1"


def test_commands_are_logged_and_succeed_unless_told_otherwise() -> None:
    host = MemoryHost()
    assert host.run(["true"], sudo=True) == Result("", "", 0)
    host.script("echo x", stdin=b"in")
    assert host.log == [Command(("true",), sudo=True), Command(script="echo x", stdin=b"in")]


def test_the_latest_rule_that_fits_answers() -> None:
    host = MemoryHost()
    host.reply(["docker"], "any")
    host.reply(["docker", "pull"], Result("", "denied", 1))
    host.reply_script("mkfs", lambda command: f"{len(command.stdin)}")
    assert host.run(["docker", "ps"]).stdout == "any"
    with pytest.raises(CommandFailed, match="docker pull x: ended with status 1"):
        host.run(["docker", "pull", "x"])
    assert host.run(["docker", "pull"], check=False).rc == 1
    assert host.script("mkfs /dev/x", stdin=b"abc").stdout == "3"


def test_lines_are_told() -> None:
    host = MemoryHost()
    lines: list[str] = []
    host.reply(["x"], "a\nb\n")
    host.run(["x"], on_line=lines.append)
    assert lines == ["a", "b"]


def test_probes_are_framed_as_a_node_would() -> None:
    kernel = Probe("kernel", "uname -r", lambda answer: (answer.stdout, answer.rc))
    disk = Probe("disk", "df", lambda answer: answer.rc)
    host = MemoryHost(probes={"kernel": Answer("6.17\nx", 3)})
    facts = gather({"spark-1": host}, [Want("spark-1", kernel), Want("spark-1", disk)])
    assert facts.get("spark-1", kernel) == ("6.17\nx", 3)
    assert facts.get("spark-1", disk) == 127


def test_probes_may_be_a_function() -> None:
    echo = Probe("echo", "x", lambda answer: answer.stdout)
    host = MemoryHost(probes=lambda name: name.upper())
    assert gather({"spark-1": host}, [Want("spark-1", echo)]).get("spark-1", echo) == "ECHO"


def test_files_hold_bytes_and_mode() -> None:
    host = MemoryHost()
    host.write("/etc/x", b"1", mode=0o600)
    assert host.files == {"/etc/x": (b"1", 0o600)}


def test_a_cut_connection_stays_cut_until_it_is_opened_anew() -> None:
    host = MemoryHost(cut_after=2)
    host.run(["a"])
    host.write("/b", b"")
    for ask in (lambda: host.run(["c"]), lambda: host.probe("x"), lambda: host.write("/d", b"")):
        with pytest.raises(ConnectionLost):
            ask()
    host.reconnect()
    host.run(["c"])
    assert [command.argv for command in host.log] == [("a",), ("c",)]


def test_an_unreachable_host_refuses_everything() -> None:
    host = MemoryHost(unreachable=True)
    for ask in (lambda: host.run(["c"]), lambda: host.probe("x"), host.reconnect, lambda: host.docker):
        with pytest.raises(UnreachableError):
            ask()
    assert host.log == []


def test_without_an_engine_docker_fails_as_a_dead_one_does() -> None:
    with pytest.raises(CommandFailed):
        _ = MemoryHost().docker
