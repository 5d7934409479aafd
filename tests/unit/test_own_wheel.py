"""The wheel that sparkctl makes of itself: one that pip reads, the same each time, with all that it needs."""

import base64
import hashlib
import io
import shutil
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

from sparkctl import __version__, wheel


def test_it_has_every_file_and_says_what_it_needs() -> None:
    made = wheel.own_wheel()
    with zipfile.ZipFile(io.BytesIO(made.content)) as archive:
        names = set(archive.namelist())
        info = f"sparkctl-{__version__}.dist-info"
        metadata = message_from_string(archive.read(f"{info}/METADATA").decode())
        record = archive.read(f"{info}/RECORD").decode().splitlines()
        listed = {line.split(",")[0]: line.split(",")[1] for line in record}
        content = archive.read("sparkctl/agent_spec.py")
    assert made.name == f"sparkctl-{__version__}-py3-none-any.whl"
    assert {"sparkctl/__main__.py", "sparkctl/agents/ui/templates/base.html", "sparkctl/agents/serve.py"} <= names
    assert not [name for name in names if "__pycache__" in name]
    assert listed.keys() == names
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    assert listed["sparkctl/agent_spec.py"] == f"sha256={digest}"
    assert metadata["Version"] == __version__
    wanted = metadata.get_all("Requires-Dist", [])
    assert any(line.startswith("uvicorn") and "extra == 'agents'" in line for line in wanted)
    assert any(line.startswith("typer") and "extra" not in line for line in wanted)


def test_it_is_the_same_each_time() -> None:
    assert wheel.own_wheel() == wheel.own_wheel()


def test_profiles_and_settings_stay_here_and_the_programs_run_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have written a password into the settings; in the image code of models could read it."""
    package = tmp_path / "sparkctl"
    shutil.copytree(Path(wheel.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(wheel, "_DATA", package / "_data")
    monkeypatch.setattr(wheel, "_metadata", lambda: "Name: sparkctl\n")
    before = wheel.own_wheel()
    (package / "_data").mkdir()
    (package / "_data" / "unified-config.env").write_text("HF_TOKEN=hf_private\n")
    assert wheel.own_wheel() == before
    with zipfile.ZipFile(io.BytesIO(before.content)) as archive:
        archive.extractall(tmp_path / "site")
    argv = (sys.executable, "-m", "sparkctl", "agents", "serve", "--help")
    ended = subprocess.run(argv, cwd=tmp_path / "site", capture_output=True, text=True)
    assert (ended.returncode, "serve" in ended.stdout) == (0, True), ended.stderr
