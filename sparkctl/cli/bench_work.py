"""How a bench runs: sessions, the lock, what is said meanwhile, Ctrl-C; and keeping what it found."""

import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, open_sessions

if TYPE_CHECKING:
    from sparkctl.bench.ground import Run
    from sparkctl.bench.look import Seen
    from sparkctl.bench.results import Outcome
    from sparkctl.config.load import Config
    from sparkctl.engines.engine import ServeSpec
    from sparkctl.facts.probe import Facts, Want
    from sparkctl.report.screen import Screen
    from sparkctl.report.waiting import Waiting
    from sparkctl.transport.ssh import SshSession


@dataclass(frozen=True)
class Work:
    """A cluster that is measured: its open sessions, and where is said what is done."""

    config: "Config"
    screen: "Screen"
    sessions: "Mapping[str, SshSession]"
    waiting: "Waiting"

    def ask(self, wants: "Iterable[Want]") -> "Facts":
        """Put probes to the nodes. Raises UnreachableError."""
        from sparkctl.core.plan import gather

        return gather(self.sessions, wants, self.waiting.watch)

    @contextmanager
    def locked(self, verb: str) -> "Iterator[Run]":
        """Nobody changes the cluster meanwhile; what is done is said in one line on a terminal, else line by line.

        Raises LockedError, CommandFailed, ConnectionLost.
        """
        from sparkctl.bench.ground import Run
        from sparkctl.core.lock import held

        head, screen = self.sessions[self.config.cluster.head.name], self.screen
        with ExitStack() as stack:
            stack.enter_context(held(head, self.config.cluster.name, verb))
            if screen.page.look.live and not screen.json:
                stack.callback(self.waiting.clear)
                yield Run(self.sessions, self.waiting.say)
            else:
                progress = screen.progress()
                stack.enter_context(progress)
                yield Run(self.sessions, progress.say)


@contextmanager
def at_work(screen: "Screen", config: "Config", options: Options) -> Iterator[Work]:
    """Sessions to all nodes; SIGTERM ends the block as Ctrl-C does, so that nothing is left on a node."""
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGTERM, signal.signal(signal.SIGTERM, _interrupt))
        waiting = stack.enter_context(options.waiting())
        yield Work(config, screen, stack.enter_context(open_sessions(config, options, waiting.watch)), waiting)


def seen_by(work: Work, image: str, *, with_addresses: bool) -> "dict[str, Seen]":
    """Every node as a bench sees it, in rank order. Raises UnreachableError."""
    from sparkctl.bench.look import look, wants

    nodes = work.config.cluster.nodes
    facts = work.ask(want for node in nodes for want in wants(node, image))
    return {node.name: look(facts, node, image, with_addresses=with_addresses) for node in nodes}


def engine_spec(config: "Config") -> "ServeSpec | None":
    """The engine whose image can gather: that of the first model, none where nothing is to be served."""
    from sparkctl.engines.engine import Backend
    from sparkctl.stacks.serving import started
    from sparkctl.stacks.workload import serve_spec

    served = started(config)
    return serve_spec(config, served[0], Backend.MP) if served else None


def stamp() -> tuple[str, str]:
    """The moment in UTC and the version of sparkctl, as results begin."""
    from sparkctl import __version__

    return datetime.now(UTC).isoformat(timespec="seconds"), __version__


def keep(screen: "Screen", config: "Config", result: "Outcome", folder: Path, *, with_addresses: bool) -> None:
    """Write document and page, and say where they are. Raises SparkctlError."""
    from sparkctl.bench import files
    from sparkctl.report.bench_page import result_page

    kept = result if with_addresses else files.without_addresses(result, config.cluster)
    paths = files.save(kept, result_page(kept), folder)
    screen.put(**files.document(kept), files={"result": str(paths[0]), "page": str(paths[1])})
    screen.tell(f"result: {paths[0]}")
    screen.tell(f"page: {paths[1]}")
    screen.finish()


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
