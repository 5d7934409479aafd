"""A gateway whose coding agent has a real sandbox, and a scripted model that calls what a test says."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent_world import KEY, document_of
from fastapi.testclient import TestClient
from own_kinds import look_up
from standins.scripted import Reply, serving

from sparkctl.agents.api.app import create_app
from sparkctl.agents.chat.coding import CODING, tools
from sparkctl.agents.core.kind import Kind

READER = Kind("Reads and codes.", CODING.instructions, tools=lambda: (look_up, *tools()))
"""A coding agent that also brings text from outside."""
TEAM = {"coding": {"kind": "coding"}, "reader": {"kind": "coding_world:READER"}}


@dataclass
class Coder:
    """A gateway; the model says `replies` in turn, then `done`."""

    client: TestClient
    replies: list[Reply] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)

    def chat(self, *calls: tuple[str, dict[str, Any]], session: str = "s", agent: str = "coding") -> dict[str, Any]:
        """The answer to a message, for which the model makes these calls, each in a turn of its own."""
        self.replies[:] = [Reply(calls=((name, json.dumps(given)),)) for name, given in calls]
        body = {"message": "go", "session_id": session, "agent_type": agent}
        answer: dict[str, Any] = self.client.post("/chat", json=body).json()
        return answer

    def use(self, name: str, session: str = "s", **given: Any) -> str:
        """What a tool tells the model."""
        output: str = self.chat((name, given), session=session)["tool_calls"][0]["output"]
        return output


@contextmanager
def coder(folder: Path, socket: str, **agents: Any) -> Iterator[Coder]:
    """A gateway with that socket of a sandbox, empty for none."""
    made = Coder(TestClient(lambda: None))  # type: ignore[arg-type]
    with serving(lambda _body: made.replies.pop(0) if made.replies else Reply(text="done")) as model:
        document = document_of(folder, model.url, **{"team": TEAM, "entry": "coding", **agents})
        where = document.where.model_copy(update={"sandbox": socket})
        app = create_app(document.model_copy(update={"where": where}))
        headers = {"Authorization": f"Bearer {KEY}"}
        with TestClient(app, headers=headers, raise_server_exceptions=False) as client:
            made.client, made.bodies = client, model.bodies
            yield made
