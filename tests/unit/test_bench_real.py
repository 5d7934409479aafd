"""Transfers for real: over a real sshd, between two addresses of loopback, nothing left behind."""

import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from bench_samples import VIRTUAL
from sshd import Sshd, eventually, gone, processes

from sparkctl.bench.fabric import FabricWish, free_port, measure, plan
from sparkctl.bench.grades import OURS
from sparkctl.bench.ground import PORTS, Run, Way
from sparkctl.bench.look import Ground, Seen
from sparkctl.bench.results import FabricResult, Machine, Verdict
from sparkctl.bench.tcp import IPERF3, Transferring
from sparkctl.errors import CommandFailed, SparkctlError
from sparkctl.node import throughput
from sparkctl.topology import Cluster, Node, Role

OWN, PEER = "127.0.0.11", "127.0.0.12"
TOOLS = [OURS, pytest.param(IPERF3, marks=pytest.mark.skipif(not shutil.which(IPERF3), reason="iperf3 is not there"))]


@pytest.fixture
def pair(sshd: Sshd) -> Iterator[Run]:
    """Two sessions to one machine, as two nodes."""
    sessions = {name: sshd.open(name=name) for name in ("spark-1", "spark-2")}
    yield Run(sessions, print)
    for session in sessions.values():
        session.close()


def way() -> Way:
    one = Node("spark-1", Role.HEAD, "192.0.2.1", "spark", 22, OWN, "lo")
    other = Node("spark-2", Role.WORKER, "192.0.2.2", "spark", 22, PEER, "lo")
    return Way(one, other, VIRTUAL[0], VIRTUAL[1], PORTS[-1])


def look(node: Node, ground: Ground) -> Seen:
    link = replace(VIRTUAL[0], node=node.name)
    return Seen(node, Machine(node.name, "x86_64", "", spark=False), link, ground, None, ())


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("streams", [1, 3])
def test_bytes_arrive_and_nothing_stays(pair: Run, tool: str, streams: int) -> None:
    found = Transferring(way(), tool, streams, 1).measure(pair)
    assert (found.tool, found.streams, found.source, found.target) == (tool, streams, "spark-1", "spark-2")
    assert found.gbit > 0.01
    assert 0 < found.seconds < 60
    assert found.grade.verdict is Verdict.UNGRADED
    assert gone(PEER)


def test_a_receiver_serves_its_peer_alone(capsys: pytest.CaptureFixture[str]) -> None:
    thread = threading.Thread(target=throughput.receive, args=(PEER, OWN, 120.0))
    thread.start()
    said: list[str] = []
    assert eventually(lambda: said.append(capsys.readouterr().out) or "\n" in "".join(said))
    port = int("".join(said))
    with socket.create_connection((PEER, port), 60, ("127.0.0.13", 0)) as stranger:
        assert stranger.recv(1) == b""
    assert throughput.send(OWN, PEER, port, 1, 0.1)["bytes"] > 0
    thread.join(60)
    assert not thread.is_alive()


def test_a_sender_that_finds_nobody_says_so(pair: Run) -> None:
    """The receiver's node refuses the address: it is none of its own."""
    nowhere = replace(way(), target=replace(way().target, fabric_ip="198.51.100.1"))
    with pytest.raises(CommandFailed) as error:
        Transferring(nowhere, OURS, 1, 1).measure(pair)
    assert "Cannot assign requested address" in error.value.output
    assert gone("198.51.100.1")


def test_a_cut_connection_ends_both_ends(pair: Run) -> None:
    errors: list[BaseException] = []

    def work() -> None:
        try:
            Transferring(way(), OURS, 2, 60).measure(pair)
        except SparkctlError as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert eventually(lambda: len(processes(PEER)) >= 2)
    for session in pair.sessions.values():
        session.close()
    thread.join(90)
    assert errors
    assert gone(PEER)


def test_what_fails_is_left_out_and_the_rest_goes_on(pair: Run) -> None:
    cluster = Cluster("demo", way().source, (way().target,))
    ground = Ground("", False, frozenset({"python3", "ss"}), frozenset())
    seen = {node.name: look(node, ground) for node in cluster.nodes}
    made = plan(cluster, seen, None, FabricWish(streams=1, seconds=1))
    assert [one.kind for one in made.measurements] == ["tcp", "tcp"]
    assert [one.what for one in made.left_out] == ["ping", IPERF3, "ib_write_bw", "all-gather"]
    first, second = made.measurements
    assert isinstance(first, Transferring)
    broken = replace(made, measurements=(replace(first, tool=IPERF3, way=replace(first.way, port=1 << 16)), second))
    result = measure(broken, pair, FabricResult("2026-11-21T12:00:00+00:00", "0", "demo", (), ()))
    assert [one.source for one in result.tcp] == ["spark-2"]
    assert result.left_out[-1].what.startswith("TCP spark-1 to spark-2")
    assert gone(PEER)


def test_ports_that_are_taken_are_left_alone() -> None:
    def at(*ports: int) -> Seen:
        return look(way().source, Ground("", False, frozenset(), frozenset(ports)))

    assert free_port(at(PORTS[0]), at(PORTS[1])) == PORTS[2]
    with pytest.raises(SparkctlError, match="no port of 29600 to 29699 is free"):
        free_port(at(*PORTS))


def test_one_node_has_no_fabric() -> None:
    with pytest.raises(SparkctlError, match="one node has no fabric"):
        plan(Cluster("demo", way().source), {}, None, FabricWish())
