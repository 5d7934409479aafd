"""What a profile serves as files for other tools: one Docker Compose file for each model and node."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sparkctl.core.service import Service
from sparkctl.engines import registry
from sparkctl.engines.engine import Api, Store
from sparkctl.runtimes.compose import Document, compose
from sparkctl.stacks.goods import backends
from sparkctl.stacks.serving import serves
from sparkctl.stacks.workload import Workload

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served


@dataclass(frozen=True)
class ComposeFile:
    """One file: its name, the node that it is for, what a reader must know, and its content."""

    name: str
    node: str
    notes: tuple[str, ...]
    document: Document


def compose_files(config: "Config") -> tuple[ComposeFile, ...]:
    """A file for each model, and one more for each further node of it; empty where nothing is served."""
    return tuple(_files(config)) if serves(config) else ()


def _files(config: "Config") -> Iterator[ComposeFile]:
    for served in config.served:
        services = Workload(config, served).services(backends(served)[0])
        for node in served.cluster.nodes:
            here = [service for service in services if service.node == node.name]
            suffix = "" if node == served.cluster.head else f".{node.name}"
            health, seconds = _health(served), config.profile.timeouts.ready_s
            document = compose(here, health, seconds)
            yield ComposeFile(f"docker-compose{served.suffix}{suffix}.yml", node.name, _notes(served, here), document)


def _health(served: "Served") -> dict[str, tuple[str, ...]]:
    api = registry.engine(served.engine.name).API
    return {f"{api.service}{served.suffix}": api.ready or _ask(served, api)}


def _ask(served: "Served", api: Api) -> tuple[str, ...]:
    """With Python, which the image of every other engine has; curl is not in all of them."""
    url = f"http://{api.address(served.cluster)}:{served.ports.api}{api.health}"
    look = f"import urllib.request as r; r.build_opener(r.ProxyHandler({{}})).open('{url}', timeout=5)"
    return ("python3", "-c", look)


def _notes(served: "Served", here: Sequence[Service]) -> tuple[str, ...]:
    """What Compose does not do, and sparkctl does."""
    engine = registry.engine(served.engine.name)
    notes = ["Image, model and secrets must be on the node: sparkctl up --until model brings them."]
    if engine.STORE is Store.OLLAMA:
        pull = f"docker compose -f FILE exec {engine.API.service}{served.suffix} ollama pull {served.model.id}"
        notes = [
            "Image and folder must be on the node: sparkctl up --until model brings them.",
            f"The model comes when it runs: {pull}; sparkctl up alone gives it its name and context.",
        ]
    if len(served.cluster.nodes) > 1:
        names = ", ".join(node.name for node in served.cluster.nodes)
        notes.append(f"One part of an engine on {names}: start the file of each node.")
    if any(service.drop_caches_on for service in here):
        notes.append(
            "Before: sync; echo 3 | sudo tee /proc/sys/vm/drop_caches (a GB10 counts the page cache as used)."
        )
    return tuple(notes)
