"""stop: take away the containers of the cluster, and nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, YesOption, load_config, new_app, open_sessions, wants_of, with_options

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.plan import UndoItem
    from sparkctl.facts.probe import Facts, Want
    from sparkctl.report.screen import Screen
    from sparkctl.topology import Cluster
    from sparkctl.transport.ssh import SshSession

app = new_app()


@app.command()
@with_options
def stop(options: Options, yes: YesOption = False) -> int:
    """Remove the containers of the cluster; images, models, mounts and host settings stay."""
    return take_away(options, "stop", ("workload",), yes=yes, kept="images, models, mounts and host settings are kept")


def take_away(options: Options, verb: str, layers: Sequence[str], *, yes: bool, kept: str) -> int:
    """Undo what is present and ours in those layers, last made first, after a confirmation."""
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.executor import undo
    from sparkctl.core.lock import held
    from sparkctl.core.plan import gather, make_undo
    from sparkctl.core.step import Layer
    from sparkctl.stacks.serving import all_steps

    screen = options.screen(verb)
    config = load_config(options)
    name, todo = config.cluster.name, all_steps(config)
    with (
        reach_all(config, options, verb) as sessions,
        held(sessions[config.cluster.head.name], name, verb, forget=verb == "down") as lock,
    ):
        facts = gather(sessions, [*wants_of(todo), *engine_wants(config.cluster)])
        refuse_blind(config.cluster, facts, verb)
        items = make_undo(todo, facts, frozenset(map(Layer, layers)))
        show_undo(screen, name, items)
        if not items:
            return finish(screen, "nothing to remove", kept)
        screen.confirm(f"Remove this from cluster {name}?", yes=yes)
        outcome, _ = perform(screen, name, lambda emit, stop: undo(items, verb, sessions, emit, stop, lock.keep))
    if errors := errors_of(outcome, verb):
        return screen.fail(*errors)
    return finish(screen, "done", kept)


def engine_wants(cluster: "Cluster") -> "list[Want]":
    """What tells on every node whether its engine says which containers there are."""
    from sparkctl.facts.docker import CONTAINERS
    from sparkctl.facts.dockerd import DOCKERD
    from sparkctl.facts.probe import Want

    return [Want(node.name, probe) for node in cluster.nodes for probe in (DOCKERD, CONTAINERS)]


def refuse_blind(cluster: "Cluster", facts: "Facts", verb: str) -> None:
    """Raise SparkctlError where an engine is installed and does not answer: what is not seen would stay in silence."""
    from sparkctl.errors import SparkctlError
    from sparkctl.facts.docker import CONTAINERS
    from sparkctl.facts.dockerd import DOCKERD

    engines = {node.name: facts.get(node.name, DOCKERD) for node in cluster.nodes}
    installed = [name for name, engine in engines.items() if engine.client and (engine.engine or engine.version)]
    if silent := [name for name in installed if facts.get(name, CONTAINERS) is None]:
        where = ", ".join(silent)
        raise SparkctlError(
            f"Docker does not answer on {where}, so what runs there is unknown; nothing was removed on any node",
            where=where,
            fix=f"on {' and '.join(silent)}: sudo systemctl start docker; then run again: sparkctl {verb}",
        )


@contextmanager
def reach_all(config: "Config", options: Options, verb: str) -> "Iterator[Mapping[str, SshSession]]":
    """A session to every node; where one is out of reach the error says what that means for all of them."""
    from sparkctl.errors import UnreachableError

    with ExitStack() as stack:
        try:
            sessions = stack.enter_context(open_sessions(config, options))
        except UnreachableError as error:
            error.what += "; nothing was removed on any node"
            error.fix += f"{'; ' * bool(error.fix)}then run again: sparkctl {verb}"
            raise
        yield sessions


def show_undo(screen: "Screen", cluster: str, items: "Sequence[UndoItem]") -> None:
    """Show what would be taken away, or put it into the document."""
    from sparkctl.report import plan_view
    from sparkctl.report.data import undo_data

    screen.put(cluster=cluster, items=undo_data(items))
    if items:
        screen.show(plan_view.show_undo(items, screen.glyphs, verbose=screen.verbose))


def finish(screen: "Screen", result: str, kept: str) -> int:
    """Say how it ended, and what is still there."""
    screen.put(result=result, kept=kept)
    screen.tell(result, "bold green")
    screen.tell(kept)
    screen.finish()
    return 0
