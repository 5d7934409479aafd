"""status: what runs on the nodes, and what differs from the configuration."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, manners, new_app, wants_of, with_options

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.step import Step
    from sparkctl.facts.probe import Facts
    from sparkctl.report.screen import Screen
    from sparkctl.report.status import Status
    from sparkctl.topology import Node
    from sparkctl.transport.ssh import SshSession

app = new_app()


@app.command()
@with_options
def status(
    options: Options,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Look again and again, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.2, metavar="SECONDS", help="Time between two looks.")] = 2.0,
) -> int:
    """Show what runs and what drifted; change nothing.

    Exits with 0 when all is as configured, 2 when not, 4 when no node answers. A node that is out of reach is shown.
    """
    from sparkctl.report.status import show_status, status_data
    from sparkctl.stacks.serving import steps

    screen = options.screen("status")
    config = load_config(options)
    todo = steps(config)
    with reaching(config, options) as reach:
        if watch:
            return watch_status(screen, config, todo, reach, interval)
        now = read_status(config, todo, reach)
    screen.put(**status_data(now))
    if not screen.json:
        screen.page.write(screen.advise(show_status(now, screen.glyphs, datetime.now(UTC))))
    screen.finish()
    return now.exit_code


@dataclass
class Reach:
    """Sessions to the nodes that answer, and why the others do not."""

    config: "Config"
    options: Options
    sessions: "dict[str, SshSession]" = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def open(self) -> None:
        """Connect to every node that has no session, all at once."""
        missing = [node for node in self.config.cluster.nodes if node.name not in self.sessions]
        with ThreadPoolExecutor(max_workers=len(missing) or 1) as pool:
            list(pool.map(self._open, missing))

    def drop(self, node: str, why: str) -> None:
        """Forget a session that broke."""
        self.errors[node] = why
        self.sessions.pop(node).close()

    def _open(self, node: "Node") -> None:
        from sparkctl.errors import UnreachableError
        from sparkctl.transport.ssh import SshSession

        try:
            self.sessions[node.name] = SshSession(node, **manners(self.config, self.options))
            self.errors.pop(node.name, None)
        except UnreachableError as error:
            self.errors[node.name] = f"{error.what}. Next: {error.fix}" if error.fix else error.what


@contextmanager
def reaching(config: "Config", options: Options) -> Iterator[Reach]:
    """Whatever of the cluster can be reached."""
    reach = Reach(config, options)
    try:
        yield reach
    finally:
        for session in reach.sessions.values():
            session.close()


def read_status(config: "Config", steps: "Sequence[Step]", reach: Reach) -> "Status":
    """Put the probes to the nodes that answer; steps that would ask another node stay unknown."""
    from sparkctl.core.plan import make_plan
    from sparkctl.report.status import make_status
    from sparkctl.stacks.serving import endpoint, serves

    facts, known = look(steps, reach)
    place = endpoint(config) if serves(config) else None
    return make_status(
        config.cluster,
        (place.url, place.model) if place else ("", ""),
        make_plan(known, facts),
        facts,
        reach.errors,
        len(steps) - len(known),
    )


def look(steps: "Sequence[Step]", reach: Reach) -> "tuple[Facts, list[Step]]":
    """What the nodes that answer say, and the steps that can be checked by it."""
    reach.open()
    facts = _ask(steps, reach)
    return facts, [s for s in steps if all(n in reach.sessions for n in (s.node, *(w.node for w in s.wants)))]


def _ask(steps: "Sequence[Step]", reach: Reach) -> "Facts":
    """Facts of every node that answers; one that stops answering is dropped, the others count."""
    from sparkctl.core.plan import gather
    from sparkctl.errors import UnreachableError
    from sparkctl.facts.docker import CONTAINERS
    from sparkctl.facts.probe import Facts, Want

    def ask(item: "tuple[str, SshSession]") -> "Facts | UnreachableError":
        node, session = item
        wants = [want for want in wants_of(steps) if want.node == node]
        try:
            return gather({node: session}, [*wants, Want(node, CONTAINERS)])
        except UnreachableError as error:
            return error

    items = list(reach.sessions.items())
    facts = Facts({})
    with ThreadPoolExecutor(max_workers=len(items) or 1) as pool:
        for (node, _), answer in zip(items, pool.map(ask, items), strict=True):
            if isinstance(answer, UnreachableError):
                reach.drop(node, answer.what)
            else:
                facts = facts.merged(answer)
    return facts


def watch_status(screen: "Screen", config: "Config", steps: "Sequence[Step]", reach: Reach, interval: float) -> int:
    """Show the status anew every `interval` seconds, until Ctrl-C, which is the way to end it and no failure."""
    from sparkctl.report.canvas import Canvas
    from sparkctl.report.status import show_status, status_data

    try:
        with Canvas(screen) as canvas:
            while True:
                now = read_status(config, steps, reach)
                canvas.draw(screen.advise(show_status(now, screen.glyphs, datetime.now(UTC))), status_data(now))
                time.sleep(interval)
    except KeyboardInterrupt:
        return 0
