"""SSH trust against real shells: authorized_keys and known_hosts keep every byte that is not ours."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from homes import context, pair, snapshot
from sshd import Sshd, make_key

from sparkctl.core.step import Absent, Ok
from sparkctl.facts.probe import Facts, frame, unframe
from sparkctl.steps.ssh_trust import KeyStep, ssh_command
from sparkctl.steps.ssh_trust_actions import Grant, Pin, Revoke, Way, known_hosts_path
from sparkctl.topology import Cluster
from sparkctl.transport.ssh import SshSession

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBuff6TdVMnCeoVNj"
OTHER = b"ssh-rsa AAAAB3Nza somebody@else\n"
NEAR = b"ssh-rsa AAAAB3Nza near sparkctl:lab2\nssh-rsa AAAAB3Nza xsparkctl:lab\n# sparkctl:lab is ours\n"


@pytest.fixture
def cluster(own_sshd: Sshd) -> Cluster:
    """Head and worker at one server, which is enough to change files."""
    found = pair(own_sshd, own_sshd)
    Path(found.state_dir(found.head)).mkdir(parents=True)
    return found


@pytest.fixture
def shell(own_sshd: Sshd) -> Iterator[SshSession]:
    session = own_sshd.open()
    yield session
    session.close()


@pytest.mark.parametrize(
    "before",
    [b"", OTHER, OTHER + NEAR, OTHER.rstrip(b"\n"), OTHER.replace(b"\n", b"\r\n"), b"\xff\xfe \n\n\n" + OTHER],
    ids=["empty", "one", "near", "no-newline", "crlf", "binary"],
)
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_other_lines_stay_byte_for_byte(
    own_sshd: Sshd, cluster: Cluster, shell: SshSession, before: bytes, mode: int
) -> None:
    (own_sshd.home / ".ssh").mkdir(mode=0o700)
    file = own_sshd.home / ".ssh" / "authorized_keys"
    file.write_bytes(before)
    file.chmod(mode)
    untouched = snapshot(own_sshd.home)
    grant = Grant(_way(cluster), KEY)
    grant.perform(context(shell))
    assert file.read_bytes() == grant.line.encode() + b"\n" + before
    replace(grant, public_key=f"{KEY}X").perform(context(shell))
    assert file.read_bytes().count(b"sparkctl:lab\n") == 1 + before.count(b"xsparkctl:lab\n")
    Revoke(_way(cluster)).perform(context(shell))
    assert snapshot(own_sshd.home) == untouched


def test_file_and_folder_that_we_made_go_again(own_sshd: Sshd, cluster: Cluster, shell: SshSession) -> None:
    untouched = snapshot(own_sshd.home)
    Grant(_way(cluster), KEY).perform(context(shell))
    found = snapshot(own_sshd.home)
    assert (found[".ssh"][0].split()[0], found[".ssh/authorized_keys"][0].split()[0]) == ("40700", "100600")
    Revoke(_way(cluster)).perform(context(shell))
    assert snapshot(own_sshd.home) == untouched


def test_lines_of_several_nodes_go_one_by_one(own_sshd: Sshd, cluster: Cluster, shell: SshSession) -> None:
    untouched = snapshot(own_sshd.home)
    head, worker = cluster.nodes
    ways = [Way(cluster, source, worker) for source in (head, replace(head, name="spark-3"))]
    for way in ways:
        Grant(way, KEY).perform(context(shell))
    file = own_sshd.home / ".ssh" / "authorized_keys"
    assert [line.split(" ", 3)[-1] for line in file.read_text().splitlines()] == [
        "sparkctl:lab:spark-3",
        "sparkctl:lab",
    ]
    Revoke(ways[0]).perform(context(shell))
    assert file.read_text().endswith(" sparkctl:lab:spark-3\n")
    Revoke(ways[1]).perform(context(shell))
    assert snapshot(own_sshd.home) == untouched


def test_a_link_to_the_file_stays_a_link(own_sshd: Sshd, cluster: Cluster, shell: SshSession) -> None:
    (own_sshd.home / ".ssh").mkdir(mode=0o700)
    (own_sshd.home / "keys").write_bytes(OTHER)
    (own_sshd.home / ".ssh" / "authorized_keys").symlink_to("../keys")
    untouched = snapshot(own_sshd.home)
    Grant(_way(cluster), KEY).perform(context(shell))
    assert (own_sshd.home / "keys").read_bytes().endswith(OTHER)
    Revoke(_way(cluster)).perform(context(shell))
    assert snapshot(own_sshd.home) == untouched


def test_host_keys_of_many_workers_at_once(own_sshd: Sshd, cluster: Cluster, shell: SshSession) -> None:
    workers = [replace(cluster.workers[0], name=f"spark-{n}", fabric_ip=f"10.0.0.{n}", port=22) for n in range(2, 8)]
    pins = [Pin(Way(cluster, cluster.head, worker), (KEY, KEY.replace("ed25519", "rsa"))) for worker in workers]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda pin: pin.perform(context(shell, spark_1=shell)), pins))
    file = Path(known_hosts_path(cluster, cluster.head))
    assert sorted(file.read_text().splitlines()) == sorted(line for pin in pins for line in pin.lines)
    for pin in pins:
        assert file.exists()
        replace(pin, host_keys=()).perform(context(shell, spark_1=shell))
    assert not file.exists()


def test_key_is_made_once_and_opens_the_worker(
    tmp_path: Path, own_sshd: Sshd, cluster: Cluster, shell: SshSession
) -> None:
    step = KeyStep(cluster, cluster.head)
    found = step.check(_look(step, shell))
    assert isinstance(found, Absent)
    for action in found.actions:
        action.perform(context(shell))
    assert isinstance(step.check(_look(step, shell)), Ok)
    key = _look(step, shell).get("spark-1", step.wants[0].probe).public
    (own_sshd.folder / "authorized").write_text(Grant(_way(cluster), key).line + "\n")
    host_key = " ".join((own_sshd.folder / "host_ed25519.pub").read_text().split()[:2])
    login = [*ssh_command(_way(cluster)), "echo", "in"]
    assert subprocess.run(login, capture_output=True).returncode == 255, "the host key is not pinned yet"
    Pin(_way(cluster), (host_key,)).perform(context(shell, spark_1=shell))
    assert subprocess.run(login, capture_output=True).stdout == b"in\n"
    forward = [*login[:-2], "-o", "ExitOnForwardFailure=yes"]
    refused = subprocess.run(
        [*forward[:1], "-N", "-R", "0:127.0.0.1:1", *forward[1:]], capture_output=True, timeout=60
    )
    assert refused.returncode == 255, "the key may not forward ports"
    other = make_key(tmp_path / "other").with_suffix(".pub").read_text().split()
    Pin(_way(cluster), (" ".join(other[:2]),)).perform(context(shell, spark_1=shell))
    assert b"HOST IDENTIFICATION HAS CHANGED" in subprocess.run(login, capture_output=True).stderr


def _way(cluster: Cluster) -> Way:
    return Way(cluster, cluster.head, cluster.workers[0])


def _look(step: KeyStep, shell: SshSession) -> Facts:
    probes = [want.probe for want in step.wants]
    return Facts({step.node: unframe(shell.probe(frame(probes, "@mark")), "@mark")})
