"""Models and images on the nodes, as lines for a reader and as plain data."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from sparkctl.amounts import plural, size
from sparkctl.inventory.images import Copy, ImageEntry
from sparkctl.inventory.models import Holding, Inventory, ModelEntry, Revision
from sparkctl.inventory.verify import Verdict
from sparkctl.memory.shape import Shape
from sparkctl.report.look import Glyphs
from sparkctl.report.page import Line

SHORT = 12
"""Digits of a commit or digest that are shown: as many as tell two apart."""


def models_data(found: Inventory) -> dict[str, Any]:
    """Every model with its nodes and revisions."""
    return {
        "models": [{**asdict(entry), "bytes": entry.bytes} for entry in found.models],
        "mounted": dict(found.mounted),
        "cut": list(found.cut),
    }


def show_models(found: Inventory, glyphs: Glyphs) -> Iterator[Line]:
    """A block for each model: who serves it, then where it lies."""
    for entry in found.models:
        yield from show_model(entry, glyphs)
    for node, source in found.mounted.items():
        yield Line(f"{node} reads its models from {source}", "dim")
    for node in found.cut:
        yield Line(f"{node}: not all of the cache could be listed; nothing of it is pruned", "yellow")


def show_model(entry: ModelEntry, glyphs: Glyphs) -> Iterator[Line]:
    """One model."""
    yield Line(_headed(entry.model, entry.profiles), "bold")
    width = max((len(holding.node) for holding in entry.nodes), default=0)
    for holding in entry.nodes:
        good = holding.revisions and not any(revision.missing for revision in holding.revisions)
        mark = (f"{glyphs.ok} ", "green") if good else (f"{glyphs.change} ", "yellow")
        yield Line(_holding(holding), "", 2, (mark, (f"{holding.node.ljust(width)}  ", "")))
        for revision in holding.revisions:
            yield Line(_revision(revision), "yellow" if revision.missing else "dim", 6)


def images_data(found: Sequence[ImageEntry]) -> list[dict[str, Any]]:
    """Every image with its nodes."""
    return [asdict(entry) for entry in found]


def show_images(found: Sequence[ImageEntry], nodes: int, glyphs: Glyphs) -> Iterator[Line]:
    """A block for each image: who uses it, then where it lies; `nodes` is how many the cluster has."""
    for entry in found:
        yield Line(_headed(entry.image, entry.profiles), "bold")
        width = max(len(copy.node) for copy in entry.nodes)
        for copy in entry.nodes:
            mark = (f"{glyphs.ok} ", "green") if entry.same else (f"{glyphs.change} ", "yellow")
            yield Line(_copy(copy), "", 2, (mark, (f"{copy.node.ljust(width)}  ", "")))
        if not entry.same:
            why = "not on every node" if len(entry.nodes) < nodes else "not the same on every node"
            yield Line(why, "yellow", 6)


def verdicts_data(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Every verdict with its bad files."""
    return [asdict(verdict) for verdict in verdicts]


def show_verdicts(verdicts: Sequence[Verdict], glyphs: Glyphs) -> Iterator[Line]:
    """A line for each model on each node, and one for each bad file."""
    for verdict in verdicts:
        fine = (f"{glyphs.change} ", "yellow") if verdict.unchecked else (f"{glyphs.ok} ", "green")
        mark = (f"{glyphs.blocked} ", "bold red") if verdict.bad else fine
        bad = f", {len(verdict.bad)} bad" if verdict.bad else ""
        bad += f", {verdict.unchecked} without a hash, not checked" if verdict.unchecked else ""
        text = f"{verdict.model} on {verdict.node}: {plural(verdict.files, 'file')}, {size(verdict.bytes)}{bad}"
        yield Line(text, "", 0, (mark,))
        for file in verdict.bad:
            yield Line(f"{file.file}: {file.why} (revision {file.commit[:SHORT]})", "red", 4)


def shape_data(shape: Shape) -> dict[str, Any]:
    """What config.json says of a model."""
    return {
        "kind": shape.kind,
        "layers": shape.layers,
        "heads": shape.heads,
        "kv_heads": shape.kv_heads,
        "parameters": shape.parameters.total,
        "experts": shape.mixture.experts,
        "format": shape.format.name,
        "context": shape.max_len,
    }


def show_shape(shape: Shape) -> Iterator[Line]:
    """A line for each thing worth knowing."""
    context = f"{shape.max_len} tokens" if shape.max_len else "not stated"
    experts = f"{shape.mixture.experts} in all layers" if shape.mixture.experts else "none"
    rows = {
        "kind": shape.kind or "not stated",
        "parameters": count(shape.parameters.total),
        "layers": f"{shape.layers}, {shape.heads} attention heads, {shape.kv_heads} of keys and values",
        "experts": experts,
        "format": shape.format.name,
        "context": context,
    }
    for name, text in rows.items():
        yield Line(text, "", 2, ((name.ljust(12), "dim"),))


def count(number: int) -> str:
    """A number of parameters as model cards write it: `7.6 billion`."""
    for unit, word in ((10**9, "billion"), (10**6, "million")):
        if number >= unit:
            return f"{number / unit:.1f} {word}"
    return str(number)


def _headed(name: str, profiles: Sequence[str]) -> str:
    return f"{name}  ({', '.join(profiles)})" if profiles else f"{name}  (no profile)"


def _holding(holding: Holding) -> str:
    parts = [size(holding.bytes)]
    if holding.partial:
        parts.append(f"{size(holding.partial)} of it from downloads that were cut")
    if holding.containers:
        parts.append(f"in use by {', '.join(holding.containers)}")
    if not holding.ours:
        parts.append("not brought by sparkctl")
    return ", ".join(parts)


def _revision(revision: Revision) -> str:
    names = f" ({', '.join(revision.names)})" if revision.names else ""
    missing = f", {revision.missing} missing" if revision.missing else ""
    return f"{revision.commit[:SHORT]}{names}: {plural(revision.files, 'file')}, {size(revision.bytes)}{missing}"


def _copy(copy: Copy) -> str:
    parts = [f"id {copy.id.removeprefix('sha256:')[:SHORT]}", size(copy.bytes)]
    if copy.digest:
        parts.insert(1, f"digest {copy.digest.removeprefix('sha256:')[:SHORT]}")
    if copy.containers:
        parts.append(f"in use by {', '.join(copy.containers)}")
    if not copy.ours:
        parts.append("not brought by sparkctl")
    return ", ".join(parts)
