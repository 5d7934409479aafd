"""The wheel, built from the source archive and installed where nothing else is: it needs no checkout."""

import ast
import json
import shutil
import subprocess
import sys
import venv
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from installed import ROOT, Installed, data_files

from sparkctl.lab import images

NODES = {"CONTROL_PLANE_API_IP": "127.0.0.1", "HEAD_SSH_PORT": "1", "WORKER_NODE_SSH_TARGET": "127.0.0.2:1"}
"""Two nodes, on whose addresses nothing listens."""
TAGS = "from sparkctl.lab import images; print(images.node().tag, images.depot().tag, images.noray().tag)"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source archive first, wheel from what that holds: neither may lack a file."""
    out = tmp_path_factory.mktemp("dist")
    build(ROOT, "sdist", out)
    shutil.unpack_archive(next(out.glob("*.tar.gz")), out)
    (source,) = (path for path in out.iterdir() if path.is_dir())
    build(source, "wheel", out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """A fresh environment with the wheel and what it asks for, from the package index."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "-qq", "--no-warn-script-location"]
    subprocess.run([*pip, "--retries", "10", "--timeout", "60", str(wheel)], check=True, timeout=600)
    return Installed(folder / "venv/bin/sparkctl", folder)


def build(source: Path, target: str, out: Path) -> None:
    argv = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(out)]
    subprocess.run(argv, cwd=source, check=True, capture_output=True, timeout=120)


def test_wheel_holds_every_data_file(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name, path in data_files().items():
            assert archive.read(f"sparkctl/{name}") == path.read_bytes(), name


def test_wheel_holds_the_program_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    roots = {name.split("/")[0] for name in names}
    assert {root.split("-")[0] for root in roots} == {"sparkctl"}
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if "__pycache__" in name or name.endswith((".local.env", ".pyc"))]


def test_version_help_and_profiles(installed: Installed) -> None:
    from sparkctl import __version__

    assert installed.succeed("--version") == f"sparkctl {__version__}\n"
    assert "Deploy the cluster" in installed.succeed("--help")
    listed = installed.succeed("profile", "list")
    assert all(name in listed for name in ("stacked", "single", "lab"))


def test_python_m(installed: Installed) -> None:
    python = Installed(installed.program.with_name("python"), installed.home)
    assert python.succeed("-m", "sparkctl", "--version").startswith("sparkctl ")


def test_configuration_comes_from_the_package(installed: Installed) -> None:
    asked = installed.run("config", "validate")
    assert asked.returncode == 3 and "sparkctl/_data/unified-config.env:" in asked.stderr
    told = replace(installed, env=NODES)
    shown = json.loads(told.succeed("config", "show", "--json"))
    assert "127.0.0.2" in json.dumps(shown)
    told.succeed("config", "validate")


def test_plan_without_nodes_is_a_clear_error(installed: Installed) -> None:
    done = replace(installed, env=NODES).run("plan")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "127.0.0.1" in done.stderr and "Traceback" not in done.stderr


def test_lab_is_there_to_be_built(installed: Installed) -> None:
    """The lab's images are made of the installed files: the same files give the same tags."""
    done = installed.run("lab", "status", "--name", "nowhere")
    assert done.returncode == 1 and "there is no lab nowhere" in done.stderr
    python = Installed(installed.program.with_name("python"), installed.home)
    assert python.succeed("-c", TAGS).split() == [c().tag for c in (images.node, images.depot, images.noray)]


def test_dependencies_are_those_that_were_promised(installed: Installed) -> None:
    names = "[re.match('[a-z0-9-]+', r)[0] for r in m.requires('sparkctl') if 'extra ==' not in r]"
    code = f"import importlib.metadata as m, re; print({names})"
    python = Installed(installed.program.with_name("python"), installed.home)
    promised = ["docker", "fabric", "jinja2", "openai", "paramiko", "pydantic-settings", "rich", "typer"]
    assert sorted(ast.literal_eval(python.succeed("-c", code))) == promised
