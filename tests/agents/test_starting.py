"""Programs of the platform that cannot start say why in sentences, with an exit code: no traceback."""

import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from agent_world import document_of
from fastapi.testclient import TestClient

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents import doctor, key_tool, serve
from sparkctl.agents.api.app import create_app
from sparkctl.agents.document import read_document
from sparkctl.agents.ui import serve as ui
from sparkctl.errors import ConfigError, SparkctlError, UnknownNameError

NOWHERE = "http://127.0.0.1:9/v1"
PROGRAMS = {"gateway": serve.serve, "ui": ui.serve}


@pytest.fixture(autouse=True)
def own_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs take the whole process's log: it is given back."""
    monkeypatch.setattr(logging.root, "handlers", [])
    monkeypatch.setattr(logging.root, "level", logging.WARNING)


def told(
    folder: Path, where: dict[str, Any] | None = None, model: dict[str, Any] | None = None, **agents: Any
) -> Path:
    """A document in its file, with these keys of `where`, of its model and of `agents`."""
    given = document_of(folder, NOWHERE, **agents).model_dump()
    given["where"] |= {"port": 0, "ui_port": 0} | (where or {})
    given["models"]["main"] |= model or {}
    path = folder / "agents.json"
    path.write_text(AgentsDocument.model_validate(given).model_dump_json())
    return path


def why(error: SparkctlError) -> str:
    """Everything that it says."""
    problems = error.problems if isinstance(error, ConfigError) else ()
    return " ".join((error.what, *map(str, problems)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"entry": "nobody"}, "no agent is named nobody"),
        ({"team": {"supervisor": {"kind": "seer"}}}, "no kind of agent is named seer"),
        ({"team": {"supervisor": {"kind": "json:loads"}}}, "json:loads is no kind"),
        ({"team": {"supervisor": {"kind": "supervisor", "model": "gone"}}}, "no model is named gone"),
        ({"team": {"supervisor": {"kind": "coding", "tools": ["fly"]}}}, "no tool named fly"),
        ({"rag": {"embeddings": "gone"}}, "no model is named gone"),
        ({"rag": {"index": "milvus"}}, "where.milvus has no address"),
        ({"where": {"database": "nonsense"}}, "no URL"),
        ({"where": {"database": "mysql+foo://x/y"}}, "not mysql+foo"),
        ({"where": {"data": "/dev/null"}}, "/dev/null cannot be a folder"),
        ({"model": {"key_file": "/dev/null/key"}}, "/dev/null/key cannot be read"),
    ],
)
def test_a_gateway_that_is_told_something_wrong_says_what(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        serve.serve(told(tmp_path, **given))
    assert said in why(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"where": {"database": "postgresql+asyncpg://u@127.0.0.1:9/x"}}, "127.0.0.1:9/x cannot be prepared"),
        ({"rag": {"index": "milvus"}, "where": {"milvus": "http://127.0.0.1:9"}}, "Milvus"),
    ],
)
def test_what_is_away_is_named(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    with pytest.raises(SparkctlError) as caught:
        serve.serve(told(tmp_path, **given))
    assert said in why(caught.value)
    assert not isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("content", ["\n", None])
def test_a_gateway_that_nobody_could_enter_does_not_start(tmp_path: Path, content: str | None) -> None:
    path = told(tmp_path)
    key = tmp_path / "secrets" / "agents-key"
    key.write_text(content) if content else key.unlink()
    with pytest.raises(ConfigError) as caught:
        serve.serve(path)
    assert f"nobody could enter: {key}" in why(caught.value)


def test_a_key_of_the_shell_is_enough_to_start(tmp_path: Path) -> None:
    path = told(tmp_path)
    (tmp_path / "data").mkdir()
    key_tool.create(path, "anna", "", ["chat"], None)
    (tmp_path / "secrets" / "agents-key").unlink()
    with TestClient(create_app(read_document(path))) as client:
        assert client.get("/health").status_code == 200


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_port_that_another_has_is_named(tmp_path: Path, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SparkctlError, match=f"port {port}: Address already in use"):
            PROGRAMS[name](told(tmp_path, {"port": port, "ui_port": port}))


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("address", ["203.0.113.7", "no such host"])
def test_an_address_that_is_not_ours_is_named(tmp_path: Path, name: str, address: str) -> None:
    with pytest.raises(SparkctlError, match=f"cannot listen on {address}"):
        PROGRAMS[name](told(tmp_path, {"listen": address, "ui_listen": address}))


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("content", ["", "{nope", "[]", '{"models": {"main": {"url": 1}}, "more": 2}', "\x00"])
def test_a_document_that_is_none_is_refused(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / "agents.json"
    path.write_text(content)
    with pytest.raises(ConfigError):
        PROGRAMS[name](path)


def test_an_unknown_key_is_the_users_fault_and_no_databases(tmp_path: Path) -> None:
    path = told(tmp_path)
    Path(tmp_path, "data").mkdir()
    with pytest.raises(UnknownNameError, match="no key has the id gone") as caught:
        key_tool.revoke(path, "gone")
    assert "key list" in caught.value.fix


def test_keys_of_a_folder_that_is_not_there_are_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        key_tool.create(told(tmp_path), "anna", "", ["chat"], None)
    assert "is no folder" in why(caught.value)


def test_the_doctor_names_a_tool_that_a_kind_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        doctor.doctor(told(tmp_path, team={"supervisor": {"kind": "coding", "tools": ["fly"]}}))
    assert "no tool named fly" in why(caught.value)
