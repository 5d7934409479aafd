"""Leaving the group docker, with stand-ins for the group file and gpasswd."""

import os
import subprocess
from pathlib import Path

import pytest

from sparkctl.core.actions import Script
from sparkctl.facts.probe import Answer, Facts
from sparkctl.facts.state import GROUP, state_path
from sparkctl.steps.host_docker import DockerStep
from sparkctl.topology import Cluster, Node, Role

PROGRAMS = {
    "getent": 'echo "docker:x:998:$(cat members)"',
    "sudo": 'shift; exec "$@"',
    "gpasswd": 'grep -qw "$2" members || exit 3; sed -i "s/\\b$2\\b//" members',
}


@pytest.mark.parametrize(("before", "after"), [("adm,nvidia", "adm,"), ("adm,nvidia2", "adm,nvidia2"), ("", "")])
def test_whom_an_admin_took_out_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, after: str
) -> None:
    monkeypatch.setattr(Node, "home", str(tmp_path))
    head = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia")
    cluster = Cluster("lab", head, (), "10.0.0.1")
    for name, text in PROGRAMS.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "members").write_text(f"{before}\n")
    record = Path(state_path(cluster, head, GROUP))
    record.parent.mkdir(parents=True)
    record.touch()
    (leave,) = DockerStep(cluster, head).undo(Facts({"spark-1": {"state": Answer(f"entry={GROUP}\n")}}))
    assert isinstance(leave, Script)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", leave.text], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "members").read_text() == f"{after}\n"
    assert not record.exists()
