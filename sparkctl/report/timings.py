"""Where the time of a run went: the critical path, and how close the run came to it."""

from collections.abc import Sequence
from typing import Any

from sparkctl.amounts import plural, span
from sparkctl.core.events import Event, RunEnded, StepEnded
from sparkctl.core.journal import critical_path
from sparkctl.report.page import Line

SHORT = 0.01
"""Share of the wall time below which a step is not named."""


def show_timings(events: Sequence[Event]) -> list[Line]:
    """What decided how long it took: the critical path, the slowest first. How long each step took is said above."""
    data = timings_data(events)
    path = data["critical_path"]["steps"]
    steps = [(step["id"], step["seconds"]) for step in data["steps"] if step["id"] in path]
    long = [(name, seconds) for name, seconds in steps if seconds >= SHORT * data["seconds"]]
    rest = [seconds for _, seconds in steps[len(long) :]]
    rows = [*long, *([(plural(len(rest), "shorter step"), sum(rest))] if rest else [])]
    chain = data["critical_path"]["seconds"]
    return [
        Line("Critical path, the slowest first", "bold"),
        *(Line(name, heads=((f"{span(seconds):>12}  ", ""),)) for name, seconds in rows),
        Line(f"Wall time {span(data['seconds'])}, critical path {span(chain)}, ratio {data['ratio']:.2f}."),
    ]


def timings_data(events: Sequence[Event]) -> dict[str, Any]:
    """Seconds by step, slowest first; `ratio` is wall time over critical path, 1.0 at best."""
    ended = sorted((e for e in events if isinstance(e, StepEnded)), key=lambda e: -e.seconds)
    wall = sum(e.seconds for e in events if isinstance(e, RunEnded))
    path = critical_path(events)
    return {
        "seconds": round(wall, 3),
        "critical_path": {"steps": list(path.steps), "seconds": round(path.seconds, 3)},
        "ratio": round(wall / path.seconds, 3) if path.seconds else 1.0,
        "steps": [{"id": end.id, "seconds": round(end.seconds, 3)} for end in ended],
    }
