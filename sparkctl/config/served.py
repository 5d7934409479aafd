"""The models that a profile serves, each with everything that holds for it and the nodes on which it runs."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import BaseModel

from sparkctl.config import engine_args
from sparkctl.config.profile import Engine, Image, Model, Placed, Ports, Profile, Role
from sparkctl.topology import LOOPBACK, Cluster, inner_port
from sparkctl.topology import Role as Rank

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True)
class Served:
    """One model. `name` is empty where it is the only one; `cluster` are its nodes, whose head answers clients.

    With `on_demand` it is a role that `up` prepares and `sparkctl role` starts.
    """

    name: str
    model: Model
    engine: Engine
    image: Image
    ports: Ports
    cluster: Cluster
    role: Role | None = None
    on_demand: bool = False

    @property
    def suffix(self) -> str:
        """What names of its services and steps end with."""
        return f"-{self.name}" if self.name else ""

    @property
    def served_name(self) -> str:
        """The name that clients ask for."""
        return self.model.served_name or self.model.id

    @property
    def tensor_parallel(self) -> int:
        """GPUs that share every layer, one per node."""
        wished = self.engine.tensor_parallel
        return len(self.cluster.nodes) if wished == "nodes" else wished

    @property
    def url(self) -> str:
        """The base URL for OpenAI's clients."""
        return f"http://{engine_args.address(self.engine.name, self.cluster)}:{self.ports.api}/v1"

    def place(self, *keys: str) -> tuple[str, ...]:
        """Where a key of it may stand in the profile, before the profile's own."""
        return ("models", self.name, *keys) if self.name else keys


def served(profile: Profile, cluster: Cluster) -> tuple[Served, ...]:
    """Every model of a profile that `Fit` finds no fault with, in the order in which they stand there."""
    return tuple(_served(profile, cluster))


def _served(profile: Profile, cluster: Cluster) -> Iterator[Served]:
    if profile.model and profile.image:
        yield _behind(profile, Served("", profile.model, profile.engine, profile.image, profile.ports, cluster))
    for name, placed in profile.models.items():
        image, nodes = placed.image or profile.image, [cluster.nodes[rank] for rank in ranks(placed, cluster)]
        if image and nodes:
            engine, ports = engine_of(profile, placed), over(profile.ports, placed.ports)
            part, waits = cluster.part(nodes), placed.start == "demand"
            yield _behind(profile, Served(name, placed.model, engine, image, ports, part, placed.role, waits))


def _behind(profile: Profile, served: Served) -> Served:
    """Behind the gateway of the agents, which has the model's port: on the nodes' own network, further up."""
    if profile.platform is None:
        return served
    alone = not served.cluster.workers and served.cluster.head.role is Rank.HEAD
    inner = LOOPBACK if alone else served.cluster.head.data_ip
    ports = served.ports.model_copy(update={"api": inner_port(served.ports.api)})
    return replace(served, ports=ports, cluster=replace(served.cluster, api_ip=inner))


def ranks(placed: Placed, cluster: Cluster) -> tuple[int, ...]:
    """The ranks of the nodes that are there among those that it asks for."""
    count = len(cluster.nodes)
    wished = {"all": tuple(range(count)), "head": (0,)}.get(str(placed.nodes), placed.nodes)
    return tuple(rank for rank in wished if isinstance(rank, int) and rank < count)


def engine_of(profile: Profile, placed: Placed) -> Engine:
    """The profile's engine with the keys that stand at the model; variables of both."""
    engine = over(profile.engine, placed.engine)
    return engine.model_copy(update={"env": {**profile.engine.env, **placed.engine.env}})


def over(below: M, above: M) -> M:
    """A part of a profile with those keys of another one that are written there."""
    return below.model_copy(update={key: getattr(above, key) for key in above.model_fields_set})
