"""Everything that a process of the platform holds open, from its start to its end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agents import set_tracing_disabled

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.core.audit import Journal, journal
from sparkctl.agents.core.database import Database, connect, url_of
from sparkctl.agents.core.endpoints import Endpoints, open_endpoints
from sparkctl.agents.core.events import Event
from sparkctl.agents.core.failure import Refused, Unavailable
from sparkctl.agents.core.keys import Ring
from sparkctl.agents.core.listings import Listings
from sparkctl.agents.core.metrics import Metrics
from sparkctl.agents.core.quota import Counts
from sparkctl.agents.core.records import bury, cancelling
from sparkctl.agents.core.routing import Offer, offer_of
from sparkctl.agents.core.run import Run, workspace_alone
from sparkctl.agents.core.team import Team, team_of
from sparkctl.agents.core.tokens import Signer, open_signer
from sparkctl.agents.rag.ingest import working
from sparkctl.agents.rag.library import Library
from sparkctl.agents.rag.opening import opened_library
from sparkctl.agents.sandbox.client import forget

WATCH_SECONDS = 0.5
"""How often a process asks which of its runs another one was asked to cancel."""
SETTLE_SECONDS = 5.0
BURY_SECONDS = 60.0
"""How often a process looks for runs that nobody has any more."""


@dataclass(frozen=True)
class Platform:
    """What requests and runs stand on. `runs` are those at work in this process, by id.

    `listeners` are told every event of every run, before whoever asked. `offers` are what agents that route choose
    from; `tasks` is work that goes on after its run. `decoder` decodes one picture at a time: one of 40 million pixels
    takes 210 MB as GIF and 630 MB as WebP.
    """

    document: AgentsDocument
    database: Database
    endpoints: Endpoints
    team: Team
    journal: Journal
    library: Library
    signer: Signer | None = None
    runs: dict[str, Run] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    listeners: list[Callable[[Run, Event], None]] = field(default_factory=list)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    listings: Listings = field(default_factory=Listings)
    counts: Counts = field(default_factory=Counts)
    ring: Ring = field(default_factory=Ring)
    metrics: Metrics = field(default_factory=Metrics)
    decoder: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "decoder"))

    @property
    def data(self) -> Path:
        """The data folder."""
        return Path(self.document.where.data)

    def keep(self, work: Coroutine[None, None, None]) -> None:
        """Let work go on by itself, until it ends or the platform closes."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def settle(self) -> None:
        """End what is still at work: runs are put on record as cancelled."""
        for run in self.runs.values():
            run.stop()
        for task in self.tasks:
            task.cancel()
        if tasks := {*self.tasks, *(run.task for run in self.runs.values() if run.task)}:
            await asyncio.wait(tasks)
        if self.tasks:  # what the end of a run left to do
            await asyncio.wait(self.tasks, timeout=SETTLE_SECONDS)


@asynccontextmanager
async def opened(document: AgentsDocument) -> AsyncIterator[Platform]:
    """The platform, ready: data folder made, tables migrated, clients open; all closed at the end.

    Raises Unavailable; Refused and Unknown for what the document says wrongly.
    """
    set_tracing_disabled(True)
    signer = open_signer(document)
    async with grounded(document) as (database, endpoints):
        team = team_of(document, endpoints)
        offers = {name: offer_of(team, name) for name, one in team.members.items() if one.kind.routes}
        async with (
            journal(database, document.agents.access.audit_days) as log,
            opened_library(document, database, endpoints) as library,
            working(library) if document.where.ingest else nullcontext(),
        ):
            platform = Platform(document, database, endpoints, team, log, library, signer, offers=offers)
            platform.listeners.extend((platform.metrics.hear, log.hear))
            await end_lost(platform)
            platform.keep(watch(platform))
            try:
                yield platform
            finally:
                await platform.settle()
                platform.decoder.shutdown(wait=False, cancel_futures=True)


@asynccontextmanager
async def grounded(document: AgentsDocument) -> AsyncIterator[tuple[Database, Endpoints]]:
    """What every process needs: data folder made, tables migrated, clients of the models; closed at the end.

    Raises Unavailable, Refused.
    """
    _make_folder(Path(document.where.data))
    database, endpoints = connect(url_of(document.where)), open_endpoints(document)
    try:
        await database.migrate()
        yield database, endpoints
    finally:
        await endpoints.close()
        await database.close()


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise Refused(f"where.data: {path} cannot be a folder of ours: {error.strerror}") from error


async def watch(platform: Platform) -> None:
    """Cancel runs of this process that another one was asked to cancel; end those that nobody has any more."""
    looked = time.monotonic()
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        with suppress(Unavailable):
            if platform.runs:
                await _stop_cancelled(platform)
            if time.monotonic() - looked >= BURY_SECONDS:
                looked = time.monotonic()
                await end_lost(platform)


async def end_lost(platform: Platform) -> None:
    """End runs that nobody has any more, and take away what those without a session left in the sandbox."""
    for user, run_id in await bury(platform.database, platform.document.agents.limits.seconds):
        platform.keep(forget(platform.document, user, workspace_alone(run_id)))


async def _stop_cancelled(platform: Platform) -> None:
    for run_id in await cancelling(platform.database, list(platform.runs)):
        if run := platform.runs.get(run_id):
            run.stop()
