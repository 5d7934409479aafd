"""Reads the whole configuration: where and what, with the origin of every value and all problems at once."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import SecretStr, ValidationError

from sparkctl.config import inert, layers, overrides, profiles
from sparkctl.config.faults import settings_problems
from sparkctl.config.nodes import Assembly
from sparkctl.config.origin import HIDDEN, Origin, Raw, Redactor
from sparkctl.config.profile import Profile
from sparkctl.config.settings import Settings
from sparkctl.config.yamlfile import Document
from sparkctl.errors import ConfigError, Problem
from sparkctl.topology import Cluster

DEFAULT_PROFILE = "stacked"
NAMES = frozenset(field.upper() for field in Settings.model_fields)
"""Every variable that has an effect."""


@dataclass(frozen=True)
class Config:
    """What is deployed and where. `profile` has the overrides of the settings already.

    `origins` holds every variable by its name and every value of the profile by its path (`engine.max_model_len`);
    `notes` are sentences about variables that are set and change nothing.
    """

    settings: Settings
    profile: Profile
    cluster: Cluster
    origins: Mapping[str, Origin]
    notes: tuple[str, ...] = ()


def load(
    profile: str | None = None,
    *,
    env_file: Path | None = None,
    flags: Mapping[str, str] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
) -> Config:
    """The configuration of a profile (its name or path; None: SPARKCTL_PROFILE, else `stacked`).

    `env_file` replaces unified-config.env and its local sibling, `flags` are variables set on the command line.
    Raises ConfigError with every problem.
    """
    folder = cwd or Path.cwd()
    what, document, problems = _profile(profile or environ.get("SPARKCTL_PROFILE") or DEFAULT_PROFILE, folder)
    lab = what is not None and what.where == "lab"
    merged = layers.merge(NAMES, _where(), lab=lab, env_file=env_file, flags=flags, environ=environ, cwd=folder)
    settings, found = _settings(merged.values)
    problems += [*merged.problems, *found]
    if what and settings:
        assembly = Assembly(settings, merged.values, environ, folder)
        what = overrides.apply(what, settings)
        cluster = assembly.cluster(None if what.nodes == "all" else what.nodes)
        problems += [*assembly.problems, *_misfits(what, assembly, document)]
        if cluster and not problems:
            notes = (*merged.notes, *inert.notes(dict(merged.inert)))
            origins = dict(_origins(settings, merged.values, what, document, merged.redact))
            return Config(settings, what, cluster, MappingProxyType(origins), tuple(map(merged.redact, notes)))
    raise ConfigError(tuple(_redacted(problem, merged.redact) for problem in problems))


def _profile(name: str, cwd: Path) -> tuple[Profile | None, Document, list[Problem]]:
    try:
        return *profiles.read(name, cwd), []
    except ConfigError as error:
        return None, Document(name), list(error.problems)


def _settings(values: Mapping[str, Raw]) -> tuple[Settings | None, list[Problem]]:
    """The settings; an empty value means the default."""
    given: dict[str, Any] = {name.lower(): raw.text for name, raw in values.items() if raw.text}
    try:
        return Settings(**given), []
    except ValidationError as error:
        return None, list(settings_problems(error, values))


def _where() -> frozenset[str]:
    """The variables that say where the nodes are; for a lab only the lab itself sets them."""
    extras = {name: field.json_schema_extra for name, field in Settings.model_fields.items()}
    return frozenset(n.upper() for n, extra in extras.items() if isinstance(extra, dict) and extra["group"] == "where")


def _misfits(profile: Profile, assembly: Assembly, document: Document) -> Iterator[Problem]:
    """What profile and cluster ask of each other in vain."""
    configured = assembly.configured
    nodes = configured if profile.nodes == "all" else profile.nodes
    if nodes > configured:
        yield Problem(
            document.where(("nodes",)), "nodes", str(nodes), f"at most {configured}, as many as are configured"
        )
    parallel = profile.engine.tensor_parallel
    ranks = (nodes if parallel == "nodes" else parallel) * _pipeline(profile.engine.extra_args)
    if parallel != "nodes" and ranks != nodes and nodes <= configured:
        name, where = "engine.tensor_parallel", document.where(("engine", "tensor_parallel"))
        if assembly.settings.tensor_parallel is not None:
            name, where = "TENSOR_PARALLEL", assembly.where("TENSOR_PARALLEL")
        yield Problem(
            where, name, str(parallel), f"{nodes}: every node holds one GPU; nodes: N in the profile uses fewer"
        )
    taken = list(profile.ports.model_dump().values())
    if len(set(taken)) < len(taken):
        yield Problem(document.where(("ports",)), "ports", "one port for two services", "four different ports")


def _pipeline(arguments: tuple[str, ...]) -> int:
    """The pipeline stages that the engine's own arguments ask for."""
    found = re.search(r"(?:^|\s)(?:-pp|--pipeline-parallel-size)[\s=](\d{1,4})(?:\s|$)", " ".join(arguments))
    return int(found[1]) if found else 1


def _origins(
    settings: Settings, values: Mapping[str, Raw], profile: Profile, document: Document, redact: Redactor
) -> Iterator[tuple[str, Origin]]:
    for field in Settings.model_fields:
        name = field.upper()
        raw = values.get(name)
        yield name, Origin(_shown(getattr(settings, field), redact), raw.where if raw and raw.text else "default")
    changed: dict[tuple[str, ...], str] = {
        place: field for field, place in overrides.PLACES.items() if getattr(settings, field) is not None
    }
    for path, value in _leaves(profile.model_dump()):
        variable = changed.get(path)
        where = f"profile {profile.name}" if path in document.places else "default"
        yield ".".join(path), Origin(_shown(value, redact), values[variable.upper()].where if variable else where)


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _shown(value: Any, redact: Redactor) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if isinstance(value, tuple):
        return redact(" ".join(map(str, value)))
    return "" if value is None else redact(str(value))


def _redacted(problem: Problem, redact: Redactor) -> Problem:
    return Problem(
        *(redact(text) for text in (problem.where, problem.name, problem.found, problem.accepted, problem.nearest))
    )
