"""Attention, layer by layer: what its projections weigh, and what it keeps of every token."""

from collections import Counter
from dataclasses import dataclass, replace

from sparkctl.memory.reader import Reader
from sparkctl.memory.shape import Cache

FULL, SLIDING, LINEAR = "full", "sliding", "linear"
"""What a layer looks back at: every token, those of a window, or a state of one size."""
MLP, MIXTURE = "mlp", "mixture"
"""Layers of models that have either attention or one of these in a layer, as Nemotron-H: they look at nothing."""
_NAMES = {
    "full_attention": FULL,
    "attention": FULL,
    "hybrid": FULL,
    "sliding_attention": SLIDING,
    "chunked_attention": SLIDING,
    "linear_attention": LINEAR,
    "mamba": LINEAR,
    "mamba2": LINEAR,
    "conv": LINEAR,
    "moe": MIXTURE,
    "mlp": MLP,
    "*": FULL,
    "M": LINEAR,
    "E": MIXTURE,
    "-": MLP,
}
"""The words of `layer_types` and `layers_block_type`, and the letters of `hybrid_override_pattern`."""
_ALTERNATING = {"gemma2": 2, "gemma3_text": 6, "cohere2": 4}
"""Families whose older files name no layers: every so manieth looks at everything (their code in Transformers)."""


@dataclass(frozen=True)
class Attention:
    """The attention of a model; `kinds` has one of FULL, SLIDING, LINEAR, MLP and MIXTURE for each layer.

    `projections` are the numbers of one layer's weights, `width` those that a token leaves for each of `kv_heads`.
    `window` is in tokens.
    """

    kinds: tuple[str, ...]
    heads: int
    kv_heads: int
    width: int
    projections: int
    window: int

    def caches(self, shared: int) -> tuple[Cache, ...]:
        """The layers that keep keys and values; the last `shared` of all use those of others."""
        own = Counter(self.kinds[: len(self.kinds) - shared])
        full, sliding = Cache(own[FULL], self.kv_heads, self.width), Cache(own[SLIDING], self.kv_heads, self.width)
        made = (full, replace(sliding, window=self.window))
        return tuple(cache for cache in made if cache.layers)


def attention_of(reader: Reader, kind: str, layers: int, hidden: int) -> Attention:
    """The attention that a config.json describes; problems go to the reader."""
    heads = reader.count("num_attention_heads", "n_head", "n_heads", "num_heads")
    window = _window(reader)
    kinds = _kinds(reader, kind, layers, window)
    if reader.values.get("kv_lora_rank"):
        return _latent(reader, kinds, hidden, heads)
    kv_heads = _kv_heads(reader, heads)
    wide = reader.count("head_dim", "kv_channels", "attention_head_size", default=max(hidden // heads, 1))
    projections = hidden * wide * 2 * (heads + kv_heads)
    return Attention(kinds, heads, kv_heads, 2 * wide, projections, window)


def _latent(reader: Reader, kinds: tuple[str, ...], hidden: int, heads: int) -> Attention:
    """MLA (DeepSeek V2, section 2.1): the cache holds one compressed vector and one rotary key for all heads."""
    rank, rotary = reader.count("kv_lora_rank"), reader.count("qk_rope_head_dim", default=64)
    plain, value = reader.count("qk_nope_head_dim", default=128), reader.count("v_head_dim", default=128)
    query, per_query = reader.count("q_lora_rank", default=0), heads * (plain + rotary)
    projections = query * (hidden + per_query) if query else hidden * per_query
    projections += hidden * (rank + rotary) + rank * heads * (plain + value) + heads * value * hidden
    return Attention(kinds, heads, 1, rank + rotary, projections, 0)


def _kv_heads(reader: Reader, heads: int) -> int:
    if reader.values.get("multi_query") is True and not reader.values.get("new_decoder_architecture"):
        return 1
    found = reader.count("num_key_value_heads", "num_kv_heads", "multi_query_group_num", default=heads)
    if heads % found:
        reader.refuse("num_key_value_heads", str(found), f"a divisor of the {heads} attention heads")
        return heads
    return found


def _window(reader: Reader) -> int:
    """Tokens that a sliding layer looks back; 0 where none does."""
    if reader.values.get("use_sliding_window") is False:
        return 0
    return reader.count("sliding_window", "attention_chunk_size", "sliding_window_size", default=0, least=0)


def _kinds(reader: Reader, kind: str, layers: int, window: int) -> tuple[str, ...]:
    named = _named(reader, layers)
    if named:
        return tuple(SLIDING if k == SLIDING and window else FULL if k == SLIDING else k for k in named)
    if period := reader.count("full_attention_interval", default=0):
        return tuple(LINEAR if (n + 1) % period else FULL for n in range(layers))
    if period := reader.count("attn_layer_period", default=0):
        offset = reader.count("attn_layer_offset", default=0, least=0)
        return tuple(FULL if n % period == offset else LINEAR for n in range(layers))
    return _windowed(reader, kind, layers) if window else (FULL,) * layers


def _windowed(reader: Reader, kind: str, layers: int) -> tuple[str, ...]:
    """Which layers slide, where the file names a window and no layers."""
    if pattern := reader.items("hybrid_layer_pattern", layers):  # MiMo V2: 1 where a layer slides
        return tuple(SLIDING if slides else FULL for slides in pattern)
    if rotary := reader.items("no_rope_layers", layers):  # Llama 4: 1 where a layer has rotary embedding, in chunks
        return tuple(SLIDING if on else FULL for on in rotary)
    if "attention_chunk_size" in reader.values and "sliding_window" not in reader.values:
        return tuple(SLIDING if (n + 1) % 4 else FULL for n in range(layers))
    period = reader.count("sliding_window_pattern", default=_ALTERNATING.get(kind, 0))
    if period:
        return tuple(SLIDING if (n + 1) % period else FULL for n in range(layers))
    first = reader.count("max_window_layers", default=0, least=0) if "use_sliding_window" in reader.values else 0
    return tuple(FULL if n < first else SLIDING for n in range(layers))


def _named(reader: Reader, layers: int) -> tuple[str, ...]:
    pattern = reader.values.get("hybrid_override_pattern")
    if isinstance(pattern, str) and len(pattern) == layers:
        return tuple(_NAMES.get(letter, MLP) for letter in pattern)
    names = reader.items("layer_types", layers) or reader.items("layers_block_type", layers)
    return tuple(_NAMES.get(str(name), FULL) for name in names)
