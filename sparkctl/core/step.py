"""Steps: one wish each about one node, checked against facts by pure functions.

A step never touches a node. Its check answers with a finding, and a finding that asks for change carries the
actions that would make it. `plan` prints those actions, `up` performs the very same objects: a dry run needs no flag.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sparkctl.core.action import Action
from sparkctl.facts.probe import Facts, Want


class Layer(StrEnum):
    """What a step belongs to, from the ground up."""

    HOST = "host"
    STORAGE = "storage"
    IMAGE = "image"
    MODEL = "model"
    WORKLOAD = "workload"


@dataclass(frozen=True)
class Ok:
    """As wished."""

    note: str = ""


@dataclass(frozen=True)
class Absent:
    """Not there; the actions make it. `note` is what is seen meanwhile, `symptom` as in `Drifted`."""

    actions: tuple[Action, ...]
    note: str = ""
    symptom: bool = False


@dataclass(frozen=True)
class Drifted:
    """There, but not as wished; `differences` says how, the actions mend it.

    `disrupts` is true where mending stops something that serves: worth a question before it is done. `symptom` is
    true where the cause may be in a step below: while one of those is not as wished, it is mended first. `evidence`
    changes nothing: where it is still so after the actions, it raises what explains that.
    """

    differences: tuple[str, ...]
    actions: tuple[Action, ...]
    disrupts: bool = False
    symptom: bool = False
    evidence: tuple[Action, ...] = ()


@dataclass(frozen=True)
class Pending:
    """Cannot be known before the step `on` has been applied; `note` is what is seen meanwhile.

    `disrupts` is true where it may turn out that something that serves must be stopped.
    """

    on: str
    note: str = ""
    disrupts: bool = False


@dataclass(frozen=True)
class Blocked:
    """Wrong in a way that sparkctl must not or cannot mend: the plan stops before anything is changed."""

    problem: str
    fix: str


Finding = Ok | Absent | Drifted | Pending | Blocked


class Step(Protocol):
    """One wish about one node.

    `needs` are ids of steps that come first. `wants` are the probes whose answers `check` and `undo` read, on any
    node. `undo` answers with the actions that take away what is present and ours, or nothing.
    """

    @property
    def name(self) -> str: ...
    @property
    def node(self) -> str: ...
    @property
    def layer(self) -> Layer: ...
    @property
    def needs(self) -> tuple[str, ...]: ...
    @property
    def wants(self) -> tuple[Want, ...]: ...
    def check(self, facts: Facts) -> Finding: ...
    def undo(self, facts: Facts) -> tuple[Action, ...]: ...


def step_id(name: str, node: str) -> str:
    """How a step is named in plans, journals and `needs`: `image@spark-1`."""
    return f"{name}@{node}"
