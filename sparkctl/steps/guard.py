"""The memory watchdog on a node: the program, what it watches for, its unit, and what it has stopped.

The program is `sparkctl/node/watchdog.py`; docs/memory-guard.md says what it does and why.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from sparkctl.amounts import size
from sparkctl.core.action import Action
from sparkctl.core.actions import Script, WriteFile
from sparkctl.core.plan import gather
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, step_id
from sparkctl.facts.guard import GuardFact, Trip, guard_probe
from sparkctl.facts.probe import Facts, Probe, Want
from sparkctl.rendering import render
from sparkctl.steps.place import OnNode
from sparkctl.topology import Cluster
from sparkctl.transport.session import Prober

GIB = 2**30
ADVICE = "lower engine.gpu_memory_utilization, or stop what else holds memory"


@dataclass(frozen=True)
class GuardWish:
    """When the watchdog acts: memory in GiB, times in seconds, `pressure` in percent of time.

    Below `floor_gib` it kills; below `low_gib` for `low_s`, or under such pressure for `pressure_s`, it stops, with
    `stop_s` for each container. `order` are prefixes of the services that it may stop, the first to go first.
    """

    floor_gib: float
    low_gib: float
    low_s: float
    pressure: float
    pressure_s: float
    stop_s: int
    order: tuple[str, ...]


@dataclass(frozen=True)
class Places:
    """Where the watchdog of a cluster lies on a node; all of it is ours."""

    cluster: str

    @property
    def unit(self) -> str:
        return f"sparkctl-guard-{self.cluster}.service"

    @property
    def unit_file(self) -> str:
        return f"/etc/systemd/system/{self.unit}"

    @property
    def program(self) -> str:
        return f"/usr/local/lib/sparkctl/{self.cluster}/watchdog.py"

    @property
    def config(self) -> str:
        return f"/etc/sparkctl/{self.cluster}/guard.json"

    @property
    def trips(self) -> str:
        return f"/var/lib/sparkctl/{self.cluster}/trips.json"

    @property
    def probe(self) -> Probe[GuardFact]:
        """What there is."""
        return guard_probe(self.unit, (self.program, self.config, self.unit_file), self.trips)


@dataclass(frozen=True)
class _OfGuard(OnNode):
    """A step that reads the watchdog's probe."""

    @property
    def wants(self) -> tuple[Want, ...]:
        return (Want(self.node, self.places.probe),)

    @property
    def places(self) -> Places:
        """Where it lies."""
        return Places(self.cluster.name)

    def fact(self, facts: Facts) -> GuardFact:
        """What the probe found."""
        return facts.get(self.node, self.places.probe)


