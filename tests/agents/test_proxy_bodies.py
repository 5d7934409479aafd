"""What is read of a body that passes to an engine, and what is refused before it gets there."""

import json

import pytest
from agent_world import World
from hypothesis import given, settings
from hypothesis import strategies as st
from passing import HELLO

from sparkctl.agents.api.raw_body import read_raw, refuse_unsafe
from sparkctl.agents.core.events import Usage
from sparkctl.agents.core.failure import Refused
from sparkctl.agents.core.raw_usage import UsageReader

PATHS = ("completions", "embeddings", "responses", "chat/completions")


def test_a_model_that_nobody_serves_is_unknown(gateway: World) -> None:
    for path in PATHS:
        answer = gateway.client.post(f"/v1/{path}", json={"model": "other", "input": "x", "prompt": "x"})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["type"]) == (404, "not_found", "not_found_error"), path
        assert {*error} == {"code", "message", "request_id", "type", "param"}, path


def test_without_a_key_no_engine_is_reached(gateway: World) -> None:
    for path in PATHS:
        answer = gateway.client.post(f"/v1/{path}", json=HELLO, headers={"Authorization": ""})
        assert answer.status_code == 401, path
    assert not gateway.model.bodies


def test_without_a_key_no_body_is_read(gateway: World) -> None:
    for path in ("chat/completions", "completions", "embeddings", "responses"):
        answer = gateway.client.post(f"/v1/{path}", content=b"no JSON", headers={"Authorization": ""})
        assert answer.status_code == 401


@pytest.mark.parametrize("part", [b"[]", b"{}", b"1"])
def test_a_body_of_countless_parts_is_refused_before_it_takes_their_memory(part: bytes) -> None:
    with pytest.raises(Refused, match="more than 1000000 parts"):
        read_raw(b'{"a": [' + part + (b"," + part) * 1_000_000 + b'], "model": "m"}')


SEEN = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


FETCHED = (
    '{"image_url": {"url": "http://127.0.0.1:6379/"}}',
    '{"image_url": "http://127.0.0.1:6379/"}',
    '{"image\\u005furl": {"url": "http://127.0.0.1:6379/"}}',
    '{"image_url": {"url": "data:,", "url": "http://127.0.0.1/", "url": "data:,"}}',
    '{"image_url": {"url": "data:,"}, "image_url": "http://127.0.0.1/"}',
    '{"video_url": {"url": "file:///run/secrets/api-key"}}',
    '{"audio_url": {"url": "/run/secrets/api-key"}}',
)


@pytest.mark.parametrize("part", FETCHED)
def test_no_engine_is_told_to_fetch(gateway: World, part: str) -> None:
    body = f'{{"model": "main", "messages": [{{"role": "user", "content": [{part}]}}]}}'
    before = len(gateway.model.bodies)
    answer = gateway.client.post("/v1/chat/completions", content=body)
    assert (answer.status_code, "data: URLs" in answer.text) == (400, True)
    assert len(gateway.model.bodies) == before


@pytest.mark.parametrize("name", ["image", "video", "audio", "im\\u0061ge"])
@pytest.mark.parametrize("value", ['"http://127.0.0.1:9090/x"', '"/run/secrets/api-key"', '["data:,", "http://a/"]'])
def test_no_engine_is_told_to_fetch_what_it_embeds(gateway: World, name: str, value: str) -> None:
    body = f'{{"model": "main", "input": [{{"text": "x", "{name}": {value}}}]}}'
    answer = gateway.client.post("/v1/embeddings", content=body)
    assert (answer.status_code, "data: URLs" in answer.text) == (400, True)
    assert not gateway.model.bodies


def test_pictures_in_the_request_may_be_embedded() -> None:
    refuse_unsafe('{"model": "main", "input": [{"text": "x", "image": "data:image/png;base64,AAAA"}]}')


def test_pictures_in_the_request_and_tools_with_addresses_pass(gateway: World) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"image_url": {"type": "x"}}}}}
    body = {**HELLO, "messages": [{"role": "user", "content": [SEEN]}], "tools": [tool]}
    assert gateway.client.post("/v1/chat/completions", json=body).status_code == 200
    assert gateway.model.bodies[-1] == body


