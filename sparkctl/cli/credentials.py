"""credentials: what a client of the model needs. The only verb that prints a secret."""

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from sparkctl.cli.common import Options, load_config, new_app, open_session, with_options

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.stacks.agents import Agents
    from sparkctl.transport.session import Session

app = new_app()
NAMES = {"ui": "web UI"}
"""What services are called that a human would not know by their name."""


@app.command()
@with_options
def credentials(
    options: Options,
    name: Annotated[str, typer.Argument(metavar="[MODEL]", help="One model of several; the first without it.")] = "",
    env: Annotated[
        bool, typer.Option("--env", help="Print lines for the shell: eval $(sparkctl credentials --env).")
    ] = False,
) -> int:
    """Print the base URL, the model and the API key of the deployed model, or of the agents before it."""
    from sparkctl.engines.engine import API_KEY
    from sparkctl.prove import read_key
    from sparkctl.stacks.agents import agents_of
    from sparkctl.stacks.serving import chosen, endpoint, endpoints, gateway_endpoint

    screen = options.screen("credentials")
    config = load_config(options)
    wanted, head, agents = chosen(config, name), config.cluster.head, agents_of(config)
    with open_session(config, head, options) as session:
        key = read_key(config, {head.name: session}, agents.key if agents else API_KEY)
        doors = _doors(config, agents, {head.name: session}) if agents else []
    served = [wanted] if name else config.served
    places = [gateway_endpoint(agents, name and wanted.served_name)] if agents else [endpoint(one) for one in served]
    url, model = places[0].url, places[0].model
    screen.put(cluster=config.cluster.name, base_url=url, model=model, api_key=key)
    screen.put(endpoints=[vars(endpoint) for endpoint in endpoints(config)], doors=doors)
    if env:
        screen.tell(f"export OPENAI_BASE_URL={shlex.quote(url)}")
        screen.tell(f"export OPENAI_API_KEY={shlex.quote(key)}")
    else:
        for place in places:
            screen.tell(f"base URL    {place.url}")
            screen.tell(f"model       {place.model}")
        screen.tell(f"API key     {key}")
        for door in doors:
            login = f" (user {door['user']}, password {door['password']})" if door["user"] else ""
            way = f" after: {door['way']}" if door["way"] else ", which asks for the API key"
            screen.tell(f"{NAMES.get(door['service'], door['service']):<11} {door['url']}{login}{way}")
    screen.finish()
    return 0


def _doors(config: "Config", agents: "Agents", sessions: Mapping[str, "Session"]) -> list[dict[str, str]]:
    """The web UI, where all may go, then the pages on the head's loopback, each with its login and the way there."""
    from sparkctl.cli.ssh import ssh_argv
    from sparkctl.prove import read_key

    head = config.cluster.head
    login = ssh_argv(config, head, ())[1:]
    pages = [{"service": "ui", "url": agents.ui_url, "user": "", "password": "", "way": ""}] if agents.ui_url else []
    return pages + [
        {
            "service": door.service,
            "url": door.url,
            "user": door.user,
            "password": read_key(config, sessions, door.password) if door.password else "",
            "way": shlex.join(["ssh", "-N", "-L", f"{door.port}:127.0.0.1:{door.port}", *login]),
        }
        for door in agents.observability.doors
    ]
