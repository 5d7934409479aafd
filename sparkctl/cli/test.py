"""test: prove that the cluster answers, with a client's eyes."""

from typing import Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_sessions, with_options

app = new_app()


@app.command()
@with_options
def test(
    options: Options,
    prompt: Annotated[str, typer.Option("--prompt", help="What to ask the model, instead of a greeting.")] = "",
) -> int:
    """Prove that the cluster answers: nodes and GPUs in Ray, the key wanted, a real streamed answer.

    Changes nothing. Exits with 2 when a proof fails.
    """
    from sparkctl.prove import PROMPT, prove, read_key
    from sparkctl.report.proofs import proofs_data, show_proofs
    from sparkctl.stacks.serving import endpoint

    screen = options.screen("test")
    config = load_config(options)
    place = endpoint(config)
    with options.waiting() as waiting, open_sessions(config, options, waiting.watch) as sessions:
        proofs = prove(config, sessions, read_key(config, sessions), prompt or PROMPT, waiting.say)
    screen.put(cluster=config.cluster.name, endpoint=place.url, **proofs_data(proofs))
    screen.show(screen.advise(show_proofs(proofs, screen.glyphs)))
    passed = all(proof.passed for proof in proofs)
    screen.tell(f"{place.url} answers" if passed else "the cluster does not answer as it should")
    screen.finish()
    return 0 if passed else 2
