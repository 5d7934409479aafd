"""The state of a cluster as a reader wants it: per node what runs, since when, and what differs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sparkctl.amounts import plural, span
from sparkctl.core.plan import Item, Plan
from sparkctl.core.service import LABEL_CLUSTER
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending
from sparkctl.facts.docker import CONTAINERS, ContainerFact
from sparkctl.facts.probe import Facts
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line
from sparkctl.runtimes.containers import service_of
from sparkctl.topology import Cluster, Node

OK, DRIFTED, ABSENT, UNREACHABLE = "ok", "drifted", "not deployed", "unreachable"


@dataclass(frozen=True)
class ServiceState:
    """One container of the cluster. `since` is the engine's time stamp of its start, `state` the engine's word."""

    service: str
    container: str
    state: str
    since: str
    exit_code: int


@dataclass(frozen=True)
class NodeState:
    """One node; `error` says why it could not be read. `differences` are what is not as configured."""

    name: str
    role: str
    address: str
    error: str
    services: tuple[ServiceState, ...]
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Place:
    """Where a model answers: its name in the profile, the URL for OpenAI's clients, the name that they ask for."""

    name: str
    url: str
    model: str


@dataclass(frozen=True)
class Status:
    """The cluster. `state` is ok, drifted, not deployed or unreachable; `unknown` steps could not be checked.

    `next` is what to do, empty when all is as configured; `as_of` the laptop's time of the look, ISO 8601 in UTC.
    """

    cluster: str
    state: str
    endpoints: tuple[Place, ...]
    steps: int
    differ: int
    unknown: int
    next: str
    as_of: str
    nodes: tuple[NodeState, ...]

    @property
    def exit_code(self) -> int:
        """0 when all is as configured, 4 when no node answers, else 2."""
        return {OK: 0, UNREACHABLE: 4}.get(self.state, 2)


def make_status(
    cluster: Cluster,
    places: Sequence[tuple[str, str, str]],
    plan: Plan,
    facts: Facts,
    errors: Mapping[str, str],
    unknown: int,
    now: datetime,
) -> Status:
    """The status from a plan over the nodes that answer; `places` are as in `Place`, `unknown` steps left out."""
    nodes = tuple(_node(cluster, node, plan, facts, errors.get(node.name, "")) for node in cluster.nodes)
    differ = len([item for item in plan.items if not isinstance(item.finding, Ok)])
    state, count = _state(nodes, plan, differ), len(plan.items) + unknown
    advice = "" if state == OK else next_step(plan.items, errors, answering=state != UNREACHABLE)
    stamp = now.isoformat(timespec="seconds")
    served = tuple(Place(*place) for place in places)
    return Status(cluster.name, state, served, count, differ, unknown, advice, stamp, nodes)


def next_step(items: Sequence[Item], errors: Mapping[str, str], *, answering: bool = True) -> str:
    """What to do about what is not as configured: `up` works only where all nodes answer and nothing blocks it."""
    if not answering:
        return "check the addresses and the network, then sparkctl doctor"
    if errors:
        return f"bring back {', '.join(errors)}, then sparkctl up"
    blocked = {item.id: item.finding.fix for item in items if isinstance(item.finding, Blocked)}
    if not blocked:
        return "sparkctl up"
    if len(blocked) > 1:
        return f"mend {', '.join(blocked)} (sparkctl plan says how), then sparkctl up"
    ((name, fix),) = blocked.items()
    first = "; ".join(fix.splitlines())
    return f"mend {name}: {first}" + ("" if "sparkctl up" in first else ", then sparkctl up")


def _state(nodes: Sequence[NodeState], plan: Plan, differ: int) -> str:
    if all(node.error for node in nodes):
        return UNREACHABLE
    answering = not any(node.error for node in nodes)
    if answering and not differ:
        return OK
    workload = [item.finding for item in plan.items if item.step.layer is Layer.WORKLOAD]
    deployed = any(node.services for node in nodes) or any(isinstance(f, Drifted) for f in workload)
    return DRIFTED if deployed or not answering else ABSENT


