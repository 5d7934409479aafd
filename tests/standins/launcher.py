#!/usr/bin/python3
"""Stand-ins for what starts the ranks of TensorRT-LLM: Open MPI's launcher, and what it runs as each rank.

By the name that it is called by: mpirun, which refuses every flag that its documentation does not know (`flags.json`),
or trtllm-llmapi-launch. STANDIN_FAULT says how to fail.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

FLAGS = json.loads(Path(__file__).resolve().with_name("flags.json").read_text())["mpirun"]
FAULT = os.environ.get("STANDIN_FAULT", "")


def trtllm_launch(argv):
    """Rank 0 runs the command, the others wait for the end of the job."""
    rank, size = os.environ.get("OMPI_COMM_WORLD_RANK", "0"), os.environ.get("OMPI_COMM_WORLD_SIZE", "1")
    print(f"mpi_rank: {rank} NCCL_SOCKET_IFNAME: {os.environ.get('NCCL_SOCKET_IFNAME')}", file=sys.stderr, flush=True)
    if rank != "0":
        time.sleep(2 if FAULT == "rank" else 1 << 30)
        sys.exit(1)
    os.environ["tllm_mpi_size"] = size  # noqa: SIM112
    os.execvp(argv[0], argv)


def mpirun(argv):
    """One rank on each host of the file: the first here, the others by ssh; one that ends takes the job with it."""
    flags, command = mpi_flags(argv)
    hosts = Path(flags["--hostfile"]).read_text().split()
    if len(hosts) < int(flags["-np"]):
        sys.exit("There are not enough slots available in the system to satisfy the request")
    jobs = [subprocess.Popen(command, env={**os.environ, **rank_env(0, hosts)})]
    for rank, host in enumerate(hosts[1:], 1):
        words = shlex.join(["env", *(f"{k}={v}" for k, v in rank_env(rank, hosts).items()), *command])
        jobs.append(subprocess.Popen(["ssh", "-tt", host, words], stdin=subprocess.DEVNULL))
    while all(job.poll() is None for job in jobs):
        time.sleep(0.1)
    if any(job.poll() is not None for job in jobs[1:]):
        print("ORTE has lost communication with a remote daemon.", file=sys.stderr, flush=True)
    status = next((job.poll() for job in jobs if job.poll()), 1)
    for job in jobs:
        job.terminate()
    sys.exit(status)


def mpi_flags(argv):
    """The flags before the command, and the command."""
    rest, flags = list(argv), {}
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        if word in FLAGS["values"]:
            flags[word] = rest.pop(0)
        elif word not in FLAGS["switches"]:
            sys.exit(f"mpirun: Error: unknown option {word!r}")
    return flags, rest


def rank_env(rank, hosts):
    return {"OMPI_COMM_WORLD_RANK": str(rank), "OMPI_COMM_WORLD_SIZE": str(len(hosts))}


ROLES = {"mpirun": mpirun, "trtllm-llmapi-launch": trtllm_launch}

if __name__ == "__main__":
    ROLES[Path(sys.argv[0]).name](sys.argv[1:])
