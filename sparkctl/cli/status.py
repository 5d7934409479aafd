"""status: what runs on the nodes, and what differs from the configuration."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, attempt, load_config, new_app, wants_of, with_options
from sparkctl.cli.watching import IntervalOption, Picture, WatchOption, look_again

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.step import Step
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.probe import Answer, Facts, Want
    from sparkctl.report.status import Status
    from sparkctl.topology import Node
    from sparkctl.transport.crowd import Watch
    from sparkctl.transport.ssh import SshSession

app = new_app()


@app.command()
@with_options
def status(
    options: Options,
    watch: WatchOption = False,
    interval: IntervalOption = 2.0,
) -> int:
    """Show what runs and what drifted; change nothing.

    Exits with 0 when all is as configured, 2 when not, 4 when no node answers. A node that is out of reach is shown.
    """
    from sparkctl.report.status import show_status, status_data
    from sparkctl.stacks.serving import steps

    screen = options.screen("status")
    config = load_config(options)
    todo = steps(config)

    def picture(waiting: "Watch | None") -> Picture:
        now = read_status(config, todo, reach, waiting)
        return Picture(show_status(now, screen.glyphs, datetime.now(UTC)), status_data(now))

    with reaching(config, options) as reach:
        if watch:
            return look_again(screen, picture, interval)
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

    def ask(self, wants: "Sequence[Want]", watch: "Watch | None" = None) -> "Facts":
        """What every node that answers says, of its containers, too.

        Each is connected to where it is not, then asked, all at once.
        """
        from sparkctl.facts.probe import Facts
        from sparkctl.transport.crowd import ask_all

        nodes = self.config.cluster.nodes
        with self.options.waiting() as waiting:
            found = ask_all({node.name: partial(self._ask, node, wants) for node in nodes}, watch or waiting.watch)
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
        self, node: "Node", wants: "Sequence[Want]"
    ) -> "tuple[SshSession | None, dict[str, Answer] | SparkctlError]":
        """The node's open session, and its answers or why there are none."""
        from sparkctl.core.plan import ask
        from sparkctl.facts.docker import CONTAINERS
        from sparkctl.facts.probe import Want

        own = [*(want for want in wants if want.node == node.name), Want(node.name, CONTAINERS)]
        opened = self.sessions.get(node.name)
        return attempt(self.config, self.options, node, lambda session: ask(session, own), opened)

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
    from sparkctl.stacks.roles import started_roles
    from sparkctl.stacks.serving import endpoint, endpoints

    facts, known = look(steps, reach, watch)
    places = (*endpoints(config), *map(endpoint, started_roles(config, facts)))
    return make_status(
        config.cluster,
        tuple((place.name, place.url, place.model) for place in places),
        make_plan(known, facts),
        facts,
        reach.errors,
        len(steps) - len(known),
        datetime.now(UTC),
    )


def look(steps: "Sequence[Step]", reach: Reach, watch: "Watch | None" = None) -> "tuple[Facts, list[Step]]":
    """What the nodes that answer say, and the steps that can be checked by it."""
    facts = reach.ask(wants_of(steps), watch)
    there = reach.sessions.keys()
    return facts, [s for s in steps if {s.node, *(want.node for want in s.wants if want.vital)} <= there]
