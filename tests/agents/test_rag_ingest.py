"""The work behind an ingest: processes that die, engines that do not embed, models that change."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from library_world import GUIDE, PATIENCE, library
from sqlalchemy import event, make_url, update
from standins.scripted import DIMENSIONS, Scripted, serving

from sparkctl.agents.core.database import connect
from sparkctl.agents.core.failure import EngineFailed, TooMuch, Unavailable
from sparkctl.agents.core.tables import Document, Job
from sparkctl.agents.rag import library as library_room
from sparkctl.agents.rag.ingest import Ingest, working
from sparkctl.agents.rag.library import Library

Work = Callable[[], Coroutine[Any, Any, None]]
AWAY = "http://127.0.0.1:9/v1"


async def settled(room: Library, job: Job) -> Job:
    """The job once it has ended."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        now = await room.job(job.user, job.id)
        if now.state in ("done", "failed"):
            return now
        await asyncio.sleep(0.02)
    raise AssertionError("the job does not end")


async def embedded_by(room: Library, tag: str) -> Document:
    """The one document, once its vectors are that model's."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        (one,) = await room.documents("anna")
        if one.embedding == tag:
            return one
        await asyncio.sleep(0.02)
    raise AssertionError("the document is not embedded again")


async def left_behind(room: Library, attempts: int) -> Job:
    """A job as a process leaves it that was killed in the middle."""
    job = await room.add("anna", "guide.md", "", GUIDE)
    async with room.database.begin() as session:
        taken = update(Job).values(state="running", until=time.time() - 1, attempts=attempts)
        await session.execute(taken)
    return job


def test_a_job_whose_process_died_is_done_by_the_next(tmp_path: Path, database: str) -> None:
    async def work() -> None:
        async with library(tmp_path, database) as room:
            job = await left_behind(room, 1)
            async with working(room):
                assert (await settled(room, job)).state == "done"
            assert len((await room.search("anna", "turquoise", 5)).hits) == 1

    asyncio.run(work())


def test_a_document_that_ends_its_process_every_time_is_given_up(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "") as room:
            job = await left_behind(room, 3)
            async with working(room):
                ended = await settled(room, job)
            assert (ended.state, "ended 3 times" in ended.error) == ("failed", True)

    asyncio.run(work())


def test_an_index_that_is_away_is_not_the_documents_fault(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "") as room:
            (tmp_path / "index").mkdir()
            blocked = tmp_path / "index" / f"{hashlib.sha256(b'anna').hexdigest()[:32]}.sqlite"
            blocked.write_bytes(b"no database " * 999)
            job = await room.add("anna", "guide.md", "", GUIDE)
            async with working(room):
                while (now := await room.job("anna", job.id)).until < time.time() or now.state != "queued":
                    await asyncio.sleep(0.02)
            assert now.attempts == 0
            blocked.unlink()
            async with room.database.begin() as session:
                await session.execute(update(Job).values(until=0.0))
            async with working(room):
                assert (await settled(room, job)).state == "done"

    asyncio.run(work())


def test_what_is_at_work_at_the_end_is_given_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "") as room:
            async with working(room):
                job = await room.add("anna", "guide.md", "", GUIDE)
                while (await room.job("anna", job.id)).state == "queued":
                    await asyncio.sleep(0.001)
            now = await room.job("anna", job.id)
            assert now.state in ("queued", "done")
            async with working(room):
                assert (await settled(room, job)).state == "done"

    asyncio.run(work())


def test_a_job_that_was_taken_as_its_worker_was_ended_is_given_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "") as room:
            job, ingest = await room.add("anna", "guide.md", "", GUIDE), Ingest(room)
            worker = asyncio.create_task(ingest.work())
            event.listen(room.database.engine.sync_engine, "commit", lambda _: worker.cancel(), once=True)
            await asyncio.wait([worker])
            assert (await room.job("anna", job.id)).state == "running"
            await ingest.release()
            assert (await room.job("anna", job.id)).state == "queued"

    asyncio.run(work())


def test_without_an_engine_documents_are_found_by_words_and_it_is_said(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "", AWAY) as room, working(room):
            job = await room.add("anna", "guide.md", "", GUIDE)
            assert (await settled(room, job)).state == "done"
            found = await room.search("anna", "turquoise", 5)
            assert (found.mode, len(found.hits)) == ("words", 1)
            assert "words alone" in found.note

    asyncio.run(work())


def test_a_model_that_comes_or_changes_embeds_anew(tmp_path: Path, database: str) -> None:
    async def work(url: str, model: str, tag: str) -> None:
        async with library(tmp_path, database, url, model) as room, working(room):
            one = await embedded_by(room, tag)
            assert (one.state, one.chunks) == ("ready", 3)
            assert (await room.search("anna", "turquoise", 5)).hits[0].chunk == 1

    async def begin() -> None:
        async with library(tmp_path, database) as room, working(room):
            await settled(room, await room.add("anna", "guide.md", "", GUIDE))

    with serving() as model:
        asyncio.run(begin())
        asyncio.run(work(model.url, "scripted", f"scripted/{DIMENSIONS}"))
        asyncio.run(work(model.url, "other", f"other/{DIMENSIONS}"))


def test_vectors_come_in_batches_and_each_has_its_text(tmp_path: Path) -> None:
    async def work(model: Scripted) -> None:
        async with library(tmp_path, "", model.url) as room:
            assert room.embedder
            made = await room.embedder.texts([f"word{n}" for n in range(150)])
            again = await room.embedder.question("word149")
            assert (len(made.rows), made.tag) == (150, f"scripted/{DIMENSIONS}")
            assert made.rows[149] == again.rows[0]
            assert [len(body["input"]) for body in model.bodies] == [64, 64, 22, 1]

    with serving() as model:
        asyncio.run(work(model))


def test_an_engine_that_is_away_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "", AWAY) as room:
            assert room.embedder
            with pytest.raises(EngineFailed, match="does not answer"):
                await room.embedder.texts(["a"])

    asyncio.run(work())


def test_a_user_has_so_many_documents_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library_room, "MOST_WAITING", 2)

    async def work() -> None:
        async with library(tmp_path, "") as room:
            for number in range(2):
                await room.add("anna", f"{number}.md", "", GUIDE)
            with pytest.raises(TooMuch):
                await room.add("anna", "more.md", "", GUIDE)
            await room.add("bob", "his.md", "", GUIDE)

    asyncio.run(work())


def test_who_has_one_at_work_lets_others_go_first(tmp_path: Path, database: str) -> None:
    async def work() -> None:
        async with library(tmp_path, database) as room:
            for number in range(3):
                await room.add("anna", f"{number}.md", "", GUIDE)
            await room.add("bob", "his.md", "", GUIDE)
            ingest = Ingest(room)
            taken = [await ingest._claim() for _ in range(4)]
            assert [job.user for job in taken if job] == ["anna", "bob", "anna", "anna"]

    asyncio.run(work())


def test_two_of_one_name_that_end_at_once_leave_the_later(tmp_path: Path, database: str) -> None:
    async def work() -> None:
        async with library(tmp_path, database) as room:
            for number in range(8):
                older = await room.add("anna", f"{number}.md", "", GUIDE)
                newer = await room.add("anna", f"{number}.md", "", GUIDE + b"\nMore.\n")
                ingest = Ingest(room)
                documents = [await room.document("anna", job.document_id) for job in (older, newer)]
                jobs = zip((older, newer), documents, strict=True)
                await asyncio.gather(*(ingest._finish(job, one, [], None) for job, one in jobs))
                kept = [one.id for one in await room.documents("anna") if one.name == f"{number}.md"]
                assert kept == [newer.document_id]

    asyncio.run(work())


def test_what_a_new_model_must_embed_is_not_forgotten_while_the_database_is_away(tmp_path: Path) -> None:
    async def work() -> None:
        async with library(tmp_path, "") as room:
            async with working(room):
                await settled(room, await room.add("anna", "guide.md", "", GUIDE))
            away = connect(make_url("postgresql+asyncpg://anna@127.0.0.1:9/x"))
            ingest = Ingest(replace(room, database=away))
            with pytest.raises(Unavailable):
                await ingest._requeue("other/64")
            await away.close()
            ingest.library = room
            await ingest._requeue("other/64")
            job = await ingest._claim()
            assert job is not None

    asyncio.run(work())
