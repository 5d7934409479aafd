"""What a bench must do on a lab that serves: real figures, nothing graded that is not real, nothing left on a node."""

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

from admin import Admin, containers
from faults import nothing_left, until
from machines import TestLab


def check_fabric(admin: Admin[TestLab]) -> None:
    """All kinds; the link is a virtual one, so nothing is graded."""
    asked = ("bench fabric", "--seconds", "1", "--streams", "2", "-o", "found")
    assert "--yes" in admin(*asked, code=1).err
    plan = admin.json(*asked, "--dry-run")
    assert [one["kind"] for one in plan["measurements"]] == ["ping"] * 2 + ["tcp"] * 4 + ["gather"]
    with nothing_left(admin.lab):
        before = containers(admin.lab)
        document = admin.json(*asked, "--yes")
        assert containers(admin.lab) == before
    assert document["verdict"] == "ungraded"
    assert [link["driver"] for link in document["links"]] == ["", ""]
    assert {one["grade"]["verdict"] for kind in ("ping", "tcp") for one in document[kind]} == {"ungraded"}
    assert [one["size"] for one in document["ping"]] == [84, 9000]
    assert all(one["lost_percent"] == 0 and one["avg_ms"] > 0 for one in document["ping"])
    assert [one["streams"] for one in document["tcp"]] == [1, 2, 1, 2]
    assert all(one["gbit"] > 0.1 for one in document["tcp"])
    gather = document["gather"]
    assert (gather["backend"], gather["ranks"], len(gather["sizes"])) == ("gloo", 2, 4)
    assert all(size["bus_gbyte"] > 0 for size in gather["sizes"])
    assert "vllm on spark-1" in document["busy"]
    _kept(admin, document, *(machine.fabric_ip for machine in admin.lab.nodes))


def check_serve(admin: Admin[TestLab]) -> None:
    """By the engine's own tool and by our client: the same requests, and times that can be set side by side."""
    size = ("--input-tokens", "48", "--output-tokens", "16", "--rounds", "2", "--concurrency", "1,2", "-o", "found")
    with nothing_left(admin.lab):
        before = containers(admin.lab)
        engine = admin.json("bench serve", *size)
        client = admin.json("bench serve", *size, "--tool", "client")
        assert containers(admin.lab) == before
    assert (engine["tool"], client["tool"]) == ("vllm bench serve", "sparkctl")
    for found in (engine, client):
        assert [level["concurrency"] for level in found["levels"]] == [1, 2]
        assert [level["failed"] for level in found["levels"]] == [0, 0]
        assert [level["output_tokens"] for level in found["levels"]] == [32, 64]
        assert all(abs(level["input_tokens"] / level["requests"] - 48) <= 16 for level in found["levels"])
        assert all(0 < level["ttft"]["median"] < level["e2e"]["median"] for level in found["levels"])
        assert not found["roofline"]["known"]
        assert "no Spark" in found["roofline"]["note"]
        _kept(admin, found, admin.json("credentials")["api_key"])
    files = [str(found["files"]["result"]) for found in (engine, client)]
    compared = subprocess.run(
        [*admin.argv("bench compare")[:3], *files, "-o", "both.html", "--json"],
        cwd=admin.home,
        env=admin.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(compared.stdout)["rows"]
    assert {row["name"] for row in rows} == {"1 at a time", "2 at a time"}
    assert all(row["ratio"] > 0 for row in rows)
    assert (admin.home / "both.html").read_text().startswith("<!doctype html>")


def check_interrupted(admin: Admin[TestLab]) -> None:
    """Ctrl-C while the containers gather: they are gone, and the command says that it was interrupted."""
    before = containers(admin.lab)
    with nothing_left(admin.lab):
        argv = admin.argv("bench fabric", "--only", "gather", "--yes")
        process = subprocess.Popen(
            argv, cwd=admin.home, env=admin.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        try:
            until(lambda: "bench@spark-1" in containers(admin.lab), 60)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        assert process.returncode == 130, said
        assert containers(admin.lab) == before


def _kept(admin: Admin[TestLab], document: dict[str, Any], *secrets: str) -> None:
    """What was printed is what was kept, beside a page; neither holds a secret or the address of a node."""
    result, page = (admin.home / Path(document["files"][kind]) for kind in ("result", "page"))
    kept = json.loads(result.read_text())
    assert kept == {key: value for key, value in document.items() if key != "files"}
    for text in (result.read_text(), page.read_text()):
        assert not [word for word in (*secrets, *(machine.address for machine in admin.lab.nodes)) if word in text]
