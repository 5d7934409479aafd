"""model: the models on the nodes."""

from typing import Annotated

import typer

from sparkctl.cli.common import Options, YesOption, load_config, new_app, with_options
from sparkctl.cli.model_pin import pin
from sparkctl.cli.model_verify import verify
from sparkctl.cli.models import (
    ModelArgument,
    ModelsArgument,
    blind,
    check_names,
    entry_of,
    look,
    read_shape,
    refuse_used,
    unread,
)

app = new_app(no_args_is_help=True, help="List, bring, check, pin and remove the models on the nodes.")


@app.command("list")
@with_options
def list_models(options: Options) -> int:
    """List the models in the caches of the nodes: where, how large, at which revision, and who uses them."""
    from sparkctl.report.inventory import models_data, show_models

    screen, config = options.screen("model-list"), load_config(options)
    wishes, found, _ = look(options, config)
    screen.put(cluster=config.cluster.name, unread=list(wishes.unread), **models_data(found))
    if not screen.json:
        screen.page.write([*show_models(found, screen.glyphs), *unread(wishes)])
    if not found.models:
        screen.tell("no models; next: sparkctl model pull")
    screen.finish()
    return 0


@app.command()
@with_options
def show(
    options: Options,
    model: ModelArgument,
) -> int:
    """Show one model: what its config.json says, where it lies, who uses it."""
    from sparkctl.report.inventory import models_data, shape_data, show_model, show_shape
    from sparkctl.report.page import Line

    check_names((model,), "")
    screen, config = options.screen("model-show"), load_config(options)
    wishes, found, texts = look(options, config, model)
    entry = entry_of(found, model)
    shape, problem = read_shape(model, texts)
    data = next(each for each in models_data(found)["models"] if each["model"] == model)
    screen.put(cluster=config.cluster.name, **data, config=shape_data(shape) if shape else None, problem=problem)
    if not screen.json:
        said = show_shape(shape) if shape else [Line(problem, "yellow", 2)]
        screen.page.write([*show_model(entry, screen.glyphs), *said, *unread(wishes)])
    screen.finish()
    return 0


@app.command()
@with_options
def pull(
    options: Options,
    models: ModelsArgument = None,
    revision: Annotated[str, typer.Option(metavar="REVISION", help="Branch, tag or commit, of one MODEL.")] = "",
) -> int:
    """Bring models to the nodes, as `sparkctl up` would; what has arrived of a cut download is kept.

    A MODEL that the profile does not serve comes to the head, and to the workers where the store is `copy`.
    """
    from sparkctl.cli.part import bring
    from sparkctl.stacks.parts import model_steps

    if revision and len(models or ()) != 1:
        raise typer.BadParameter("needs one MODEL", param_hint="--revision")
    check_names(models or (), revision)
    screen, config = options.screen("model-pull"), load_config(options)
    command = " ".join(("model pull", *(models or ()), *(("--revision", revision) if revision else ())))
    return bring(options, screen, config, model_steps(config, models or (), revision), command)


app.command()(with_options(verify))
app.command()(with_options(pin))


@app.command()
@with_options
def prune(
    options: Options,
    models: ModelsArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Models too that sparkctl did not bring.")] = False,
    yes: YesOption = False,
) -> int:
    """Remove models and revisions that no profile serves and no running container uses.

    Profiles are the shipped ones and those in ./profiles. Only what sparkctl brought is removed, without --all.
    """
    from sparkctl.cli.part import take
    from sparkctl.stacks.goods import caches
    from sparkctl.steps.prune import PruneModels

    check_names(models or (), "")
    screen, config = options.screen("model-prune"), load_config(options)
    wishes, found, _ = look(options, config)
    if wishes.unread:
        raise blind(wishes)
    for model in models or ():
        refuse_used(entry_of(found, model), every=every)
    only, folders = frozenset(models or ()), caches(config)
    steps = [
        PruneModels(config.cluster, node, folders[node.name], wishes.revisions, only, every)
        for node in config.cluster.nodes
    ]
    return take(options, screen, config, steps, " ".join(("model prune", *(models or ()))), yes=yes)
