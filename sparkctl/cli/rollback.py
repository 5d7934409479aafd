"""rollback: go back to what served before."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, YesOption, load_config, new_app, open_sessions, wants_of, with_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sparkctl.config.load import Config
    from sparkctl.core.step import Step
    from sparkctl.facts.kept import Generation, KeptFact
    from sparkctl.transport.ssh import SshSession

app = new_app()


@app.command()
@with_options
def rollback(
    options: Options,
    generation: Annotated[
        int,
        typer.Argument(metavar="[GENERATION]", min=0, help="A number of sparkctl history; default: the one before."),
    ] = 0,
    yes: YesOption = False,
) -> int:
    """Serve an earlier generation again: its containers, its image, its flags; what serves now comes back if it fails.

    The configuration stays as it is: sparkctl plan shows afterwards how it differs, and up would go forward again.
    """
    from sparkctl.cli.plan import show_plan
    from sparkctl.cli.take_back import take_back
    from sparkctl.cli.up import blocked_error
    from sparkctl.cli.work import errors_of, perform
    from sparkctl.core.executor import execute
    from sparkctl.core.lock import held
    from sparkctl.core.plan import gather, make_plan

    screen, config = options.screen("rollback"), load_config(options)
    name, head = config.cluster.name, config.cluster.head.name
    with (
        open_sessions(config, options, options.waiting().watch) as sessions,
        held(sessions[head], name, "rollback") as lock,
    ):
        back, todo = way_back(config, sessions, generation)
        made = make_plan(todo, gather(sessions, wants_of(todo)))
        show_plan(screen, config, made)
        screen.put(generation=back.number)
        if made.blocked:
            return screen.fail(blocked_error(made, "rollback"))
        screen.confirm(f"Go back to generation {back.number}: stop what serves and start that?", yes=yes)
        outcome, _ = perform(screen, name, lambda emit, stop: execute(made, sessions, emit, stop, lock.keep))
        take_back(screen, config.cluster, sessions, lock, outcome)
    if errors := errors_of(outcome, "rollback"):
        return screen.fail(*errors)
    screen.put(result="done")
    screen.tell(f"what served as generation {back.number} serves again", "bold green")
    screen.tell("next: sparkctl plan shows how the configuration differs from it")
    screen.finish()
    return 0


def way_back(
    config: "Config", sessions: "Mapping[str, SshSession]", number: int
) -> "tuple[Generation, Sequence[Step]]":
    """The generation that is meant, and the steps that lead back to it. Raises SparkctlError."""
    from sparkctl.core.plan import gather
    from sparkctl.facts.docker import image_probe
    from sparkctl.facts.engine import PATIENT_SECONDS
    from sparkctl.facts.kept import history_probe, kept_probe
    from sparkctl.facts.probe import Want
    from sparkctl.stacks.goods import caches
    from sparkctl.stacks.past import rollback_steps

    cluster, head = config.cluster, config.cluster.head.name
    probes = (history_probe(cluster), kept_probe(cluster))
    facts = gather(sessions, [Want(head, probe) for probe in probes])
    past, kept = facts.get(head, probes[0]), facts.get(head, probes[1])
    back = chosen(past, kept, number)
    named = image_probe(back.image)
    image = gather(sessions, [Want(head, named)]).get(head, named)
    reference = back.image if image and image.id == back.image_id else back.image_id
    now = [one.record for one in past if one.number == kept.unit(back.unit).generation]
    hf_cache = caches(config)[head]
    return back, rollback_steps(cluster, back, now[0] if now else {}, reference, hf_cache, PATIENT_SECONDS)


def chosen(past: "Sequence[Generation]", kept: "KeptFact", number: int) -> "Generation":
    """The generation of that number, or the last that served before what serves now. Raises SparkctlError."""
    from sparkctl.errors import SparkctlError

    look = "look at: sparkctl history"
    serving = {name: unit.digest for name, unit in kept.units.items() if unit.digest}
    if number:
        found = [one for one in past if one.number == number]
        if not found:
            raise SparkctlError(f"there is no generation {number}", fix=look)
        if not found[0].served:
            raise SparkctlError(f"generation {number} never served: {found[0].outcome}", fix=look)
        if serving and found[0].unit not in serving:
            what = f"generation {number} is of {found[0].unit}, beside which {', '.join(serving)} would go on serving"
            raise SparkctlError(what, fix="deploy it anew: sparkctl up with its profile, or sparkctl role switch")
        return found[0]
    if len(serving) > 1:
        raise SparkctlError("several models serve: which of them is to go back?", fix=f"name a generation; {look}")
    own = [one for one in past if one.served and (not serving or one.unit in serving)]
    before = [one for one in own if one.digest not in serving.values()]
    if not before:
        raise SparkctlError("there is nothing to go back to", fix=look)
    return before[-1]
