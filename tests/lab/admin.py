"""Somebody at a laptop: a home of their own, the program as it is installed, and nothing of this machine's user."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from documents import check_document
from machines import TestLab

from sparkctl import data
from sparkctl.lab.spec import Lab

Place = TypeVar("Place", TestLab, Lab)
PROGRAM = Path(sys.executable).with_name("sparkctl")
KEPT = ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
"""What an admin has of this process's environment."""


@dataclass(frozen=True)
class Ran:
    """One run of one verb."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def text(self) -> str:
        """All that was printed."""
        return self.out + self.err

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be, held against docs/json.md."""
        found: dict[str, Any] = json.loads(self.out)
        check_document(found)
        return found


@dataclass(frozen=True)
class Admin(Generic[Place]):
    """Runs `sparkctl VERB --profile … --env-file …`. `env` comes on top of a bare environment."""

    lab: Place
    home: Path
    profile: str = "lab"
    env: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, verb: str, *options: str, code: int | None = 0, timeout: float = 600) -> Ran:
        """Run to the end; `code` is the exit code that it must have, None for any."""
        began = time.monotonic()
        ended = subprocess.run(
            self.argv(verb, *options),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.home,
            env=self.environment,
            timeout=timeout,
            check=False,
        )
        ran = Ran(ended.returncode, ended.stdout, ended.stderr, time.monotonic() - began)
        print(f"{verb} {' '.join(options)}: {ran.code} after {ran.seconds:.1f} s", flush=True)
        assert code in (None, ran.code), f"{verb} ended with {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def json(self, verb: str, *options: str, code: int = 0) -> dict[str, Any]:
        """Run with --json; the document."""
        return self(verb, *options, "--json", "--quiet", code=code).document

    def argv(self, verb: str, *options: str) -> Sequence[str]:
        """The command line."""
        return [str(PROGRAM), *verb.split(), "--profile", self.profile, "--env-file", str(self.lab.env_file), *options]

    @property
    def environment(self) -> dict[str, str]:
        """Home and XDG folders below `home`, and `env`."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        own = {"HOME": str(self.home)} | {
            f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("STATE", "CONFIG", "CACHE", "DATA")
        }
        return {**kept, **own, **self.env}

    def serving(self, profile: str | Path) -> "Admin[Place]":
        """The same admin with another profile."""
        return replace(self, profile=str(profile))

    def having(self, **env: str) -> "Admin[Place]":
        """The same admin with more in the environment."""
        return replace(self, env={**self.env, **env})


def write_profile(folder: Path, name: str, base: str = "lab", **changes: Any) -> Path:
    """A shipped profile of the lab under another name; a section is changed value by value."""
    profile = yaml.safe_load((data.path("profiles") / f"{base}.yaml").read_text())
    for section, value in changes.items():
        profile[section] = {**profile.get(section, {}), **value} if isinstance(value, dict) else value
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**profile, "name": name}))
    return path


def containers(lab: TestLab) -> dict[str, str]:
    """The ids of all containers on all nodes, by `service@node`; those of nobody's by their names."""
    form = '{{.Label "io.sparkctl.service"}}\t{{.Names}}\t{{.ID}}'
    found = {}
    for machine in lab.nodes:
        for line in machine.root("docker", "ps", "-a", "--no-trunc", "--format", form).splitlines():
            service, name, container = line.split("\t")
            found[f"{service or name}@{machine.name}"] = container
    return found
