"""A model as it is stored, and what its weights take once they are loaded."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import PurePosixPath

from sparkctl.errors import ConfigError, Problem
from sparkctl.memory.formats import PLAIN, Format, format_named
from sparkctl.memory.shape import Mixture, Parameters, Shape

PADDING = (256, 128)
"""Multiples to which vLLM's Marlin kernels, those of a GB10, pad hidden and inner size of MXFP4 experts.

vllm/model_executor/layers/quantization/mxfp4.py: gpt-oss-120b, 65.3 GB in its files, loads as 66 GiB.
"""


@dataclass(frozen=True)
class Checkpoint:
    """A model by its shape; `size` is that of its weight files in bytes, 0 where it is unknown."""

    name: str
    shape: Shape
    size: int = 0

    @classmethod
    def unknown(cls, name: str, size: int = 0) -> "Checkpoint":
        """A model of which no config.json was seen: its weights, if they are known, and no cache."""
        return cls(name, Shape("", 1, 0, 0, (), Parameters(0, 0, 0, 0), Mixture(), PLAIN["bf16"]), size)

    @property
    def seen(self) -> bool:
        """Whether its config.json was: else nobody knows its cache."""
        return self.shape.parameters.total > 0

    def loaded(self, quantization: str = "", dtype: str = "") -> Format:
        """How its weights lie in memory; what is stored quantized stays as it is, as engines have it.

        Raises ConfigError for a name that is unknown.
        """
        wished = format_named(quantization) if quantization else None
        stored = self.shape.format
        if wished and (wished.name.startswith("q") or stored.plain):
            return wished
        if not stored.plain or not dtype or dtype == "auto":
            return PLAIN["bf16"] if stored.name == "fp32" else stored  # vLLM's auto loads 32 bit as 16
        return format_named(dtype, "dtype")

    def weights(self, form: Format, parts: int = 1) -> int:
        """Bytes of all weights in that format, each layer split into so many parts. Raises ConfigError."""
        more = _padding(self.shape.mixture, parts) * form.each if form.padded else 0.0
        if self.size and (form == self.shape.format or not self.seen):
            return self.size + round(more)
        if not form.each:
            raise ConfigError(
                (Problem(self.name, "quantization_config", form.name, "a format of known size, or files to measure"),),
                place="in the model's config.json",
                fix="say how it is stored: --quantization, or engine.weights_gib in the profile",
            )
        return round(_bytes(self.shape.parameters, form) + more)

    def experts(self, form: Format, parts: int = 1) -> int:
        """Bytes of those weights that are experts; of a model of which the size alone is known, all. As `weights`."""
        every, parameters = self.weights(form, parts), self.shape.parameters
        if not parameters.total:
            return every
        numbers = parameters.experts + (_padding(self.shape.mixture, parts) if form.padded else 0)
        return min(every, round(numbers * (form.each or every / parameters.total)))


def weight_files(sizes: Mapping[str, int], allow: Sequence[str] = (), quantization: str = "") -> int:
    """Bytes of the files that an engine loads, of all in a repository by name; 0 where there are none.

    Of one model in several forms the first counts: safetensors, then PyTorch's, then GGUF's. Copies in folders and in
    Mistral's own layout (`consolidated`) are left out where there is another.
    """
    kept = {n: s for n, s in sizes.items() if not allow or any(fnmatch(n, pattern) for pattern in allow)}
    for suffix in (".safetensors", ".bin", ".pth", ".gguf"):
        found = {n: s for n, s in kept.items() if n.endswith(suffix) and _is_weight(n, quantization)}
        top = {n: s for n, s in found.items() if "/" not in n} or found
        plain = {n: s for n, s in top.items() if not n.startswith("consolidated")} or top
        if plain:
            return sum(plain.values())
    return 0


def _is_weight(name: str, quantization: str) -> bool:
    """Whether a file of a weight's suffix holds weights; of several GGUF files that of the wished format."""
    stem = PurePosixPath(name).stem.lower().replace("-", "_")
    if name.endswith(".gguf"):
        return quantization.lower().replace("-", "_") in stem
    return stem not in ("training_args", "optimizer", "scheduler", "adapter_model")


def _bytes(parameters: Parameters, form: Format) -> float:
    other = (parameters.experts + parameters.rest) * form.each
    return parameters.tables * form.tables + parameters.attention * form.attention + other + parameters.vision * 2.0


def _padding(mixture: Mixture, parts: int) -> int:
    """How many numbers padding adds to the experts, of which each part holds a slice of the inner size."""
    hidden, inner = (_round_up(size, to) for size, to in zip(_slice(mixture, parts), PADDING, strict=True))
    return 3 * mixture.experts * (hidden * inner * parts - mixture.hidden * mixture.inner)


def _slice(mixture: Mixture, parts: int) -> tuple[int, int]:
    return mixture.hidden, math.ceil(mixture.inner / parts)


def _round_up(size: int, to: int) -> int:
    return math.ceil(size / to) * to
