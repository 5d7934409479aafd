"""down: take away what sparkctl made on the nodes."""

from typing import Annotated

import typer

from sparkctl.cli.common import Options, YesOption, new_app, with_options
from sparkctl.cli.stop import take_away

app = new_app()


@app.command()
@with_options
def down(
    options: Options,
    purge: Annotated[bool, typer.Option("--purge", help="Remove images, models and packages too.")] = False,
    yes: YesOption = False,
) -> int:
    """Remove what sparkctl made on the nodes: containers, mounts, exports, keys, settings. Nothing else is touched."""
    layers = ("host", "storage", "workload", *(("image", "model") if purge else ()))
    kept = "nothing is kept" if purge else "images, models and packages are kept; sparkctl down --purge removes them"
    return take_away(options, "down", layers, yes=yes, kept=kept)
