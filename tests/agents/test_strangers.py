"""What belongs to one user does not exist for another, on any route; and bodies that nobody should send."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_world import World, world
from callers import bearer, made

from sparkctl.agents.core.tables import Document, Job, Run, Session, Upload

MIB = 2**20
METHODS = ("get", "post", "put", "patch", "delete")
BODIES = {
    "/runs/{run_id}/approve": {"call_id": "c", "allow": True},
    "/runs/{run_id}/approve/stream": {"call_id": "c", "allow": True},
    "/sessions/{session_id}": {"title": "mine now"},
}
ADMIN = "/keys/{key_id}"
ANNAS, NOBODYS = "a" * 32, "b" * 32


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway in which Anna has one of everything, with the id ANNAS."""
    with world(tmp_path_factory.mktemp("strangers"), limits={"body_mib": 1, "upload_mib": 2}) as gateway:
        platform = gateway.client.app.state.platform  # type: ignore[attr-defined]
        file = {"user": "anna", "media": "image/png", "size": 1, "sha256": "0" * 64}

        async def fill() -> None:
            async with platform.database.begin() as session:
                session.add(Session(user="anna", id=ANNAS, title="canary"))
                session.add(Run(id=ANNAS, user="anna", session_id=ANNAS, state="waiting", paused={}))
                session.add(Document(id=ANNAS, name="canary", **file))
                session.add(Job(id=ANNAS, user="anna", document_id=ANNAS, state="done"))
                session.add(Upload(id=ANNAS, width=1, height=1, **file))

        gateway.client.portal.call(fill)
        yield gateway


def owned(gateway: World) -> list[tuple[str, str]]:
    """Every route of the OpenAPI document that names a thing by its id."""
    paths = gateway.client.get("/openapi.json").json()["paths"]
    return [
        (method, path)
        for path, methods in paths.items()
        for method in methods
        if method in METHODS and "{" in path and path != ADMIN
    ]


def test_every_route_with_an_id_hides_what_is_anothers(shared: World) -> None:
    stranger = bearer(made(shared, "ben", scopes=["chat", "documents", "code", "admin"])["key"])
    routes = owned(shared)
    assert len(routes) >= 8
    for method, path in routes:
        answers = [
            shared.client.request(method, re.sub(r"\{[^}]+\}", name, path), json=BODIES.get(path), headers=stranger)
            for name in (ANNAS, NOBODYS)
        ]
        assert [one.status_code for one in answers] == [404, 404], (method, path, answers[0].text)
        texts = [one.json()["error"]["message"].replace(ANNAS, "X").replace(NOBODYS, "X") for one in answers]
        assert texts[0] == texts[1], (method, path)
        assert "canary" not in answers[0].text


def test_no_list_shows_what_is_anothers(shared: World) -> None:
    stranger = bearer(made(shared, "ben", scopes=["chat", "documents", "code"])["key"])
    for path in ("/sessions", "/documents", "/uploads"):
        assert shared.client.get(path, headers=stranger).json() in ([], {"documents": []}), path


def test_every_route_but_health_asks_for_a_key(shared: World) -> None:
    paths = shared.client.get("/openapi.json").json()["paths"]
    for path, methods in paths.items():
        for method in set(methods) & set(METHODS):
            body = None if method == "get" else BODIES.get(path, {"model": "main", "message": "x", "user": "u"})
            answer = shared.client.request(
                method, re.sub(r"\{[^}]+\}", "x", path), json=body, headers={"Authorization": ""}
            )
            assert (answer.status_code == 200) == (path == "/health"), (method, path, answer.status_code)
            assert answer.status_code in (200, 401, 422), (method, path, answer.status_code)


def chunks(size: int, sent: list[int]) -> Iterator[bytes]:
    """A body without a Content-Length; `sent` is how much of it was asked for."""
    for _ in range(size // 65_536):
        sent.append(65_536)
        yield b"x" * 65_536


@pytest.mark.parametrize("path", ["/chat", "/search", "/keys"])
def test_a_body_above_its_limit_is_not_read(shared: World, path: str) -> None:
    told = shared.client.post(path, content=b"x" * (MIB + 1))
    assert (told.status_code, told.json()["error"]["code"]) == (413, "too_large")
    assert told.headers["Connection"] == "close"
    untold = shared.client.post(path, content=chunks(8 * MIB, []))
    assert (untold.status_code, untold.json()["error"]["code"]) == (413, "too_large")


def test_uploads_have_a_limit_of_their_own(shared: World) -> None:
    within = shared.client.post("/uploads", files={"file": ("a.png", b"x" * (MIB + MIB // 2), "image/png")})
    above = shared.client.post("/uploads", files={"file": ("a.png", b"x" * (3 * MIB), "image/png")})
    assert within.status_code in (400, 415, 422)
    assert above.status_code == 413


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"message": 1}', b'{"message": "\\ud800"}', b"[" * 100_000, b'"' * 9],
    ids=range(9),
)
def test_a_malformed_body_is_the_clients_fault(shared: World, body: bytes) -> None:
    for path in ("/chat", "/v1/chat/completions", "/search", "/keys"):
        answer = shared.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, (path, answer.text)
        assert answer.json()["error"]["code"]


def burst(gateway: World, key: dict[str, str], count: int) -> list[Any]:
    """So many requests, one after the other."""
    return [gateway.client.post("/chat", json={"message": "hello"}, headers=key) for _ in range(count)]


def test_a_burst_is_told_when_to_come_back(tmp_path: Path) -> None:
    with world(tmp_path, limits={"requests_per_minute": 4}) as gateway:
        anna, ben = (bearer(made(gateway, user)["key"]) for user in ("anna", "ben"))
        answers = burst(gateway, anna, 6)
        assert [one.status_code for one in answers] == [200] * 4 + [429] * 2
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
        assert answers[-1].json()["error"]["code"] == "rate_limited"
        assert burst(gateway, ben, 1)[0].status_code == 200


def test_whatever_changes_or_searches_counts_in_the_minute_once_and_reading_does_not(tmp_path: Path) -> None:
    with world(tmp_path, limits={"requests_per_minute": 5}) as gateway:
        anna = bearer(made(gateway, "anna")["key"])
        post = gateway.client.post
        assert post("/chat", json={"message": "hello"}, headers=anna).status_code == 200
        raw = {"model": "main", "messages": [{"role": "user", "content": "hello"}]}
        assert post("/v1/chat/completions", json=raw, headers=anna).status_code == 200
        assert post("/search", json={"query": "a word"}, headers=anna).status_code == 200
        assert post("/uploads", files={"file": ("a.png", b"x", "image/png")}, headers=anna).status_code < 429
        assert gateway.client.delete(f"/documents/{NOBODYS}", headers=anna).status_code == 404
        for path in ("/tokens", "/search", "/documents", "/uploads", "/chat"):
            answer = post(path, json={}, headers=anna)
            assert (answer.status_code, "Retry-After" in answer.headers) == (429, True), path
        assert [gateway.client.get("/sessions", headers=anna).status_code for _ in range(10)] == [200] * 10
