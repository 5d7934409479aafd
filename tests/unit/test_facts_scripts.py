"""The probes' scripts on this very machine, in one frame as a session sends them."""

import os
import platform
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparkctl.facts.docker import CONTAINERS, IMAGE_IDS
from sparkctl.facts.dockerd import DOCKERD
from sparkctl.facts.fabric import fabric_probe
from sparkctl.facts.gpu import GPU
from sparkctl.facts.host import HOST, disk_probe
from sparkctl.facts.kept import keeper_probe
from sparkctl.facts.nfs import export_probe, mount_probe, token_probe
from sparkctl.facts.packages import packages_probe
from sparkctl.facts.ports import LISTENERS
from sparkctl.facts.probe import Facts, Probe, frame, unframe
from sparkctl.steps.cache import CacheStep
from sparkctl.steps.nfs_actions import edit_fstab
from sparkctl.topology import Cluster, Node, Role

CLUSTER = Cluster("lab", Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia"))
ENGINE: tuple[Probe[Any], ...] = (CONTAINERS, IMAGE_IDS)
ROOT = pytest.mark.skipif(os.getuid() != 0, reason="mounting needs root")


def ask(*probes: Probe[Any], prefix: tuple[str, ...] = ()) -> Facts:
    """Put probes as a session does."""
    script = frame(probes, "@mark").replace("timeout 2 ", "timeout 60 ").replace(" -m 5 ", " -m 60 ")
    told = subprocess.run([*prefix, "bash", "-s"], input=script, capture_output=True, text=True, timeout=300)
    return Facts({"here": unframe(told.stdout, "@mark")})


def test_every_probe_of_a_host_in_one_frame(tmp_path: Path) -> None:
    disk = disk_probe(f"{tmp_path}/not/yet", (str(tmp_path),))
    packages = packages_probe(["bash", "no-such-command"], f"{tmp_path}/record")
    (tmp_path / "record").write_text("# managed by sparkctl\nrsync\n")
    facts = ask(HOST, GPU, DOCKERD, LISTENERS, disk, packages, export_probe("/e"))
    host = facts.get("here", HOST)
    assert (host.architecture, host.home) == (platform.machine(), os.environ["HOME"])
    assert abs((host.clock or 0) - time.time()) < 60
    assert 0 < (host.memory_available or 0) < (host.memory_total or 0)
    room = facts.get("here", disk)
    assert 0.5 < (room.free or 0) / shutil.disk_usage(tmp_path).free < 2
    assert room.held
    found = facts.get("here", packages)
    assert ("bash" in found.commands, "no-such-command" in found.commands) == (True, False)
    assert found.recorded == ("rsync",)


DOCKER_OF_ROOT = """#!/bin/sh
[ -n "$AS_ROOT" ] || { echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1; }
case $1 in ps) echo 4f1c ;; inspect) echo '{"id":"4f1c","name":"/theirs"}' ;; images) echo sha256:a1 ;; esac
"""


def test_an_engine_that_is_closed_to_us_is_asked_as_root() -> None:
    """A user who is not in the group docker, or not any more, must not be told that no container is there."""
    nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups") if os.getuid() == 0 else ()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name, text in {"docker": DOCKER_OF_ROOT, "sudo": '#!/bin/sh\nshift; AS_ROOT=1 exec "$@"\n'}.items():
            Path(folder, name).write_text(text)
            Path(folder, name).chmod(0o755)
        Path(folder, "docker.sock").touch(mode=0o400)
        scripts = (probe.script.replace("/var/run/docker.sock", f"{folder}/docker.sock") for probe in ENGINE)
        asked = (replace(probe, script=script) for probe, script in zip(ENGINE, scripts, strict=True))
        facts = ask(*asked, prefix=(*nobody, "env", f"PATH={folder}:{os.environ['PATH']}"))
    assert list(facts.get("here", CONTAINERS) or ()) == ["theirs"]
    assert facts.get("here", IMAGE_IDS) == {"sha256:a1"}


def test_listener_of_our_own_is_found_with_its_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        listeners = ask(LISTENERS).get("here", LISTENERS)
    assert [(one.address, one.pid) for one in listeners or () if one.port == port] == [("127.0.0.1", os.getpid())]


def test_a_model_is_whole_while_nothing_of_it_was_cut_short(tmp_path: Path) -> None:
    blobs = tmp_path / "model" / "blobs"
    blobs.mkdir(parents=True)
    probe = disk_probe(str(tmp_path), (f"{tmp_path}/model",))
    assert not ask(probe).get("here", probe).whole
    (tmp_path / "model" / "snapshots" / "e0f1").mkdir(parents=True)
    assert not ask(probe).get("here", probe).whole
    (tmp_path / "model" / "snapshots" / "e0f1" / "config.json").touch()
    assert ask(probe).get("here", probe).whole
    (blobs / "e0f1.incomplete").touch()
    found = ask(probe).get("here", probe)
    assert (found.whole, found.device) == (False, tmp_path.stat().st_dev)


def test_loopback_as_a_fabric() -> None:
    probe = fabric_probe("lo", ["127.0.0.1", "203.0.113.7"], None)
    fact = ask(probe).get("here", probe)
    found = fact.interface("lo")
    assert found is not None
    assert (found.up, "127.0.0.1" in found.addresses) == (True, True)
    assert fact.carrier("127.0.0.1") == found
    assert not fact.can_ping or fact.reached == {"127.0.0.1"}


def test_a_folder_that_is_no_mount_point_tells_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "cache" / "hub").mkdir(parents=True)
    (tmp_path / "cache" / "hub" / "weights").write_bytes(b"x" * 5000)
    (tmp_path / "link").symlink_to(tmp_path / "cache")
    for path in (tmp_path / "cache", tmp_path / "link"):
        probe = mount_probe(str(path), "lab")
        fact = ask(probe).get("here", probe)
        assert (fact.at, fact.source, fact.held_files, fact.held_bytes) == (str(tmp_path / "cache"), "", 1, 5000)


