"""Errors that a newcomer meets first say what to send instead."""

import pytest
from agent_world import World


def message(gateway: World, method: str, path: str, **sent: object) -> tuple[int, str]:
    """Status and words of the answer."""
    answer = gateway.client.request(method, path, **sent)  # type: ignore[arg-type]
    return answer.status_code, answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/v1/chats", "/" + "x" * 5_000])
def test_a_path_that_is_none_is_named(gateway: World, path: str) -> None:
    words = f"there is nothing at {path[:100]}: GET /openapi.json describes every path"
    assert message(gateway, "GET", path) == (404, words)


def test_a_method_that_a_path_does_not_take_is_named_with_those_that_it_takes(gateway: World) -> None:
    assert message(gateway, "GET", "/chat") == (405, "/chat does not take GET: it takes POST")
    several = gateway.client.put("/sessions/s")
    assert several.json()["error"]["message"] == "/sessions/s does not take PUT: it takes GET, PATCH, DELETE"
    assert several.headers["Allow"] == "GET, PATCH, DELETE"
    assert "Field required" in gateway.client.post("/chat").json()["error"]["message"]
    assert gateway.client.get("/chat").headers["Allow"] == "POST"


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain; charset=utf-8"])
def test_a_body_without_its_type_is_told_of_the_header(gateway: World, kind: str) -> None:
    status, words = message(gateway, "POST", "/chat", content=b'{"message": "x"}', headers={"Content-Type": kind})
    assert (status, words) == (422, "the body is not read: send it with the header Content-Type: application/json")
    assert message(gateway, "POST", "/chat", json=[])[1].startswith("body: ")


def test_a_model_that_is_none_leads_to_the_list(gateway: World) -> None:
    body = {"model": "gpt-9", "messages": [{"role": "user", "content": "x"}]}
    words = "no model is named gpt-9: there are main (scripted); GET /v1/models lists all"
    assert message(gateway, "POST", "/v1/chat/completions", json=body) == (404, words)


def test_tools_for_agents_are_told_where_they_belong(gateway: World) -> None:
    body = {"model": "sparkctl/auto", "messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function"}]}
    words = "tools: agents have tools of their own; a raw model of GET /v1/models takes yours"
    assert message(gateway, "POST", "/v1/chat/completions", json=body) == (422, words)
    assert gateway.client.post("/v1/chat/completions", json=body | {"tools": []}).status_code == 200
