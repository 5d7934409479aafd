"""Parts of a deployment, brought or taken away alone: what the verbs about models and images share."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, open_sessions, wants_of
from sparkctl.cli.plan import show_plan
from sparkctl.cli.stop import engine_wants, reach_all, refuse_blind, show_undo
from sparkctl.cli.up import blocked_error, confirm_replacing

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.plan import UndoItem
    from sparkctl.core.step import Step
    from sparkctl.facts.probe import Facts
    from sparkctl.report.screen import Screen
    from sparkctl.topology import Cluster
    from sparkctl.transport.ssh import SshSession


def bring(
    options: Options, screen: "Screen", config: "Config", todo: "Sequence[Step]", command: str, *, yes: bool = False
) -> int:
    """Make these steps true, as `up` makes all; `command` is what to type to go on. Returns the exit code.

    Asks before something that serves is stopped, unless `yes`.
    """
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.executor import execute
    from sparkctl.core.lock import held
    from sparkctl.core.plan import gather, make_plan

    name, watch = config.cluster.name, options.waiting().watch
    with (
        open_sessions(config, options, watch) as sessions,
        held(sessions[config.cluster.head.name], name, command) as lock,
    ):
        made = make_plan(todo, gather(sessions, wants_of(todo), watch))
        show_plan(screen, config, made)
        if made.blocked:
            return screen.fail(blocked_error(made, command))
        if made.clean:
            return end(screen, "no changes")
        confirm_replacing(screen, made, yes=yes)
        outcome, _ = perform(screen, name, lambda emit, stop: execute(made, sessions, emit, stop, lock.keep))
    if errors := errors_of(outcome, command):
        return screen.fail(*errors)
    return end(screen, "done" if outcome.changed else "no changes")


def take(
    options: Options,
    screen: "Screen",
    config: "Config",
    todo: "Sequence[Step]",
    command: str,
    *,
    yes: bool,
    after: str = "",
    layers: "Collection[str] | None" = None,
    refuse: "Callable[[Cluster, Facts, str], None]" = refuse_blind,
    forget: bool = False,
) -> int:
    """Take away what these steps would undo, after a confirmation; `after` is what to type next, if anything.

    Of some `layers` only, where they are given; `refuse` raises where nothing may be taken away. With `forget` not
    even the lock's file stays.
    """
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.executor import undo
    from sparkctl.core.lock import held

    name = config.cluster.name
    with (
        reach_all(config, options, command) as sessions,
        held(sessions[config.cluster.head.name], name, command, forget=forget) as lock,
    ):
        items = _present(sessions, config, todo, command, layers, refuse)
        show_undo(screen, name, items)
        if not items:
            return end(screen, "nothing to remove", after)
        screen.confirm(f"Remove this from the nodes of cluster {name}?", yes=yes)
        outcome, _ = perform(screen, name, lambda emit, stop: undo(items, command, sessions, emit, stop, lock.keep))
    if errors := errors_of(outcome, command):
        return screen.fail(*errors)
    return end(screen, "done", after)


def show_taking(
    options: Options,
    screen: "Screen",
    config: "Config",
    todo: "Sequence[Step]",
    command: str,
    *,
    layers: "Collection[str] | None" = None,
    refuse: "Callable[[Cluster, Facts, str], None]" = refuse_blind,
) -> int:
    """Show what `take` would take away; a look needs no lock, whose file would stay on the head."""
    with reach_all(config, options, command) as sessions:
        items = _present(sessions, config, todo, command, layers, refuse)
    show_undo(screen, config.cluster.name, items)
    if not items:
        return end(screen, "nothing to remove")
    screen.finish()
    return 0


def _present(
    sessions: "Mapping[str, SshSession]",
    config: "Config",
    todo: "Sequence[Step]",
    command: str,
    layers: "Collection[str] | None",
    refuse: "Callable[[Cluster, Facts, str], None]",
) -> "tuple[UndoItem, ...]":
    """What there is to take away, unless it is refused."""
    from sparkctl.core.plan import gather, make_undo
    from sparkctl.core.step import Layer

    facts = gather(sessions, [*wants_of(todo), *engine_wants(config.cluster)])
    refuse(config.cluster, facts, command)
    return make_undo(todo, facts, frozenset(Layer if layers is None else map(Layer, layers)))


def end(screen: "Screen", result: str, after: str = "") -> int:
    """Say how it ended, and what comes next."""
    screen.put(result=result)
    screen.tell(result, "bold green")
    if after:
        screen.tell(f"next: {after}")
    screen.finish()
    return 0
