"""credentials: what a client of the model needs. The only verb that prints a secret."""

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_session, with_options

if TYPE_CHECKING:
    from sparkctl.config.load import Config

app = new_app()


@app.command()
@with_options
def credentials(
    options: Options,
    env: Annotated[
        bool, typer.Option("--env", help="Print lines for the shell: eval $(sparkctl credentials --env).")
    ] = False,
) -> int:
    """Print the base URL, the model and the API key of the deployed model."""
    from sparkctl.stacks.serving import endpoint

    screen = options.screen("credentials")
    config = load_config(options)
    place, key = endpoint(config), read_key(config, options)
    screen.put(cluster=config.cluster.name, base_url=place.url, model=place.model, api_key=key)
    if env:
        screen.tell(f"export OPENAI_BASE_URL={shlex.quote(place.url)}")
        screen.tell(f"export OPENAI_API_KEY={shlex.quote(key)}")
    else:
        screen.tell(f"base URL  {place.url}")
        screen.tell(f"model     {place.model}")
        screen.tell(f"API key   {key}")
    screen.finish()
    return 0


def read_key(config: "Config", options: Options) -> str:
    """The API key from the head. Raises SparkctlError where there is none, UnreachableError."""
    from sparkctl.errors import SparkctlError
    from sparkctl.stacks.serving import key_path

    head, path = config.cluster.head, key_path(config)
    with open_session(config, head, options) as session:
        result = session.run(["cat", path], check=False)
    if result.rc or not result.stdout.strip():
        raise SparkctlError(
            f"there is no API key on {head.name}", where=f"{head.name}: {path}", fix="deploy first: sparkctl up"
        )
    return result.stdout.strip()
