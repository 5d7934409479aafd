"""`/documents`, `/jobs`, `/search` over a real gateway, in SQLite and in PostgreSQL."""

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from agent_world import World, world
from callers import bearer, made
from conversing import in_turn_of
from library_world import GUIDE, encrypted, ended, ingested, names, pdf_of, refused, send
from standins.scripted import Reply
from working import booked


@pytest.fixture
def embedding(tmp_path: Path) -> Iterator[World]:
    """A gateway whose scripted model also embeds: the protocol, not the quality of vectors."""
    with world(tmp_path, rag={"embeddings": "main"}) as one:
        yield one


def listed(gateway: World, **more: Any) -> list[tuple[str, str, int]]:
    found = gateway.client.get("/documents", **more).json()
    return [(one["name"], one["state"], one["chunks"]) for one in found]


def test_a_document_is_read_found_shown_and_deleted(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as gateway:
        doc_id = ingested(gateway, "guide.md", GUIDE)
        assert listed(gateway) == [("guide.md", "ready", 3)]
        found = gateway.client.post("/search", json={"query": "which turquoise thing?"}).json()
        assert (found["mode"], found["note"], len(found["results"])) == ("words", "", 1)
        hit = found["results"][0]
        assert (hit["doc_id"], hit["chunk"], hit["source"]) == (doc_id, 1, "guide.md#Install:4")
        cited = gateway.client.get(f"/documents/{doc_id}", params={"chunk": hit["chunk"]}).json()
        assert cited["text"] == [{"chunk": 1, "source": hit["source"], "text": hit["text"]}]
        assert len(gateway.client.get(f"/documents/{doc_id}").json()["text"]) == 3
        assert gateway.client.delete(f"/documents/{doc_id}").status_code == 204
        assert listed(gateway) == names(gateway, "turquoise") == []
        assert gateway.client.get(f"/documents/{doc_id}").status_code == 404
        assert gateway.client.delete(f"/documents/{doc_id}").status_code == 404


def test_the_same_again_is_not_read_again_and_another_replaces(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as gateway:
        first = ingested(gateway, "guide.md", GUIDE)
        again = send(gateway.client, "guide.md", GUIDE).json()
        assert again["document_id"] == first
        second = ingested(gateway, "guide.md", b"# Guide\nThe knob is orange.\n")
        assert second != first
        assert listed(gateway) == [("guide.md", "ready", 1)]
        assert names(gateway, "turquoise") == []
        assert names(gateway, "orange") == ["guide.md#Guide:1"]
        assert gateway.client.get(f"/documents/{first}").status_code == 404


def test_one_that_cannot_be_read_leaves_its_elder_in_place(gateway: World) -> None:
    ingested(gateway, "guide.md", GUIDE)
    assert "binary" in refused(gateway, "guide.md", b"\0\0")
    assert names(gateway, "turquoise") == ["guide.md#Install:4"]
    assert [state for _, state, _ in listed(gateway)] == ["ready", "failed"]
    ingested(gateway, "guide.md", b"orange")
    assert listed(gateway) == [("guide.md", "ready", 1)]


def test_two_of_one_name_at_once_leave_one(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as gateway:
        contents = [f"# Guide\nnumber{n} turquoise\n".encode() * 50 for n in range(6)]
        with ThreadPoolExecutor(6) as pool:
            jobs = list(pool.map(lambda one: send(gateway.client, "guide.md", one).json()["job_id"], contents))
        states = [ended(gateway.client, job)["state"] for job in jobs]
        assert "done" in states
        assert [state for _, state, _ in listed(gateway)] == ["ready"]
        assert (
            len(
                {
                    hit["doc_id"]
                    for hit in gateway.client.post("/search", json={"query": "turquoise"}).json()["results"]
                }
            )
            == 1
        )


def test_a_delete_while_it_is_read_leaves_nothing(tmp_path: Path, database: str) -> None:
    with world(tmp_path, database=database) as gateway:
        for number in range(4):
            accepted = send(gateway.client, f"d{number}.md", GUIDE * 500).json()
            while number and gateway.client.get(f"/jobs/{accepted['job_id']}").json()["state"] == "queued":
                pass
            assert gateway.client.delete(f"/documents/{accepted['document_id']}").status_code == 204
            job = ended(gateway.client, accepted["job_id"])
            assert job["state"] == "done" or "deleted" in job["error"]
        assert listed(gateway) == names(gateway, "turquoise") == []


def test_another_user_sees_none_of_it(gateway: World) -> None:
    doc_id = ingested(gateway, "guide.md", GUIDE)
    job_id = send(gateway.client, "guide.md", GUIDE).json()["job_id"]
    anna: dict[str, Any] = {"headers": bearer(made(gateway)["key"])}
    assert gateway.client.get("/documents", **anna).json() == names(gateway, "turquoise", **anna) == []
    for path in (f"/documents/{doc_id}", f"/documents/{doc_id}?chunk=1", f"/jobs/{job_id}"):
        assert gateway.client.get(path, **anna).status_code == 404
    assert gateway.client.delete(f"/documents/{doc_id}", **anna).status_code == 404
    mine = ingested(gateway, "guide.md", GUIDE, **anna)
    assert mine != doc_id
    assert names(gateway, "turquoise") == names(gateway, "turquoise", **anna) == ["guide.md#Install:4"]


def test_a_key_without_the_scope_may_do_nothing_here(gateway: World) -> None:
    chat: dict[str, Any] = {"headers": bearer(made(gateway, scopes=["chat"])["key"])}
    assert send(gateway.client, "guide.md", GUIDE, **chat).status_code == 403
    assert gateway.client.get("/documents", **chat).status_code == 403
    assert gateway.client.post("/search", json={"query": "x"}, **chat).status_code == 403


def test_without_a_key_nothing_is_told(gateway: World) -> None:
    assert gateway.client.get("/documents", headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", b"a\0b", "binary"),
        ("a.pdf", b"", "empty"),
        ("a.pdf", b"%PDF-1.7\nnothing", "broken"),
        ("a.pdf", pdf_of("x")[:300], "broken"),
        ("a.pdf", encrypted(pdf_of("secret text"), "pw"), "encrypted"),
        ("a.pdf", pdf_of(""), "no text"),
        ("a.html", b"<script>only()</script>", "no text"),
        ("a.pdf", pdf_of("x", stream=zlib.compress(b"\0" * 300_000_000)), "broken|memory"),
    ],
)
def test_what_cannot_be_read_fails_with_its_reason(gateway: World, name: str, content: bytes, reason: str) -> None:
    said = refused(gateway, name, content)
    assert any(word in said for word in reason.split("|")), said
    assert gateway.client.get("/documents").json()[0]["error"] == said


@pytest.mark.parametrize("name", ["a.exe", "a.docx", "..", "/", "a.zip"])
def test_what_is_no_document_is_refused_at_once(gateway: World, name: str) -> None:
    response = send(gateway.client, name, b"MZ")
    assert (response.status_code, response.json()["error"]["code"]) == (400, "bad_request")


def test_a_name_is_no_path(gateway: World) -> None:
    ingested(gateway, "../../etc/passwd", b"turquoise", "text/plain")
    assert listed(gateway) == [("passwd", "ready", 1)]


def test_what_is_larger_than_the_limit_is_refused(tmp_path: Path) -> None:
    with world(tmp_path, limits={"upload_mib": 1}) as gateway:
        assert send(gateway.client, "a.txt", b"x" * (2**20 + 1)).status_code == 413
        assert send(gateway.client, "a.txt", b"x" * 2**22).status_code == 413
        assert listed(gateway) == []


@pytest.mark.parametrize(
    "body", [{}, {"query": ""}, {"query": "x" * 10_001}, {"query": "x", "limit": 0}, {"query": 7}]
)
def test_a_wrong_search_is_told_so(gateway: World, body: dict[str, Any]) -> None:
    assert gateway.client.post("/search", json=body).status_code == 422


@pytest.mark.parametrize(
    "query", ['"', "*", "NEAR(a b)", "\0", "🙂", "x" * 10_000, "a OR", "'); DROP TABLE chunks; --"]
)
def test_any_query_is_only_words(embedding: World, query: str) -> None:
    ingested(embedding, "guide.md", GUIDE)
    response = embedding.client.post("/search", json={"query": query})
    assert response.status_code == (400 if query == "\0" else 200), response.text


def test_half_a_character_is_no_bug(gateway: World) -> None:
    headers = {"Content-Type": "application/json"}
    assert gateway.client.post("/search", content=b'{"query": "\\ud800 x"}', headers=headers).status_code in (200, 422)


@pytest.mark.parametrize("path", ["/documents/zz", "/documents/00", "/jobs/00", "/documents/" + "a" * 65])
def test_an_unknown_id_is_not_found(gateway: World, path: str) -> None:
    assert gateway.client.get(path).status_code in (404, 422)


def test_a_chunk_that_is_not_there_is_not_found(gateway: World) -> None:
    doc_id = ingested(gateway, "guide.md", GUIDE)
    assert gateway.client.get(f"/documents/{doc_id}?chunk=3").status_code == 404
    assert gateway.client.get(f"/documents/{doc_id}?chunk=-1").status_code == 422


def test_with_embeddings_the_search_is_hybrid(embedding: World) -> None:
    doc_id = ingested(embedding, "guide.md", GUIDE)
    found = embedding.client.post("/search", json={"query": "turquoise", "limit": 2}).json()
    assert (found["mode"], len(found["results"])) == ("hybrid", 2)
    assert embedding.client.get(f"/documents/{doc_id}").json()["embedding"] == "scripted/64"
    assert booked(embedding.client) == [(1, 1, 0)]


def test_a_search_by_the_rag_agent_books_its_vector_with_the_run(tmp_path: Path) -> None:
    script = in_turn_of(Reply(calls=(("search_knowledge_base", '{"query": "turquoise"}'),)), Reply(text="x"))
    with world(tmp_path, script, rag={"embeddings": "main"}) as gateway:
        gateway.client.post("/chat", json={"message": "turquoise?", "agent_type": "rag"})
        assert booked(gateway.client) == [(1, 21, 10)]


def test_who_has_used_up_the_day_searches_no_more(tmp_path: Path) -> None:
    with world(tmp_path, limits={"tokens_per_day": 1}) as gateway:
        gateway.client.post("/chat", json={"message": "hello"})
        assert gateway.client.post("/search", json={"query": "turquoise"}).status_code == 429


def test_documents_outlive_the_process(tmp_path: Path) -> None:
    with world(tmp_path) as gateway:
        ingested(gateway, "guide.md", GUIDE)
    with world(tmp_path) as gateway:
        assert names(gateway, "turquoise") == ["guide.md#Install:4"]
