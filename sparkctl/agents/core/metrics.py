"""The gateway's own figures, for Prometheus. No label names a user, a session or anything else without a bound."""

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from openai import APIStatusError, OpenAIError
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import text

from sparkctl import __version__
from sparkctl.agents.core.endpoints import Served
from sparkctl.agents.core.events import (
    AgentEvent,
    ApprovalEvent,
    DoneEvent,
    ErrorEvent,
    Event,
    TokenEvent,
    ToolCallEvent,
    ToolResultEvent,
    Usage,
)
from sparkctl.agents.core.failure import Unavailable
from sparkctl.agents.core.run import Run

if TYPE_CHECKING:
    from sparkctl.agents.core.platform import Platform

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)
TOOLS = 100
"""Different names of tools: a model can write any. What comes after them is counted as `other`."""
TOOL_FAILED = "An error occurred while running the tool"
"""How openai-agents tells a model that a tool raised."""
LOOK_SECONDS = 2.0
"""How long a scrape waits for an engine."""


@dataclass
class Watched:
    """A run since its first event, or since it was resumed, in monotonic seconds."""

    since: float
    answered: bool = False


class Metrics:
    """Figures of one process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self.requests = Counter(
            "sparkctl_http_requests", "Requests by route.", ("method", "route", "status"), registry=own
        )
        self.seconds = Histogram(
            "sparkctl_http_seconds", "Time of a request to its end.", ("route",), buckets=SECONDS, registry=own
        )
        self.first_byte = Histogram(
            "sparkctl_http_first_byte_seconds",
            "Time to the first byte of a streamed answer.",
            ("route",),
            buckets=SECONDS,
            registry=own,
        )
        self.streams = Gauge("sparkctl_streams", "Streamed answers under way.", registry=own)
        self.runs = Counter(
            "sparkctl_runs", "Runs by last agent: done, or a code.", ("agent", "outcome"), registry=own
        )
        self.run_seconds = Histogram(
            "sparkctl_run_seconds", "Time of a run.", ("agent",), buckets=SECONDS, registry=own
        )
        self.first_token = Histogram(
            "sparkctl_first_token_seconds",
            "Time of a run to its first token.",
            ("agent",),
            buckets=SECONDS,
            registry=own,
        )
        self.tokens = Counter("sparkctl_tokens", "Tokens of runs and raw requests.", ("kind",), registry=own)
        self.routes = Counter("sparkctl_routes", "Handoffs between agents.", ("source", "target"), registry=own)
        self.tool_calls = Counter("sparkctl_tool_calls", "Calls of tools.", ("tool",), registry=own)
        self.tool_errors = Counter("sparkctl_tool_errors", "Calls that raised.", ("tool",), registry=own)
        self.approvals = Counter("sparkctl_approvals", "Calls that waited for a human.", ("tool",), registry=own)
        self.running = Gauge("sparkctl_runs_active", "Runs under way.", registry=own)
        self.engine_up = Gauge(
            "sparkctl_engine_up", "Whether the engine of a model answers.", ("model",), registry=own
        )
        self.database_up = Gauge("sparkctl_database_up", "Whether the database answers.", registry=own)
        Gauge("sparkctl_info", "The version.", ("version",), registry=own).labels(__version__).set(1)
        self._tools: set[str] = set()
        self._watched: dict[str, Watched] = {}

    def count(self, usage: Usage) -> None:
        """Tokens that were read and written."""
        self.tokens.labels("prompt").inc(usage.prompt_tokens)
        self.tokens.labels("completion").inc(usage.completion_tokens)

    def hear(self, run: Run, event: Event) -> None:
        """A listener of runs."""
        watched = self._watched.setdefault(run.id, Watched(time.monotonic()))
        match event:
            case AgentEvent() if len(run.route) > 1:
                self.routes.labels(run.route[-2], event.name).inc()
            case TokenEvent() if not watched.answered:
                watched.answered = True
                self.first_token.labels(run.route[-1]).observe(time.monotonic() - watched.since)
            case ToolCallEvent():
                self.tool_calls.labels(self._tool(event.name)).inc()
            case ToolResultEvent() if event.output.startswith(TOOL_FAILED):
                self.tool_errors.labels(self._tool(event.name)).inc()
            case ApprovalEvent():
                self.approvals.labels(self._tool(event.name)).inc()
                self._watched.pop(run.id, None)
            case DoneEvent():
                self._end(run, "done")
            case ErrorEvent():
                self._end(run, event.code)
            case _:
                pass

    def _end(self, run: Run, outcome: str) -> None:
        self.runs.labels(run.route[-1], outcome).inc()
        self.run_seconds.labels(run.route[-1]).observe(time.monotonic() - self._watched.pop(run.id).since)

    def _tool(self, name: str) -> str:
        if len(self._tools) < TOOLS:
            self._tools.add(name)
        return name if name in self._tools else "other"


async def scrape(platform: "Platform") -> bytes:
    """Everything in Prometheus' text format, with what the engines and the database answer now."""
    metrics, served = platform.metrics, platform.endpoints.by_name
    states = await asyncio.gather(_database_up(platform), *map(_engine_up, served.values()))
    metrics.database_up.set(states[0])
    for name, up in zip(served, states[1:], strict=True):
        metrics.engine_up.labels(name).set(up)
    metrics.running.set(len(platform.runs))
    return generate_latest(metrics.registry)


async def _database_up(platform: "Platform") -> bool:
    try:
        async with platform.database.begin() as session:
            await session.execute(text("SELECT 1"))
    except Unavailable:
        return False
    return True


async def _engine_up(served: Served) -> bool:
    try:
        await served.client.with_options(timeout=LOOK_SECONDS).models.list()
    except APIStatusError as error:
        return error.status_code < 500
    except OpenAIError:
        return False
    return True
