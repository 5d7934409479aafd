"""The model store `nfs` for real: kernels that export and mount, from the packages to the model read on the worker.

One deployment in file order: each test stands on those above it, and names what it stands on.
"""

import hashlib
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from admin import Admin, write_profile
from snapshot import lasting
from virtual import VirtualMachine, nodes, publish_small_image

from sparkctl.lab import model
from sparkctl.lab.spec import Lab

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]

CACHE = "/home/nvidia/.cache/huggingface"
MODEL = f"{CACHE}/hub/models--sparklab--tiny-llama"
GROUND = ("--until", "model")
MOUNT, READ_BACK, EXPORT = "nfs-mount@spark-2", "nfs-readback@spark-2", "nfs-export@spark-1"
COPY = "copy@spark-2"

TRACES = """\
find /etc /home /root /srv -xdev -printf '%p %y %m %u:%g %l\\n'
find /etc /home -xdev -type f ! -path '/etc/passwd*' ! -path '/etc/shadow*' -exec sha256sum {} +
dpkg-query -W -f '${Package} ${Version} ${Status}\\n'
{ getent passwd; getent group; } | grep -vE '^(_rpc|statd):'
awk '$2 !~ "^/var/lib/docker|^/run/docker|^/run/rpc_pipefs" { print $1, $2, $3 }' /proc/mounts
systemctl --root=/ list-unit-files --no-legend --no-pager
ss -lntuH | awk '$5 !~ "^127[.]0[.]0[.]1:" { print $1, $5 }'
cd /var/lib/docker && ls image/overlay2/imagedb/content/sha256 containers volumes
"""
"""What there is on a machine that a deployment could leave something in, line by line. Not asked for is what Debian's
own packages keep when they are purged: the accounts _rpc and statd, /var/lib/nfs, a mounted rpc_pipefs; and ports of
the loopback, of which containerd takes another one at every boot."""


@pytest.fixture(scope="module")
def admin(
    vm_lab: Lab, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Admin[Lab]]:
    """Somebody who deploys the shipped profile; what a failure leaves is taken away."""
    image = {"VLLM_IMAGE": publish_small_image(vm_lab)}
    somebody = Admin(vm_lab, tmp_path_factory.mktemp("admin"), profile="lab-vm", env=image)
    failed = request.session.testsfailed
    yield somebody
    if request.session.testsfailed > failed:
        somebody("down", "--purge", "--yes", code=None)


@pytest.fixture(scope="module")
def head(vm_lab: Lab) -> VirtualMachine:
    return nodes(vm_lab)[0]


@pytest.fixture(scope="module")
def worker(vm_lab: Lab) -> VirtualMachine:
    return nodes(vm_lab)[1]


@pytest.fixture(scope="module")
def before(vm_lab: Lab) -> list[set[str]]:
    """Both machines before anything was deployed."""
    return look(vm_lab)


def test_a_mount_that_would_hide_files_is_refused(
    admin: Admin[Lab], before: list[set[str]], vm_lab: Lab, worker: VirtualMachine
) -> None:
    worker.ssh(f"mkdir -p {CACHE}/hub; head -c 3M /dev/urandom >{CACHE}/hub/weights; echo hf_mine >{CACHE}/token")
    try:
        item = find(admin.json("plan", *GROUND, code=1), MOUNT)
        assert item["finding"] == "blocked"
        assert item["problem"] == f"{CACHE} on spark-2 holds 2 files (3.0 MiB) that the mount would hide"
        refused = admin("up", *GROUND, "--yes", code=1)
        assert "nothing was changed" in refused.text
        assert "holds 2 files (3.0 MiB)" in refused.text
        assert f"mv {CACHE} {CACHE}.local" in refused.text
        assert lasting(lambda: [line for line in traces(before, vm_lab) if "/home/nvidia/.cache" not in line]) == []
    finally:
        worker.ssh("rm -r ~/.cache")


def test_up_deploys_down_to_the_model(admin: Admin[Lab], head: VirtualMachine, worker: VirtualMachine) -> None:
    document = admin("up", *GROUND, "--yes", "--json", "--quiet", timeout=1500).document
    assert document["result"] == "done"
    assert {"packages@spark-1", "packages@spark-2", EXPORT, MOUNT, READ_BACK, "model@spark-1"} <= changed(document)
    assert "nfs-kernel-server" in installed(head)
    assert "nfs-common" in installed(worker)
    assert "nfs-kernel-server" not in installed(worker)


