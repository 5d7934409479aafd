"""`sparkctl agents worker`: reads documents off the queue in the gateway's database, in a process beside it."""

import asyncio
import signal
from pathlib import Path

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.core.log import set_up
from sparkctl.agents.core.platform import grounded
from sparkctl.agents.document import read_document
from sparkctl.agents.ending import told
from sparkctl.agents.rag.ingest import working
from sparkctl.agents.rag.opening import opened_library


def serve(path: Path) -> None:
    """Work until told to end. Raises ConfigError, SparkctlError."""
    document = read_document(path)
    set_up()
    with told(path):
        asyncio.run(_work(document))


async def _work(document: AgentsDocument) -> None:
    ended = asyncio.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(one, ended.set)
    async with (
        grounded(document) as (database, endpoints),
        opened_library(document, database, endpoints) as library,
        working(library),
    ):
        await ended.wait()
