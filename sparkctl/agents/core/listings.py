"""What the engines say that they serve, asked now and then."""

import asyncio
import time
from dataclasses import dataclass, field

from httpx2 import HTTPError
from openai import OpenAIError

from sparkctl.agents.core.endpoints import Served

FRESH_SECONDS = 5.0
"""How long an engine's list is believed."""
WAIT_SECONDS = 2.0
"""How long an engine may take to give it."""


@dataclass
class Listings:
    """The last lists, by the engine's URL, with when they were asked for, in monotonic seconds."""

    known: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)
    asking: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def serves(self, served: Served) -> bool:
        """Whether the engine of that model answers and lists it."""
        url = served.endpoint.url
        async with self.asking.setdefault(url, asyncio.Lock()):
            asked, models = self.known.get(url, (float("-inf"), frozenset[str]()))
            if time.monotonic() - asked > FRESH_SECONDS:
                models = await _ask(served)
                self.known[url] = (time.monotonic(), models)
        return served.endpoint.id in models


async def _ask(served: Served) -> frozenset[str]:
    try:
        page = await served.client.with_options(timeout=WAIT_SECONDS).models.list()
    except (OpenAIError, HTTPError, ValueError):
        return frozenset()
    return frozenset(one.id for one in page.data)
