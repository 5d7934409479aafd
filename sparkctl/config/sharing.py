"""How one model is shared by its nodes, checked offline: GPUs that multiply, weights that divide, ports."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sparkctl.config import engine_args
from sparkctl.config.served import Served
from sparkctl.config.wishes import weights_of, wish_of
from sparkctl.errors import Problem
from sparkctl.memory.checkpoint import Checkpoint
from sparkctl.memory.demand import GB10_GIB, GIB, demand

if TYPE_CHECKING:
    from sparkctl.config.fit import Fit

GB10 = "NVIDIA GB10"
"""Name of a Spark's GPU."""


def faults(fit: "Fit", served: Served) -> Iterator[Problem]:
    """What of one model cannot work on its nodes."""
    if accepted := engine_args.unfit(served.engine.name, served.engine.backend, len(served.cluster.nodes)):
        found = f"{served.engine.backend} of {served.engine.name} on {len(served.cluster.nodes)} nodes"
        yield fit.refused(served.place("engine", "backend"), found, accepted)
    yield from _unknown(fit, served)
    yield from _parallel(fit, served)
    yield from _memory(fit, served)


def _unknown(fit: "Fit", served: Served) -> Iterator[Problem]:
    """What the engine knows nothing of: keys, and a tag in the name of a model of the hub's."""
    for key, reason in engine_args.lacks(served.engine.name).items():
        name, _, field = key.partition(".")
        part = getattr(served, name)
        if part and (value := getattr(part, field)) != type(part).model_fields[field].default:
            found = f"{value} with {served.engine.name}"
            yield fit.refused(served.place(name, field), found, f"nothing: {reason}")
    if ":" in served.model.id and not engine_args.tagged(served.engine.name):
        accepted = "ORG/NAME as on the model hub; a tag belongs to Ollama's models"
        yield fit.refused(served.place("model", "id"), served.model.id, accepted)


def ports_of(served: Served) -> dict[str, int]:
    """The ports that it may listen on, by name: a model on one node of several needs its API's alone."""
    found = served.ports.model_dump(exclude_none=True)
    return found if not served.name or served.cluster.workers else {"api": served.ports.api}


def _parallel(fit: "Fit", served: Served) -> Iterator[Problem]:
    count, ways = len(served.cluster.nodes), engine_args.ways(served.engine.extra_args)
    wished, each = served.tensor_parallel, math.prod(ways.values())
    if wished * each == count:
        return
    split = [f"{number} {kind}" for kind, number in ways.items()]
    one = f"one GPU on each of {count} nodes; nodes: N in a profile uses fewer"
    if each and count % each == 0:
        found = " x ".join((str(wished), *split))
        yield fit.refused(served.place("engine", "tensor_parallel"), found, f"{count // each}: {one}")
        return
    accepted = f"what divides {count}: {one}"
    if engine_args.ways(fit.roster.settings.extra_words()):
        yield Problem(fit.roster.where("EXTRA_ARGS"), "EXTRA_ARGS", " x ".join(split), accepted)
    else:
        place = served.place("engine", "extra_args")
        yield Problem(fit.document.where(place), ".".join(place), " x ".join(split), accepted)


def _memory(fit: "Fit", served: Served) -> Iterator[Problem]:
    engine, weights, count = served.engine, served.engine.weights_gib, len(served.cluster.nodes)
    if weights is None or fit.profile.host.gpu != GB10:
        return
    checkpoint, wish = Checkpoint.unknown(served.model.id, weights_of(served)), wish_of(served)
    need, limit = demand(checkpoint, wish).total / GIB, engine.gpu_memory_utilization * GB10_GIB
    if need > limit:
        found = f"{weights:g} GiB on {count} nodes need {need:.0f} GiB each"
        accepted = f"at most {limit:.0f} GiB a node: {engine.gpu_memory_utilization:g} of {GB10_GIB} GiB"
        place = served.place("engine", "weights_gib")
        yield Problem(fit.document.where(place), ".".join(place), found, accepted)
