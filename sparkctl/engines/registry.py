"""Engines by name: those of sparkctl, and those that other packages bring through an entry point."""

from importlib import import_module
from typing import TYPE_CHECKING, cast

from sparkctl.errors import SparkctlError, hint

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from sparkctl.engines import ollama, sglang, trtllm, vllm
    from sparkctl.engines.engine import Engine

    _CHECKED: tuple[Engine, ...] = (vllm, sglang, trtllm, ollama)  # the type checker compares each with the protocol

ENGINES: dict[str, str] = {
    "vllm": "sparkctl.engines.vllm",
    "sglang": "sparkctl.engines.sglang",
    "trtllm": "sparkctl.engines.trtllm",
    "ollama": "sparkctl.engines.ollama",
}
"""Module by name, imported on use."""

GROUP = "sparkctl.engines"
"""Entry points of other packages, each naming a module: `[project.entry-points."sparkctl.engines"]`."""

MEMBERS = ("API", "STORE", "LOOK", "OWNED", "LACKS", "FAILURES", "backends", "rank_secret", "services")
"""What `Engine` asks of a module."""


def engine(name: str) -> "Engine":
    """The engine of that name. Raises SparkctlError where there is none, or where a module of others is no engine."""
    if name in ENGINES:
        return cast("Engine", import_module(ENGINES[name]))
    others = _others()
    if name not in others:
        raise _unknown(name, [*ENGINES, *others])
    try:
        module = others[name].load()
    except (ImportError, AttributeError) as error:
        raise SparkctlError(f"the engine {name} cannot be loaded: {error}", where=others[name].value) from error
    if missing := [member for member in MEMBERS if not hasattr(module, member)]:
        what = f"the engine {name} lacks {', '.join(missing)}"
        raise SparkctlError(what, where=others[name].value, fix='see "Add an engine" in CONTRIBUTING.md')
    return cast("Engine", module)


def names() -> tuple[str, ...]:
    """Every name that `engine` knows, ours first."""
    return tuple(dict.fromkeys((*ENGINES, *_others())))


def _others() -> dict[str, "EntryPoint"]:
    from importlib.metadata import entry_points  # 70 ms

    return {point.name: point for point in entry_points(group=GROUP)}


def _unknown(name: str, known: list[str]) -> SparkctlError:
    what, accepted = f"there is no engine {name!r}{hint(name, known)}", ", ".join(known)
    return SparkctlError(what, fix=f"engine.name is one of {accepted}")
