"""Scripts that play a router and specialists, and readers of what the gateway streams."""

import json
from collections.abc import Callable
from typing import Any

from fastapi.testclient import TestClient
from standins.scripted import Reply, Script, in_turn

Told = list[tuple[str, dict[str, Any]]]
"""Events of a stream: name and data."""


def is_router(body: dict[str, Any]) -> bool:
    """Whether a supervisor is asked to choose."""
    return any(tool["function"]["name"] == "answer_directly" for tool in body.get("tools", ()))


def played(router: Reply | Script, *specialists: Reply | Script) -> Script:
    """That router, and specialists who answer in turn whoever is asked; the last one again and again."""
    turns = in_turn_of(*specialists)
    return lambda body: said(router, body) if is_router(body) else turns(body)


def in_turn_of(*replies: Reply | Script) -> Script:
    """Answers, or scripts of one answer, one after the other."""
    next_of = in_turn(*replies)  # type: ignore[arg-type]
    return lambda body: said(next_of(body), body)


def said(reply: Reply | Script, body: dict[str, Any]) -> Reply:
    """A reply, made where it is a script."""
    return reply if isinstance(reply, Reply) else reply(body)


def to(agent: str, text: str = "") -> Reply:
    """A handoff, with what a model writes beside it."""
    return Reply(text=text, calls=((f"transfer_to_{agent}", "{}"),))


def echo(body: dict[str, Any]) -> Reply:
    """The last message of the user, said back."""
    return Reply(text=f"about {users(body)[-1]}")


def users(body: dict[str, Any]) -> list[str]:
    """What users said in a request to the engine."""
    return [one["content"] for one in body["messages"] if one["role"] == "user"]


def streamed(client: TestClient, path: str, body: dict[str, Any]) -> Told:
    """The events that a stream brings."""
    with client.stream("POST", path, json=body) as response:
        assert response.status_code == 200, response.read()
        return events(response.iter_lines())


def events(lines: Any) -> Told:
    """Events of the lines of SSE."""
    told: Told = []
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            told.append((name, json.loads(line.removeprefix("data: "))))
    return told


def text_of(told: Told) -> str:
    """The tokens, joined."""
    return "".join(data["text"] for name, data in told if name == "token")


def asked(find: Callable[[dict[str, Any]], bool], bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The requests to the engine that are so."""
    return [body for body in bodies if find(body)]
