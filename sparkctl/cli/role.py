"""role: models that take turns, launched, stopped and switched one by one."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, YesOption, finite, load_config, new_app, with_options
from sparkctl.cli.complete_nodes import complete_roles

if TYPE_CHECKING:
    from sparkctl.cli.status import Reach
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served
    from sparkctl.stacks.role_state import RoleState

app = new_app(no_args_is_help=True, help="List, launch, stop, switch and test the roles of a profile.")

NameArgument = Annotated[
    str, typer.Argument(metavar="ROLE", help="A role of the profile.", autocompletion=complete_roles)
]
AnyArgument = Annotated[
    str, typer.Argument(metavar="[ROLE]", help="Default: all of them.", autocompletion=complete_roles)
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        min=1,
        callback=finite,
        metavar="SECONDS",
        help="How long it may load; default: the profile's timeouts.ready_s.",
    ),
]

NO_ROLES = "profile {} has no roles; next: sparkctl profile list"


@app.command("list")
@with_options
def list_roles(options: Options) -> int:
    """List the roles of the profile; asks no node."""
    from sparkctl.report.roles import role_data, show_roles
    from sparkctl.stacks.roles import roles

    screen, config = options.screen("role-list"), load_config(options)
    found = roles(config)
    screen.put(cluster=config.cluster.name, roles=[role_data(served) for served in found])
    if not screen.json:
        screen.page.write(show_roles(found))
    if not found:
        screen.tell(NO_ROLES.format(config.profile.name))
    screen.finish()
    return 0


@app.command()
@with_options
def status(options: Options, name: AnyArgument = "") -> int:
    """Show what each role does, by what its nodes say: running, asleep, loading, unhealthy, crashed or stopped.

    Exits with 2 when a role is unhealthy or crashed, with 4 when a node does not answer.
    """
    from sparkctl.cli.status import reaching
    from sparkctl.report.roles import show_states, state_data
    from sparkctl.stacks.role_state import State
    from sparkctl.stacks.roles import role, roles

    screen, config = options.screen("role-status"), load_config(options)
    asked = (role(config, name),) if name else roles(config)
    with reaching(config, options) as reach:
        found = read_states(config, asked, reach)
        errors = reach.errors
    screen.put(cluster=config.cluster.name, roles=[state_data(each) for each in found], errors=errors)
    if not screen.json:
        screen.page.write(screen.advise(show_states(found, screen.glyphs, datetime.now(UTC))))
    if not asked:
        screen.tell(NO_ROLES.format(config.profile.name))
    for error in errors.values():
        screen.tell(error, "red")
    screen.finish()
    if errors:
        return 4
    return 2 if any(each.state in (State.UNHEALTHY, State.CRASHED) for each in found) else 0


@app.command()
@with_options
def launch(
    options: Options,
    name: NameArgument,
    timeout: TimeoutOption = None,
    swap: Annotated[
        bool, typer.Option("--switch", help="Let other roles make room, as sparkctl role switch does.")
    ] = False,
    yes: YesOption = False,
) -> int:
    """Start a role beside what runs, and wait for its first token; refuse what would not fit."""
    from sparkctl.cli.role_turn import Wish, take_turn

    return take_turn(options, Wish("launch", name, swap=swap, timeout=timeout, yes=yes))


@app.command()
@with_options
def switch(
    options: Options,
    name: NameArgument,
    alone: Annotated[bool, typer.Option("--alone", help="Stop all other roles once this one answers.")] = False,
    timeout: TimeoutOption = None,
    yes: YesOption = False,
) -> int:
    """Let a role answer, and say how long it took; others stop or sleep only where it needs their memory.

    They answer until image and model of the new one are ready, and serve again where it does not come up.
    """
    from sparkctl.cli.role_turn import Wish, take_turn

    return take_turn(options, Wish("switch", name, swap=True, alone=alone, timeout=timeout, yes=yes))


@app.command()
@with_options
def stop(options: Options, name: NameArgument, yes: YesOption = False) -> int:
    """Remove the containers of a role; image and model stay."""
    from sparkctl.cli.part import take
    from sparkctl.stacks.roles import ending, role

    screen, config = options.screen("role-stop"), load_config(options)
    steps = ending(config, role(config, name))
    return take(options, screen, config, steps, f"role stop {name}", yes=yes)


@app.command()
@with_options
def logs(
    options: Options,
    name: NameArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(min=0, metavar="N", help="Last lines.")] = 100,
) -> int:
    """Show the log of the role's API server, as `sparkctl logs` does."""
    from sparkctl.cli.logs import show_logs
    from sparkctl.stacks.role_state import api_service
    from sparkctl.stacks.roles import role

    config = load_config(options)
    wanted = role(config, name)
    service, node, start = api_service(wanted), wanted.cluster.head.name, f"sparkctl role launch {name}"
    return show_logs(options, config, service, node, follow=follow, tail=tail, start=start)


@app.command()
@with_options
def test(
    options: Options,
    name: NameArgument,
    prompt: Annotated[str, typer.Option("--prompt", help="What to ask it, instead of a greeting.")] = "",
) -> int:
    """Prove that a role answers: the key wanted, a real streamed answer. Exits with 2 when a proof fails."""
    from sparkctl.cli.test import prove_all
    from sparkctl.stacks.roles import role

    config = load_config(options)
    return prove_all(options, config, (role(config, name),), prompt)


def read_states(config: "Config", asked: "tuple[Served, ...]", reach: "Reach") -> "list[RoleState]":
    """What each of these roles does, by one look at the nodes that answer."""
    from sparkctl.stacks.role_state import Look

    looks = [Look(config, served) for served in asked]
    facts = reach.ask([want for look in looks for want in look.wants])
    return [look.state(facts) for look in looks]
