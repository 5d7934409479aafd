"""Figures of roles with the real engine: a switch against the engine's own load time, and between resident roles."""

import json
import shlex
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.bench.deployed import bench_lab
from tests.bench.measure import BIN, Figure, run

NAME = "sparkroles"
LIMIT = 600.0
LOOK = """\
curl -sf -m 30 -H @<(printf 'Authorization: Bearer %s' "$(cat /home/nvidia/.sparkctl/{cluster}/secrets/api-key)") \
  -H 'Content-Type: application/json' -d {body} {url}/completions"""


def figures() -> Iterator[Figure]:
    """Two roles that take turns, each way, then a small one beside the last: image and model are there before."""
    program = BIN / "sparkctl"
    with bench_lab(program, NAME) as env:
        env = {**env, "SPARKCTL_PROFILE": "lab-roles"}
        run([program, "up", "--yes", "--quiet"], env)
        run([program, "role", "launch", "architect", "--yes", "--quiet"], env)
        switched, own, gap = 0.0, 0.0, 0.0
        for name in ("dev", "architect"):
            done = json.loads(run([program, "role", "switch", name, "--yes", "--json", "--quiet"], env).stdout)[
                "switch"
            ]
            switched, gap = switched + done["seconds"], gap + done["gap"]
            own += _own(program, name, env)
        note = f"{switched / 2:.0f} s from the command to the first token, {gap / 2:.0f} s of them without an answer; "
        note += f"the engine alone, `docker start` to the first token: {own / 2:.0f} s; means of two"
        yield Figure(
            "`role switch`, image present, against the engine's own load time", switched / own, 1.2, note=note
        )

        run([program, "role", "launch", "po", "--yes", "--quiet"], env)
        took = [_timed([program, "role", "switch", name, "--yes", "--quiet"], env) for name in ("po", "architect")]
        note = "the whole command; both answer all the time, so there is no gap"
        yield Figure("`role switch`, both resident", max(took), 5, unit="s", note=note)


def _timed(argv: list[str | Path], env: Mapping[str, str]) -> float:
    began = time.perf_counter()
    run(argv, env)
    return time.perf_counter() - began


def _own(program: Path, name: str, env: Mapping[str, str]) -> float:
    """Seconds from the start of the role's container to its first token, asked for on its node without sparkctl."""
    (role,) = json.loads(run([program, "role", "status", name, "--json"], env).stdout)["roles"]
    body = shlex.quote(json.dumps({"model": role["name"], "prompt": "1", "max_tokens": 1}))
    look = LOOK.format(cluster=NAME, body=body, url=role["url"])
    node, container = f"{NAME}-spark-1", f"sparkctl-{NAME}-vllm-{name}"
    run(["docker", "exec", node, "docker", "stop", "-t", "30", container])
    wait = f"docker start {container} && until {look}; do sleep 0.2; done"
    return _timed(["docker", "exec", node, "timeout", f"{LIMIT:.0f}", "bash", "-c", wait], env)
