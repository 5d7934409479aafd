"""What the models of a deployment take of the memory of their nodes, and the step of each node that weighs it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from sparkctl.config.wishes import weights_of, wish_of
from sparkctl.engines import registry
from sparkctl.engines.engine import Store
from sparkctl.facts.checkpoint import CheckpointFact, checkpoint_probe
from sparkctl.facts.probe import Probe
from sparkctl.memory.demand import GIB
from sparkctl.stacks.goods import HF_TOKEN, PUBLIC_HUB, Goods, caches
from sparkctl.stacks.workload import Workload
from sparkctl.steps.memory import Budget, MemoryStep
from sparkctl.steps.secret import secret_path

if TYPE_CHECKING:
    from sparkctl.config.load import Config
    from sparkctl.config.served import Served


def memory_steps(config: "Config", running: Iterable[str]) -> Iterable[MemoryStep]:
    """A step for each node on which a model may run; `running` are the names of those that serve after it."""
    names = frozenset(running)
    budgets = [replace(budget_of(config, served), on_demand=served.name not in names) for served in config.served]
    for node in config.cluster.nodes:
        if here := tuple(budget for budget in budgets if node in budget.cluster.nodes):
            yield MemoryStep(config.cluster, node, here, reserve_of(config))


def budget_of(config: "Config", served: "Served") -> Budget:
    """What one model takes."""
    steps, engine = Goods(config).model_steps(served), registry.engine(served.engine.name)
    services = Workload(config, served).everywhere() - {f"{engine.API.service}{served.suffix}"}
    return Budget(
        model=served.model.id,
        cluster=served.cluster,
        wish=wish_of(served),
        probe=look_of(config, served.model.id, served.model.revision) if engine.STORE is Store.HUB else None,
        download=steps[0] if steps else "",
        services=(f"{engine.API.service}{served.suffix}", *sorted(services)),
        allow=served.model.allow,
        weights=weights_of(served),
    )


def look_of(config: "Config", model: str, revision: str) -> Probe[CheckpointFact]:
    """A look of the head at a model: in its cache, else on the hub."""
    head, endpoint = config.cluster.head, config.settings.hf_endpoint or PUBLIC_HUB
    return checkpoint_probe(
        caches(config)[head.name], model, revision, endpoint, secret_path(config.cluster, head, HF_TOKEN)
    )


def reserve_of(config: "Config") -> int:
    """Bytes that must stay available on each node."""
    return round(config.profile.host.reserve_gib * GIB)
