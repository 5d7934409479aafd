"""The plan: every step in dependency order, each with what its check finds.

Made from facts alone. The planner holds probers, which cannot write; see `transport/session.py`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from graphlib import TopologicalSorter

from sparkctl.core.action import Action
from sparkctl.core.step import Absent, Blocked, Drifted, Finding, Layer, Ok, Pending, Step, step_id
from sparkctl.facts.probe import Answer, Facts, Want, frame, new_nonce, unframe
from sparkctl.transport.crowd import Watch, ask_all, unwatched
from sparkctl.transport.session import Prober

__all__ = ["Item", "Plan", "UndoItem", "ask", "gather", "id_of", "make_plan", "make_undo", "ordered", "with_needs"]


@dataclass(frozen=True)
class Item:
    """One step and its finding."""

    step: Step
    finding: Finding

    @property
    def id(self) -> str:
        """`name@node`."""
        return id_of(self.step)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What would be done, as far as it is known now."""
        return self.finding.actions if isinstance(self.finding, Absent | Drifted) else ()


@dataclass(frozen=True)
class Plan:
    """All items in an order that respects every need."""

    items: tuple[Item, ...]

    @property
    def changes(self) -> tuple[Item, ...]:
        """Items that an `up` would act on, those among them included that are not yet known."""
        return tuple(item for item in self.items if isinstance(item.finding, Absent | Drifted | Pending))

    @property
    def blocked(self) -> tuple[Item, ...]:
        """Items that stop the plan."""
        return tuple(item for item in self.items if isinstance(item.finding, Blocked))

    @property
    def clean(self) -> bool:
        """True when everything is as wished."""
        return all(isinstance(item.finding, Ok) for item in self.items)


@dataclass(frozen=True)
class UndoItem:
    """One step that has something of ours to take away; `below` are the ids of all that it stands on, at any depth."""

    step: Step
    actions: tuple[Action, ...]
    below: frozenset[str]

    @property
    def id(self) -> str:
        """`name@node`."""
        return id_of(self.step)


def id_of(step: Step) -> str:
    """`name@node`."""
    return step_id(step.name, step.node)


def ordered(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Steps so that each comes after its needs; a need that is not among them is taken as met."""
    by_id = {id_of(step): step for step in steps}
    graph = {key: [need for need in step.needs if need in by_id] for key, step in by_id.items()}
    return tuple(by_id[key] for key in TopologicalSorter(graph).static_order())


def with_needs(every: Sequence[Step], wanted: Callable[[Step], bool]) -> list[Step]:
    """The wanted steps and all that they stand on, in the given order."""
    by_id = {id_of(step): step for step in every}
    kept: set[str] = set()
    todo = [id_of(step) for step in every if wanted(step)]
    while todo:
        key = todo.pop()
        if key in by_id and key not in kept:
            kept.add(key)
            todo += by_id[key].needs
    return [step for step in every if id_of(step) in kept]


def ask(prober: Prober, wants: Iterable[Want]) -> dict[str, Answer]:
    """Put probes to one node, in one round trip; the answers by name. Raises UnreachableError."""
    nonce = new_nonce()
    return unframe(prober.probe(frame((want.probe for want in wants), nonce)), nonce)


def gather(probers: Mapping[str, Prober], wants: Iterable[Want], watch: Watch = unwatched) -> Facts:
    """Put every wanted probe, all nodes at once, one round trip each. Raises UnreachableError."""
    by_node: dict[str, list[Want]] = {}
    for want in wants:
        by_node.setdefault(want.node, []).append(want)
    return Facts(ask_all({node: partial(ask, probers[node], asked) for node, asked in by_node.items()}, watch))


def make_plan(steps: Sequence[Step], facts: Facts) -> Plan:
    """Check every step; one that needs a step which is itself pending or missing may say so by `Pending`.

    A finding that may be the symptom of a step below which is not as wished becomes `Pending` on that step.
    """
    items: list[Item] = []
    unmet: dict[str, str] = {}
    for step in ordered(steps):
        finding = step.check(facts)
        below = next((unmet[need] for need in step.needs if need in unmet), "")
        items.append(Item(step, _explained(finding, below)))
        if not isinstance(finding, Ok) or below:
            unmet[id_of(step)] = below if isinstance(finding, Ok) else id_of(step)
    return Plan(tuple(items))


def _explained(finding: Finding, below: str) -> Finding:
    """The finding, or the step below that explains it."""
    match finding:
        case Absent(_, note, symptom=True) if below:
            return Pending(below, note)
        case Drifted(differences, disrupts=disrupts, symptom=True) if below:
            return Pending(below, "; ".join(differences), disrupts)
        case _:
            return finding


def make_undo(steps: Sequence[Step], facts: Facts, layers: frozenset[Layer]) -> tuple[UndoItem, ...]:
    """What to take away, last made first, in those layers; no image before every workload.

    A node knows which images were brought to it, not for whom: whichever step takes them away takes all.
    """
    line, below = ordered(steps), dict[str, frozenset[str]]()
    images = frozenset(id_of(step) for step in line if step.layer is Layer.IMAGE)
    for step in line:
        stands_on = (*step.needs, *(images if step.layer is Layer.WORKLOAD else ()))
        below[id_of(step)] = frozenset(stands_on).union(*(below.get(need, ()) for need in step.needs))
    candidates = [step for step in reversed(line) if step.layer in layers]
    items = (UndoItem(step, step.undo(facts), below[id_of(step)]) for step in candidates)
    return tuple(item for item in items if item.actions)
