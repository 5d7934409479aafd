"""The doctor of the models: each ability present and absent, over the real API of a scripted engine."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_world import document_of
from documents import check_document, own
from standins.scripted import Reply, Script, serving

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.doctor import Diagnosis, examine_document
from sparkctl.agents.probes import Ability
from sparkctl.cli.app import invoke

CALL = (("note_colour", '{"colour": "red"}'),)
TEAM = {"supervisor": {"kind": "supervisor"}, "image": {"kind": "image"}}


def able(body: dict[str, Any]) -> Reply:
    """An engine that can do all."""
    return Reply(calls=CALL) if body.get("tools") else Reply("red")


def where(refused: Callable[[dict[str, Any]], bool], reply: Reply) -> Script:
    """An engine that can do all but that."""
    return lambda body: reply if refused(body) else able(body)


def sees(body: dict[str, Any]) -> bool:
    """Whether the request has a picture."""
    return "image_url" in json.dumps(body["messages"])


def diagnosed(folder: Path, script: Script, **agents: Any) -> Diagnosis:
    """What the doctor says of an engine with that script."""
    with serving(script) as model:
        return asyncio.run(examine_document(document_of(folder, model.url, **agents)))


def test_a_model_that_can_do_all_has_no_problems(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, able, team=TEAM, rag={"embeddings": "main"})
    assert found.problems == ()
    assert found.exit_code == 0
    assert [ability for ability in Ability if not found.models[0].able(ability)] == []


@pytest.mark.parametrize(
    ("script", "lost", "words"),
    [
        (where(lambda body: "tools" in body, Reply("no call")), {Ability.TOOLS, Ability.STREAMED_TOOLS}, "no tool"),
        (
            where(lambda body: "tools" in body, Reply(calls=(("note_colour", '{"colour'),))),
            {Ability.TOOLS, Ability.STREAMED_TOOLS},
            "cannot be read",
        ),
        (
            where(lambda body: "tools" in body and not body.get("stream"), Reply(calls=(("other", "{}"),))),
            {Ability.TOOLS},
            "called other",
        ),
        (
            where(lambda body: bool("tools" in body and body.get("stream")), Reply("called", status=400)),
            {Ability.STREAMED_TOOLS},
            "code: 400",
        ),
        (where(sees, Reply(status=400)), {Ability.IMAGES}, "code: 400"),
    ],
    ids=["text for a tool call", "malformed arguments", "another tool", "no tools in streams", "text-only"],
)
def test_what_a_model_cannot_do_is_a_problem_of_the_agent_that_needs_it(
    tmp_path: Path, script: Script, lost: set[Ability], words: str
) -> None:
    found = diagnosed(tmp_path, script, team=TEAM)
    assert {ability for ability in Ability if not found.models[0].able(ability)} == lost
    assert found.exit_code == 2
    assert all(problem.startswith("agent ") and words in problem for problem in found.problems)
    assert found.problems


def test_what_no_agent_needs_is_no_problem(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, where(sees, Reply(status=400)), entry="one", team={"one": {"kind": "plain"}})
    assert (found.problems, found.models[0].able(Ability.IMAGES)) == ((), False)


def test_a_model_of_another_name_is_a_problem(tmp_path: Path) -> None:
    with serving(able) as model:
        document = document_of(tmp_path, model.url)
        other = {"main": document.models["main"].model_copy(update={"id": "other"})}
        found = asyncio.run(examine_document(document.model_copy(update={"models": other})))
    assert any("needs the listing of model main (other): listed are scripted" in one for one in found.problems)


def test_a_model_that_nobody_serves_here_is_a_problem(tmp_path: Path) -> None:
    found = diagnosed(tmp_path, able, entry="one", team={"one": {"kind": "plain", "model": "absent"}})
    assert found.problems == ("agent one: no model is named absent: there are main (scripted)",)


def test_an_engine_that_is_away_is_one_problem(tmp_path: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        found = asyncio.run(examine_document(document_of(tmp_path, url)))
    assert len(found.problems) == 1
    assert found.problems[0].startswith(f"model main is not reached at {url}: ")


def test_the_command_prints_a_table_or_json_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(where(sees, Reply(status=400))) as model:
        path = _written(tmp_path, document_of(tmp_path, model.url, team=TEAM))
        argv = ["agents", "doctor", "--config", str(path)]
        assert invoke(argv) == 2
        head, row, problem = capsys.readouterr().out.splitlines()
        assert invoke([*argv, "--json"]) == 2
    assert head.split("  ")[0] == "MODEL" and row.split()[:2] == ["main", "yes"]
    assert problem == "agent image needs images of model main (scripted): Error code: 400 - scripted fault"
    read = json.loads(capsys.readouterr().out)
    schema, places = check_document(read)
    assert (schema, own(schema).keys() - places) == ("agents-doctor", {"models[].context"})
    assert read["problems"] == [problem]
    assert read["models"][0]["abilities"]["images"]["able"] is False


def _written(folder: Path, document: AgentsDocument) -> Path:
    path = folder / "agents.json"
    path.write_text(document.model_dump_json())
    return path
