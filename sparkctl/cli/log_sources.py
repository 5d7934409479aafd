"""The logs of a cluster's containers, from whichever nodes can be asked."""

import heapq
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from sparkctl.cli.common import Options, attempt
from sparkctl.errors import SparkctlError, UnknownNameError, UnreachableError

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.topology import Node
    from sparkctl.transport.session import Session
    from sparkctl.transport.ssh import SshSession

Complain = Callable[[SparkctlError], None]
"""Told what could not be read while something else could."""


@dataclass(frozen=True)
class Source:
    """One container whose log is wanted."""

    node: str
    service: str
    container: Any

    @property
    def name(self) -> str:
        """As a step is named: `vllm@spark-1`."""
        return f"{self.service}@{self.node}"


@contextmanager
def reaching(
    config: "Config", nodes: "Sequence[Node]", options: Options
) -> "Iterator[tuple[list[Source], list[SparkctlError]]]":
    """The containers of the nodes that can be asked, and why the others cannot."""
    from sparkctl.transport.crowd import ask_all

    with options.waiting() as waiting:
        asks = {node.name: partial(_ask, config, node, options) for node in nodes}
        answers = ask_all(asks, waiting.watch).values()
    try:
        found = [source for _, said in answers if not isinstance(said, SparkctlError) for source in said]
        yield found, [said for _, said in answers if isinstance(said, SparkctlError)]
    finally:
        for session, _ in answers:
            if session:
                session.close()


def _ask(config: "Config", node: "Node", options: Options) -> "tuple[SshSession | None, list[Source] | SparkctlError]":
    """An open session with the containers there, or why there is none."""
    return attempt(config, options, node, lambda session: find_sources(node.name, session, config.cluster.name))


def find_sources(node: str, session: "Session", cluster: str) -> list[Source]:
    """The containers of a node that carry the cluster's label, in order of name."""
    from sparkctl.core.service import LABEL_CLUSTER
    from sparkctl.runtimes.containers import docker_errors, service_of

    with docker_errors(node, "list containers"):
        found = session.docker.containers.list(
            all=True, filters={"label": f"{LABEL_CLUSTER}={cluster}"}, ignore_removed=True
        )
    services = sorted((service_of(str(c.name), c.labels), str(c.name), c) for c in found)
    return [Source(node, service, container) for service, _, container in services]


def choose(
    sources: Sequence[Source], errors: Sequence[SparkctlError], component: str, cluster: str, start: str = ""
) -> list[Source]:
    """Those of one component, or all; `start` is the command that brings it, where that is not `up`.

    Raises UnknownNameError where there is none, naming what there is, SparkctlError where there is none yet, or
    `errors` where they may be why.
    """
    chosen = [source for source in sources if component in ("", source.service, source.name)]
    if chosen:
        return chosen
    if not sources and errors:
        raise _together(errors)
    if not sources:
        raise SparkctlError(f"cluster {cluster} has no containers there", fix=start or "deploy first: sparkctl up")
    where, names = f"cluster {cluster}", ", ".join(source.name for source in sources)
    if errors:
        lost = "; ".join(error.what for error in errors)
        what = f"there is no container of {component} on the nodes that could be asked"
        raise UnreachableError(what, where=f"{where}: {lost}", fix=f"there are: {names}")
    what = f"there is no container of {component}"
    if start:
        raise SparkctlError(what, where=where, fix=start)
    raise UnknownNameError(what, where=where, fix=f"there are: {names}")


def _together(errors: Sequence[SparkctlError]) -> SparkctlError:
    if len(errors) == 1:
        return errors[0]
    fixes = dict.fromkeys(error.fix for error in errors if error.fix)
    what = f"no node could be asked: {'; '.join(error.what for error in errors)}"
    return UnreachableError(what, where=", ".join(error.where for error in errors), fix="; ".join(fixes))


def read_all(sources: Sequence[Source], tail: int, complain: Complain) -> Iterator[tuple[Source, str]]:
    """The last lines of every container, merged by the engines' own time stamps.

    Raises what was wrong with the first where none can be read; else `complain` hears of those that cannot.
    """
    logs, lost = [], []
    for source in sources:
        try:
            logs.append(_stamped(source, _read(source, tail)))
        except SparkctlError as error:
            lost.append(error)
    if not logs:
        raise lost[0]
    for what in lost:
        complain(what)
    for _, _, source, line in heapq.merge(*logs, key=lambda entry: entry[:2]):
        yield source, line


def _read(source: Source, tail: int) -> bytes:
    from sparkctl.runtimes.containers import docker_errors

    with docker_errors(source.node, f"read the log of {source.service}"):
        log: bytes = source.container.logs(tail=tail, timestamps=True)
    return log


def _stamped(source: Source, log: bytes) -> Iterable[tuple[str, str, Source, str]]:
    for line in split_lines([log]):
        stamp, _, text = line.partition(" ")
        yield stamp, source.name, source, text


def follow_all(sources: Sequence[Source], tail: int, complain: Complain) -> Iterator[tuple[Source, str]]:
    """Lines of every container as they come, until all have ended. Raises what ended the first that broke.

    While others go on, `complain` hears at once of one that broke.
    """
    lines: queue.Queue[tuple[Source, str | SparkctlError | None]] = queue.Queue(maxsize=10_000)
    for source in sources:
        threading.Thread(target=_pump, args=(source, tail, lines), daemon=True).start()
    left, broken = len(sources), []
    while left:
        source, said = lines.get()
        if isinstance(said, str):
            yield source, said
        else:
            left -= 1
            broken += [said] if said else []
            if said and left:
                complain(said)
    if broken:
        raise broken[0]


def _pump(source: Source, tail: int, lines: "queue.Queue[tuple[Source, str | SparkctlError | None]]") -> None:
    """Feed one log into the queue; None marks its end, an error that it broke."""
    from sparkctl.runtimes.containers import docker_errors

    end: SparkctlError | None = None
    try:
        with docker_errors(source.node, f"follow the log of {source.service}"):
            for line in split_lines(source.container.logs(stream=True, follow=True, tail=tail)):
                lines.put((source, line))
            source.container.client.ping()  # a stream that is cut ends like one that is over
    except SparkctlError as error:
        end = error
    finally:
        lines.put((source, end))


def split_lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines from a stream that is cut anywhere; only a line feed ends one, as for Docker, which stamps them."""
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def last_state(line: str) -> str:
    """What a terminal would show of a line that was drawn over, as progress bars do with carriage returns."""
    return line.rstrip("\r").rpartition("\r")[2]
