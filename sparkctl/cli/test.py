"""test: prove that the cluster answers, with a client's eyes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_sessions, with_options
from sparkctl.errors import SparkctlError

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served
    from sparkctl.stacks.agents import Agents

app = new_app()


@app.command()
@with_options
def test(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="[MODEL]", help="One model of several; all without it.")] = "",
    prompt: Annotated[str, typer.Option("--prompt", help="What to ask the model, instead of a greeting.")] = "",
) -> int:
    """Prove that the cluster answers: nodes and GPUs in Ray, the key wanted, a real streamed answer, every agent.

    Changes nothing. Exits with 2 when a proof fails.
    """
    from sparkctl.stacks.agents import agents_of
    from sparkctl.stacks.serving import chosen, started

    config = load_config(options)
    first = chosen(config, name)
    tried = (first,) if name else started(config)
    if not tried:
        raise SparkctlError("every model of this deployment is a role", fix=f"sparkctl role test {first.name}")
    return prove_all(options, config, tried, prompt, None if name else agents_of(config))


def prove_all(
    options: Options, config: "Config", tried: "Sequence[Served]", prompt: str, agents: "Agents | None" = None
) -> int:
    """Try every proof of these models and of the agents before them, and show them; answers with the exit code."""
    from sparkctl.prove import PROMPT, prove, read_key
    from sparkctl.prove_agents import prove_agents
    from sparkctl.prove_watching import prove_watching
    from sparkctl.report.proofs import proofs_data, show_proofs
    from sparkctl.stacks.serving import endpoint, gateway_endpoint

    screen = options.screen("test")
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        key = read_key(config, sessions)
        proofs = [p for served in tried for p in prove(served, sessions, key, prompt or PROMPT, waiting.say)]
        if agents:
            proofs += prove_agents(config, agents, sessions, prompt or PROMPT, waiting.say)
            proofs += prove_watching(config, agents.observability, sessions, waiting.say)
    places = [*([gateway_endpoint(agents)] if agents else ()), *map(endpoint, tried)]
    screen.put(cluster=config.cluster.name, endpoints=[vars(place) for place in places], **proofs_data(proofs))
    screen.show(screen.advise(show_proofs(proofs, screen.glyphs)))
    passed = all(proof.passed for proof in proofs)
    screen.tell(
        "; ".join(f"{place.url} answers" for place in places) if passed else "the cluster does not answer as it should"
    )
    screen.finish()
    return 0 if passed else 2
