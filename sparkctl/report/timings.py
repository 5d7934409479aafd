"""Where the time of a run went: a line per step, the critical path, and how close the run came to it."""

from collections.abc import Sequence
from typing import Any

from sparkctl.amounts import span
from sparkctl.core.events import Event, RunEnded, StepEnded
from sparkctl.core.journal import critical_path
from sparkctl.report.page import Line


def show_timings(events: Sequence[Event]) -> list[Line]:
    """Steps from the slowest down, those of the critical path marked."""
    data = timings_data(events)
    path = data["critical_path"]["steps"]
    width = max((len(step["id"]) for step in data["steps"]), default=0) + 2
    lines = [Line("Timings", "bold")]
    for step in data["steps"]:
        heads = ((f"{span(step['seconds']):>12}  ", ""), (step["id"].ljust(width), ""))
        lines.append(Line("on the critical path" if step["id"] in path else "", "cyan", 0, heads))
    chain = data["critical_path"]["seconds"]
    lines.append(Line(f"Wall time {span(data['seconds'])}, critical path {span(chain)}, ratio {data['ratio']:.2f}."))
    return lines


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
