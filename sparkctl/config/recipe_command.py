"""The command of a sparkrun recipe: its template filled in, taken apart into engine and flags."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROGRAMS: Mapping[tuple[str, ...], str] = {
    ("vllm", "serve"): "vllm",
    ("sglang", "serve"): "sglang",
    ("python", "-m", "sglang.launch_server"): "sglang",
    ("python3", "-m", "sglang.launch_server"): "sglang",
    ("trtllm-serve", "serve"): "trtllm",
    ("trtllm-serve",): "trtllm",
}
"""How a command begins, and the engine that it starts."""
FLAGS: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "tensor_parallel": "--tensor-parallel-size",
        "pipeline_parallel": "--pipeline-parallel-size",
        "data_parallel": "--data-parallel-size",
    },
    "sglang": {
        "tensor_parallel": "--tp-size",
        "pipeline_parallel": "--pp-size",
        "data_parallel": "--dp-size",
        "expert_parallel": "--ep-size",
        "gpu_memory_utilization": "--mem-fraction-static",
        "max_model_len": "--context-length",
        "max_num_seqs": "--max-running-requests",
        "chunked_prefill": "--chunked-prefill-size",
    },
    "trtllm": {
        "tensor_parallel": "--tp-size",
        "pipeline_parallel": "--pp-size",
        "expert_parallel": "--ep-size",
        "max_model_len": "--max-seq-len",
    },
}
"""Keys of a recipe's `defaults` that are no flag by their name alone (sparkrun 0.4.2)."""
_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_OPERATORS = {"&&", "||", ";", "|", "&"}
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_LIKE_A_FLAG = re.compile(r"--?[A-Za-z]")


@dataclass(frozen=True)
class Command:
    """What a command says: the engine, variables set before it, and flags in order, each with its values."""

    engine: str
    env: Mapping[str, str]
    flags: tuple[tuple[str, tuple[str, ...]], ...]


def names_in(template: str) -> frozenset[str]:
    """The placeholders of a template."""
    return frozenset(_PLACEHOLDER.findall(_hidden(template)))


def fill(template: str, values: Mapping[str, Any]) -> str:
    """The template with `{name}` replaced; doubled braces stand for themselves. Raises KeyError for a name unknown."""
    filled = _PLACEHOLDER.sub(lambda match: _text(values[match[1]]), _hidden(template))
    return filled.replace("\0", "{").replace("\1", "}")


def take_apart(text: str) -> Command:
    """The one command of a text. Raises ValueError with what is wrong."""
    words = shlex.split(re.sub(r"\\[ \t]*\n", " ", text).replace("\n", " "))
    if found := _OPERATORS & {*words}:
        raise ValueError(f"more than one command ({', '.join(sorted(found))})")
    env: dict[str, str] = {}
    while words and (match := _ASSIGNMENT.fullmatch(words[0])):
        env[match[1]] = match[2]
        words = words[1:]
    for start, engine in PROGRAMS.items():
        if tuple(words[: len(start)]) == start:
            return Command(engine, env, tuple(flags_of(words[len(start) :])))
    raise ValueError(f"starts {' '.join(words[:3]) or 'nothing'}")


def words_of(engine: str, defaults: Mapping[str, Any]) -> Iterator[str]:
    """The flags that `defaults` stand for where a recipe has no command."""
    for key, value in defaults.items():
        flag = FLAGS.get(engine, {}).get(key) or f"--{key.replace('_', '-')}"
        if isinstance(value, bool):
            yield from [flag] if value else []
        elif value is not None:
            yield from (flag, _text(value))


def flags_of(words: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each flag with the words behind it; words before the first flag, such as the model, are left out."""
    flag, values = "", list[str]()
    for word in words:
        if _LIKE_A_FLAG.match(word):
            if flag:
                yield flag, tuple(values)
            flag, equals, value = word.partition("=")
            values = [value] if equals else []
        else:
            values.append(word)
    if flag:
        yield flag, tuple(values)


def _hidden(template: str) -> str:
    """Doubled braces out of the way, where a template uses them: one that closes plain JSON twice does not."""
    return template.replace("{{", "\0").replace("}}", "\1") if "{{" in template else template


def _text(value: object) -> str:
    """A value as a word of a command; what is no plain value is JSON."""
    import json

    return json.dumps(value, separators=(",", ":"), default=str) if isinstance(value, dict | list) else str(value)
