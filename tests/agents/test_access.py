"""Keys: who shows what may do what, and for how long."""

import io
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, World, document_of, world
from callers import bearer, made, status
from fastapi.testclient import TestClient
from standins.scripted import serving

from sparkctl.agents.api.app import create_app
from sparkctl.agents.core import keys
from sparkctl.agents.core.database import connect, url_of
from sparkctl.agents.core.log import JsonLines


def test_a_key_may_do_what_its_scopes_say(gateway: World) -> None:
    key = made(gateway, scopes=["admin"])["key"]
    plain = made(gateway)["key"]
    assert (status(gateway, "/keys", key), status(gateway, "/keys", plain)) == (200, 403)
    denied = gateway.client.post("/chat", json={"message": "hello"}, headers=bearer(key))
    assert (denied.status_code, denied.json()["error"]["code"]) == (403, "forbidden")
    assert "chat" in denied.json()["error"]["message"]
    assert gateway.client.post("/chat", json={"message": "hello"}, headers=bearer(plain)).status_code == 200


def test_only_the_hash_of_a_key_is_kept(gateway: World) -> None:
    key = made(gateway, name="for a try")["key"]
    assert key.startswith(keys.PREFIX)
    assert len(key) == keys.LENGTH
    listed = gateway.client.get("/keys").json()
    assert [(one["user"], one["name"]) for one in listed] == [("anna", "for a try")]
    kept = b"".join(path.read_bytes() for path in Path(gateway.document.where.data).iterdir())
    assert b"for a try" in kept
    assert key.removeprefix(keys.PREFIX).encode() not in kept


def test_a_revoked_key_ends_at_once_where_it_was_revoked(gateway: World) -> None:
    key = made(gateway, scopes=["admin"])
    assert status(gateway, "/keys", key["key"]) == 200
    assert gateway.client.delete(f"/keys/{key['id']}").status_code == 204
    assert status(gateway, "/keys", key["key"]) == 401
    assert gateway.client.delete(f"/keys/{key['id']}").status_code == 204  # ended already
    assert gateway.client.delete(f"/keys/{'0' * 32}").status_code == 404
    assert gateway.client.delete("/keys/%00").status_code == 422


def test_a_revoked_key_ends_within_seconds_in_another_worker(tmp_path: Path) -> None:
    with world(tmp_path) as one, TestClient(create_app(one.document)) as other:
        key = made(one, scopes=["admin"])
        assert other.get("/keys", headers=bearer(key["key"])).status_code == 200
        assert one.client.delete(f"/keys/{key['id']}").status_code == 204
        deadline = time.monotonic() + 10 * keys.CACHE_SECONDS
        while other.get("/keys", headers=bearer(key["key"])).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_key_ends_by_itself(gateway: World) -> None:
    key = made(gateway, scopes=["admin"], days=0.4 / 86_400)["key"]
    deadline = time.monotonic() + 30
    while status(gateway, "/keys", key) == 200:  # also while the cache still has it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status(gateway, "/keys", key) == 401


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway for many tests that are refused by it."""
    with world(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"user": ""},
        {"user": "a b"},
        {"user": "anna\n"},
        {"user": "anna", "scopes": []},
        {"user": "anna", "scopes": ["root"]},
        {"user": "anna", "days": 0},
        {"user": "anna", "days": -1},
        {"user": "anna", "days": 1e308},
        {"user": "x" * 129},
        {"user": "anna", "name": "x" * 101},
        {"user": "anna", "name": "a\0"},
    ],
)
def test_a_key_that_cannot_be_is_refused(shared: World, body: dict[str, Any]) -> None:
    response = shared.client.post("/keys", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    "shown",
    ["", "x", KEY[:-1], KEY + "x", KEY.upper(), "sk-spark-", "sk-spark-" + "A" * 43, "sk-spark-' OR 1=1 --", "a.b.c"],
)
def test_what_is_no_key_opens_nothing(shared: World, shown: str) -> None:
    assert status(shared, "/keys", shown) == 401


def test_an_empty_key_file_is_no_key(tmp_path: Path) -> None:
    with serving() as model:
        document = document_of(tmp_path, model.url)
        with TestClient(create_app(document)) as client:
            Path(document.where.secrets, "agents-key").write_text("\n")
            for header in ("Bearer ", "Bearer \n", "Bearer  ", "Basic Og=="):
                assert client.get("/keys", headers={"Authorization": header.strip("\n")}).status_code == 401


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged meanwhile, as the gateway's process would write it."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.addHandler(handler)
    before = root.level
    root.setLevel(logging.DEBUG)
    try:
        yield written
    finally:
        root.removeHandler(handler)
        root.setLevel(before)


def test_neither_keys_nor_messages_are_logged(gateway: World, lines: io.StringIO) -> None:
    key = made(gateway)["key"]
    answer = gateway.client.post(
        "/chat", json={"message": "canary-of-a-message"}, headers=bearer(key) | {"X-Request-Id": "known-id"}
    )
    assert answer.headers["X-Request-Id"] == "known-id"
    gateway.client.get("/keys", headers=bearer("sk-spark-wrong-but-secret"))
    logging.getLogger("sparkctl.agents").error("a careless line with %s and Authorization: Bearer hush", key)
    text = lines.getvalue()
    ours = [json.loads(line) for line in text.splitlines() if '"sparkctl.' in line]
    chat = next(line for line in ours if line.get("route") == "/chat")
    assert {"request_id": "known-id", "status": 200, "user": "anna", "method": "POST"}.items() <= chat.items()
    careless = next(line for line in ours if "careless" in line["message"])
    assert careless["message"] == "a careless line with … and Authorization: Bearer …"
    for canary in (key, KEY, "wrong-but-secret", "canary-of-a-message"):
        assert canary not in "".join(line for line in text.splitlines() if '"sparkctl.' in line)


@pytest.mark.parametrize("shown", ["", "x" * 65, "a b", 'quote"', "new\tline"])
def test_a_request_without_a_good_id_gets_one(shared: World, shown: str) -> None:
    response = shared.client.get("/keys", headers={"X-Request-Id": shown, "Authorization": ""})
    given = response.headers["X-Request-Id"]
    assert given != shown
    assert given == response.json()["error"]["request_id"]


def test_a_lookup_is_read_from_the_database_once(gateway: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "CACHE_SECONDS", 600.0)
    key = made(gateway, scopes=["admin"])["key"]
    assert status(gateway, "/keys", key) == 200
    platform = gateway.client.app.state.platform  # type: ignore[attr-defined]
    known = dict(platform.ring.known)
    for _ in range(5):
        assert status(gateway, "/keys", key) == 200
    assert platform.ring.known == known


def test_the_password_of_the_database_is_no_part_of_its_errors(tmp_path: Path) -> None:
    where = document_of(tmp_path, "http://127.0.0.1:1/v1", "postgresql+asyncpg://platform@127.0.0.1:1/none").where
    url = url_of(where)
    assert url.password and url.password not in repr(connect(url).engine)
