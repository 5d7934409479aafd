"""status: what runs on the nodes, and what differs from the configuration."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, manners, new_app, wants_of, with_options

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.step import Step
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.probe import Answer, Facts
    from sparkctl.report.canvas import Canvas
    from sparkctl.report.page import Line
    from sparkctl.report.screen import Screen
    from sparkctl.report.status import Status
    from sparkctl.topology import Node
    from sparkctl.transport.crowd import Watch
    from sparkctl.transport.ssh import SshSession

app = new_app()

LATE_SECONDS = 2.0
"""A look of `--watch` that takes longer waits for a node: what the last one saw is marked as old."""


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

    def ask(self, steps: "Sequence[Step]", watch: "Watch | None" = None) -> "Facts":
        """What every node that answers says: each is connected to where it is not, then asked, all at once."""
        from sparkctl.facts.probe import Facts
        from sparkctl.transport.crowd import ask_all

        nodes = self.config.cluster.nodes
        with self.options.waiting() as waiting:
            found = ask_all({node.name: partial(self._ask, node, steps) for node in nodes}, watch or waiting.watch)
        answers = {}
        for node, (session, said) in found.items():
            self._keep(node, session)
            if isinstance(said, dict):
                answers[node] = said
                self.errors.pop(node, None)
            else:
                self.errors[node] = f"{said.what}. Next: {said.fix}" if said.fix else said.what
        return Facts(answers)

    def _ask(
        self, node: "Node", steps: "Sequence[Step]"
    ) -> "tuple[SshSession | None, dict[str, Answer] | SparkctlError]":
        """The node's open session, and its answers or why there are none."""
        from sparkctl.core.plan import ask
        from sparkctl.errors import SparkctlError
        from sparkctl.facts.docker import CONTAINERS
        from sparkctl.facts.probe import Want
        from sparkctl.transport.ssh import SshSession

        wants = [*(want for want in wants_of(steps) if want.node == node.name), Want(node.name, CONTAINERS)]
        session = self.sessions.get(node.name)
        try:
            session = session or SshSession(node, **manners(self.config, self.options))
            return session, ask(session, wants)
        except SparkctlError as error:
            if session:
                session.close()
            return None, error

    def _keep(self, node: str, session: "SshSession | None") -> None:
        if session:
            self.sessions[node] = session
        else:
            self.sessions.pop(node, None)


@contextmanager
def reaching(config: "Config", options: Options) -> Iterator[Reach]:
    """Whatever of the cluster can be reached."""
    reach = Reach(config, options)
    try:
        yield reach
    finally:
        for session in reach.sessions.values():
            session.close()


def read_status(config: "Config", steps: "Sequence[Step]", reach: Reach, watch: "Watch | None" = None) -> "Status":
    """Put the probes to the nodes that answer; steps that would ask another node stay unknown."""
    from sparkctl.core.plan import make_plan
    from sparkctl.report.status import make_status
    from sparkctl.stacks.serving import endpoints

    facts, known = look(steps, reach, watch)
    return make_status(
        config.cluster,
        tuple((place.name, place.url, place.model) for place in endpoints(config)),
        make_plan(known, facts),
        facts,
        reach.errors,
        len(steps) - len(known),
        datetime.now(UTC),
    )


def look(steps: "Sequence[Step]", reach: Reach, watch: "Watch | None" = None) -> "tuple[Facts, list[Step]]":
    """What the nodes that answer say, and the steps that can be checked by it."""
    facts = reach.ask(steps, watch)
    there = reach.sessions.keys()
    return facts, [s for s in steps if {s.node, *(want.node for want in s.wants if want.vital)} <= there]


def watch_status(screen: "Screen", config: "Config", steps: "Sequence[Step]", reach: Reach, interval: float) -> int:
    """Show the status anew every `interval` seconds, until Ctrl-C, which is the way to end it and no failure.

    While a look takes long, what was seen by the last one is shown as what it is.
    """
    from sparkctl.report.canvas import Canvas
    from sparkctl.report.status import show_status, show_time, status_data

    try:
        now = read_status(config, steps, reach)
        with Canvas(screen) as canvas:
            while True:
                seen = datetime.now(UTC)
                lines = screen.advise(show_status(now, screen.glyphs, seen))
                canvas.draw([*lines, show_time(seen)], status_data(now))
                time.sleep(interval)
                due = time.monotonic() + LATE_SECONDS
                now = read_status(config, steps, reach, partial(_fade, canvas, lines, seen, due))
    except KeyboardInterrupt:
        return 0


def _fade(canvas: "Canvas", lines: "Sequence[Line]", seen: datetime, due: float, waiting: Sequence[str]) -> None:
    """Show the last picture as old, once its successor is late."""
    from sparkctl.report.status import show_stale

    if waiting and time.monotonic() > due:
        canvas.redraw(show_stale(lines, seen, datetime.now(UTC), waiting))
