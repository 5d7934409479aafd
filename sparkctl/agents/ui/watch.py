"""Looks at every node and at the gateway, again and again, and remembers since when each answers or does not."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field

from httpx2 import AsyncClient, HTTPError
from pydantic import ValidationError

from sparkctl.agents.node.facts import Facts
from sparkctl.agents.ui.drawing import POINTS

EVERY_SECONDS = 5.0
LOOK_SECONDS = 4.0
"""A node that takes longer does not answer."""


@dataclass
class Watched:
    """A node, or the gateway. `since` is when it began to answer or ceased to, as Unix time; None before any look."""

    name: str
    url: str
    since: float | None = None
    error: str = ""
    looks: deque[Facts | None] = field(default_factory=lambda: deque(maxlen=POINTS + 1))

    @property
    def answers(self) -> bool:
        """Whether the newest look succeeded."""
        return self.since is not None and not self.error

    @property
    def facts(self) -> Facts | None:
        """The newest that it said, however long ago."""
        return next((facts for facts in reversed(self.looks) if facts), None)

    def saw(self, now: float, error: str, facts: Facts | None = None) -> None:
        """Remember a look."""
        if self.since is None or bool(error) != bool(self.error):
            self.since = now
        self.error = error
        self.looks.append(facts)


@dataclass
class Watch:
    """The state of everything that is looked at. `asks` the gateway, `looks` at nodes: that one shows their key."""

    asks: AsyncClient
    looks: AsyncClient
    gateway: Watched
    nodes: list[Watched]
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look from now on."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def look(self) -> None:
        """One look at all of them, at the same time."""
        await asyncio.gather(self._look_at_gateway(), *map(self._look_at, self.nodes))

    def gateway_is_away(self, error: str) -> None:
        """Somebody asked it in vain between two looks."""
        self.gateway.saw(time.time(), error)

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(EVERY_SECONDS)

    async def _look_at(self, node: Watched) -> None:
        try:
            response = await self.looks.get(f"{node.url}/facts", timeout=LOOK_SECONDS)
            response.raise_for_status()
            node.saw(time.time(), "", Facts.model_validate_json(response.content))
        except HTTPError as error:
            node.saw(time.time(), reason(error))
        except ValidationError:
            node.saw(time.time(), "its figures are not those of this version of sparkctl")

    async def _look_at_gateway(self) -> None:
        try:
            response = await self.asks.get("/health", timeout=LOOK_SECONDS)
            response.raise_for_status()
            self.gateway.saw(time.time(), "")
        except HTTPError as error:
            self.gateway.saw(time.time(), reason(error))


def reason(error: HTTPError) -> str:
    """Why a look failed, in words."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