def test_the_head_exports_to_the_worker_on_the_fabric_alone(head: VirtualMachine, worker: VirtualMachine) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    (line,) = head.root("exportfs -s").splitlines()
    path, client, options = re.fullmatch(r"(\S+)\s+([\d.]+)\((.*)\)", line).groups()
    assert (path, client) == (CACHE, worker.fabric_ip)
    assert {"ro", "sync", "no_root_squash"} <= set(options.split(","))
    assert not head.root("cat /etc/exports | grep -v ^# || true")


def test_the_worker_mounts_over_the_fabric_now_and_at_every_boot(head: VirtualMachine, worker: VirtualMachine) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    (mount,) = worker.ssh("grep ' nfs4 ' /proc/mounts").splitlines()
    assert mount.startswith(f"{head.fabric_ip}:{CACHE} {CACHE} nfs4 ")
    assert {"vers=4.2", "hard", f"addr={head.fabric_ip}", f"clientaddr={worker.fabric_ip}"} <= options_of(mount)
    (line,) = worker.ssh("grep nfs4 /etc/fstab").splitlines()
    assert line.startswith(f"{head.fabric_ip}:{CACHE} {CACHE} nfs4 ")
    assert {"nofail", "x-systemd.automount", f"x-sparkctl={worker.lab.name}"} <= options_of(line)
    head.ssh(f"umask 077; echo for its owner >{CACHE}/mark")
    assert worker.root(f"cat {CACHE}/mark") == "for its owner\n"
    assert "Read-only file system" in worker.root(f"rm -f {CACHE}/mark 2>&1 || true")
    again = f"mount -t nfs4 -o rw,vers=4.2 {head.fabric_ip}:{CACHE} /mnt && rm -f /mnt/mark"
    refused = worker.root(f"unshare -m sh -c '{again}' 2>&1 || true")
    assert "Read-only file system" in refused, "the export itself is open to writing"
    head.ssh(f"rm {CACHE}/mark")


def test_the_model_is_on_the_head_and_read_on_the_worker(head: VirtualMachine, worker: VirtualMachine) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    wished = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in model.folder().iterdir()}
    assert checksums(head) == wished
    assert checksums(worker) == wished
    below = worker.root(f"unshare -m sh -c 'mount --bind / /mnt && find /mnt{CACHE} -type f'")
    assert below == "", "the worker has files of its own below the mount"


def test_a_second_up_changes_nothing(admin: Admin[Lab]) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    document = admin.json("up", *GROUND, "--yes")
    assert document["result"] == "no changes"
    assert "run" not in document


def test_unmounted_by_hand_is_drift_and_mended(admin: Admin[Lab], worker: VirtualMachine) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    worker.root(f"umount {CACHE}")
    status = admin.json("status", code=2)
    assert f"nfs-mount: {CACHE} is not mounted" in differences(status, "spark-2")
    document = admin.json("up", *GROUND, "--yes")
    assert changed(document) == {MOUNT}
    assert checksums(worker)


def test_a_stale_mount_is_named_and_hangs_nobody(
    admin: Admin[Lab], head: VirtualMachine, worker: VirtualMachine
) -> None:
    """Stands on test_up_deploys_down_to_the_model. A hard mount waits for its server for ever."""
    with server_stopped(head):
        began = time.monotonic()
        status = admin("status", "--json", "--quiet", code=2, timeout=400).document
        print(f"status on a stale mount: {time.monotonic() - began:.1f} s")
        stale = f"nfs-mount: the mount of {head.fabric_ip}:{CACHE} is stale: it does not answer"
        assert stale in differences(status, "spark-2")
        assert "nfs-export: the NFS server is not running" in differences(status, "spark-1")
        assert worker.ssh(f"pgrep -af 'stat .*{CACHE}|cat {CACHE}|du .*{CACHE}' | grep -v pgrep || true") == ""
        document = admin.json("up", *GROUND, "--yes")
        assert EXPORT in changed(document)
        assert head.root("systemctl is-active nfs-server") == "active\n"
        assert checksums(worker)


