"""Parts of a deployment, brought or taken away alone: what the verbs about models and images share."""

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, open_sessions, wants_of
from sparkctl.cli.plan import show_plan
from sparkctl.cli.stop import engine_wants, reach_all, refuse_blind, show_undo
from sparkctl.cli.up import blocked_error, confirm_replacing

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.step import Step
    from sparkctl.facts.probe import Facts
    from sparkctl.report.screen import Screen
    from sparkctl.topology import Cluster


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
    dry_run: bool = False,
    forget: bool = False,
) -> int:
    """Take away what these steps would undo, after a confirmation; `after` is what to type next, if anything.

    Of some `layers` only, where they are given; `refuse` raises where nothing may be taken away. With `forget` not
    even the lock's file stays.
    """
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.executor import undo
    from sparkctl.core.lock import held
    from sparkctl.core.plan import gather, make_undo
    from sparkctl.core.step import Layer

    name = config.cluster.name
    with (
        reach_all(config, options, command) as sessions,
        held(sessions[config.cluster.head.name], name, command, forget=forget) as lock,
    ):
        facts = gather(sessions, [*wants_of(todo), *engine_wants(config.cluster)])
        refuse(config.cluster, facts, command)
        items = make_undo(todo, facts, frozenset(Layer if layers is None else map(Layer, layers)))
        show_undo(screen, name, items)
        if dry_run:
            screen.finish()
            return 0
        if not items:
            return end(screen, "nothing to remove", after)
        screen.confirm(f"Remove this from the nodes of cluster {name}?", yes=yes)
        outcome, _ = perform(screen, name, lambda emit, stop: undo(items, command, sessions, emit, stop, lock.keep))
    if errors := errors_of(outcome, command):
        return screen.fail(*errors)
    return end(screen, "done", after)


def end(screen: "Screen", result: str, after: str = "") -> int:
    """Say how it ended, and what comes next."""
    screen.put(result=result)
    screen.tell(result, "bold green")
    if after:
        screen.tell(f"next: {after}")
    screen.finish()
    return 0
