"""A verdict of the memory planner as a reader wants it: a bar and a sum for each node, then what fits at most."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sparkctl.amounts import plural
from sparkctl.memory.arithmetic import shown
from sparkctl.memory.verdict import MOST_NODES, NodeVerdict, Verdict
from sparkctl.report.look import UNICODE, Glyphs
from sparkctl.report.page import Line

WIDTH = 48
"""Columns of a bar."""

PARTS = (
    ("weights", "blue", "█", "#"),
    ("cache", "cyan", "▓", "="),
    ("overhead", "magenta", "▒", "+"),
    ("room for more requests", "cyan", "░", "-"),
    ("free", "green", "·", "."),
    ("reserve", "yellow", "□", "r"),
    ("in use, or other models", "red", "×", "x"),
)
"""What the memory of a node is divided into: name, style, and mark in each alphabet."""

SOURCES = {"cache": "in the cache of the head", "hub": "on the hub", "folder": "in a folder of this machine"}


def show_verdict(verdict: Verdict, source: str, glyphs: Glyphs) -> list[Line]:
    """The whole answer."""
    model, wish = verdict.checkpoint, verdict.wish
    form, count = model.loaded(wish.quantization, wish.dtype).name, model.shape.parameters.total
    sized = f"{count / 1e9:.1f} billion" if count >= 1e8 else f"{count / 1e6:.1f} million"
    kind = (
        f"{sized} parameters as {form}, {SOURCES.get(source, source)}"
        if count
        else "weights as the profile states them"
    )
    mark, style, word = (glyphs.ok, "green", "fits") if verdict.fits else (glyphs.blocked, "bold red", "does not fit")
    lines = [Line(model.name, "bold"), Line(kind, "dim"), Line("")]
    for names, node in _alike(verdict):
        lines += [Line("", indent=2, heads=((f"{', '.join(names)}  ", "bold"), *_bar(node, glyphs)))]
        lines += [Line(text, indent=4) for text in shown(verdict, node)]
    legend = tuple((f"{_mark(part, glyphs)} {part[0]}  ", part[1]) for part in PARTS)
    lines += [Line("", indent=2, heads=legend), Line("")]
    nodes = plural(len(verdict.nodes), "node")
    asked = f"{wish.concurrency} x {wish.max_model_len} tokens" if model.seen else "its weights alone"
    asked += f" on {nodes}, tensor parallelism {wish.tensor_parallel}"
    lines += [Line(f"{word}: {asked}", style.removeprefix("bold "), heads=((f"{mark} ", style),))]
    return [*lines, *_most(verdict), *_nearest(verdict)]


def verdict_data(verdict: Verdict, source: str) -> dict[str, Any]:
    """The same for --json: sizes in bytes."""
    checkpoint, wish = verdict.checkpoint, verdict.wish
    return {
        "model": checkpoint.name,
        "source": source,
        "format": checkpoint.loaded(wish.quantization, wish.dtype).name,
        "parameters": checkpoint.shape.parameters.total,
        "fits": verdict.fits,
        "wish": asdict(wish),
        "nodes": [_node_data(verdict, node) for node in verdict.nodes],
        "longest": verdict.longest if checkpoint.seen else None,
        "most": verdict.most if checkpoint.seen else None,
        "nodes_needed": verdict.nodes_needed,
        "nearest": [asdict(near) for near in verdict.nearest],
    }


def _node_data(verdict: Verdict, node: NodeVerdict) -> dict[str, Any]:
    room = {**asdict(node.room), **asdict(node.demand)}
    sums = {"limit": node.limit, "left": node.left, "fits": node.fits, "arithmetic": list(shown(verdict, node))}
    return {"name": room.pop("node"), **room, **sums}


def _alike(verdict: Verdict) -> list[tuple[list[str], NodeVerdict]]:
    """Nodes whose sums read the same, together."""
    groups: dict[tuple[str, ...], list[NodeVerdict]] = {}
    for node in verdict.nodes:
        groups.setdefault(shown(verdict, node), []).append(node)
    return [([node.room.node for node in group], group[0]) for group in groups.values()]


def _bar(node: NodeVerdict, glyphs: Glyphs) -> Iterator[tuple[str, str]]:
    """The memory of a node, each part as long as it is large; what does not fit is cut at the end."""
    drawn = 0
    for part, end in zip(PARTS, _ends(node), strict=True):
        columns = min(WIDTH, round(end / node.room.total * WIDTH))
        yield _mark(part, glyphs) * max(0, columns - drawn), part[1]
        drawn = max(drawn, columns)


def _ends(node: NodeVerdict) -> Sequence[float]:
    """Where each of PARTS ends, in bytes from the left."""
    need, room = node.demand, node.room
    loaded = need.weights + need.kv + need.overhead
    taken = max(loaded, node.takes)
    unused = room.total - room.available + room.beside
    reserve = max(taken, room.total - unused)
    return (
        need.weights,
        need.weights + need.kv,
        loaded,
        taken,
        max(taken, reserve - room.reserve),
        reserve,
        room.total,
    )


def _mark(part: tuple[str, str, str, str], glyphs: Glyphs) -> str:
    return part[2] if glyphs is UNICODE else part[3]


def _most(verdict: Verdict) -> Iterator[Line]:
    """What fits at most."""
    wish, made_for = verdict.wish, verdict.checkpoint.shape.max_len
    if 0 < made_for < wish.max_model_len:
        text = f"made for {made_for} tokens: an engine refuses more, unless rope_scaling stretches its positions"
        yield Line(text, "yellow", 2)
    if not verdict.checkpoint.seen:
        text = "not counted: its cache, of which only its config.json tells (on the hub, or in a folder)"
        yield Line(text, "yellow", 2)
        return
    requests = plural(wish.concurrency, "request")
    yield Line(f"longest context with {requests}: {verdict.longest or 'none'}", indent=2)
    yield Line(f"most requests of {wish.max_model_len} tokens at once: {verdict.most or 'none'}", indent=2)
    if not any(node.short for node in verdict.nodes):  # more nodes do not give back what each of them lacks
        yield Line(f"nodes that it needs: {verdict.nodes_needed or f'more than {MOST_NODES}'}", indent=2)


def _nearest(verdict: Verdict) -> Iterator[Line]:
    """What fits instead."""
    if verdict.fits:
        return
    if not verdict.nearest:
        yield Line("nothing near fits: choose a smaller model", "yellow")
        return
    yield Line("what fits instead:", "yellow")
    yield from (Line(near.change, "yellow", 2) for near in verdict.nearest)
