"""Reads a recipe of sparkrun (as of its version 0.4.2) into a profile, and says what a profile cannot say."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sparkctl.config import engine_args, yamlfile
from sparkctl.config.origin import is_secret
from sparkctl.config.profile import Profile
from sparkctl.config.recipe_command import Command, fill, flags_of, names_in, take_apart, words_of
from sparkctl.config.values import IMAGE_REF, MODEL_ID
from sparkctl.config.yamlfile import Document
from sparkctl.errors import ConfigError, Problem
from sparkctl.memory.demand import MOST_UTILIZATION

RUNTIMES: Mapping[str, tuple[str, str]] = {
    "": ("vllm", "auto"),
    "vllm": ("vllm", "auto"),
    "vllm-ray": ("vllm", "ray"),
    "vllm-distributed": ("vllm", "mp"),
    "eugr-vllm": ("vllm", "ray"),
    "sglang": ("sglang", "auto"),
    "trtllm": ("trtllm", "auto"),
}
"""Engine and backend of a recipe's `runtime`."""
ABOUT = {"recipe_version", "sparkrun_version", "min_sparkrun_version", "name", "metadata", "min_nodes", "max_nodes"}
USED = {"model", "model_revision", "runtime", "container", "defaults", "env", "command", "description", "mode"}
SHAPE = {"solo_only", "cluster_only"}
_KEY = re.compile(r"(engine|model|ports)\.(\w+)")
_KILO = {"k": 1000, "K": 1024, "m": 10**6, "M": 2**20}
"""What a letter behind a context length means to vLLM."""


@dataclass(frozen=True)
class Imported:
    """The profile as plain data, and a sentence for each thing that is not, or not as written, in it."""

    profile: dict[str, Any]
    notes: tuple[str, ...]

    def text(self, source: str) -> str:
        """The file of the profile; `source` is what the recipe is called."""
        import yaml

        body = yaml.safe_dump(self.profile, sort_keys=False, allow_unicode=True, width=110)
        head = [f"Imported from the sparkrun recipe {' '.join(source.split())} by sparkctl profile import."]
        head += ["What it says and this profile does not, or not so:", *self.notes] if self.notes else []
        return "".join(f"# {line}\n" for line in head) + body


