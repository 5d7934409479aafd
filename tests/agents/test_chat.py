"""`/chat` over the real gateway and a scripted model: the protocol, never the quality of an answer."""

import json

from agent_world import World


def test_a_request_is_routed_to_the_agent_that_it_names(gateway: World) -> None:
    answer = gateway.client.post("/chat", json={"message": "coding, please: a loop"}).json()
    assert answer["route"] == ["supervisor", "coding"]
    assert answer["agent_name"] == "coding"
    assert answer["response"] == "scripted answer to: coding, please: a loop"
    assert answer["usage"] == {"prompt_tokens": 20, "completion_tokens": 10}


def test_a_stream_ends_in_what_chat_answers(gateway: World) -> None:
    with gateway.client.stream("POST", "/chat/stream", json={"message": "rag: where\nis it"}) as response:
        lines = list(response.iter_lines())
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    last = json.loads([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
    assert [kind for kind in kinds if kind != "token"] == ["agent", "agent", "done"]
    assert last["response"] == "scripted answer to: rag: where\nis it"


def test_without_a_key_nothing_is_answered(gateway: World) -> None:
    response = gateway.client.post("/chat", json={"message": "hello"}, headers={"Authorization": ""})
    assert response.status_code == 401
    assert response.json()["error"]["code"] == "unauthorized"