@pytest.mark.parametrize(("record", "copied", "held"), [("made", True, 1), ("found", False, 3), ("", False, 3)])
def test_a_copy_of_ours_is_told_from_what_others_left(tmp_path: Path, record: str, copied: bool, held: int) -> None:
    model = tmp_path / "cache" / "hub" / "models--org--tiny" / "blobs"
    model.mkdir(parents=True)
    for path in (model / "aa", model / "bb", tmp_path / "cache" / "token"):
        path.write_text("x")
    if record:
        (tmp_path / "record").write_text(f"# managed by sparkctl\n{record}\n")
    probe = mount_probe(f"{tmp_path}/cache", "lab", "hub/models--org--tiny", f"{tmp_path}/record")
    fact = ask(probe).get("here", probe)
    assert (fact.copied, fact.held_files) == (copied, held)


@ROOT
def test_a_mount_is_seen_through_a_blank_and_a_link(tmp_path: Path) -> None:
    (tmp_path / "a folder" / "cache").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a folder")
    probe = mount_probe(f"{tmp_path}/link/cache", "lab")
    mount = f"mount -t tmpfs 'some thing' '{tmp_path}/a folder/cache' && exec \"$@\""
    fact = ask(probe, prefix=("unshare", "--mount", "bash", "-c", mount, "-")).get("here", probe)
    assert (fact.source, fact.kind, fact.answers) == ("some thing", "tmpfs", True)
    assert not fact.is_nfs


@ROOT
def test_a_folder_inside_the_cache_that_root_owns_is_named() -> None:
    with tempfile.TemporaryDirectory() as root:
        cache, model = Path(root) / "my cache", "models--org--tiny"
        (cache / "hub" / model / "blobs").mkdir(parents=True)
        step = CacheStep(CLUSTER, CLUSTER.head, str(cache), (model,))
        (probe,) = (want.probe for want in step.wants)
        for path in (Path(root), cache, cache / "hub", cache / "hub" / model):
            os.chown(path, 65534, 65534)
        as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")
        assert ask(probe, prefix=as_nobody).get("here", probe).closed == f"{cache}/hub/{model}/blobs"
        os.chown(cache / "hub" / model / "blobs", 65534, 65534)
        assert ask(probe, prefix=as_nobody).get("here", probe).closed == ""


@pytest.mark.skipif(os.getuid() != 0, reason="asks as root")
def test_the_watchdogs_record_is_no_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkctl.facts.kept.ROOT", str(tmp_path))
    folder, probe = tmp_path / "lab", keeper_probe(CLUSTER)
    folder.mkdir()
    (folder / "trips.json").touch()
    assert not ask(probe).get("here", probe).present
    (folder / "units").mkdir()
    assert ask(probe).get("here", probe).present


def test_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("5f0c\n")
    here, missing = token_probe(f"{tmp_path}/token"), token_probe(f"{tmp_path}/none")
    facts = ask(here, missing)
    assert (facts.get("here", here), facts.get("here", missing)) == ("5f0c", "")


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_fstab_keeps_every_other_line(tmp_path: Path, mode: int) -> None:
    before = (
        "# /etc/fstab: static file system information.\nUUID=1 / ext4 errors=remount-ro 0 1\n"
        "# managed by sparkctl: cluster lab2\nh:/x /x nfs4 hard,x-sparkctl=lab2 0 0\n\t\n"
        "nas:/y /y nfs ro,x-sparkctl=la 0 0\n#h:/z /z nfs4 x-sparkctl=lab 0 0\n"
    )
    file = tmp_path / "fstab"
    file.write_text(before)
    file.chmod(mode)
    for target in ("/cache", "/other"):
        ours = (
            f"printf '%s\\n' '# managed by sparkctl: cluster lab' 'h:{target} {target} nfs4 hard,x-sparkctl=lab 0 0'"
        )
        _edit(edit_fstab(CLUSTER, ours, str(file)))
        added = f"# managed by sparkctl: cluster lab\nh:{target} {target} nfs4 hard,x-sparkctl=lab 0 0\n"
        assert file.read_text() == before + added
    _edit(edit_fstab(CLUSTER, "true", str(file)))
    assert (file.read_text(), file.stat().st_mode & 0o777) == (before, mode)
    assert [path.name for path in tmp_path.iterdir()] == ["fstab"]


def _edit(text: str) -> None:
    """Without the reload of systemd, which is none of a test's business."""
    assert text.splitlines()[-1].endswith("systemctl daemon-reload")
    script = "\n".join(text.splitlines()[:-1])
    subprocess.run(["bash", "-c", script], check=True, timeout=20)
