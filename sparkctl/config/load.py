"""Reads the whole configuration: where and what, with the origin of every value and all problems at once."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from sparkctl.config import inert, layers, lock, overrides, profiles
from sparkctl.config.faults import settings_problems
from sparkctl.config.fit import Fit
from sparkctl.config.nodes import UNSET, Roster, UserOn, nobody
from sparkctl.config.origin import Origin, Raw, Redactor
from sparkctl.config.origins import origins_of
from sparkctl.config.profile import Profile
from sparkctl.config.served import Served, served
from sparkctl.config.settings import Settings
from sparkctl.config.yamlfile import Document
from sparkctl.data import DEFAULT_PROFILE
from sparkctl.errors import ConfigError, Problem
from sparkctl.topology import Cluster

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

    @property
    def served(self) -> tuple[Served, ...]:
        """Every model of the profile, with its nodes; roles that wait for their launch included."""
        return served(self.profile, self.cluster)


def load(
    profile: str | None = None,
    *,
    env_file: Path | None = None,
    flags: Mapping[str, str] = MappingProxyType({}),
    environ: Mapping[str, str] = os.environ,
    cwd: Path | None = None,
    user_on: UserOn = nobody,
    pinned: bool = True,
) -> Config:
    """The configuration of a profile (its name or path; None: SPARKCTL_PROFILE, else `stacked`).

    `env_file` replaces unified-config.env and its local sibling, `flags` are variables set on the command line;
    `user_on` asks the SSH configuration for the login on a host that nothing else names. Unless it is not `pinned`,
    models and images are at the commits and digests of the lock file.
    Raises ConfigError with every problem.
    """
    folder = cwd or Path.cwd()
    what, document, problems = _profile(profile or environ.get("SPARKCTL_PROFILE") or DEFAULT_PROFILE, folder)
    lab = what is not None and what.where == "lab"
    merged = layers.merge(NAMES, _where(), lab=lab, env_file=env_file, flags=flags, environ=environ, cwd=folder)
    locked, wrong = _lock(lock.place(folder, env_file)) if pinned else (lock.Lock(Path()), ())
    settings, found = _settings(merged.values)
    problems += [*merged.problems, *wrong, *([] if merged.unread else found)]
    if what and settings and not merged.unread:
        wanted = None if what.nodes == "all" else what.nodes
        roster = Roster(settings, merged.values, environ, folder, wanted, user_on)
        fit = Fit(what, overrides.apply(what, settings), document, roster)
        problems += [*roster.problems, *fit.problems()]
        if not problems:
            notes = (*merged.notes, *fit.notes(), *inert.notes(merged.inert))
            origins = dict(origins_of(fit, merged.values, merged.redact, locked))
            shown = tuple(merged.redact(note) for note in notes)
            exact = locked.applied(fit.profile)
            return Config(settings, exact, roster.cluster(), MappingProxyType(origins), shown)
    fix = "sparkctl init" if any(problem.found == UNSET for problem in problems) else ""
    raise ConfigError(tuple(dict.fromkeys(_redacted(problem, merged.redact) for problem in problems)), fix=fix)


def _profile(name: str, cwd: Path) -> tuple[Profile | None, Document, list[Problem]]:
    try:
        return *profiles.read(name, cwd), []
    except ConfigError as error:
        return None, Document(name), list(error.problems)


def _lock(path: Path) -> tuple[lock.Lock, tuple[Problem, ...]]:
    try:
        return lock.load(path), ()
    except ConfigError as error:
        return lock.Lock(path), error.problems


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


def _redacted(problem: Problem, redact: Redactor) -> Problem:
    return Problem(
        *(redact(text) for text in (problem.where, problem.name, problem.found, problem.accepted, problem.nearest))
    )
