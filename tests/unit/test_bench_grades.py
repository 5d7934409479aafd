"""Grades by the public figures of two Sparks: each edge, with its reason and what to do next."""

from dataclasses import replace

import pytest
from bench_samples import LINKS, VIRTUAL, fabric
from hypothesis import given
from hypothesis import strategies as st

from sparkctl.bench import grades
from sparkctl.bench.results import FabricResult, Verdict

SLOW = [replace(link, mtu=1500) for link in LINKS]
GBIT = st.floats(0, 250)


@pytest.mark.parametrize(
    ("gbyte", "transport", "verdict", "words"),
    [
        (24.0, "RoCE", Verdict.PASS, "21.875"),
        (21.875, "RoCE", Verdict.PASS, ""),
        (21.8, "RoCE", Verdict.FAIR, "less than both"),
        (12.1, "RoCE", Verdict.FAIL, "one half"),
        (6.0, "RoCE", Verdict.FAIL, "threshold"),
        (1.7, "RoCE", Verdict.FAIL, "degraded"),
        (1.7, "sockets", Verdict.FAIL, "sockets"),
        (1.9, "", Verdict.FAIL, "sockets"),
    ],
)
def test_all_gather(gbyte: float, transport: str, verdict: Verdict, words: str) -> None:
    grade = grades.of_gather(gbyte, "nccl", transport, LINKS)
    assert grade.verdict is verdict
    assert words in grade.reason
    assert bool(grade.next) == (verdict is not Verdict.PASS)


@pytest.mark.parametrize(
    ("gbit", "streams", "mtu", "verdict", "words"),
    [
        (185.0, 8, 9000, Verdict.PASS, "185"),
        (96.0, 8, 1500, Verdict.PASS, "96"),
        (96.0, 8, 9000, Verdict.FAIR, "one half"),
        (13.0, 8, 9000, Verdict.FAIL, "degraded"),
        (40.0, 8, 9000, Verdict.FAIL, "185"),
        (12.0, 1, 9000, Verdict.PASS, "one stream"),
        (5.0, 1, 1500, Verdict.FAIL, "one stream"),
    ],
)
def test_tcp(gbit: float, streams: int, mtu: int, verdict: Verdict, words: str) -> None:
    grade = grades.of_transfer(gbit, streams, "iperf3", LINKS if mtu == 9000 else SLOW)
    assert (grade.verdict, words in grade.reason) == (verdict, True)


def test_a_degraded_port_wants_its_power_removed() -> None:
    for grade in (grades.of_rdma(13.0, LINKS), grades.of_transfer(13.0, 8, "iperf3", LINKS)):
        assert grade.verdict is Verdict.FAIL
        assert "unplug" in grade.next


def test_our_own_sender_fails_nobody() -> None:
    grade = grades.of_transfer(13.0, 8, grades.OURS, LINKS)
    assert grade.verdict is Verdict.FAIR
    assert "iperf3" in grade.next


def test_a_half_of_the_port() -> None:
    assert grades.of_rdma(92.57, LINKS).verdict is Verdict.PASS
    assert grades.of_rdma(60.0, LINKS).verdict is Verdict.FAIL
    assert grades.HALF_PASS_GBIT == 87.5


@given(GBIT, st.sampled_from((1, 8)), st.sampled_from(("iperf3", grades.OURS)))
def test_a_virtual_link_is_graded_by_nobody(gbit: float, streams: int, tool: str) -> None:
    found = [
        grades.of_transfer(gbit, streams, tool, (LINKS[0], VIRTUAL[1])),
        grades.of_rdma(gbit, VIRTUAL),
        grades.of_gather(gbit, "nccl", "RoCE", VIRTUAL),
        grades.of_ping(0.0, VIRTUAL),
    ]
    assert {grade.verdict for grade in found} == {Verdict.UNGRADED}
    assert all("virtual" in grade.reason for grade in found)


def test_an_unknown_speed_is_graded_by_nobody() -> None:
    unknown = (LINKS[0], replace(LINKS[1], gbit=None))
    grade = grades.of_transfer(180.0, 8, "iperf3", unknown)
    assert grade.verdict is Verdict.UNGRADED
    assert "enp1s0f1np1 on spark-2" in grade.reason


def test_gloo_is_not_held_to_what_nccl_reaches() -> None:
    assert grades.of_gather(0.3, "gloo", "sockets", LINKS).verdict is Verdict.UNGRADED


def test_lost_packets_fail_on_any_link() -> None:
    assert grades.of_ping(5.0, VIRTUAL).verdict is Verdict.FAIL
    assert grades.of_ping(0.0, LINKS).verdict is Verdict.PASS


@given(GBIT, GBIT)
def test_more_is_never_graded_worse_by_the_threshold(one: float, other: float) -> None:
    """Between pass and the rest; below the threshold a smaller figure may have a better known cause."""
    low, high = sorted((one, other))
    if grades.of_rdma(low, LINKS).verdict is Verdict.PASS:
        assert grades.of_rdma(high, LINKS).verdict is Verdict.PASS


def test_the_verdict_is_the_worst_grade() -> None:
    assert fabric().verdict is Verdict.PASS
    assert fabric(gbit=100.0).verdict is Verdict.FAIR
    assert fabric(gbit=100.0, gbyte=12.0).verdict is Verdict.FAIL
    empty = FabricResult("2026-11-21T12:00:00+00:00", "0.1.0", "demo", (), ())
    assert empty.verdict is Verdict.UNGRADED