def _node(cluster: Cluster, node: Node, plan: Plan, facts: Facts, error: str) -> NodeState:
    found = [] if error else (facts.get(node.name, CONTAINERS) or {}).values()
    services = sorted((_service(c) for c in found if c.labels.get(LABEL_CLUSTER) == cluster.name), key=str)
    differences = tuple(
        f"{item.step.name}: {text}"
        for item in plan.items
        if item.step.node == node.name
        for text in _words(item.finding)
    )
    return NodeState(node.name, str(node.role), node.address, error, tuple(services), differences)


def _service(container: ContainerFact) -> ServiceState:
    name = service_of(container.name, container.labels)
    return ServiceState(name, container.name, container.status, container.started, container.exit_code)


def _words(finding: Finding) -> tuple[str, ...]:
    match finding:
        case Drifted(differences):
            return differences
        case Absent(_, note):
            return (note or "missing",)
        case Blocked(problem):
            return tuple(problem.splitlines())
        case Pending(on, note):
            return (f"{note}; first see to {on}" if note else f"unknown before {on}",)
        case _:
            return ()


def status_data(status: Status) -> dict[str, Any]:
    """The status as plain data."""
    return asdict(status)


def show_status(status: Status, glyphs: Glyphs, now: datetime) -> list[Line]:
    """A block for each node, and the sentence that sums up."""
    served = ", ".join(f"{place.model} at {place.url}" for place in status.endpoints)
    lines = [Line(f"{status.cluster}: {served or 'no model is served (components)'}", "bold")]
    for node in status.nodes:
        lines += [Line(""), Line(f"{node.name}  {node.role}  {node.address}", "bold")]
        if node.error:
            lines.append(Line(node.error, "red", 2, ((f"{glyphs.blocked} ", "bold red"),)))
        lines += [_service_line(service, glyphs, now) for service in node.services]
        lines += [Line(text, "yellow", 2, ((f"{glyphs.change} ", "yellow"),)) for text in node.differences]
        if not (node.error or node.services or node.differences):
            lines.append(Line("nothing to run here", "dim", 2, ((f"{glyphs.ok} ", "green"),)))
    return [*lines, Line(""), _sum(status)]


def show_time(seen: datetime) -> Line:
    """When a picture was made, by the reader's clock."""
    return Line(f"as of {seen.astimezone():%H:%M:%S}", "dim")


def show_stale(lines: Sequence[Line], seen: datetime, now: datetime, waiting: Sequence[str]) -> list[Line]:
    """The last picture in grey, how old it is, and which nodes the next one waits for."""
    age = (now - seen).total_seconds()
    grey = [replace(line, style="dim", heads=tuple((text, "dim") for text, _ in line.heads)) for line in lines]
    ago = f"{age:.0f} s" if age < 60 else span(age)
    note = f"as of {seen.astimezone():%H:%M:%S}, {ago} ago: waiting for {', '.join(waiting)}"
    return [*grey, Line(note, "bold yellow")]


def _service_line(service: ServiceState, glyphs: Glyphs, now: datetime) -> Line:
    running = service.state == "running"
    mark = (f"{glyphs.ok} ", "green") if running else (f"{glyphs.blocked} ", "bold red")
    age = age_of(service.since, now)
    text = f"running for {age}" if running else f"{service.state} with status {service.exit_code}, started {age} ago"
    return Line(text, "" if running else "red", 2, (mark, (f"{service.service:<12}  ", "")))


def age_of(stamp: str, now: datetime) -> str:
    """Time since an engine's stamp, which has nanoseconds; by the laptop's clock."""
    try:
        began = datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC)
    except ValueError:
        return "an unknown time"
    return span(max(0.0, round((now - began).total_seconds())))


def _sum(status: Status) -> Line:
    unknown = f", {status.unknown} unknown" if status.unknown else ""
    figures = f"{plural(status.steps, 'step')}: {status.differ} not as configured{unknown}"
    sentences = {
        OK: (f"All of {plural(status.steps, 'step')} as configured.", "bold green"),
        DRIFTED: (f"Drifted. {figures}. Next: {status.next}", "bold yellow"),
        ABSENT: (f"Not deployed. {figures}. Next: {status.next}", "bold yellow"),
        UNREACHABLE: (f"No node answers. Next: {status.next}", "bold red"),
    }
    return Line(*sentences[status.state])
