"""logs: what the containers of the cluster print."""

import heapq
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_session, open_sessions, with_options
from sparkctl.cli.complete_nodes import complete_components, complete_nodes
from sparkctl.errors import SparkctlError

if TYPE_CHECKING:
    from sparkctl.report.screen import Screen
    from sparkctl.transport.session import Session

app = new_app()


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


@app.command()
@with_options
def logs(
    options: Options,
    component: Annotated[
        str, typer.Argument(metavar="[COMPONENT]", help="Default: all.", autocompletion=complete_components)
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    node: Annotated[str, typer.Option(metavar="NODE", help="Of this node only.", autocompletion=complete_nodes)] = "",
    tail: Annotated[int, typer.Option(min=0, metavar="N", help="Last lines of each container.")] = 100,
) -> int:
    """Show the logs of the containers, those of several together in order of time."""
    from sparkctl.cli.ssh import find_node

    screen = options.screen("logs")
    config = load_config(options)
    name = config.cluster.name
    opened = open_session(config, find_node(config, node), options) if node else None
    with opened or open_sessions(config, options) as reached:
        sessions: Mapping[str, Session] = reached if isinstance(reached, Mapping) else {reached.node.name: reached}
        sources = choose(find_sources(sessions, name), component, name)
        lines = follow_all(sources, tail) if follow else read_all(sources, tail)
        try:
            for source, line in lines:
                show(screen, source, line, prefixed=len(sources) > 1)
        except KeyboardInterrupt:
            return 0 if follow else 130
    return 0


def find_sources(sessions: "Mapping[str, Session]", cluster: str) -> list[Source]:
    """The containers that carry the cluster's label, on every node, in order of rank and name."""
    from sparkctl.core.service import LABEL_CLUSTER, LABEL_SERVICE
    from sparkctl.runtimes.containers import docker_errors

    sources = []
    for node, session in sessions.items():
        with docker_errors(node, "list containers"):
            found = session.docker.containers.list(all=True, filters={"label": f"{LABEL_CLUSTER}={cluster}"})
        services = sorted((str(c.labels.get(LABEL_SERVICE, c.name)), str(c.name), c) for c in found)
        sources += [Source(node, service, container) for service, _, container in services]
    return sources


def choose(sources: Sequence[Source], component: str, cluster: str) -> list[Source]:
    """Those of one component, or all. Raises SparkctlError where there is none, naming what there is."""
    chosen = [source for source in sources if component in ("", source.service, source.name)]
    if chosen:
        return chosen
    if not sources:
        raise SparkctlError(f"cluster {cluster} has no containers there", fix="deploy first: sparkctl up")
    names = ", ".join(source.name for source in sources)
    raise SparkctlError(f"there is no container of {component}", where=f"cluster {cluster}", fix=f"there are: {names}")


def read_all(sources: Sequence[Source], tail: int) -> Iterator[tuple[Source, str]]:
    """The last lines of every container, merged by the engines' own time stamps."""
    logs = [_stamped(source, _read(source, tail)) for source in sources]
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


def follow_all(sources: Sequence[Source], tail: int) -> Iterator[tuple[Source, str]]:
    """Lines of every container as they come, until all have ended. Raises what ended the first that broke."""
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


def show(screen: "Screen", source: Source, line: str, *, prefixed: bool) -> None:
    """One line; with --json, one object a line, so that a reader can follow too."""
    import json

    from sparkctl.report.look import clean

    text = last_state(line)
    if screen.json:
        data = {"schema": "sparkctl/logs/1", "node": source.node, "service": source.service, "line": text}
        print(json.dumps(data, ensure_ascii=False), flush=True)
    else:
        print(f"{source.name} {screen.glyphs.bar} {clean(text)}" if prefixed else clean(text), flush=True)
