"""One rank of an all-gather of several sizes, run inside the engine's image, whose PyTorch it uses.

Reads a job as JSON from argv[1]: rank, world, master (the head's fabric address), port, sizes by accelerator (bytes of
the gathered whole, as nccl-tests counts them), rounds. Rank 0 prints one JSON object a line: {"backend": name}, then
{"bytes": size, "seconds": [each round]} for every size: by NCCL where there is a GPU, else by Gloo.
"""

import json
import socket
import sys
import time
from datetime import timedelta
from typing import Any

WARM_ROUNDS = 2
LIMIT = timedelta(seconds=60)
"""For the ranks to meet, and for one gather."""


def meet(job: dict[str, Any]) -> Any:
    """The store through which ranks find each other; rank 0 keeps it, on the fabric's address alone."""
    from torch.distributed import TCPStore

    where = (job["master"], job["port"], job["world"])
    if job["rank"]:
        return TCPStore(*where, False, timeout=LIMIT)
    server = socket.socket(socket.AF_INET6 if ":" in job["master"] else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(where[:2])
    server.listen(64)
    return TCPStore(*where, True, timeout=LIMIT, master_listen_fd=server.detach(), use_libuv=False)


def measure(job: dict[str, Any], size: int, device: str) -> list[float]:
    """Seconds of each round, after those that warm up; all ranks begin a round together."""
    import torch
    from torch import distributed

    count = max(1, size // 4 // job["world"])
    part = torch.ones(count, device=device)
    whole = torch.empty(count * job["world"], device=device)
    seconds = []
    for _ in range(WARM_ROUNDS + job["rounds"]):
        distributed.barrier()
        _wait(device)
        began = time.perf_counter()
        distributed.all_gather_into_tensor(whole, part)
        _wait(device)
        seconds.append(time.perf_counter() - began)
    return seconds[WARM_ROUNDS:]


def _wait(device: str) -> None:
    """Until the GPU has done what it was asked for."""
    import torch

    if device == "cuda":
        torch.cuda.synchronize()


def main(job: dict[str, Any]) -> None:
    """Gather every size. Raises what PyTorch raises."""
    import torch
    from torch import distributed

    device = "cuda" if torch.cuda.is_available() else "cpu"
    backend = "nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, store=meet(job), rank=job["rank"], world_size=job["world"], timeout=LIMIT)
    say(job, backend=backend)
    for size in job["sizes"][device]:
        say(job, bytes=size, seconds=measure(job, size, device))
    distributed.destroy_process_group()


def say(job: dict[str, Any], **words: Any) -> None:
    """Print one line, on rank 0 alone."""
    if job["rank"] == 0:
        print(json.dumps(words), flush=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
