"""The served models: one OpenAI client for each, whatever engine is behind it, and one client for the raw path."""

from dataclasses import dataclass
from pathlib import Path

from agents import Model, OpenAIChatCompletionsModel, OpenAIResponsesModel
from aiohttp import ClientSession
from httpx2 import Limits
from openai import DEFAULT_CONNECTION_LIMITS, AsyncOpenAI, DefaultAsyncHttpxClient

from sparkctl.agent_spec import AgentsDocument, ModelEndpoint
from sparkctl.agents.core.failure import Unknown
from sparkctl.agents.core.secret_file import read_secret
from sparkctl.agents.core.upstream import IDLE_SECONDS, open_upstream

READ_SECONDS = 300.0


@dataclass(frozen=True)
class Served:
    """A model with its client; `name` is the profile's."""

    name: str
    endpoint: ModelEndpoint
    client: AsyncOpenAI

    def model(self) -> Model:
        """As openai-agents wants it: bound to this client, so that no provider guesses from the name."""
        make = OpenAIResponsesModel if self.endpoint.api == "responses" else OpenAIChatCompletionsModel
        return make(self.endpoint.id, self.client)


@dataclass(frozen=True)
class Endpoints:
    """Every served model by its name in the profile; `raw` reaches all of them without understanding a byte."""

    by_name: dict[str, Served]
    raw: ClientSession

    def find(self, name: str) -> Served:
        """By the profile's name or the engine's; an empty name is the first. Raises Unknown."""
        for served in self.by_name.values():
            if name in ("", served.name, served.endpoint.id):
                return served
        there = ", ".join(f"{name} ({served.endpoint.id})" for name, served in self.by_name.items())
        raise Unknown(f"no model is named {name[:100]}: there are {there}")

    async def close(self) -> None:
        """Close every client."""
        for served in self.by_name.values():
            await served.client.close()
        await self.raw.close()


def open_endpoints(document: AgentsDocument) -> Endpoints:
    """Clients for all models of the document; nothing is asked yet. Needs a running event loop.

    Raises Refused without a key that is named.
    """
    by_name = {name: Served(name, one, _client(one)) for name, one in document.models.items()}
    return Endpoints(by_name, open_upstream(READ_SECONDS))


def _client(endpoint: ModelEndpoint) -> AsyncOpenAI:
    limits = Limits(max_connections=DEFAULT_CONNECTION_LIMITS.max_connections, keepalive_expiry=IDLE_SECONDS)
    return AsyncOpenAI(
        base_url=endpoint.url,
        api_key=read_secret(Path(endpoint.key_file)).decode(errors="replace") if endpoint.key_file else "none",
        timeout=READ_SECONDS,
        max_retries=0,
        http_client=DefaultAsyncHttpxClient(trust_env=False, limits=limits),
    )
