"""A node's figures: from files as its kernel writes them, and from the real program on this machine."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families
from working import until

from sparkctl.agents.node import cards
from sparkctl.agents.node.cards import Cards
from sparkctl.agents.node.facts import Facts
from sparkctl.agents.node.figures import text
from sparkctl.agents.node.look import Place, look
from sparkctl.agents.ui.watch import LOOK_SECONDS

KEY = "key-of-the-node"
SPARK = "0, NVIDIA GB10, 37, [N/A], [N/A], 41, 11.17"
CARD = "1, NVIDIA H200, 100, 143771, 2048, 55, 612.50"
LIMIT = cards.SECONDS


def file(path: Path, content: str) -> None:
    """Write it, with its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.fixture
def spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A Spark with one cable: files as its kernel has them, and a stand-in for nvidia-smi, which is waited for."""
    monkeypatch.setattr(cards, "SECONDS", 60)
    proc, sys_ = tmp_path / "proc", tmp_path / "sys"
    file(proc / "meminfo", "MemTotal: 127535084 kB\nMemAvailable: 118000000 kB\nSwapTotal: 16 kB\nSwapFree: 4 kB\n")
    file(proc / "uptime", "60.5 100.0\n")
    file(proc / "loadavg", "0.25 0.1 0.0 1/2 3\n")
    file(
        proc / "pressure" / "memory",
        "some avg10=1.50 avg60=0.00 avg300=0.00 total=1\nfull avg10=0.25 avg60=0.00 avg300=0.00 total=1\n",
    )
    for name, state, rdma in (
        ("enP7s7", "up", ""),
        ("enp1s0f0np0", "down", "rocep1s0f0"),
        ("enp1s0f1np1", "up", "roce1"),
    ):
        folder = sys_ / "class" / "net" / name
        file(folder / "operstate", f"{state}\n")
        file(folder / "speed", "200000\n" if state == "up" else "-1\n")
        file(folder / "statistics" / "rx_bytes", "1000\n")
        file(folder / "statistics" / "tx_bytes", "2000\n")
        (folder / "device").mkdir()
        if rdma:
            (folder / "device" / "infiniband" / rdma).mkdir(parents=True)
            counters = sys_ / "class" / "infiniband" / rdma / "ports" / "1" / "counters"
            file(counters / "port_rcv_data", "25\n")
            file(counters / "port_xmit_data", "50\n")
    (sys_ / "class" / "net" / "veth0").mkdir()
    return Place("spark-1", (str(tmp_path), "/none"), (), proc, sys_, Cards(str(driver(tmp_path, SPARK))))


def driver(folder: Path, *rows: str, code: int = 0) -> Path:
    """A stand-in for nvidia-smi that prints these rows."""
    path = folder / "nvidia-smi"
    path.write_text("#!/bin/sh\ncat <<'ROWS'\n" + "\n".join(rows) + f"\nROWS\nexit {code}\n")
    path.chmod(0o755)
    return path


def test_a_spark(spark: Place) -> None:
    facts = look(spark)
    assert facts.memory.total_bytes == 127535084 * 1024
    assert (facts.memory.swap_total_bytes, facts.memory.swap_free_bytes) == (16384, 4096)
    assert facts.pressure and (facts.pressure.some_percent, facts.pressure.full_percent) == (1.5, 0.25)
    assert [disk.path for disk in facts.disks] == [spark.disks[0]]
    lan, down, cable = facts.interfaces
    assert (lan.name, lan.fabric, lan.rdma_device, lan.rdma_sent_bytes) == ("enP7s7", False, None, None)
    assert (down.up, down.speed_mbit, down.fabric) == (False, None, True)
    assert (cable.up, cable.speed_mbit, cable.rdma_device) == (True, 200_000, "roce1")
    assert (cable.rdma_received_bytes, cable.rdma_sent_bytes) == (100, 200)
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.utilization_percent, gpu.power_watts) == ("NVIDIA GB10", 37, 11.17)
    assert gpu.memory_total_bytes is None
    assert Facts.model_validate_json(facts.model_dump_json()) == facts


def test_a_card_with_memory_of_its_own(spark: Place, tmp_path: Path) -> None:
    driver(tmp_path, SPARK, CARD, "", "not,a,row")
    assert [gpu.memory_used_bytes for gpu in look(spark).gpus] == [None, 2048 * 2**20]


def test_named_interfaces_are_the_fabric_whatever_their_hardware(spark: Place) -> None:
    place = Place(**{**vars(spark), "fabric": ("enP7s7",)})
    assert [one.name for one in look(place).interfaces if one.fabric] == ["enP7s7"]


def test_a_driver_that_fails_and_a_kernel_without_pressure(spark: Place, tmp_path: Path) -> None:
    driver(tmp_path, "NVIDIA-SMI has failed", code=9)
    (spark.proc / "pressure" / "memory").unlink()
    facts = look(spark)
    assert (facts.gpus, facts.pressure) == ((), None)
    assert "\nsparkctl_node_memory_pressure_some_percent " not in text(facts).decode()


def test_a_driver_that_hangs_is_asked_once_and_makes_no_node_silent(
    spark: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LIMIT < LOOK_SECONDS
    asked = tmp_path / "asked"
    (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\necho $$ >>{asked}\nexec sleep 600\n")
    monkeypatch.setattr(cards, "SECONDS", 1)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda _process: None)  # as if it hung within the driver
    assert [look(spark).gpus for _ in range(2)] == [(), ()]
    until(lambda: asked.is_file() and asked.read_text().endswith("\n"))
    (process,) = map(int, asked.read_text().split())
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def test_figures_are_the_facts(spark: Place) -> None:
    facts = look(spark)
    families = text_string_to_metric_families(text(facts).decode())
    samples = {(s.name, *sorted(s.labels.items())): s.value for family in families for s in family.samples}
    assert samples[("sparkctl_node_memory_available_bytes",)] == facts.memory.available_bytes
    cable = (("fabric", "true"), ("interface", "enp1s0f1np1"))
    assert samples[("sparkctl_node_interface_up", *cable)] == 1
    assert samples[("sparkctl_node_interface_rdma_received_bytes_total", *cable)] == 100
    assert not [name for name in samples if name[0] == "sparkctl_node_gpu_memory_total_bytes"]


def free_port() -> int:
    """One that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving_node(folder: Path) -> Iterator[str]:
    """The real program on this machine; its address."""
    (folder / "key").write_text(KEY)
    port = free_port()
    argv = ("agents", "node", "--key-file", str(folder / "key"), "--name", "here", "--port", str(port))
    program = subprocess.Popen([sys.executable, "-m", "sparkctl", *argv])
    try:
        deadline = time.monotonic() + 60
        while not answers(port):
            assert program.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        program.terminate()
        program.wait(20)


