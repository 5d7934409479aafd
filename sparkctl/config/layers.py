"""Merges the layers of the configuration value by value: defaults < files < environment < flags."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sparkctl import data
from sparkctl.config import envfile, lab_name
from sparkctl.config.inert import INERT
from sparkctl.config.laptop import is_file, is_open, path_of
from sparkctl.config.origin import Raw, Redactor, is_secret
from sparkctl.errors import ConfigError, Problem

SHARED, LOCAL = "unified-config.env", "unified-config.local.env"
FILE, OVERRIDE, ENVIRONMENT, FLAG = range(1, 5)
"""The layers above the defaults, lowest first."""
OWN = frozenset({"SPARKCTL_PROFILE", "SPARKCTL_LAB", "SPARKCTL_LAB_HOME", "SPARKCTL_LAB_TORCH_INDEX"})
"""Variables of the environment alone: they choose a configuration, and are none of its values."""


@dataclass(frozen=True)
class Layers:
    """What all layers say together: `values` that have an effect, `inert` ones, and everything wrong so far."""

    values: Mapping[str, Raw]
    inert: Mapping[str, str]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    redact: Redactor

    @property
    def unread(self) -> bool:
        """Whether a file could not be read: what it would have said is missing, and not worth a word of its own."""
        return any(problem.name == "file" for problem in self.problems)


@dataclass
class _Merge:
    known: frozenset[str]
    environ: Mapping[str, str]
    values: dict[str, Raw] = field(default_factory=dict)
    inert: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    used: frozenset[str] = frozenset()

    def file(self, path: Path, label: str, layer: int) -> None:
        """Add what a file says; names that its own values refer to may be the file's own."""
        read = envfile.read(path, label, {**self.environ, **self.seen})
        self.problems += read.problems
        self.used |= read.used
        if is_open(path) and any(line.value and is_secret(line.name) for line in read.assignments):
            self.notes.append(f"{label} holds secrets and others can read it: chmod 600 {label}")
        for line in read.assignments:
            self.seen[line.name] = line.value
            if line.name in self.known:
                self.values[line.name] = Raw(line.value, line.where, layer)
            elif line.name in INERT:
                self.inert[line.name] = line.value
            elif line.name not in read.used:
                self.problems.append(self.unknown(line.name, line.where))

    def environment(self, ignored: frozenset[str]) -> None:
        """Add the process environment; names that sparkctl does not know are somebody else's."""
        left_out = sorted(name for name in ignored if self.environ.get(name))
        if left_out:
            self.notes.append(f"ignored from the environment, the lab has its own: {', '.join(left_out)}")
        for name, value in self.environ.items():
            if name in self.known and name not in ignored:
                self.values[name] = Raw(value, "environment", ENVIRONMENT)
            elif name in INERT and name.startswith("ENABLE_"):
                self.inert[name] = value
            elif name not in self.known | INERT.keys() and (meant := _meant(name, self.known)):
                self.notes.append(f"{name} in the environment is no variable of sparkctl; did you mean {meant}?")

    def flags(self, flags: Mapping[str, str], refused: frozenset[str]) -> None:
        """Add what the command line sets: no secrets, since every process on the laptop can read it."""
        for name, value in flags.items():
            if value and is_secret(name):
                found = "a secret on the command line, which everybody on this machine can read"
                self.problems.append(Problem("flag", name, found, f"in {LOCAL}, or in the environment"))
            elif name in refused:
                found = "set by a flag, while the profile names a lab"
                self.problems.append(Problem("flag", name, found, "what the lab itself says"))
            elif name in self.known:
                self.values[name] = Raw(value, "flag", FLAG)
            elif name in INERT:
                self.inert[name] = value
            else:
                self.problems.append(self.unknown(name, "flag"))

    def unknown(self, name: str, where: str) -> Problem:
        """The problem of a name that nobody reads."""
        shown = name if envfile.SHOWABLE.fullmatch(name) else "name"
        nearest = difflib.get_close_matches(name.upper(), self.known, n=1, cutoff=0.7)
        return Problem(where, shown, "unknown variable", "what `sparkctl config schema` lists", *nearest)


def _meant(name: str, known: frozenset[str]) -> str:
    """What a variable of the environment was meant to be, where it is nearly one of ours: most are somebody else's."""
    if name in OWN or not envfile.SHOWABLE.fullmatch(name):
        return ""
    return next(iter(difflib.get_close_matches(name, known | OWN, n=1, cutoff=0.87)), "")


def merge(
    known: frozenset[str],
    lab_owned: frozenset[str],
    *,
    lab: bool,
    env_file: Path | None,
    flags: Mapping[str, str],
    environ: Mapping[str, str],
    cwd: Path,
) -> Layers:
    """Every layer on top of the one below. Raises ConfigError where `lab` is set and there is no lab.

    `known` are the names with an effect; `lab_owned` those that only the lab's own file may set while `lab` is.
    """
    merge = _Merge(known, environ)
    for path, label, layer in _files(lab, env_file, environ, cwd):
        merge.file(path, label, layer)
    owned = lab_owned if lab else frozenset()
    merge.environment(owned)
    merge.flags(flags, owned)
    ours = known | INERT.keys() | merge.used
    redact = Redactor.of({name: environ[name] for name in ours & environ.keys()}, merge.seen, flags)
    return Layers(merge.values, merge.inert, tuple(merge.problems), tuple(merge.notes), redact)


def _files(lab: bool, env_file: Path | None, environ: Mapping[str, str], cwd: Path) -> Iterable[tuple[Path, str, int]]:
    """The files to read, with what each is called in messages, lowest first."""
    if env_file:
        return [(path_of(env_file, cwd), str(env_file), FILE)]
    if lab:
        path = lab_file(environ)
        if not is_file(path):
            missing = Problem("profile", "where: lab", f"no lab: {path} does not exist", "the file of a running lab")
            raise ConfigError((missing,), fix="sparkctl lab up")
        return [(path, str(path), FILE)]
    shared, local = cwd / SHARED, cwd / LOCAL
    base = (shared, SHARED, FILE) if is_file(shared) else (data.path(SHARED), str(data.path(SHARED)), FILE)
    return [base, (local, LOCAL, OVERRIDE)] if is_file(local) else [base]


def lab_file(environ: Mapping[str, str]) -> Path:
    """Where the lab that SPARKCTL_LAB names (default `sparklab`) keeps its addresses. Raises ConfigError."""
    name = lab_name.check(environ.get("SPARKCTL_LAB") or "sparklab", "environment", "SPARKCTL_LAB")
    home = Path(environ.get("HOME") or path_of("~", Path.cwd()))
    state = Path(environ.get("XDG_STATE_HOME") or home / ".local/state") / "sparkctl/lab"
    folder = Path(environ.get("SPARKCTL_LAB_HOME") or state)
    return folder / name / "lab.env"
