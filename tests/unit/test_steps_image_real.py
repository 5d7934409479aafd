"""The look into an image, with a folder of programs for the image: only what is sure is remembered."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from sparkctl.facts.image import ImageContents, brought_file, contents_probe, looks_file
from sparkctl.facts.probe import Answer, Facts
from sparkctl.steps.image_actions import look, remove_images
from sparkctl.topology import Cluster, Node, Role

DOCKER = """#!/bin/bash
# A stand-in for the engine: `run … bash ID -c TEXT` runs the text with nothing but the image's programs.
[ "$1" = run ] || exit 0
PATH=$IMAGE exec /bin/bash -c "${@: -1}"
"""


@dataclass(frozen=True)
class Image:
    """Programs and Python packages of an image, on a head that is `folder`."""

    folder: Path

    @property
    def cluster(self) -> Cluster:
        return Cluster("lab", Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia"), (), "10.0.0.1")

    def program(self, name: str, text: str) -> None:
        (self.folder / "image" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / "image" / name).chmod(0o755)

    def python(self, **packages: str) -> None:
        """An interpreter with these packages, by the metadata that pip leaves."""
        site = self.folder / "site"
        for name, version in packages.items():
            (site / f"{name}-{version}.dist-info").mkdir(parents=True)
            (site / f"{name}-{version}.dist-info/METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
        self.program("python3", f'PYTHONPATH={site} exec {sys.executable} -S "$@"')

    def look(self) -> subprocess.CompletedProcess[str]:
        own = {"PATH": f"{self.folder}/engine:{os.environ['PATH']}", "IMAGE": f"{self.folder}/image"}
        text = look(self.cluster, "vllm:x", "sha256:a1").text
        return subprocess.run(["bash", "-c", text], env=os.environ | own, capture_output=True, text=True, timeout=30)

    @property
    def known(self) -> dict[str, ImageContents]:
        file = Path(looks_file(self.cluster))
        told = Answer(file.read_text() if file.exists() else "")
        probe = contents_probe(self.cluster)
        return Facts({"spark-1": {probe.name: told}}).get("spark-1", probe)


@pytest.fixture
def image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Image:
    monkeypatch.setattr(Node, "home", f"{tmp_path}/a home")
    made = Image(tmp_path)
    (tmp_path / "image").mkdir()
    (tmp_path / "image/tail").symlink_to("/usr/bin/tail")
    (tmp_path / "engine").mkdir()
    (tmp_path / "engine/docker").write_text(DOCKER)
    (tmp_path / "engine/docker").chmod(0o755)
    Path(looks_file(made.cluster)).parent.mkdir(parents=True)
    return made


def test_packages_tell_without_being_loaded(image: Image) -> None:
    image.python(vllm="0.32.0+cpu", ray="2.60.0")
    image.program("vllm", "echo RuntimeError: no GPU >&2; exit 1")
    assert image.look().returncode == 0
    assert image.known == {"sha256:a1": ImageContents("2.60.0", "0.32.0+cpu")}


def test_a_program_of_another_interpreter_tells_too(image: Image) -> None:
    image.python(ray="2.60.0")
    image.program("vllm", "echo INFO loading; echo 0.31.0")
    assert image.look().returncode == 0
    assert image.known == {"sha256:a1": ImageContents("2.60.0", "0.31.0")}


def test_nothing_there_is_an_answer(image: Image) -> None:
    assert image.look().returncode == 0
    assert image.known == {"sha256:a1": ImageContents("", "")}


@pytest.mark.parametrize("program", ["vllm", "python3"])
def test_a_program_that_fails_is_no_answer(image: Image, program: str) -> None:
    """As for lack of memory: `holds no vLLM` would be remembered for ever."""
    image.program(program, "echo Cannot allocate memory >&2; exit 137")
    ended = image.look()
    assert ended.returncode != 0 and "Cannot allocate memory" in ended.stderr
    assert image.known == {}


@pytest.mark.parametrize(("ending", "kept"), [("exit 0", False), ("echo conflict: it is in use >&2; exit 1", True)])
def test_images_are_removed_as_root_and_a_refusal_is_told(image: Image, ending: str, kept: bool) -> None:
    """A `down` without --purge has taken our user out of the group docker, and the record must outlive a refusal."""
    cluster = image.cluster
    record = Path(brought_file(cluster, cluster.head))
    record.write_text("sha256:a1\n")
    (image.folder / "engine/docker").write_text(f"#!/bin/sh\n{ending}\n")
    removal = remove_images(cluster, cluster.head, ("sha256:a1",))
    assert removal.sudo
    env = os.environ | {"PATH": f"{image.folder}/engine:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", removal.text], env=env, capture_output=True, text=True, timeout=30)
    assert (ended.returncode != 0, record.exists()) == (kept, kept)
    assert not kept or "conflict" in ended.stderr


@pytest.mark.parametrize("others", [True, False])
def test_the_folder_goes_with_its_last_record_and_what_another_cluster_keeps_stays(image: Image, others: bool) -> None:
    record = Path(brought_file(image.cluster, image.cluster.head))
    record.touch()
    neighbour = record.parents[1] / "other"
    if others:
        neighbour.mkdir()
    (image.folder / "engine/docker").write_text("#!/bin/sh\n")
    removal = remove_images(image.cluster, image.cluster.head, ("sha256:a1",))
    env = os.environ | {"PATH": f"{image.folder}/engine:{os.environ['PATH']}"}
    ended = subprocess.run(["bash", "-c", removal.text], env=env, capture_output=True, timeout=30)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (record.parent.exists(), neighbour.exists(), record.parents[1].exists()) == (False, others, others)