@dataclass
class _Import:
    """A recipe on its way to a profile."""

    document: Document
    name: str
    notes: list[str] = field(default_factory=list)
    engine: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    ports: dict[str, Any] = field(default_factory=dict)
    args: list[str] = field(default_factory=list)
    env: dict[str, str] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, Any]:
        return dict(self.document.data)

    def note(self, text: str, *way: str) -> None:
        """Something that is not carried over, with where it stands."""
        self.notes.append(" ".join(f"{self.document.where(way)}: {'.'.join(way)}: {text}".split()))

    def take(self) -> Imported:
        """The whole of it. Raises ConfigError."""
        command = self._command()
        self.engine = {"name": command.engine, "backend": RUNTIMES[str(self.data.get("runtime") or "")][1]}
        for name, value in {**self._mapping("env"), **command.env}.items():
            self._variable(name, value)
        for flag, values in command.flags:
            self._flag(command.engine, flag, values)
        for key in sorted(self.data.keys() - ABOUT - USED - SHAPE):
            self.note("no part of a profile", key)
        if "/" not in self.data["container"]:
            self.note("a name without a registry: it is pulled from Docker Hub, not built", "container")
        return Imported(self._profile(), tuple(self.notes))

    def _profile(self) -> dict[str, Any]:
        line = " ".join(str(self.data.get("description") or "").split())
        nodes = self._nodes()
        engine = {**self.engine, **({"extra_args": self.args} if self.args else {})}
        found = {
            "name": self.name,
            "description": line or f"{self.data['model']}, from a sparkrun recipe.",
            "nodes": nodes,
            "image": {"ref": self.data["container"]},
            "model": {"id": self.data["model"], **self._revision(), **self.model},
            "engine": {**engine, **({"env": self.env} if self.env else {})},
            "ports": self.ports,
        }
        return {key: value for key, value in found.items() if value != {}}

    def _command(self) -> Command:
        """Of the recipe's own command, or of the flags that its defaults stand for. Raises ConfigError."""
        defaults, template = self._mapping("defaults"), self.data.get("command")
        engine = RUNTIMES[str(self.data.get("runtime") or "")][0]
        if not template:
            return Command(engine, {}, tuple(flags_of(list(words_of(engine, defaults)))))
        values = {"model": self.data["model"], **defaults}
        try:
            command = take_apart(fill(str(template), values))
        except KeyError as error:
            raise self._refused(
                "command", f"{{{error.args[0]}}} has no value", "a name that stands in defaults"
            ) from None
        except ValueError as error:
            raise self._refused(
                "command", str(error), "one command that starts vLLM, SGLang or TensorRT-LLM"
            ) from None
        for key in sorted(defaults.keys() - names_in(str(template))):
            self.note("the command does not use it", "defaults", key)
        return command

    def _flag(self, engine: str, flag: str, values: tuple[str, ...]) -> None:
        canonical = flag.replace("_", "-")
        instead = engine_args.owned(engine).get(canonical)
        if is_secret(canonical.lstrip("-").replace("-", "_")):
            self.note(f"{canonical} is a secret and stays out", "command")
        elif instead is None:
            self.args += [flag, *values]
        elif key := _KEY.fullmatch(instead):
            self._owned(key[1], key[2], canonical, values)
        else:
            self.note(f"{canonical} is sparkctl's to set: {instead}", "command")

    def _owned(self, part: str, key: str, flag: str, values: tuple[str, ...]) -> None:
        """A flag that is a key of the profile."""
        if part == "model" and key in ("id", "revision"):
            self.model |= {key: values[0]} if key == "revision" and values else {}
            return
        try:
            value = _value(part, key, values)
        except (ValueError, IndexError, OverflowError):
            self.note(f"{flag} {' '.join(values)} is not what {part}.{key} accepts", "command")
            return
        if key == "gpu_memory_utilization" and value > MOST_UTILIZATION:
            self.note(f"{flag} {value:g} is lowered to {MOST_UTILIZATION:g}: beyond it a Spark freezes", "command")
            value = MOST_UTILIZATION
        {"engine": self.engine, "model": self.model, "ports": self.ports}[part][key] = value

    def _variable(self, name: str, value: object) -> None:
        if is_secret(name):
            self.note("a secret; put it into unified-config.local.env", "env", name)
        elif not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or not _is_plain(value):
            self.note("not a plain value", "env", name)
        else:
            self.env[name] = str(value)

    def _revision(self) -> dict[str, str]:
        revision = self.data.get("model_revision")
        return {"revision": str(revision)} if revision else {}

    def _nodes(self) -> int:
        """One GPU a node: as many as the work is split into, else as many as the recipe asks for at least."""
        ways = 1
        for count in engine_args.ways(self.args).values():
            ways *= max(1, count)
        least = (
            1 if self.data.get("solo_only") or self.data.get("mode") == "solo" else _count(self.data.get("min_nodes"))
        )
        least = max(least, 2) if self.data.get("cluster_only") else least
        split = self.engine.setdefault("tensor_parallel", max(1, least // ways))
        nodes = int(split) * ways
        if least > nodes:
            self.note(f"{least} nodes, and the work is split into {nodes}: the profile takes {nodes}", "min_nodes")
        return nodes

    def _mapping(self, key: str) -> dict[str, Any]:
        found = self.data.get(key) or {}
        if not isinstance(found, dict):
            raise self._refused(key, "not a mapping", "names with their values")
        return found

    def _refused(self, key: str, found: str, accepted: str) -> ConfigError:
        problem = Problem(self.document.where((key,)), key, found, accepted)
        return ConfigError((problem,), place="in the recipe", fix="mend the recipe, or write the profile by hand")


def read(path: Path, name: str) -> Imported:
    """The recipe at `path` as a profile called `name`. Raises ConfigError with every problem that is found."""
    document = yamlfile.read(path, path.name)
    problems = document.problems or tuple(_problems(document))
    if problems:
        raise ConfigError(problems, place="in the recipe", fix="mend the recipe, or write the profile by hand")
    imported = _Import(document, name).take()
    _validate(imported, name, document.label)
    return imported


def profile_name(stem: str) -> str:
    """A profile's name of a file's: lower case, digits and dashes."""
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-")[:64] or "imported"


def _problems(document: Document) -> Iterator[Problem]:
    """What no profile can be made of."""
    data = document.data
    model, image, runtime = (data.get(key) for key in ("model", "container", "runtime"))
    if not isinstance(model, str) or not re.fullmatch(MODEL_ID, model):
        yield Problem(document.where(("model",)), "model", _shown(model), "ORG/NAME as on the model hub")
    if not isinstance(image, str) or not re.fullmatch(IMAGE_REF, image):
        yield Problem(document.where(("container",)), "container", _shown(image), "an image with tag or digest")
    if runtime and str(runtime) not in RUNTIMES:
        known = ", ".join(filter(None, RUNTIMES))
        yield Problem(document.where(("runtime",)), "runtime", _shown(runtime), f"one of: {known}")
    if "include" in data:
        accepted = "a recipe without include: sparkrun's own export writes it in full"
        yield Problem(document.where(("include",)), "include", _shown(data["include"]), accepted)


def _validate(imported: Imported, name: str, recipe: str) -> None:
    """Raises ConfigError where the profile would not be one; that file is not written, so problems name the recipe."""
    document = yamlfile.parse(imported.text(name), f"{name}.yaml")
    if problems := document.problems or tuple(_faults(document)):
        fix = "mend the recipe, or write the profile by hand; --output names a file whose name can be a profile's"
        here = tuple(replace(problem, where=recipe) for problem in problems)
        raise ConfigError(here, place="in the profile that the recipe makes", fix=fix)


def _faults(document: yamlfile.Document) -> Iterator[Problem]:
    """What of it is no profile's."""
    from pydantic import ValidationError

    from sparkctl.config.faults import profile_problems

    try:
        Profile.model_validate(document.data)
    except ValidationError as error:
        yield from profile_problems(error, document)


def _value(part: str, key: str, values: tuple[str, ...]) -> Any:
    """The value of a profile's key. Raises ValueError, IndexError."""
    if key in ("trust_remote_code", "expert_parallel"):
        return not values or (int(values[0]) > 1 if values[0].isdigit() else values[0].lower() == "true")
    if key == "max_model_len" and values[0][-1:] in _KILO:
        return int(float(values[0][:-1]) * _KILO[values[0][-1]])
    if part == "ports" or key in ("tensor_parallel", "max_model_len", "max_num_seqs"):
        number = int(values[0])
        if number < 1 or (part == "ports" and number > 65535):
            raise ValueError(number)
        return number
    if key == "gpu_memory_utilization":
        share = float(values[0])
        if not share > 0:
            raise ValueError(share)
        return share
    if key == "backend" and values[0] not in ("ray", "mp"):
        raise ValueError(values[0])
    if key == "dtype":
        return _dtype(values[0])
    return values[0]


def _is_plain(value: object) -> bool:
    """Whether a variable's value is one text, without control characters and without names to be replaced."""
    unlike = r"[\x00-\x1f\x7f]|\$\w|\$\{|\{\w+\}"
    return value is not None and not isinstance(value, dict | list) and not re.search(unlike, str(value))


def _dtype(text: str) -> str:
    known = {"half": "float16", "float": "float32"}
    if (found := known.get(text, text)) not in ("auto", "bfloat16", "float16", "float32"):
        raise ValueError(text)
    return found


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 1


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]