def test_a_reboot_of_the_worker_brings_the_mount_back(admin: Admin[Lab], worker: VirtualMachine) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    worker.reboot()
    assert checksums(worker)
    assert " nfs4 " in worker.ssh(f"grep ' {CACHE} ' /proc/mounts")
    admin("plan", *GROUND, "--exit-code")


def test_the_store_may_change_and_change_back(
    admin: Admin[Lab], head: VirtualMachine, worker: VirtualMachine, tmp_path: Path
) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    wished = checksums(head)
    copying = admin.serving(write_profile(tmp_path, "copying", base="lab-vm", store={"kind": "copy"}))
    plan = copying.json("plan", *GROUND)
    assert (find(plan, MOUNT)["finding"], find(plan, COPY)["finding"]) == ("drifted", "pending")
    assert {MOUNT, EXPORT, READ_BACK, COPY} <= changed(copying.json("up", *GROUND, "--yes"))
    assert worker.ssh("grep -e nfs4 /proc/mounts /etc/fstab || true") == ""
    assert head.root("exportfs -s; ls -d /etc/exports.d /home/nvidia/.cache/huggingface/.sparkctl || true") == ""
    assert checksums(worker) == checksums(head) == wished
    assert copying.json("up", *GROUND, "--yes")["result"] == "no changes"
    removal = [action["summary"] for action in find(admin.json("plan", *GROUND), MOUNT)["actions"]]
    assert removal[0] == "remove the copy of sparklab/tiny-llama"
    assert {MOUNT, EXPORT, READ_BACK} <= changed(admin.json("up", *GROUND, "--yes"))
    assert checksums(worker) == checksums(head) == wished
    below = worker.root(f"unshare -m sh -c 'mount --bind / /mnt && find /mnt{CACHE} -type f'")
    assert below == "", "the copy is hidden by the mount"


def test_purge_takes_everything_away(admin: Admin[Lab], before: list[set[str]], vm_lab: Lab) -> None:
    """Stands on test_up_deploys_down_to_the_model."""
    assert "nothing is kept" in admin("down", "--purge", "--yes", timeout=900).out
    assert lasting(lambda: traces(before, vm_lab)) == []


def look(lab: Lab) -> list[set[str]]:
    """What there is on both machines."""
    with ThreadPoolExecutor() as pool:
        return [set(text.splitlines()) for text in pool.map(lambda node: node.root(TRACES), nodes(lab))]


def traces(before: list[set[str]], lab: Lab) -> list[str]:
    """Every line that came or went since."""
    pairs = zip(before, look(lab), strict=True)
    return [f"{'new' if line in now else 'gone'}: {line}" for then, now in pairs for line in sorted(then ^ now)]


def find(document: dict[str, Any], key: str) -> dict[str, Any]:
    """One item of a plan."""
    (item,) = [item for item in document["items"] if item["id"] == key]
    return dict(item)


def changed(document: dict[str, Any]) -> set[str]:
    """The steps of a run that changed something."""
    assert document["run"]["outcome"] == "done"
    return {step["id"] for step in document["run"]["steps"] if step["outcome"] == "changed"}


def differences(status: dict[str, Any], name: str) -> list[str]:
    """What status says of one node."""
    (node,) = [node for node in status["nodes"] if node["name"] == name]
    return list(node["differences"])


def installed(machine: VirtualMachine) -> set[str]:
    """The names of a machine's packages."""
    return set(machine.ssh("dpkg-query -W -f '${Package} ${db:Status-Status}\\n' | sed -n 's/ installed$//p'").split())


def options_of(line: str) -> set[str]:
    """The options in a line of fstab or /proc/mounts."""
    return set(line.split()[3].split(","))


def checksums(machine: VirtualMachine) -> dict[str, str]:
    """SHA-256 of the model's files by name, read through the links of its snapshot."""
    lines = machine.ssh(f"cd {MODEL}/snapshots/* && sha256sum *").splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


@contextmanager
def server_stopped(head: VirtualMachine) -> Iterator[None]:
    """The head's NFS server is off; at the end it runs, whoever started it."""
    head.root("systemctl stop nfs-server")
    try:
        yield
    finally:
        head.root("systemctl start nfs-server")
