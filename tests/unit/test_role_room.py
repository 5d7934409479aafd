"""Who makes room for whom, by shares and by the memory that is there."""

from pathlib import Path

import pytest
from config_world import TWO_SPARKS, World
from role_team import GIB_KB, TEXT, team

from sparkctl.config.load import Config
from sparkctl.errors import SparkctlError
from sparkctl.facts.probe import Answer, Facts
from sparkctl.stacks.role_state import RoleState, State
from sparkctl.stacks.roles import Room, role, roles

WIDE = """\
  wide:
    model: {id: lab/wide}
    start: demand
    engine: {gpu_memory_utilization: 0.3, weights_gib: 5}
    ports: {api: 8003}
  small:
    model: {id: lab/small}
    nodes: [1]
    start: demand
    engine: {gpu_memory_utilization: 0.15, weights_gib: 5}
    ports: {api: 8004}
"""
config = pytest.fixture(team)


def room(config: Config, available: float = 100.0, total: float = 121.7, **states: State) -> Room:
    """The head with that much memory, in GiB; roles do what `states` says, else nothing."""
    host = f"MemTotal={total * GIB_KB:.0f}\nMemAvailable={available * GIB_KB:.0f}"
    facts = Facts({"spark-1": {"host": Answer(host)}, "spark-2": {"host": Answer(host)}})
    known = {r.name: RoleState(r, states.get(r.name, State.STOPPED)) for r in roles(config)}
    return Room(config, known, facts)


def leaving(found: Room, name: str) -> list[tuple[str, bool]]:
    return [(each.role.name, each.sleeps) for each in found.leaving(role(found.config, name))]


def test_what_fits_beside_needs_nobody_s_place(config: Config) -> None:
    assert leaving(room(config), "dev") == []
    assert leaving(room(config, 40, dev=State.RUNNING), "po") == []
    assert leaving(room(config, 40, dev=State.RUNNING), "dev") == [], "it holds its memory already"


def test_the_largest_goes_first_and_no_more_than_needed(config: Config) -> None:
    both = room(config, 20, dev=State.RUNNING, po=State.RUNNING)
    assert leaving(both, "architect") == [("dev", False)]
    assert (
        both.short(role(config, "architect"))
        == "architect 0.50 + dev 0.60 + po 0.15 = 1.25 of spark-1's memory; 0.9 is the most"
    )


def test_what_can_sleep_sleeps_where_that_is_enough(config: Config) -> None:
    """Asleep architect holds 22 of 121.7 GiB: 0.18 beside 0.6 of dev."""
    assert leaving(room(config, 60, architect=State.RUNNING), "dev") == [("architect", True)]
    assert leaving(room(config, 90, architect=State.ASLEEP), "dev") == []
    crowded = room(config, 40, architect=State.RUNNING, po=State.RUNNING)
    assert leaving(crowded, "dev") == [("architect", True), ("po", False)]


def test_what_is_sick_or_loads_ends_as_it_would_not_obey(config: Config) -> None:
    """To be rid of a role that hangs is a reason to switch."""
    for state in (State.UNHEALTHY, State.LOADING, State.UNKNOWN):
        assert leaving(room(config, 60, architect=state), "dev") == [("architect", False)]


def test_who_has_no_part_of_the_node_that_is_short_stays(tmp_path: Path) -> None:
    """The wide one lacks memory on the worker alone, where what serves always leaves too little beside small."""
    text = TEXT.replace("timeouts:", WIDE + "timeouts:")
    config = World(tmp_path).shared(**TWO_SPARKS).profile("team", text).load("team")
    both = room(config, dev=State.RUNNING, small=State.RUNNING)
    assert leaving(both, "wide") == [("small", False)]


def test_live_memory_counts_beside_shares(config: Config) -> None:
    assert leaving(room(config, 70, po=State.RUNNING), "dev") == [("po", False)], "73 + 10 needed, 70 + 18 there"
    with pytest.raises(SparkctlError, match="dev does not fit, whichever roles make room: 83") as no:
        room(config, 30, po=State.RUNNING).leaving(role(config, "dev"))
    assert "gpu_memory_utilization" in no.value.fix


def test_what_loads_or_is_unhealthy_holds_its_memory_and_what_crashed_does_not(config: Config) -> None:
    for state in (State.LOADING, State.UNHEALTHY, State.UNKNOWN):
        assert leaving(room(config, 100, dev=state), "architect") == [("dev", False)]
    for state in (State.CRASHED, State.STOPPED):
        assert leaving(room(config, 100, dev=state), "architect") == []
