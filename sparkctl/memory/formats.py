"""How weights are stored: bytes for each number, by name or as a config.json states it."""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from sparkctl.errors import ConfigError, Problem


@dataclass(frozen=True)
class Format:
    """Bytes for each number, scales and zero points included; 0.0 is unknown.

    `tables` are embedding and output head, `attention` the projections of attention, which many formats keep in 16
    bit. `padded` says that kernels lay experts out in multiples of `mixture.PADDING`.
    """

    name: str
    each: float
    tables: float = 2.0
    attention: float = 0.0
    padded: bool = False

    @property
    def plain(self) -> bool:
        """Whether these are the numbers themselves, which an engine may still convert as it loads them."""
        return self.name in PLAIN


PLAIN: Mapping[str, Format] = {
    "fp32": Format("fp32", 4.0, 4.0, 4.0),
    "bf16": Format("bf16", 2.0, 2.0, 2.0),
    "fp16": Format("fp16", 2.0, 2.0, 2.0),
}
_GGUF = {
    "q2_k": 0.42,
    "q3_k_m": 0.49,
    "q4_0": 0.5625,
    "q4_k_s": 0.57,
    "q4_k_m": 0.58,
    "q5_0": 0.6875,
    "q5_k_m": 0.7,
    "q6_k": 0.82,
    "q8_0": 1.06,
}
"""Of llama.cpp, embedding included: blocks of 32 with a scale where the name ends in 0, else mixtures of those."""
FORMATS: Mapping[str, Format] = {
    **PLAIN,
    "fp8": Format("fp8", 1.0, attention=1.0),
    "int8": Format("int8", 1.0, attention=1.0),
    "nvfp4": Format("nvfp4", 4.5 / 8, attention=4.5 / 8),  # an 8-bit scale for 16 numbers
    "mxfp4": Format("mxfp4", 4.25 / 8, attention=2.0, padded=True),  # an 8-bit scale for 32 numbers, experts alone
    "awq": Format("awq", 4.15625 / 8, attention=4.15625 / 8),  # scale and zero point, 20 bits, for 128 numbers
    "gptq": Format("gptq", 4.15625 / 8, attention=4.15625 / 8),
    "bitsandbytes": Format("bitsandbytes", 4.5 / 8, attention=4.5 / 8),  # nf4: a 32-bit scale for 64 numbers
    **{name: Format(name, each, each, each) for name, each in _GGUF.items()},
}
"""By the name that a person gives; where a config.json says more, such as the group size, that counts."""
_ALIASES = {
    "float32": "fp32",
    "bfloat16": "bf16",
    "float16": "fp16",
    "half": "fp16",
    "fbgemm_fp8": "fp8",
    "ptpc_fp8": "fp8",
    "modelopt": "fp8",
    "modelopt_fp4": "nvfp4",
    "awq_marlin": "awq",
    "auto_round": "gptq",
    "gptq_marlin": "gptq",
    "bnb": "bitsandbytes",
    "w8a8": "int8",
}


def is_format(name: str) -> bool:
    """Whether `format_named` knows it."""
    return _canonical(name) in FORMATS


def format_named(name: str, where: str = "--quantization") -> Format:
    """The format of that name, in any spelling of vLLM, llama.cpp or torch. Raises ConfigError with the nearest."""
    word = _canonical(name)
    if word in FORMATS:
        return FORMATS[word]
    nearest = "".join(get_close_matches(word, FORMATS, n=1))
    raise ConfigError(
        (Problem(where, "quantization", repr(name), ", ".join(FORMATS), nearest),),
        place="in how the model is to be loaded",
        fix="name one of these, or leave it out: the model's config.json says how it is stored",
    )


def _canonical(name: str) -> str:
    word = name.lower().removeprefix("torch.").replace("-", "_")
    return _ALIASES.get(word, word)


def format_of(config: Mapping[str, Any], inner: Mapping[str, Any]) -> Format:
    """The format that a config.json states; `inner` is its part about the language model, or itself.

    Total: what cannot be understood is a format of unknown size.
    """
    stated = next((q for c in (config, inner) if isinstance(q := _stated(c), Mapping)), None)
    if stated is None:
        dtypes = (part.get(key) for part in (inner, config) for key in ("dtype", "torch_dtype"))
        return PLAIN.get(_canonical(next((dtype for dtype in dtypes if isinstance(dtype, str)), "")), PLAIN["bf16"])
    method = str(stated.get("quant_method") or stated.get("quant_algo") or "").lower().replace("-", "_")
    return _kept(_quantized(method, stated), stated)


def _stated(config: Mapping[str, Any]) -> Any:
    return config.get("quantization_config") or config.get("compression_config")


def _quantized(method: str, stated: Mapping[str, Any]) -> Format:
    if method in ("awq", "gptq", "awq_marlin", "gptq_marlin", "auto_round"):
        bits, group = _count(stated, "bits", "w_bit") or 4, _count(stated, "group_size", "q_group_size")
        return _of_bits(method.split("_")[0], bits, 16 + bits, group or 0)
    if method == "bitsandbytes":
        return FORMATS["bitsandbytes"] if stated.get("load_in_4bit") else FORMATS["int8"]
    if groups := stated.get("config_groups"):
        return _grouped(groups)
    if method == "modelopt":
        return FORMATS["nvfp4" if "FP4" in str(stated.get("quant_algo")).upper() else "fp8"]
    return FORMATS.get(_ALIASES.get(method, method)) or Format(method or "unknown", 0.0)


def _grouped(groups: Any) -> Format:
    """As compressed-tensors and ModelOpt write it: what the first group of layers says of its weights."""
    first = next(iter(groups.values()), None) if isinstance(groups, Mapping) else None
    weights = first.get("weights") if isinstance(first, Mapping) else None
    bits = _count(weights, "num_bits") if isinstance(weights, Mapping) else None
    if not isinstance(weights, Mapping) or bits is None:
        return Format("compressed-tensors", 0.0)
    if weights.get("type") == "float":
        return FORMATS["fp8"] if bits == 8 else _of_bits("nvfp4", bits, 8, _count(weights, "group_size") or 16)
    return _of_bits(f"int{bits}", bits, 16, _count(weights, "group_size") or 0)


def _of_bits(name: str, bits: int, scale: int, group: int) -> Format:
    """Numbers of so many bits, and bits of scale for each group of them; group 0: for each row, not counted."""
    each = (bits + (scale / group if group else 0)) / 8
    return Format(name, each, attention=each)


def _kept(found: Format, stated: Mapping[str, Any]) -> Format:
    """The format with attention in 16 bit, where the list of what is left alone names all of it."""
    lists = (stated.get(key) for key in ("modules_to_not_convert", "ignore", "exclude_modules"))
    names = [str(name) for listed in lists if isinstance(listed, list) for name in listed]
    if any("attn" in name and ("*" in name or name.startswith("re:")) for name in names):
        return Format(found.name, found.each, found.tables, 2.0, found.padded)
    return found


def _count(of: Mapping[str, Any], *keys: str) -> int | None:
    values = (of.get(key) for key in keys)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and 0 < v <= 65536), None)