def answers(port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def get(url: str, key: str) -> tuple[int, str]:
    """Status and body."""
    try:
        with urlopen(Request(url, headers={"Authorization": key}), timeout=30) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        return error.code, error.read().decode()


def test_the_program_answers_whoever_shows_the_key(tmp_path: Path) -> None:
    with serving_node(tmp_path) as address:
        status, body = get(f"{address}/facts", f"Bearer {KEY}")
        assert status == 200
        facts = Facts.model_validate_json(body)
        assert facts.node == "here"
        assert 0 < facts.memory.available_bytes < facts.memory.total_bytes
        assert "sparkctl_node_load " in get(f"{address}/metrics", f"Bearer {KEY}")[1]
        for key in ("", "Bearer", "Bearer ", f"bearer {KEY}", f"Bearer {KEY}x", KEY):
            for path in ("/facts", "/metrics", "/none", "/openapi.json"):
                status, body = get(f"{address}{path}", key)
                assert (status, json.loads(body)["error"]["code"]) == (401, "unauthorized")
        (tmp_path / "key").write_text("")
        assert get(f"{address}/facts", "Bearer ")[0] == 401
    with pytest.raises(URLError):
        urlopen(address, timeout=5)


def test_without_its_key_file_it_does_not_start(tmp_path: Path) -> None:
    argv = ("agents", "node", "--key-file", str(tmp_path / "none"), "--name", "here")
    ended = subprocess.run([sys.executable, "-m", "sparkctl", *argv], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3
    assert "--key-file" in ended.stderr
