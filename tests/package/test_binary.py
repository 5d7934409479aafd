"""The single-file binary, built anew and run as a user does who has no Python: on a lab that it makes itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from installed import ROOT, Installed, data_files

from sparkctl import __version__
from sparkctl.lab import lifecycle
from sparkctl.lab.progress import Event

LAB = "sparkbinary"
LARGEST = 60 << 20
SMALL_IMAGE = "registry.lab:5000/sparklab/noray:1"
NETWORK = ("PIP_", "SSL_", "REQUESTS_", "SPARKCTL_LAB_TORCH_")
"""Variables that a download needs, should the lab's images be missing yet."""


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built from the checkout, as `make binary` does, beside it."""
    out = tmp_path_factory.mktemp("binary")
    places = ["--distpath", str(out), "--workpath", str(out / "build")]
    argv = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", *places, "sparkctl.spec"]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=800, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return Installed(out / "sparkctl", out)


@pytest.fixture(scope="module")
def on_lab(binary: Installed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """The same with two simulated Sparks, which the binary boots and takes away."""
    labs = str(tmp_path_factory.mktemp("labs"))
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    network = {name: value for name, value in os.environ.items() if name.startswith(NETWORK)}
    env = {"SPARKCTL_LAB": LAB, "SPARKCTL_LAB_HOME": labs, "XDG_CACHE_HOME": cache, **network}
    there = replace(binary, env=env)
    try:
        there.succeed("lab", "up", timeout=800)
        yield there
        there.succeed("lab", "down")
    finally:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SPARKCTL_LAB_HOME", labs)
            lifecycle.down(LAB, quiet)


def quiet(_: Event) -> None:
    pass


def test_one_file_of_bearable_size(binary: Installed) -> None:
    assert binary.program.stat().st_size < LARGEST


def test_binary_holds_every_data_file(binary: Installed) -> None:
    from PyInstaller.archive.readers import CArchiveReader  # type: ignore[import-untyped]

    archive = CArchiveReader(str(binary.program))
    for name, path in data_files().items():
        assert archive.extract(f"sparkctl/{name}") == path.read_bytes(), name


def test_version_and_help(binary: Installed) -> None:
    assert binary.succeed("--version") == f"sparkctl {__version__}\n"
    listed = binary.succeed("--help")
    assert "Deploy the cluster" in listed
    for verb in ("config", "up", "lab"):
        assert "Usage: sparkctl" in binary.succeed(verb, "--help"), verb


def test_configuration_offline(binary: Installed) -> None:
    told = replace(binary, env={"CONTROL_PLANE_API_IP": "10.9.9.1", "WORKER_NODE_SSH_TARGET": "10.9.9.2"})
    told.succeed("config", "validate")
    assert binary.run("config", "validate").returncode == 3
    assert "properties" in binary.succeed("config", "schema")
    assert "stacked" in binary.succeed("profile", "list")


def test_programs_that_it_starts_get_the_systems_libraries(binary: Installed) -> None:
    """Its own, which its loader points LD_LIBRARY_PATH to, would break ssh, sudo and python3."""
    folder = binary.home / "bin"
    folder.mkdir()
    spy = folder / "ssh"
    spy.write_text('#!/bin/sh\necho "library path: ${LD_LIBRARY_PATH-none}"\n')
    spy.chmod(0o755)
    nodes = {"CONTROL_PLANE_API_IP": "10.9.9.1", "WORKER_NODE_SSH_TARGET": "10.9.9.2"}
    with_spy = replace(binary, env={**nodes, "PATH": f"{folder}:{os.defpath}"})
    assert with_spy.succeed("ssh", "head", "true") == "library path: none\n"
    with_own = replace(with_spy, env={**with_spy.env, "LD_LIBRARY_PATH": "/opt/mine"})
    assert with_own.succeed("ssh", "head", "true") == "library path: /opt/mine\n"


@pytest.mark.lab
@pytest.mark.timeout(2400)
def test_from_plan_to_down(on_lab: Installed) -> None:
    """Up to the model on both nodes, through SSH and Docker; with the small image, which serves nothing."""
    deploy = ("--profile", "lab", "--until", "model", "--set", f"VLLM_IMAGE={SMALL_IMAGE}")
    planned = json.loads(on_lab.succeed("plan", *deploy, "--json"))
    assert planned["summary"]["create"] and not planned["summary"]["blocked"]
    assert "done" in on_lab.succeed("up", *deploy, timeout=600)
    assert "no changes" in on_lab.succeed("up", *deploy)
    on_lab.succeed("down", "--profile", "lab", "--set", f"VLLM_IMAGE={SMALL_IMAGE}", "--purge", "--yes", timeout=300)
    again = json.loads(on_lab.succeed("plan", *deploy, "--json"))
    assert again["summary"] == planned["summary"]
