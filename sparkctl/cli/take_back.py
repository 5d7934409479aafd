"""What is done about a change that did not come to its end: what served before serves again."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sparkctl.cli.work import perform
from sparkctl.core.executor import Outcome, execute
from sparkctl.core.lock import Lock
from sparkctl.core.plan import gather, make_plan
from sparkctl.errors import SparkctlError
from sparkctl.facts.kept import kept_probe
from sparkctl.report.screen import Screen
from sparkctl.steps.generation import PutBackStep
from sparkctl.topology import Cluster

if TYPE_CHECKING:
    from sparkctl.transport.session import Session


def take_back(
    screen: Screen, cluster: Cluster, sessions: "Mapping[str, Session]", lock: Lock, outcome: Outcome
) -> None:
    """After a run that failed, put the stack back that it replaced, and say how long clients went without.

    Where this run is interrupted or cannot, the keeper on the head does it as soon as the lock is free.
    """
    if not (outcome.failures or outcome.interrupted):
        return
    step = PutBackStep(cluster, outcome.failed.what if outcome.failed else "interrupted")
    try:
        made = make_plan([step], gather(sessions, step.wants))
        if made.clean:
            return
        if not outcome.interrupted:
            perform(
                screen, cluster.name, lambda emit, stop: execute(made, sessions, emit, stop, lock.keep), key="put_back"
            )
            units = gather(sessions, step.wants).get(step.node, kept_probe(cluster)).units
            notes = [unit.note for unit in units.values() if unit.note]
            screen.put(previous=notes)
            for note in notes:
                screen.tell(note)
            return
    except SparkctlError as error:
        screen.tell(f"{error.what}: what served before was not put back by this run")
    screen.tell(f"the keeper on {step.node} finishes the change, or takes it back: sparkctl status")
