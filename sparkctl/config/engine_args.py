"""Arguments of an engine that a profile must not pass by itself, and what to use instead."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

from sparkctl.engines.registry import engine
from sparkctl.engines.registry import names as engines
from sparkctl.topology import Cluster

__all__ = ["address", "engines", "faults", "lacks", "owned", "tagged", "unfit", "value", "variables", "ways"]

_WAYS = {
    "pipeline stages": "-pp|--pipeline[-_]parallel[-_]size|--pp(?:[-_]size)?",
    "context shards": "-pcp|--prefill[-_]context[-_]parallel[-_]size|--context_parallel_size|--cp_size",
    "replicas": "-dp|--data[-_]parallel[-_]size|--dp(?:-size)?",
}
"""Flags that multiply the GPUs: vLLM takes TP x PP x PCP for each replica (ParallelConfig.world_size_across_dp).

The short ones with `size` are SGLang's and TensorRT-LLM's.
"""
_WITHIN = "--enable-dp-attention"
"""SGLang's replicas of the attention alone, which share the GPUs of its tensor parallelism (docs.sglang.io)."""


def faults(arguments: Sequence[str], name: str = "vllm") -> Iterator[str]:
    """One sentence for each argument that is not the profile's to pass to the engine of that name.

    Raises SparkctlError where there is no such engine.
    """
    instead_of = owned(name)
    for argument in arguments:
        flag = argument.partition("=")[0].replace("_", "-")
        if instead := instead_of.get(flag) or instead_of.get("*"):
            yield f"arguments without {flag}; use {instead}"


def variables(env: Iterable[str], name: str = "vllm") -> Iterator[str]:
    """One sentence for each variable that is not the profile's to set for the engine of that name.

    Raises SparkctlError where there is no such engine.
    """
    yield from (f"variables without {each}; use {owned(name)[each]}" for each in env if each in owned(name))


def owned(name: str) -> Mapping[str, str]:
    """The flags and variables that a profile must not pass to the engine of that name, and what to use instead.

    Raises SparkctlError where there is no such engine.
    """
    return engine(name).OWNED


def unfit(name: str, wished: str, nodes: int) -> str:
    """What the engine accepts where it has no such backend, or cannot span as many nodes; empty where it can.

    Raises SparkctlError where there is no such engine.
    """
    try:
        engine(name).backends(wished, nodes)
    except ValueError as error:
        return str(error)
    return ""


def lacks(name: str) -> Mapping[str, str]:
    """Keys of a profile, such as `engine.dtype`, that the engine cannot honour, each with the reason."""
    return engine(name).LACKS


def tagged(name: str) -> bool:
    """Whether its models' ids may have a tag."""
    return engine(name).STORE == "ollama"


def address(name: str, cluster: Cluster) -> str:
    """Where it answers clients."""
    return engine(name).API.address(cluster)


def value(arguments: Sequence[str], *flags: str) -> str:
    """What the arguments give the last of these flags, as `--flag value` or `--flag=value`; empty where none is."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    found = [after for word, after in pairwise(words) if word.replace("_", "-") in flags]
    return found[-1] if found else ""


def ways(arguments: Sequence[str]) -> dict[str, int]:
    """How many ways the arguments split the work beside tensor parallelism, by kind; the last of a flag counts."""
    text = " ".join(arguments)
    found = {kind: re.findall(rf"(?<!\S)(?:{flag})[\s=](\d{{1,4}})(?!\S)", text) for kind, flag in _WAYS.items()}
    within = {"replicas"} if _WITHIN in arguments else set[str]()
    return {kind: int(counts[-1]) for kind, counts in found.items() if counts and kind not in within}
