"""Work in dependency order: one thread per lane, every lane at its own pace.

A lane is a (node, layer) pair: the host steps of a node follow each other, while the image comes in beside the model.
"""

import threading
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class Task:
    """Something to do once `needs` are done; `work` answers whether those that need it may go on."""

    lane: Hashable
    needs: tuple[str, ...]
    work: Callable[[], bool]


def run(tasks: Mapping[str, Task], stop: threading.Event) -> tuple[str, ...]:
    """Run the tasks and return the ids of those never begun.

    After a task that answered False, or once `stop` is set, nothing new begins and what runs is waited for. An
    exception that a task lets out is raised here at once, without that wait.
    """
    sorter = TopologicalSorter({key: [n for n in task.needs if n in tasks] for key, task in tasks.items()})
    sorter.prepare()
    pools = {lane: ThreadPoolExecutor(1) for lane in {task.lane for task in tasks.values()}}
    running: dict[Future[bool], str] = {}
    begun: set[str] = set()
    halted = False
    try:
        while sorter.is_active():
            for key in () if halted or stop.is_set() else sorter.get_ready():
                running[pools[tasks[key].lane].submit(tasks[key].work)] = key
                begun.add(key)
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                sorter.done(key)
                if not future.result() or stop.is_set():
                    halted = True
                    begun -= set(_cancel(running))
    finally:
        for pool in pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
    return tuple(key for key in tasks if key not in begun)


def _cancel(running: dict[Future[bool], str]) -> list[str]:
    """Take back what waits in a lane and has not begun."""
    waiting = [future for future in running if future.cancel()]
    return [running.pop(future) for future in waiting]
