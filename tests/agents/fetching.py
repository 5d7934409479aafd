"""An image fetched from a real server of the test, under the name of a public host."""

import asyncio

from raw_server import Answer, Names, listening

from sparkctl.agent_spec import Fetch
from sparkctl.agents.core.failure import Failure
from sparkctl.agents.images.fetch import Network, fetch

HOST = "pictures.example"


def fetched(
    answer: Answer, path: str = "/a.png", most: int = 10_000, seconds: float = 60, names: Names | None = None
) -> tuple[bytes | Failure, list[bytes]]:
    """What fetching from a server that answers so comes to, and what the server was asked."""

    async def work() -> tuple[bytes | Failure, list[bytes]]:
        async with listening(answer) as (port, heads):
            rules = Fetch(hosts=(f"{HOST}:{port}",), seconds=seconds)
            reach = Network(names or Names(["127.0.0.1"]), lambda _: True)
            try:
                return await fetch(f"http://{HOST}:{port}{path}", rules, most, reach), heads
            except Failure as failure:
                return failure, heads

    return asyncio.run(work())
