"""Roles as lines and as data: what each is, what it does just now, and how a switch went."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sparkctl.amounts import span
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line
from sparkctl.report.status import age_of
from sparkctl.stacks.role_state import RoleState, State

if TYPE_CHECKING:
    from sparkctl.config.served import Served

STYLES = {
    State.RUNNING: "green",
    State.ASLEEP: "cyan",
    State.LOADING: "yellow",
    State.UNHEALTHY: "bold red",
    State.CRASHED: "bold red",
    State.STOPPED: "dim",
    State.UNKNOWN: "bold yellow",
}


@dataclass(frozen=True)
class Switched:
    """How a switch went, in seconds: all of it, and what it is made of.

    `prepared` is what image, model and ground took while the others answered, `room` until memory was free, `loaded`
    from then to the first token; `gap` is how long no role answered. `left` are the roles that made room, `slept`
    those of them that sleep.
    """

    to: str
    left: tuple[str, ...]
    slept: tuple[str, ...]
    seconds: float
    prepared: float
    room: float
    loaded: float
    gap: float


def role_data(role: "Served") -> dict[str, Any]:
    """What the profile says of a role."""
    wish = role.role
    return {
        "role": role.name,
        "description": wish.description if wish else "",
        "model": role.model.id,
        "name": role.served_name,
        "url": role.url,
        "nodes": [node.name for node in role.cluster.nodes],
        "temperature": wish.temperature if wish else None,
        "context": role.engine.max_model_len,
        "gpu_memory_utilization": role.engine.gpu_memory_utilization,
    }


def state_data(found: RoleState) -> dict[str, Any]:
    """What a role is, and what it does."""
    return {
        **role_data(found.role),
        "state": str(found.state),
        "note": found.note,
        "since": found.since,
        "fix": found.fix,
    }


def switch_data(done: Switched) -> dict[str, Any]:
    """For --json; seconds with three digits."""
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(done).items()}


def show_roles(roles: Sequence["Served"]) -> list[Line]:
    """A line for each role."""
    width = max((len(role.name) for role in roles), default=0) + 2
    return [Line(", ".join(_traits(role)), heads=((role.name.ljust(width), "bold"),)) for role in roles]


def show_states(found: Sequence[RoleState], glyphs: Glyphs, now: datetime) -> list[Line]:
    """A line for each role, with why it is so, and what to do about it."""
    lines: list[Line] = []
    width = max((len(each.role.name) for each in found), default=0) + 2
    for each in found:
        mark = glyphs.ok if each.state in (State.RUNNING, State.ASLEEP) else glyphs.later
        mark = glyphs.blocked if each.state in (State.UNHEALTHY, State.CRASHED) else mark
        style = STYLES[each.state]
        heads = ((f"{mark} ", style), (each.role.name.ljust(width), "bold"), (f"{each.state:<11}", style))
        lines.append(Line(_what(each, now), heads=heads))
        lines += [Line(each.note, "", width + 2)] if each.note else []
        lines += [Line(f"next: {each.fix}", "dim", width + 2)] if each.fix else []
    return lines


def say_switched(done: Switched) -> str:
    """One sentence with the figures."""
    left = [name for name in done.left if name not in done.slept]
    made = [*(f"{name} stopped" for name in left), *(f"{name} sleeps" for name in done.slept)]
    parts = f"room {span(done.room)}, first token {span(done.loaded)}"
    made += [f"no role answered for {span(done.gap)}"] if done.gap else []
    return "; ".join((f"{done.to} answers after {span(done.seconds)} ({parts})", *made))


def _what(found: RoleState, now: datetime) -> str:
    where = f"{found.role.served_name} at {found.role.url}"
    return f"{where}, for {age_of(found.since, now)}" if found.since else where


def _traits(role: "Served") -> list[str]:
    wish = role.role
    traits = [f"{role.model.id} at {role.url}"]
    traits += [f"temperature {wish.temperature:g}"] if wish and wish.temperature is not None else []
    traits += [f"{role.engine.max_model_len} tokens", f"{role.engine.gpu_memory_utilization:g} of the memory"]
    return [*traits, wish.description] if wish and wish.description else traits
