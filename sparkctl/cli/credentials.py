"""credentials: what a client of the model needs. The only verb that prints a secret."""

import shlex
from typing import Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_session, with_options

app = new_app()


@app.command()
@with_options
def credentials(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="[MODEL]", help="One model of several; the first without it.")] = "",
    env: Annotated[
        bool, typer.Option("--env", help="Print lines for the shell: eval $(sparkctl credentials --env).")
    ] = False,
) -> int:
    """Print the base URL, the model and the API key of the deployed model."""
    from sparkctl.prove import read_key
    from sparkctl.stacks.serving import chosen, endpoints

    screen = options.screen("credentials")
    config = load_config(options)
    place, head = chosen(config, name), config.cluster.head
    with open_session(config, head, options) as session:
        key = read_key(config, {head.name: session})
    screen.put(cluster=config.cluster.name, base_url=place.url, model=place.served_name, api_key=key)
    screen.put(endpoints=[vars(endpoint) for endpoint in endpoints(config)])
    if env:
        screen.tell(f"export OPENAI_BASE_URL={shlex.quote(place.url)}")
        screen.tell(f"export OPENAI_API_KEY={shlex.quote(key)}")
    else:
        for shown in [place] if name else config.served:
            screen.tell(f"base URL  {shown.url}")
            screen.tell(f"model     {shown.served_name}")
        screen.tell(f"API key   {key}")
    screen.finish()
    return 0