def test_a_body_without_a_model_is_refused(gateway: World) -> None:
    answer = gateway.client.post("/v1/chat/completions", content=b"{")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"null", b'"model"', b'{"model": 1}', b'{"messages": []}', b'{"a": 1 "model": "x"}', b"\xff", b"{}",
     b'{"a": ' + b"[" * 100_000, b'{"model"', b'{1: 2}', b'{"model": "x', b'{"a": nothing, "model": "x"}'],
)  # fmt: skip
def test_what_is_no_object_with_a_model_is_refused(body: bytes) -> None:
    with pytest.raises(Refused):
        read_raw(body)


@pytest.mark.parametrize(
    "text",
    [
        '{"model": "main", "messages": [], "model": "other"}',
        '{"model": "main", "messages": [], "MODEL": "other"}',
        '{"Model": "other", "model": "main", "messages": []}',
        '{"model": "main", "messages": [], "mod\\u0065l": "other"}',
    ],
)
def test_a_model_that_is_named_twice_is_refused(gateway: World, text: str) -> None:
    answer = gateway.client.post("/v1/chat/completions", content=text)
    assert (answer.status_code, "names the model twice" in answer.text) == (400, True)
    assert not gateway.model.bodies


def test_a_model_may_be_named_deeper_in_the_body(gateway: World) -> None:
    body = {**HELLO, "metadata": {"model": "x", "Model": "y"}}
    assert gateway.client.post("/v1/chat/completions", json=body).status_code == 200


TEXT = st.text(st.sampled_from('ab"\\{}[]:, \n\té😀'), max_size=8)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=50)
@given(st.dictionaries(TEXT, VALUES, max_size=4), TEXT, TEXT, st.sampled_from([None, 2]), st.booleans())
def test_only_the_name_changes(
    more: dict[str, object], old: str, new: str, indent: int | None, ascii_only: bool
) -> None:
    body = {**more, "model": old, "last": 1}
    read = read_raw(json.dumps(body, indent=indent, ensure_ascii=ascii_only).encode())
    assert json.loads(read.renamed(read.model)) == json.loads(read.text)
    assert json.loads(read.renamed(new)) == {**json.loads(read.text), "model": new}


def test_bytes_behind_the_name_are_the_engines_matter() -> None:
    assert read_raw(b'{"model": "a", what}').renamed("b") == b'{"model": "b", what}'


@pytest.mark.parametrize(
    ("text", "usage"),
    [
        (b'data: {"usage":{"prompt_tokens":3,"completion_tokens":4,"details":{"a":{}}}}\n\ndata: [DONE]\n\n', (3, 4)),
        (b'{"usage": {"input_tokens": 3, "output_tokens": 4}, "prompt_logprobs": null}', (3, 4)),
        (b'data: {"usage":null}\n\ndata: {"usage":{"prompt_tokens":3}}\n\ndata: {"usage":null}\n\n', (3, 0)),
        (b'{"usage": {"prompt_tokens": 3}, "prompt_logprobs": [' + b'{"5": {"rank": 1}},' * 2_000 + b"null]}", (3, 0)),
        (b'{"usage": {"prompt_tokens": -9, "completion_tokens": "x"}}', (0, 0)),
    ],
)
def test_usage_is_found_wherever_it_stands(text: bytes, usage: tuple[int, int]) -> None:
    for size in (1, 7, len(text)):
        assert read(text, size) == Usage(*usage)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"content": '"usage": {"prompt_tokens": 9}'}).encode(),
        b'{"tools": [{"usage": {"type": "object"}}]}',
        b'{"usage": {"prompt_tok',
        b"",
    ],
)
def test_where_no_usage_is_told_it_is_estimated(text: bytes) -> None:
    for size in (1, 7, len(text) or 1):
        assert read(text, size) == Usage(len(ASKED) // 3, len(text) // 3)


@pytest.mark.parametrize(
    ("asked", "counted"),
    [
        (b'{"url": "data:image/png;base64,' + b"Aa+/" * 9_000 + b'=="}', b'{"url": ""}'),
        (b'{"url": "data:image\\/png;base64,' + b"A\\/" * 9_000 + b'"}', b'{"url": ""}'),
        (b"data: " + b"many words, " * 900, b"data: " + b"many words, " * 900),
    ],
)
def test_pictures_are_not_estimated_by_their_bytes(asked: bytes, counted: bytes) -> None:
    assert UsageReader(asked, stream=False).usage() == Usage(len(counted) // 3, 0)


ASKED = b'{"model": "a", "prompt": "b"}'


def read(text: bytes, size: int) -> Usage:
    """What is read of an answer that comes in pieces of so many bytes."""
    reader = UsageReader(ASKED, stream=False)
    for at in range(0, len(text), size):
        reader.add(text[at : at + size])
    return reader.usage()
