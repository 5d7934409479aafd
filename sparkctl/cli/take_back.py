"""What is done about a change that did not come to its end: what served before serves again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sparkctl.cli.work import perform
from sparkctl.core.executor import Outcome, execute
from sparkctl.core.lock import Lock
from sparkctl.core.plan import gather, make_plan
from sparkctl.errors import SparkctlError
from sparkctl.facts.kept import KeptFact, kept_probe
from sparkctl.report.screen import Screen
from sparkctl.steps.generation import PutBackStep
from sparkctl.topology import Cluster

if TYPE_CHECKING:
    from sparkctl.transport.session import Session


def take_back(
    screen: Screen, cluster: Cluster, sessions: "Mapping[str, Session]", lock: Lock, outcome: Outcome
) -> None:
    """After a run that failed, put the stack back that it replaced, and say how long clients went without.

    Where this run was interrupted, or cannot, the keeper on the head does it as soon as the lock is free.
    """
    if not (outcome.failures or outcome.interrupted):
        return
    step = PutBackStep(cluster, outcome.failed.what if outcome.failed else "interrupted")
    try:
        changing = [name for name, unit in _kept(step, sessions).units.items() if unit.wished]
        if not changing:
            return
        if not outcome.interrupted:
            _put_back(screen, step, sessions, lock)
            kept = _kept(step, sessions)
            notes = [kept.unit(name).note for name in changing]
            screen.put(previous=notes)
            for note in notes:
                screen.tell(note)
            return
    except SparkctlError as error:
        screen.tell(f"{error.what}: this run could not put back what served before")
    screen.tell(f"the keeper on {step.node} finishes the change, or takes it back: sparkctl status")


def _put_back(screen: Screen, step: PutBackStep, sessions: "Mapping[str, Session]", lock: Lock) -> None:
    """Have the keeper do it while it is shown; the document goes on to hold the run that failed."""
    made, ran = make_plan([step], gather(sessions, step.wants)), screen.document.get("run")
    name = step.cluster.name
    perform(screen, name, lambda emit, stop: execute(made, sessions, emit, stop, lock.keep))
    screen.put(run=ran)


def _kept(step: PutBackStep, sessions: "Mapping[str, Session]") -> KeptFact:
    return gather(sessions, step.wants).get(step.node, kept_probe(step.cluster))
