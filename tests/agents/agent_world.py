"""A platform to test against: real application, real database, scripted model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from postgres import PASSWORD
from standins.scripted import MODEL, Script, Scripted, routed, serving

from sparkctl.agent_spec import Agents, AgentsDocument, ModelEndpoint, Where
from sparkctl.agents.api.app import create_app

KEY = "test-key-of-the-owner"


@dataclass
class World:
    """A running gateway: `client` sends the owner's key, `model` is the scripted engine behind it."""

    client: TestClient
    model: Scripted
    document: AgentsDocument


def document_of(folder: Path, url: str, database: str = "", **agents: Any) -> AgentsDocument:
    """What the gateway is told: one scripted model, the owner's key, SQLite or the database at that URL."""
    secrets = folder / "secrets"
    secrets.mkdir(exist_ok=True)
    (secrets / "agents-key").write_text(KEY)
    (secrets / "database-password").write_text(PASSWORD)
    where = Where(data=str(folder / "data"), secrets=str(secrets), database=database)
    return AgentsDocument(
        agents=Agents.model_validate(agents), models={"main": ModelEndpoint(url=url, id=MODEL)}, where=where
    )


@contextmanager
def world(folder: Path, script: Script = routed, database: str = "", **agents: Any) -> Iterator[World]:
    """A gateway with that script, that database, and these keys of `agents`."""
    with serving(script) as model:
        document = document_of(folder, model.url, database, **agents)
        headers = {"Authorization": f"Bearer {KEY}"}
        with TestClient(create_app(document), headers=headers, raise_server_exceptions=False) as client:
            yield World(client, model, document)
