"""`sparkctl lab` as a user runs it, where there is no lab."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import cast

import docker
import pytest

from sparkctl.lab import home, lifecycle
from sparkctl.lab.spec import Lab, LabSpec


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Run":
    monkeypatch.setenv("SPARKCTL_LAB_HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    monkeypatch.delenv("SPARKCTL_LAB", raising=False)
    return Run()


class Run:
    def __call__(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "sparkctl", *words]
        return subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **env}, check=False)


def remember(tmp_path: Path, name: str = "demo") -> None:
    home.write(Lab(name, "container", 88, 2, tmp_path / name))


@pytest.mark.parametrize("words", [("status",), ("ssh", "spark-1")])
def test_no_lab(run: Run, words: tuple[str, ...]) -> None:
    done = run("lab", *words)
    assert done.returncode == 1
    assert "no lab sparklab" in done.stderr and "sparkctl lab up" in done.stderr and "Traceback" not in done.stderr


def test_wishes_that_cannot_be_are_told_at_once(run: Run) -> None:
    done = run("lab", "up", "--name", "X", "--nodes", "0", "--driver", "cloud", "--json")
    assert done.returncode == 3
    assert "Traceback" not in done.stdout + done.stderr
    assert json.loads(done.stdout)["error"]["what"] == "3 problems with what was asked of the lab"


def test_status_of_a_lab_whose_engine_is_gone(run: Run, tmp_path: Path) -> None:
    remember(tmp_path)
    done = run("lab", "status", "--name", "demo", "--json")
    facts = json.loads(done.stdout)
    assert done.returncode == 2
    assert (facts["ready"], facts["depot"]) == (False, "absent")
    assert [node["state"] for node in facts["nodes"]] == ["absent", "absent"]
    assert facts["env_file"] == str(tmp_path / "demo/lab.env")


def test_down_does_not_forget_what_it_cannot_remove(run: Run, tmp_path: Path) -> None:
    remember(tmp_path)
    done = run("lab", "down", "--name", "demo")
    assert done.returncode == 1 and "no Docker engine answers" in done.stderr
    assert (tmp_path / "demo/lab.json").exists()


def test_nothing_to_take_down_is_fine(run: Run) -> None:
    done = run("lab", "down", "--name", "demo")
    assert (done.returncode, done.stdout) == (0, "there is no lab demo\n")
    done = run("lab", "down", "--name", "demo", "--json")
    assert json.loads(done.stdout)["existed"] is False


@pytest.mark.parametrize("words", [("down",), ("status",), ("ssh", "spark-1")])
def test_a_path_is_no_name(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    remember(tmp_path)
    victim = tmp_path / "demo/hostkeys"
    for done in (
        run("lab", words[0], "--name", str(victim), *words[1:]),
        run("lab", words[0], "--name", "", *words[1:]),
        run("lab", *words, SPARKCTL_LAB="demo/hostkeys"),
    ):
        assert done.returncode == 3 and "2 to 31 of a-z" in done.stderr and "Traceback" not in done.stderr
    assert victim.is_dir()


def test_unknown_machine_names_those_there_are(run: Run, tmp_path: Path) -> None:
    remember(tmp_path)
    done = run("lab", "ssh", "--name", "demo", "spark-9", "true")
    assert done.returncode == 3
    assert "Invalid value for NODE: 'spark-9' is none of spark-1, spark-2" in done.stderr


def test_completion_knows_labs_and_machines(run: Run, tmp_path: Path) -> None:
    remember(tmp_path)
    assert run("lab", "ssh", "--name", "demo", "", _SPARKCTL_COMPLETE="bash").stdout.split() == ["spark-1", "spark-2"]
    wrong = run("lab", "ssh", "--name", "../demo", "", _SPARKCTL_COMPLETE="bash")
    assert (wrong.returncode, wrong.stdout, wrong.stderr) == (0, "", "")
    assert run("lab", "status", "--name", "", _SPARKCTL_COMPLETE="bash").stdout.split() == ["demo"]


def test_a_lab_that_is_asked_to_shrink_says_that_it_keeps_its_machines(run: Run, tmp_path: Path) -> None:
    remember(tmp_path)
    told: list[str] = []
    lab = lifecycle.plan(cast(docker.DockerClient, None), LabSpec("demo", 1), lambda event: told.append(str(event)))
    assert lab.size == 2
    assert told == ["the lab demo has 2 machines and keeps them: a lab only grows"]
    assert lifecycle.plan(cast(docker.DockerClient, None), LabSpec("demo", 3), lambda _: told.clear()).size == 3
    assert told
