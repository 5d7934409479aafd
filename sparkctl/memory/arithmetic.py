"""The arithmetic of a verdict as lines to read."""

from sparkctl.amounts import plural, size
from sparkctl.memory.demand import Wish, kept, kv_bytes, rank_heads
from sparkctl.memory.shape import Cache
from sparkctl.memory.verdict import NodeVerdict, Verdict


def shown(verdict: Verdict, node: NodeVerdict) -> tuple[str, ...]:
    """What a node is asked for and what it has, sum by sum."""
    return (*_parts(verdict, node), *_sums(node))


def shortfall(verdict: Verdict, node: NodeVerdict) -> tuple[str, ...]:
    """As much of the arithmetic as tells why it does not fit; nothing where it fits."""
    asked = _parts(verdict, node) if node.over else ()
    share, live = _sums(node)
    return (*asked, *([share] if node.over else []), *([live] if node.short else []))


def choices(verdict: Verdict) -> str:
    """What fits instead, in a line."""
    if not verdict.nearest:
        return "nothing near fits: choose a smaller model"
    return "what fits: " + "; or ".join(near.change for near in verdict.nearest)


def _parts(verdict: Verdict, node: NodeVerdict) -> tuple[str, ...]:
    wish, need = verdict.wish, node.demand
    split = f"{size(need.weights * wish.ranks)} / {wish.ranks} = " if wish.ranks > 1 else ""
    form = verdict.checkpoint.loaded(wish.quantization, wish.dtype).name
    requests = f"{wish.concurrency} x " if wish.concurrency != 1 else ""
    cache = f"{requests}{wish.max_model_len} tokens = {size(need.kv)} ({_layers(verdict)})"
    return (
        f"weights {split}{size(need.weights)} ({form})",
        f"cache {cache if verdict.checkpoint.seen else 'unknown'}",
        f"overhead {size(need.overhead)}",
    )


def _sums(node: NodeVerdict) -> tuple[str, str]:
    need, room = node.demand, node.room
    over = f"{size(node.over)} too much" if node.over else f"{size(node.limit - need.total)} for more requests"
    short = f"{size(node.short)} too little" if node.short else "enough"
    beside = f" - {size(room.beside)} of other models" if room.beside else ""
    return (
        f"{size(need.weights)} + {size(need.kv)} + {size(need.overhead)} = {size(need.total)} of "
        f"{node.wish.utilization:.2f} x {size(room.total)} = {size(node.limit)}: {over}",
        f"{size(room.available)} available{beside} - {size(node.takes)} = {size(node.left)}, "
        f"reserve {size(room.reserve)}: {short}",
    )


def _layers(verdict: Verdict) -> str:
    """What a token leaves on one node: `72.0 KiB a token; 18 layers keep 8319 tokens at most`."""
    caches, wish = verdict.checkpoint.shape.caches, verdict.wish
    windowed = [cache for cache in caches if cache.window]
    windows = [f"{plural(cache.layers, 'layer')} keep {kept(cache, wish)} tokens at most" for cache in windowed]
    each = sum(_token(cache, wish) for cache in caches)
    return "; ".join((f"{size(each)} a token", *windows))


def _token(cache: Cache, wish: Wish) -> float:
    heads = rank_heads(cache, wish.tensor_parallel)
    return cache.layers * heads * cache.width * kv_bytes(wish.cache_type) / wish.pipeline_parallel
