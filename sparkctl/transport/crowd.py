"""Several nodes asked at once by a thread each, which the one that waits can leave at any moment.

`ThreadPoolExecutor` waits for its threads when it is left, also by Ctrl-C, and once more when the interpreter ends: a
node that hangs would hold the terminal until its time limit. These threads are left behind; what they wait for ends
with the connection, or with the process.
"""

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

Watch = Callable[[Sequence[str]], None]
"""Told the names that are still waited for, every TICK_SECONDS at least; none at the end."""

TICK_SECONDS = 0.25


def unwatched(_waiting: Sequence[str], /) -> None:
    """Nobody looks on."""


def ask_all(asks: Mapping[str, Callable[[], T]], watch: Watch = unwatched) -> dict[str, T]:
    """What each ask returned, by name, in the given order. Raises what the first that failed raised, at once."""
    desk: queue.SimpleQueue[_Note] = queue.SimpleQueue()
    waiting, answers = list(asks), dict[str, T]()
    for name, ask in asks.items():
        _Member(name, ask, desk).start()
    try:
        while waiting:
            watch(tuple(waiting))
            try:
                name, note = desk.get(timeout=TICK_SECONDS)
            except queue.Empty:
                continue
            if isinstance(note, _Question):
                watch(())
                note.answer()
            else:
                waiting.remove(name)
                answers[name] = note.result()
    finally:
        watch(())
    return {name: answers[name] for name in asks}


def on_desk(question: Callable[[], T]) -> T:
    """Put a question to the user in the thread that waits for all: there Ctrl-C and the terminal are."""
    thread = threading.current_thread()
    return thread.pass_on(question) if isinstance(thread, _Member) else question()


class _Question:
    """Something that the waiting thread is to do for one of the others."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work, self.future = work, Future[Any]()

    def answer(self) -> None:
        _fulfil(self.future, self._work)


_Note = tuple[str, "_Question | Future[Any]"]


class _Member(threading.Thread):
    def __init__(self, name: str, ask: Callable[[], Any], desk: "queue.SimpleQueue[_Note]") -> None:
        super().__init__(name=f"ask {name}", daemon=True)
        self._about, self._ask, self._desk = name, ask, desk

    def run(self) -> None:
        future = Future[Any]()
        _fulfil(future, self._ask)
        self._desk.put((self._about, future))

    def pass_on(self, work: Callable[[], T]) -> T:
        question = _Question(work)
        self._desk.put((self._about, question))
        answer: T = question.future.result()
        return answer


def _fulfil(future: "Future[Any]", work: Callable[[], Any]) -> None:
    """Do the work; whatever it raises is raised where its result is asked for."""
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again by `result`
        future.set_exception(error)