@dataclass(frozen=True)
class GuardStep(_OfGuard):
    """The watchdog installed as wished and running with just that; no `wish`: none is there.

    `program` is the text of `sparkctl/node/watchdog.py`.
    """

    wish: GuardWish | None
    program: str
    name: str = "guard"
    layer: Layer = Layer.HOST

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("host", self.node), step_id("packages", self.node))

    def check(self, facts: Facts) -> Finding:
        fact = self.fact(facts)
        if not self.wish:
            gone = self.undo(facts)
            return Drifted((f"{self.places.unit} is installed, and not wanted",), gone) if gone else Ok("not used")
        if trouble := self._trouble(fact):
            return trouble
        differ = [path for path, text in self.files.items() if fact.sha256.get(path) != _sha256(text)]
        differences = [f"{path} is {'not as wished' if path in fact.sha256 else 'missing'}" for path in differ]
        if not fact.enabled:
            differences.append(f"{self.places.unit} is not enabled")
        if fact.runs != self.spec:
            differences.append("another watchdog than the wished one runs" if fact.runs else "no watchdog runs")
        if not differences:
            return Ok(f"stops below {self.wish.low_gib:g} GiB, kills below {self.wish.floor_gib:g} GiB")
        actions: list[Action] = [WriteFile(path, self.files[path], sudo=True) for path in differ]
        actions.append(self._start())
        return Drifted(tuple(differences), tuple(actions)) if fact.sha256 else Absent(tuple(actions))

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        fact = self.fact(facts)
        if not (fact.sha256 and fact.marked):
            return ()
        places = self.places
        paths = (places.program, places.config, places.trips, f"{places.trips}.cleared")
        folders = dict.fromkeys(path.rpartition("/")[0] for path in paths)
        both = [folder for own in folders for folder in (own, own.rpartition("/")[0])]
        return (
            Script(
                "stop the memory watchdog and remove it",
                f"systemctl disable --now {places.unit} 2>/dev/null\n"
                f"rm -f {shlex.join((places.unit_file, *paths))}\n"
                f"rmdir --ignore-fail-on-non-empty {shlex.join(both)} 2>/dev/null\n"
                "systemctl daemon-reload",
                sudo=True,
            ),
        )

    @cached_property
    def files(self) -> dict[str, str]:
        """Content by path: program, configuration, unit."""
        places = self.places
        config = json.dumps({**self._settings, "spec": self.spec}, indent=2, sort_keys=True) + "\n"
        unit = render("guard.service.j2", cluster=self.cluster.name, program=places.program, config=places.config)
        return {places.program: self.program, places.config: config, places.unit_file: unit}

    @cached_property
    def spec(self) -> str:
        """Names program and settings: the running watchdog says it to systemd."""
        return _sha256(json.dumps([self.program, self._settings], sort_keys=True))[:12]

    @property
    def _settings(self) -> dict[str, object]:
        """The fields of `node.watchdog.Config`, but `spec`."""
        wish = asdict(self.wish) if self.wish else {}
        marks = {"floor": int(wish["floor_gib"] * GIB), "low": int(wish["low_gib"] * GIB)}
        times = {"low_seconds": wish["low_s"], "pressure_seconds": wish["pressure_s"], "stop_seconds": wish["stop_s"]}
        own = {"cluster": self.cluster.name, "trips": self.places.trips}
        return {**own, **marks, **times, "pressure": wish["pressure"], "order": list(wish["order"])}

    def _trouble(self, fact: GuardFact) -> Blocked | None:
        without = "or go without it: guard.watchdog: false in the profile"
        if not fact.systemd:
            return Blocked(
                f"{self.node} has no systemd to run the memory watchdog", f"boot it with systemd, {without}"
            )
        if not fact.marked:
            return Blocked(f"{self.places.unit_file} is not of sparkctl", f"look at it, and move it away, {without}")
        return None

    def _start(self) -> Script:
        unit, folder = self.places.unit, self.places.trips.rpartition("/")[0]
        return Script(
            "start the memory watchdog",
            f"set -e\n{open_folder(folder)}\n"
            f"systemctl daemon-reload\nsystemctl enable {unit}\nsystemctl restart {unit}\n",
            sudo=True,
        )


@dataclass(frozen=True)
class TripStep(_OfGuard):
    """The watchdog has stopped nothing since the last `up`: what it stopped is told until it is started again."""

    name: str = "guard-trip"
    layer: Layer = Layer.WORKLOAD

    @property
    def needs(self) -> tuple[str, ...]:
        return (step_id("guard", self.node),)

    def check(self, facts: Facts) -> Finding:
        trips = self.fact(facts).trips
        if not trips:
            return Ok()
        file = shlex.quote(self.places.trips)
        return Drifted(
            (*(describe(trip, self.node) for trip in trips[-3:]), f"before it starts again: {ADVICE}"),
            (Script("clear the trip of the memory watchdog", f"mv -f {file} {file}.cleared", sudo=True),),
        )

    def undo(self, facts: Facts) -> tuple[Action, ...]:
        return ()


def describe(trip: Trip, node: str) -> str:
    """`the watchdog stopped vllm on spark-2 at 12:03:10 UTC, 2026-11-21: 1.2 GiB available, less than …`."""
    day, _, hour = trip.at.partition("T")
    verb = trip.did.partition(",")[0] or "stopped"
    what = ", ".join(trip.services)
    when = f"{hour.removesuffix('Z')} UTC, {day}"
    return f"the watchdog {verb} {what} on {node} at {when}: {size(trip.available)} available, {trip.reason}"


def open_folder(folder: str) -> str:
    """A line of bash that makes a folder and the one above it, which the login reads, whoever made them."""
    return f"install -d -m 755 {shlex.join((folder.rpartition('/')[0], folder))}"


def told_trips(cluster: Cluster, probers: Mapping[str, Prober]) -> list[str]:
    """What the watchdogs have done since the last `up`, in words. Raises UnreachableError."""
    probe = Places(cluster.name).probe
    facts = gather(probers, [Want(node.name, probe) for node in cluster.nodes])
    return [describe(trip, node.name) for node in cluster.nodes for trip in facts.get(node.name, probe).trips]


def steps(cluster: Cluster, wish: GuardWish | None, program: str) -> tuple[GuardStep | TripStep, ...]:
    """For every node the watchdog, or none, and what it did."""
    both = ((GuardStep(cluster, node, wish, program), TripStep(cluster, node)) for node in cluster.nodes)
    return tuple(step for of_node in both for step in of_node)


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
