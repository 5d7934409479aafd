"""A model's config.json, read into its shape."""

import json
from collections.abc import Mapping
from typing import Any

from sparkctl.errors import Problem
from sparkctl.memory.attention import attention_of
from sparkctl.memory.counting import count_parameters, count_vision
from sparkctl.memory.formats import format_of
from sparkctl.memory.reader import Reader, refusal
from sparkctl.memory.shape import Shape

MOST_LAYERS = 2000
"""More than any model has; beyond it a number is nonsense."""
_INNER = ("text_config", "llm_config", "language_config", "thinker_config")
"""Where models that also see or hear keep the part about language."""
_TOWERS = ("vision_config", "audio_config")


def read_shape(text: str, where: str) -> Shape:
    """The shape that a config.json describes; `where` names the file. Raises ConfigError with every problem."""
    config = _object(text, where)
    inner = _language(config)
    reader = Reader(where, {**_shared(config), **inner})
    kind = str(inner.get("model_type") or config.get("model_type") or "")
    hidden = reader.count("hidden_size", "n_embd", "d_model")
    layers = reader.count("num_hidden_layers", "n_layer", "n_layers", "num_layers")
    if layers > MOST_LAYERS:
        reader.refuse("num_hidden_layers", str(layers), f"at most {MOST_LAYERS}")
        reader.finish()
    attention = attention_of(reader, kind, layers, hidden)
    vision = sum(count_vision(Reader(where, tower)) for name in _TOWERS if isinstance(tower := config.get(name), dict))
    parameters, mixture = count_parameters(reader, kind, hidden, attention, vision)
    longest = reader.count("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", default=0)
    shared = min(reader.count("num_kv_shared_layers", default=0, least=0), layers - 1)
    reader.finish()
    caches = attention.caches(shared)
    form = format_of(config, inner)
    return Shape(kind, layers, attention.heads, attention.kv_heads, caches, parameters, mixture, form, longest)


def total_size(text: str) -> int:
    """Bytes of all weights, as a model.safetensors.index.json states them; 0 where it does not."""
    try:
        size = json.loads(text)["metadata"]["total_size"]
        return int(size) if isinstance(size, int | float) and size > 0 else 0
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return 0


def _object(text: str, where: str) -> Mapping[str, Any]:
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        found = "nothing" if not text.strip() else f"no JSON: {error}"
        raise refusal(Problem(where, "its text", found, "a JSON object")) from None
    if not isinstance(config, dict):
        raise refusal(Problem(where, "its text", f"a JSON {type(config).__name__}", "a JSON object"))
    return config


def _language(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part about the language model: nested once, or twice as in Qwen's omni models."""
    while inner := next((config[name] for name in _INNER if isinstance(config.get(name), dict)), None):
        config = inner
    return config


def _shared(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a nested part may leave to the outer one."""
    return {key: config[key] for key in ("tie_word_embeddings",) if key in config}
