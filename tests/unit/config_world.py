"""A folder with the files that a user has, and the configuration that sparkctl reads there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sparkctl.config.discovery import Fabric
from sparkctl.config.load import NAMES, Config, load
from sparkctl.config.nodes import UserOn, nobody
from sparkctl.errors import ConfigError, Problem

LOCAL = "unified-config.local.env"
TWO_SPARKS = {
    "CONTROL_PLANE_API_IP": "192.168.1.5",
    "FABRIC_CTRL_IP": "192.168.100.10",
    "WORKER_NODE_IP": "192.168.100.11",
    "WORKER_NODE_SSH_TARGET": "192.168.1.6",
}
"""Values that make a whole configuration."""
FABRIC = Fabric("enp1s0f1np1", ("10.0.0.1", "10.0.0.2"))
TINY_PROFILE = "name: tiny\nimage: {ref: 'registry.lab:5000/tiny:1'}\nmodel: {id: lab/tiny}\n"
SGLANG_PROFILE = "name: tiny\nimage: {ref: e:1}\nmodel: {id: o/m}\nengine:\n  name: sglang\n"


@dataclass
class World:
    """A working folder; `environ` is the process environment that sparkctl sees, `user_on` its SSH configuration."""

    folder: Path
    environ: dict[str, str] = field(default_factory=lambda: {"USER": "nvidia", "HOME": "/nowhere"})
    user_on: UserOn = nobody

    def shared(self, text: str = "", **values: str) -> "World":
        """Write unified-config.env: the lines of `text`, then the values."""
        return self._env("unified-config.env", text, values)

    def local(self, text: str = "", **values: str) -> "World":
        """Write unified-config.local.env."""
        return self._env(LOCAL, text, values)

    def profile(self, name: str, text: str) -> "World":
        """Write a profile of the user's own."""
        (self.folder / "profiles").mkdir(exist_ok=True)
        (self.folder / f"profiles/{name}.yaml").write_text(text, encoding="utf-8")
        return self

    def lab(self, name: str = "sparklab", text: str = "", **values: str) -> "World":
        """Write the file of a running lab."""
        folder = self.folder / "labs" / name
        folder.mkdir(parents=True)
        (folder / "lab.env").write_text(text + lines(values), encoding="utf-8")
        self.environ["SPARKCTL_LAB_HOME"] = str(self.folder / "labs")
        return self

    def load(self, profile: str = "stacked", env_file: Path | None = None, **flags: str) -> Config:
        """What sparkctl reads here."""
        environ, cwd = self.environ, self.folder
        return load(profile, env_file=env_file, flags=flags, environ=environ, cwd=cwd, user_on=self.user_on)

    def problems(self, profile: str = "stacked", env_file: Path | None = None, **flags: str) -> tuple[Problem, ...]:
        """What is wrong here; fails where nothing is."""
        try:
            self.load(profile, env_file, **flags)
        except ConfigError as error:
            return error.problems
        raise AssertionError("this configuration has no problem")

    def _env(self, name: str, text: str, values: Mapping[str, str]) -> "World":
        (self.folder / name).write_text(text + lines(values), encoding="utf-8")
        return self


def two_sparks(tmp_path: Path) -> World:
    """A folder that names two Sparks; a test file makes its fixture of it."""
    return World(tmp_path).shared(**TWO_SPARKS)


def own_folder(tmp_path: Path, laptop: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """The working folder of this process, without files and without a configuration in the environment."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in NAMES & os.environ.keys():
        monkeypatch.delenv(name)
    return World(folder, {"USER": "nvidia", "HOME": str(laptop)})


def problems(world: World, text: str, **flags: str) -> tuple[Problem, ...]:
    """What is wrong with a profile `tiny` of that text."""
    return world.profile("tiny", text).problems("tiny", None, **flags)


def lines(values: Mapping[str, str]) -> str:
    """Values as the lines of an env file."""
    return "".join(f"{name}={value}\n" for name, value in values.items())
