"""What happens during a run, as data: the journal writes these events, renderers show them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunStarted:
    """A verb began: `steps` are the ids that will be worked on, in order, with what each needs among them."""

    verb: str
    nodes: tuple[str, ...]
    steps: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class StepStarted:
    """A step is being worked on."""

    id: str
    node: str


@dataclass(frozen=True)
class StepMoved:
    """A step reports progress; `done` and `total` as in `core.action.Progress`."""

    id: str
    node: str
    message: str
    done: int = 0
    total: int = 0
    unit: str = ""


@dataclass(frozen=True)
class StepEnded:
    """A step is over. `outcome` is changed, unchanged, failed, or stopped; `seconds` its duration."""

    id: str
    node: str
    outcome: str
    seconds: float
    message: str = ""


@dataclass(frozen=True)
class RunEnded:
    """The verb is over. `outcome` is done, failed or interrupted; `skipped` are step ids never begun."""

    outcome: str
    seconds: float
    skipped: tuple[str, ...] = ()


Event = RunStarted | StepStarted | StepMoved | StepEnded | RunEnded
