"""A worker beside a gateway that reads no documents itself: two processes, one database."""

import signal
import subprocess
import sys
from pathlib import Path

from agent_world import KEY, document_of
from fastapi.testclient import TestClient
from library_world import GUIDE, ended, send

from sparkctl.agents.api.app import create_app

HEADERS = {"Authorization": f"Bearer {KEY}"}


def test_a_worker_reads_what_the_gateway_was_sent(tmp_path: Path, database: str) -> None:
    given = document_of(tmp_path, "http://127.0.0.1:9/v1", database)
    document = given.model_copy(update={"where": given.where.model_copy(update={"ingest": False})})
    path = tmp_path / "agents.json"
    path.write_text(document.model_dump_json())
    with TestClient(create_app(document), headers=HEADERS) as client:
        job = send(client, "guide.md", GUIDE).json()["job_id"]
        argv = (sys.executable, "-m", "sparkctl", "agents", "worker", "--config", str(path))
        worker = subprocess.Popen(argv, stderr=subprocess.PIPE)
        try:
            assert ended(client, job)["state"] == "done"
        finally:
            worker.send_signal(signal.SIGTERM)
            _, said = worker.communicate(timeout=30)
        found = client.post("/search", json={"query": "turquoise"}).json()["results"]
    assert [one["source"] for one in found] == ["guide.md#Install:4"]
    assert (worker.returncode, said) == (0, b"")


def test_a_gateway_that_leaves_it_to_workers_reads_nothing(tmp_path: Path) -> None:
    given = document_of(tmp_path, "http://127.0.0.1:9/v1")
    document = given.model_copy(update={"where": given.where.model_copy(update={"ingest": False})})
    with TestClient(create_app(document), headers=HEADERS) as client:
        job = send(client, "guide.md", GUIDE).json()["job_id"]
        state = client.get(f"/jobs/{job}").json()["state"]
    with TestClient(create_app(given), headers=HEADERS) as client:
        assert ended(client, job)["state"] == "done"
    assert state == "queued"
