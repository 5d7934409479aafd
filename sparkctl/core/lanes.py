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
    exception that a task lets out sets `stop` for the others, and is raised here when they have ended: nobody changes
    a node after that. Only a KeyboardInterrupt is raised without that wait.
    """
    sorter = TopologicalSorter({key: [n for n in task.needs if n in tasks] for key, task in tasks.items()})
    sorter.prepare()
    crew = _Crew(tasks, stop)
    running: dict[Future[bool], str] = {}
    try:
        while sorter.is_active():
            for key in () if crew.halted() else sorter.get_ready():
                running[crew.submit(key)] = key
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                if future.result():
                    sorter.done(key)
    except BaseException as error:
        stop.set()
        if not isinstance(error, KeyboardInterrupt):
            wait(running)
        raise
    finally:
        crew.leave()
    return tuple(key for key in tasks if key not in crew.begun)


class _Crew:
    """A thread for each lane. Each asks for itself whether it may begin: nobody is told too late."""

    def __init__(self, tasks: Mapping[str, Task], stop: threading.Event) -> None:
        self.begun: set[str] = set()
        self._tasks, self._stop, self._failed = tasks, stop, threading.Event()
        self._pools = {lane: ThreadPoolExecutor(1) for lane in {task.lane for task in tasks.values()}}

    def halted(self) -> bool:
        return self._failed.is_set() or self._stop.is_set()

    def submit(self, key: str) -> Future[bool]:
        return self._pools[self._tasks[key].lane].submit(self._work, key)

    def leave(self) -> None:
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _work(self, key: str) -> bool:
        if self.halted():
            return False
        self.begun.add(key)
        done = False
        try:
            done = self._tasks[key].work()
        finally:
            if not done:
                self._failed.set()
        return done
