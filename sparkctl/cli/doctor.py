"""doctor: every check on the live nodes, explained; nothing is changed."""

from typing import TYPE_CHECKING

from sparkctl.cli.common import Options, load_config, new_app, with_options
from sparkctl.cli.status import look, reaching

if TYPE_CHECKING:
    from sparkctl.cli.status import Reach
    from sparkctl.config.load import Config
    from sparkctl.core.plan import Plan
    from sparkctl.prove import Proof, Tell

app = new_app()


@app.command()
@with_options
def doctor(options: Options) -> int:
    """Run every check on the nodes, change nothing, and explain what is not as it should be; -v explains all.

    Exits with 0 when all is well, 2 when not, 4 when no node answers.
    """
    return examination(options)


def examination(options: Options) -> int:
    """Run every check and show it; the exit code."""
    from sparkctl.report.explain import examination_data, show_examination
    from sparkctl.report.proofs import proofs_data, show_proofs

    screen = options.screen("doctor")
    config = load_config(options)
    with reaching(config, options) as reach:
        plan = examine(config, reach)
        with options.waiting() as waiting:
            proofs = prove_serving(config, plan, reach, waiting.say)
    screen.show(screen.advise(show_examination(plan.items, reach.errors, screen.glyphs, verbose=screen.verbose)))
    screen.show(screen.advise(show_proofs(proofs, screen.glyphs)))
    well = plan.clean and not reach.errors and all(proof.passed for proof in proofs)
    found = {**examination_data(plan.items, reach.errors), **proofs_data(proofs), "passed": well}
    screen.put(cluster=config.cluster.name, **found)
    screen.tell("all is well" if well else "not all is well")
    screen.finish()
    return 4 if not reach.sessions else 0 if well else 2


def examine(config: "Config", reach: "Reach") -> "Plan":
    """The checks of all steps whose nodes answer."""
    from sparkctl.core.plan import make_plan
    from sparkctl.stacks.serving import steps

    facts, known = look(steps(config), reach)
    return make_plan(known, facts)


def prove_serving(config: "Config", plan: "Plan", reach: "Reach", tell: "Tell") -> "list[Proof]":
    """The proofs of `sparkctl test`, of each model that serves."""
    from sparkctl.core.step import Ok
    from sparkctl.prove import prove, read_key
    from sparkctl.stacks.serving import started

    serving = {item.step.name for item in plan.items if isinstance(item.finding, Ok)}
    served = [one for one in started(config) if f"serving{one.suffix}" in serving]
    key = read_key(config, reach.sessions) if served else ""
    return [proof for one in served for proof in prove(one, reach.sessions, key, tell=tell)]
