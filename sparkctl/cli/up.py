"""up: deploy the cluster, changing only what is not as configured."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, YesOption, load_config, new_app, open_sessions, wants_of, with_options
from sparkctl.cli.plan import UntilOption, show_dry_run, show_plan, within

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.core.events import Event
    from sparkctl.core.plan import Plan
    from sparkctl.errors import SparkctlError
    from sparkctl.report.screen import Screen
    from sparkctl.transport.ssh import SshSession

app = new_app()


@app.command()
@with_options
def up(
    options: Options,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan only; the same as sparkctl plan.")] = False,
    until: UntilOption = "",
    timings: Annotated[
        bool, typer.Option("--timings", help="Show where the time went, and the critical path.")
    ] = False,
    yes: YesOption = False,
) -> int:
    """Deploy the cluster: change what is not as configured, in dependency order, all nodes at once.

    Running it again goes on where it stopped, or says that there is nothing to change.
    """
    if dry_run:
        return 1 if show_dry_run(options, until).blocked else 0
    from sparkctl.cli.take_back import take_back
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.executor import execute
    from sparkctl.core.lock import held
    from sparkctl.core.plan import gather, make_plan
    from sparkctl.facts.engine import PATIENT_SECONDS
    from sparkctl.stacks.serving import steps

    screen = options.screen("up")
    config = load_config(options)
    name, todo = config.cluster.name, within(steps(config, PATIENT_SECONDS), until)
    watch = options.waiting().watch
    with (
        open_sessions(config, options, watch) as sessions,
        held(sessions[config.cluster.head.name], name, "up") as lock,
    ):
        made = make_plan(todo, gather(sessions, wants_of(todo), watch))
        show_plan(screen, config, made)
        screen.put(transport=traffic(sessions))
        if made.blocked:
            return screen.fail(blocked_error(made))
        if made.clean:
            return finish(screen, config, "no changes", until)
        confirm_replacing(screen, made, yes=yes)
        outcome, events = perform(screen, name, lambda emit, stop: execute(made, sessions, emit, stop, lock.keep))
        screen.put(transport=traffic(sessions))
        take_back(screen, config.cluster, sessions, lock, outcome)
    show_timings(screen, events, wanted=timings)
    if errors := errors_of(outcome, "up"):
        return screen.fail(*errors)
    return finish(screen, config, "done" if outcome.changed else "no changes", until)


def blocked_error(made: "Plan", command: str = "up") -> "SparkctlError":
    """One error for all findings that no step can mend; `command` is what to type again."""
    from sparkctl.core.step import Blocked
    from sparkctl.errors import BlockedError

    findings = [(item.id, item.finding) for item in made.blocked if isinstance(item.finding, Blocked)]
    lines = [f"{key}: {line}" for key, finding in findings for line in finding.problem.splitlines()]
    fixes = dict.fromkeys(finding.fix for _, finding in findings)
    return BlockedError(
        "the plan is blocked; nothing was changed",
        where=", ".join(key for key, _ in findings),
        output="\n".join(lines),
        fix="\n".join((*fixes, f"then run again: sparkctl {command}")),
    )


def confirm_replacing(screen: "Screen", made: "Plan", *, yes: bool) -> None:
    """Ask before something that serves is stopped. Raises SparkctlError when the answer is no."""
    from sparkctl.core.step import Drifted, Pending

    lost = [item.id for item in made.items if isinstance(item.finding, Drifted | Pending) and item.finding.disrupts]
    if lost:
        screen.confirm(f"{', '.join(lost)}: stop what runs and start it anew?", yes=yes)


def traffic(sessions: "Mapping[str, SshSession]") -> dict[str, dict[str, int]]:
    """By node: SSH connections that were opened, and channels over them, which is what a distant node charges for."""
    return {n: {"connections": s.connections, "round_trips": s.round_trips} for n, s in sessions.items()}


def show_timings(screen: "Screen", events: "Sequence[Event]", *, wanted: bool) -> None:
    """Put the timings into the document, and show them where they are wanted."""
    from sparkctl.report import timings

    screen.put(timings=timings.timings_data(events))
    if wanted:
        screen.show(timings.show_timings(events))


def finish(screen: "Screen", config: "Config", result: str, until: str) -> int:
    """Say how it ended and what to try next; where the model answers, unless the run stopped below it."""
    from sparkctl.stacks.roles import roles
    from sparkctl.stacks.serving import endpoints

    screen.put(result=result)
    screen.tell(result, "bold green")
    whole = until in ("", "workload")
    places, waiting = (endpoints(config), roles(config)) if whole else ((), ())
    screen.put(endpoints=[vars(place) for place in places])
    for place in places:
        screen.tell(f"{place.model} answers at {place.url}")
    if waiting:
        names = ", ".join(role.name for role in waiting)
        screen.tell(f"ready to be launched, if they do not run: {names} (sparkctl role status)")
    if places or waiting:
        screen.tell("next: sparkctl test" if places else f"next: sparkctl role launch {waiting[0].name}")
    screen.finish()
    return 0
