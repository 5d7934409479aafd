"""Parsers are total: whatever a node prints, they answer, and what they cannot read is None or empty."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from probe_texts import LINES

from sparkctl.facts.dockerd import DOCKERD
from sparkctl.facts.earlyoom import earlyoom_probe
from sparkctl.facts.fabric import fabric_probe, half_probe
from sparkctl.facts.files import files_probe
from sparkctl.facts.gpu import CUDA, GPU
from sparkctl.facts.gpu_load import GPU_LOAD, Card
from sparkctl.facts.guard import guard_probe
from sparkctl.facts.host import HOST, disk_probe
from sparkctl.facts.lines import decimal, number
from sparkctl.facts.model_files import copy_record_probe, model_files_probe
from sparkctl.facts.netplan import netplan_probe
from sparkctl.facts.nfs import Export, export_probe, mount_probe, parse_exports, token_probe
from sparkctl.facts.packages import packages_probe
from sparkctl.facts.ports import LISTENERS, Listener
from sparkctl.facts.probe import Answer, Probe
from sparkctl.facts.processes import container_ids
from sparkctl.facts.ssh_trust import access_probe, key_probe, login_probe, public_key
from sparkctl.facts.state import state_probe
from sparkctl.facts.swap import swap_probe
from sparkctl.topology import Cluster, Node, Role

HEAD = Node("spark-1", Role.HEAD, "10.0.0.1", "nvidia")
PROBES: list[Probe[Any]] = [
    HOST, GPU, DOCKERD, LISTENERS,
    disk_probe("/srv"), fabric_probe("eth0", ["10.0.0.2"], 9000), packages_probe(["rsync"], "/r"),
    state_probe(Cluster("lab", HEAD), HEAD), key_probe("/k"), access_probe("sparkctl:lab"),
    login_probe("spark-2", "/known", ("ssh", "x")), export_probe("/e"), mount_probe("/m", "lab"), token_probe("/t"),
    model_files_probe("/hub", "org/name"), copy_record_probe("/c"),
    CUDA, files_probe("f", ("/f",)), half_probe("10.0.1.1", ["10.0.1.2"], 9000), netplan_probe("/r"),
    GPU_LOAD, earlyoom_probe("/k"), guard_probe("u.service", ("/p", "/u"), "/t"), swap_probe("/r"),
]  # fmt: skip


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
@given(text=st.one_of(st.text(), st.lists(LINES, max_size=8).map("\n".join)), rc=st.integers(0, 255))
def test_no_answer_makes_a_parser_raise(probe: Probe[object], text: str, rc: int) -> None:
    probe.parse(Answer(text, rc))


def test_a_trip_of_more_bytes_than_there_are_numbers_is_none() -> None:
    trip = '{"at": "", "services": [], "did": "", "reason": "", "saw": {"available": 1e999}}'
    assert guard_probe("u.service", ("/u",), "/t").parse(Answer(f'trips={{"trips": [{trip}]}}')).trips == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [("12", 12), (" 7 ", 7), ("[N/A]", None), ("-1", None), ("", None), (None, None), ("٣", None), ("1" * 30, None)],
)
def test_number(text: str | None, found: int | None) -> None:
    assert number(text) == found


@pytest.mark.parametrize(
    ("text", "found"), [("1763698205.25", 1763698205.25), ("3", 3.0), ("1.2.3", None), ("1e9", None), ("nan", None)]
)
def test_decimal(text: str, found: float | None) -> None:
    assert decimal(text) == found


def test_gpu_of_a_gb10() -> None:
    text = (
        "driver=installed\ngpu=NVIDIA GB10, 580.95.05, GPU-4e2f1c9a-1b2c-3d4e-5f60-718293a4b5c6\n"
        "app=101, /usr/bin/tool, with a comma, [N/A]\napp=102, VLLM::Worker, 98304\n"
        f"cgroup=102 12:pids:/docker/{'a' * 64} 0::/docker/{'b' * 64}\n"
    )
    fact = GPU.parse(Answer(text))
    assert (fact.names, fact.driver) == (("NVIDIA GB10",), "580.95.05")
    assert [(p.pid, p.name, p.mebibytes, p.container[:1]) for p in fact.processes] == [
        (101, "/usr/bin/tool, with a comma", None, ""),
        (102, "VLLM::Worker", 98304, "b"),
    ]


def test_load_of_a_gb10_and_of_a_card_with_memory_of_its_own() -> None:
    text = (
        "MemTotal=127535084\nMemAvailable=1000\ndriver=installed\n"
        "gpu=NVIDIA GB10, 96, 71, 88.32, [N/A], [N/A], GPU-4e2f\n"
        "gpu=NVIDIA RTX A6000, [Not Supported], 41, [N/A], 49140, 312, GPU-5e2f\n"
        "gpu=Failed to initialize NVML: Unknown Error\n"
    )
    load = GPU_LOAD.parse(Answer(text))
    assert load.cards == (
        Card("NVIDIA GB10", 96.0, 71.0, 88.32, None, None),
        Card("NVIDIA RTX A6000", None, 41.0, None, 49140 << 20, 312 << 20),
    )
    assert (load.tools, load.memory_total, load.memory_available) == (True, 127535084 << 10, 1000 << 10)


def test_container_of_a_process_outside_of_all_is_left_out() -> None:
    assert container_ids(["7 0::/system.slice/ssh.service", "x 0::/docker/" + "a" * 64]) == {}


@pytest.mark.parametrize(
    ("line", "wished", "clash"),
    [
        ("0.0.0.0:8000", ("192.168.100.10", 8000), True),
        ("[::]:8000", ("192.168.100.10", 8000), True),
        ("192.168.100.10:8000", ("", 8000), True),
        ("192.168.100.10:8000", ("192.168.100.10", 8000), True),
        ("192.168.100.10:8000", ("10.0.0.1", 8000), False),
        ("127.0.0.53%lo:53", ("127.0.0.53", 53), True),
        ("0.0.0.0:8001", ("192.168.100.10", 8000), False),
    ],
)
def test_clash_of_ports(line: str, wished: tuple[str, int], clash: bool) -> None:
    found = LISTENERS.parse(Answer(f"listen=LISTEN 0 128 {line} 0.0.0.0:*\n"))
    assert found is not None
    assert [one.clashes(*wished) for one in found] == [clash]


def test_listener_names_process_and_container() -> None:
    container = "c" * 64
    users = 'users:(("nginx: a(b)",pid=12,fd=6),("nginx",pid=13,fd=6))'
    text = f"listen=LISTEN 0 9 *:80 *:* {users}\ncgroup=12 0::/d/{container}\n"
    assert LISTENERS.parse(Answer(text)) == (Listener("*", 80, "nginx: a(b)", 12, container),)


def test_exports_of_an_admin() -> None:
    text = (
        "# /etc/exports\n/srv/a 10.0.0.0/24(rw,sync) host(ro) # all of them\n"
        '"/srv/with blank" -sync,rw *(no_root_squash)\n/srv/c\\040d \\\n  10.0.0.9(rw)\n/srv/alone\n'
    )
    assert parse_exports(text) == (
        Export("/srv/a", "10.0.0.0/24", frozenset({"rw", "sync"})),
        Export("/srv/a", "host", frozenset({"ro"})),
        Export("/srv/with blank", "*", frozenset({"rw", "sync", "no_root_squash"})),
        Export("/srv/c d", "10.0.0.9", frozenset({"rw"})),
    )


def test_mount_point_with_a_blank() -> None:
    text = "at=/mnt/a b\nanswers=yes\nmount=9 8 0:1 / /mnt/a\\040b rw - nfs4 10.0.0.1:/srv/a\\040b rw\n"
    fact = mount_probe("/mnt/a b", "lab").parse(Answer(text))
    assert (fact.source, fact.is_nfs, fact.answers) == ("10.0.0.1:/srv/a b", True, True)


def test_incomplete_downloads_are_no_files_of_the_model() -> None:
    text = "present=yes\nfile=10 blobs/aa\nfile=3 blobs/bb.incomplete\nlink=snapshots/x/y z\t../../blobs/aa\n"
    fact = model_files_probe("/hub", "o/n").parse(Answer(text))
    assert (dict(fact.sizes), dict(fact.links), fact.bytes) == (
        {"blobs/aa": 10}, {"snapshots/x/y z": "../../blobs/aa"}, 10,
    )  # fmt: skip


def test_digest_tells_a_file_from_a_link_and_sizes_apart() -> None:
    texts = ("present=yes\nfile=1 a", "present=yes\nfile=2 a", "present=yes\nlink=a\t1", "present=yes\nfile=1 b")
    digests = {model_files_probe("/hub", "o/n").parse(Answer(text)).digest for text in texts}
    assert len(digests) == len(texts)


@pytest.mark.parametrize("line", ["", "ssh-ed25519", "no-pty ssh-ed25519 AAAA", "ssh-ed25519 AA AA\nx", "<html>"])
def test_what_is_no_public_key(line: str) -> None:
    assert public_key(line) == ""
