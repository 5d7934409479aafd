"""What the simulated Spark answers, against samples of the real one."""

import subprocess
import sys

import pytest

from sparkctl.lab.rootfs import IMAGES

BIN = IMAGES / "node/rootfs/usr/bin"


def nvidia_smi(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-IS", BIN / "nvidia-smi", *options], capture_output=True, text=True, check=False
    )


def test_query_gpu_as_a_gb10() -> None:
    fields = (
        "name,driver_version,utilization.gpu,power.draw,temperature.gpu,pstate,memory.total,memory.used,memory.free"
    )
    done = nvidia_smi(f"--query-gpu={fields}", "--format=csv,noheader")
    assert done.stdout == "NVIDIA GB10, 580.95.05, 0 %, 11.17 W, 41, P8, [N/A], [N/A], [N/A]\n"


def test_query_gpu_without_units_and_with_header() -> None:
    done = nvidia_smi("--query-gpu=utilization.gpu,memory.total,compute_cap", "--format=csv,nounits")
    assert done.stdout == "utilization.gpu, memory.total, compute_cap\n0, [N/A], 12.1\n"
    done = nvidia_smi("--query-gpu=utilization.gpu,memory.total", "--format=csv")
    assert done.stdout == "utilization.gpu [%], memory.total [MiB]\n0 %, [N/A]\n"


@pytest.mark.parametrize("query", ["--query-gpu=name,bogus", "--query-compute-apps=pid,bogus"])
def test_unknown_field(query: str) -> None:
    done = nvidia_smi(query, "--format=csv")
    assert done.returncode == 2 and '"bogus" is not a valid field' in done.stdout


def test_a_vllm_process_holds_the_gpu() -> None:
    script = "import sys, time; print(flush=True); time.sleep(60)"
    # argv[0] is what vLLM makes of its processes' titles.
    with subprocess.Popen(["VLLM::Worker_TP0", "-c", script], executable=sys.executable, stdout=-1) as process:
        assert process.stdout is not None
        process.stdout.readline()
        done = nvidia_smi("--query-compute-apps=pid,process_name,used_memory", "--format=csv,noheader,nounits")
        process.kill()
    # This machine may run other such processes.
    lines = [line.split(", ") for line in done.stdout.splitlines()]
    found = [(name, int(mebibytes)) for pid, name, mebibytes in lines if int(pid) == process.pid]
    assert [name for name, _ in found] == ["VLLM::Worker_TP0"] and found[0][1] > 0


def test_list_and_overview() -> None:
    assert nvidia_smi("-L").stdout.startswith("GPU 0: NVIDIA GB10 (UUID: GPU-")
    assert "Not Supported" in nvidia_smi().stdout and "CUDA Version: 13.0" in nvidia_smi().stdout
    assert nvidia_smi("--bogus").returncode == 2


def test_ibdev2netdev_names_both_halves_of_both_ports() -> None:
    done = subprocess.run(["sh", BIN / "ibdev2netdev"], capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "rocep1s0f0", "rocep1s0f1", "roceP2p1s0f0", "roceP2p1s0f1",
    ]  # fmt: skip
    assert all(" port 1 ==> " in line for line in done.stdout.splitlines())
