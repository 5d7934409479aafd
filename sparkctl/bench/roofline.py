"""The roofline of decoding: every token of one request reads all active weights once, and memory is so fast.

tokens/s <= nodes x 273 GB/s / active bytes. It is a bound for one request at a time: requests side by side share a
read of the weights, and of a mixture of experts each takes others.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparkctl.bench.results import Level, Machine, Roofline
from sparkctl.errors import ConfigError
from sparkctl.facts.model import ModelFact, folder_name
from sparkctl.facts.probe import Answer, Probe
from sparkctl.memory.checkpoint import Checkpoint, weight_files
from sparkctl.memory.config_json import read_shape
from sparkctl.memory.formats import PLAIN, Format
from sparkctl.memory.shape import Shape

SPARK_GBYTE = 273.0
"""Memory bandwidth of a DGX Spark, 10^9 bytes a second (NVIDIA's data sheet)."""
LONGEST_CONFIG = 1 << 20
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
_CHOSEN = ("num_experts_per_tok", "experts_per_token", "num_experts_per_token", "moe_topk", "moe_k")
_INNER = ("text_config", "llm_config", "language_config", "thinker_config")


@dataclass(frozen=True)
class Active:
    """Bytes of weights that one token reads; None where it is unknown, and why."""

    bytes: float | None
    why: str = ""


def config_probe(hf_cache: str, model: str, revision: str) -> Probe[str]:
    """The model's config.json in the hub's cache; empty where there is none."""
    folder = shlex.quote(f"{hf_cache}/hub/{folder_name(model)}")
    script = (
        f"cd {folder} || exit 1\nrevision={shlex.quote(revision)}\n"
        'head -c {} "snapshots/$(cat "refs/$revision" || echo "$revision")/config.json"'.format(LONGEST_CONFIG)
    )
    return Probe(f"model-config:{model}@{revision}", script, lambda answer: _text(answer))


def active(config: str, files: ModelFact | None, dtype: str) -> Active:
    """What one token reads, from config.json and the sizes of the files. Total: nonsense is unknown.

    Not read are the experts that it does not go through, what sees or hears, and of an input embedding of its own all
    rows but one.
    """
    if not config:
        return Active(None, "the model's config.json is not in the cache")
    try:
        shape = read_shape(config, "config.json")
        whole, form = _whole(shape, files, dtype)
    except ConfigError as error:
        return Active(None, f"the size of the model is unknown: {error.problems[0]}")
    outer, inner = _parts(config)
    parameters, share = shape.parameters, chosen_share(config)
    if parameters.experts and share is None:
        return Active(None, "config.json does not say how many experts a token takes")
    tied = bool({**outer, **inner}.get("tie_word_embeddings", False))
    idle = parameters.experts * form.each * (1 - (share or 0)) + parameters.vision * PLAIN["bf16"].each
    return Active(whole - idle - (0 if tied else parameters.tables / 2 * form.tables))


def _whole(shape: Shape, files: ModelFact | None, dtype: str) -> tuple[float, Format]:
    """Bytes of all weights, and how they lie in memory, without what kernels pad. Raises ConfigError."""
    stored = weight_files(files.wished) if files else 0
    form = Checkpoint("model", shape, stored).loaded("", dtype)
    if stored and form == shape.format:
        return stored, form
    return Checkpoint("model", shape).weights(replace(form, padded=False)), form


def chosen_share(config: str) -> float | None:
    """The share of a mixture's experts that one token goes through; None where config.json does not say."""
    outer, inner = _parts(config)
    found = {**outer, **inner}
    of, per = (
        next((found[name] for name in names if isinstance(found.get(name), int)), 0) for names in (_EXPERTS, _CHOSEN)
    )
    return per / of if of and per else None


def _parts(config: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A config.json that `read_shape` took, and its part about language, empty where it has none."""
    outer: dict[str, Any] = json.loads(config)
    return outer, next((outer[name] for name in _INNER if isinstance(outer.get(name), dict)), {})


def roofline(found: Active, machines: Sequence[Machine], ranks: int, levels: Sequence[Level]) -> Roofline:
    """What the memory allows, and the share of it that one request at a time reached. Pure."""
    strange = [machine.name for machine in machines if not machine.spark]
    if strange:
        note = (
            f"{', '.join(strange)}: no Spark (no NVIDIA driver, or no GB10), so the bandwidth of its memory is unknown"
        )
        return Roofline(False, note)
    if found.bytes is None:
        return Roofline(False, found.why)
    bandwidth, size = SPARK_GBYTE * ranks, found.bytes / 1e9
    limit = bandwidth / size
    alone = next((level for level in levels if level.concurrency == 1 and level.tpot.mean), None)
    reached = 1000 / alone.tpot.mean / limit if alone else None
    note = f"{ranks} x {SPARK_GBYTE:g} GB/s over {size:.1f} GB that each token reads"
    return Roofline(True, note, bandwidth, size, limit, reached)


def _text(answer: Answer) -> str:
    return answer.stdout.strip() if answer.rc == 0 else ""
