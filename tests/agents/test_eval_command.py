"""`sparkctl agents eval` against scripted models and real gateways: always right scores one, never right zero."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_world import KEY, document_of
from documents import check_document
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from sandbox_box import Box
from standins.scripted import Reply, Script, running, serving
from test_eval_scores import execute

from sparkctl.__main__ import main
from sparkctl.agents.api.app import create_app
from sparkctl.agents.eval import command
from sparkctl.agents.eval.code import CodeScore, read_tasks
from sparkctl.agents.eval.line import opened
from sparkctl.agents.eval.routing import DIRECT, LABELS, Prompt, RoutingScore, read_prompts
from sparkctl.agents.eval.subject import Subject, subject_at
from sparkctl.cli.app import invoke
from sparkctl.errors import LoginError, SparkctlError, UnreachableError

FEW = read_prompts()[::16]
RIGHT = {one.prompt: one.accept[0] for one in read_prompts()}
TEAM = {kind: {"kind": kind} for kind in ("supervisor", "rag", "coding", "image")}


def said_in(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


def right(prompt: str) -> str:
    return RIGHT[prompt]


def wrong(prompt: str) -> str:
    accepted = next(one.accept for one in read_prompts() if one.prompt == prompt)
    return next(label for label in LABELS if label not in accepted)


def routes(choose: Callable[[str], str]) -> Script:
    """A model that chooses so, and otherwise says little."""

    def script(body: dict[str, Any]) -> Reply:
        names = {tool["function"]["name"] for tool in body.get("tools", ())}
        if "answer_directly" not in names:
            return Reply(text="scripted answer")
        called = f"transfer_to_{choose(said_in(body))}"
        return Reply(calls=((called if called in names else "answer_directly", "{}"),))

    return script


def measured(endpoint: str, prompts: list[Prompt], key: str = "", model: str = "", seeds: int = 1) -> RoutingScore:
    async def work() -> RoutingScore:
        async with opened(endpoint, key) as line:
            subject = await subject_at(line, model)
            return await command.routing_of(subject, prompts, seeds, lambda _: None)

    return asyncio.run(work())


def writing(script: Script) -> CodeScore:
    async def work(endpoint: str) -> CodeScore:
        async with opened(endpoint, "") as line:
            return await command.code_of(await subject_at(line, ""), 1, execute, lambda _: None)

    with serving(script) as model:
        return asyncio.run(work(model.url))


@pytest.mark.parametrize(("choose", "accuracy"), [(right, 1.0), (wrong, 0.0)])
def test_a_raw_model_is_scored_by_the_tool_that_it_calls(choose: Callable[[str], str], accuracy: float) -> None:
    with serving(routes(choose)) as model:
        score = measured(model.url, FEW, seeds=2)
    assert (score.accuracy.mean, score.malformed.mean, len(score.by_seed)) == (accuracy, 0.0, 2)
    assert score.router.startswith("model scripted at http://127.0.0.1:")
    assert len(model.bodies) == 2 * len(FEW)
    assert {body["seed"] for body in model.bodies} == {0, 1}
    assert model.bodies[0]["tool_choice"] == "required"
    assert "call exactly one of your tools" in model.bodies[0]["messages"][0]["content"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(text="I'll hand off to the coding agent."),
        Reply(calls=(("transfer_to_root", "{}"),)),
        Reply(calls=(("split_request", '{"parts": ['),)),
        Reply(),
    ],
)
def test_what_names_nobody_is_malformed(reply: Reply) -> None:
    with serving(lambda _: reply) as model:
        score = measured(model.url, FEW[:3])
    assert (score.accuracy.mean, score.malformed.mean) == (0.0, 1.0)


@pytest.mark.parametrize(("choose", "accuracy"), [(right, 1.0), (wrong, 0.0)])
def test_a_gateway_is_scored_by_the_agent_that_speaks(
    tmp_path: Path, choose: Callable[[str], str], accuracy: float
) -> None:
    with serving(routes(choose)) as model, running(create_app(document_of(tmp_path, model.url, team=TEAM))) as address:
        score = measured(address, FEW, KEY)
    assert (score.accuracy.mean, score.malformed.mean, score.prompts) == (accuracy, 0.0, len(FEW))
    assert score.router.startswith("gateway http://127.0.0.1:")


def test_a_team_without_an_agent_is_not_asked_for_it(tmp_path: Path) -> None:
    team = {kind: {"kind": kind} for kind in ("supervisor", "coding")}
    with serving(routes(right)) as model, running(create_app(document_of(tmp_path, model.url, team=team))) as address:
        score = measured(address, FEW, KEY)
    left = [one for one in FEW if {"coding", DIRECT} & set(one.accept)]
    assert score.prompts == len(left) < len(FEW)
    assert "image" not in score.recall


def test_programs_are_scored_by_their_hidden_tests() -> None:
    known = {task.question: task.reference for task in read_tasks()}
    score = writing(lambda body: Reply(text=f"Here:\n```python\n{known[said_in(body)]}```\nIt works."))
    assert (score.passed.mean, score.failed) == (1.0, ())
    assert writing(lambda _: Reply(text="```python\nimport os\nos._exit(0)\n```")).passed.mean == 0.0


def test_programs_run_in_a_real_sandbox(sandbox: Box, capsys: pytest.CaptureFixture[str]) -> None:
    known = {task.question: task.reference for task in read_tasks()}
    with serving(lambda body: Reply(text=f"```python\n{known[said_in(body)]}```")) as model:
        argv = ["agents", "eval", "--suite", "code", "--endpoint", model.url, "--json"]
        assert invoke([*argv, "--sandbox", sandbox.client.socket]) == 0
        document = json.loads(capsys.readouterr().out)
        check_document(document)
        assert (document["code"]["passed"]["mean"], document["code"]["failed"]) == (1.0, [])
        with pytest.raises(SparkctlError, match="the sandbox is away"):
            invoke([*argv, "--sandbox", "/nonexistent/socket"])


def test_a_gateway_that_asks_for_patience_gets_it() -> None:
    asked = 0
    app = FastAPI()

    @app.get("/v1/models")
    async def models() -> Response:
        nonlocal asked
        asked += 1
        return JSONResponse({"data": [{"id": "x"}]}, 200) if asked > 2 else Response(None, 429, {"Retry-After": "0"})

    with running(app) as address:
        assert subject_of(address).title == f"model x at {address}"
    assert asked == 3


def subject_of(endpoint: str, key: str = "", model: str = "") -> Subject:
    async def work() -> Subject:
        async with opened(endpoint, key) as line:
            return await subject_at(line, model)

    return asyncio.run(work())


def test_a_wrong_key_a_wrong_address_and_a_wrong_model_are_told(tmp_path: Path) -> None:
    document = document_of(tmp_path, "http://127.0.0.1:9/v1")
    with running(create_app(document)) as address, pytest.raises(LoginError, match="refuses the key"):
        subject_of(address, "wrong")
    with pytest.raises(UnreachableError, match="does not answer"):
        subject_of(address, KEY)
    with serving() as model, pytest.raises(SparkctlError, match="has scripted, not other"):
        subject_of(model.url, model="other")
    app = FastAPI()

    @app.api_route("/{path:path}")
    async def page(_request: Request) -> Response:
        return Response("<html>hello</html>", media_type="text/html")

    with running(app) as address, pytest.raises(SparkctlError, match="no JSON"):
        subject_of(address)


def test_an_endpoint_that_dies_midway_is_told_with_how_far_it_was() -> None:
    asked = 0

    def script(body: dict[str, Any]) -> Reply:
        nonlocal asked
        asked += 1
        return routes(right)(body) if asked < 6 else Reply(status=500)

    with serving(script) as model, pytest.raises(SparkctlError) as died:
        measured(model.url, FEW)
    assert "HTTP 500" in died.value.what
    assert f"of {len(FEW)}; nothing was scored" in died.value.where
    assert asked < len(FEW), "the others are not asked any more"


def test_a_gateway_whose_engine_is_away_is_told(tmp_path: Path) -> None:
    document = document_of(tmp_path, "http://127.0.0.1:9/v1", team=TEAM)
    with running(create_app(document)) as address, pytest.raises(UnreachableError, match="engine did not answer"):
        measured(address, FEW[:1], KEY)


def test_the_command_prints_a_table_and_a_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = tmp_path / "key"
    key_file.write_text("sk-never-shown\n")
    monkeypatch.setattr(command, "read_prompts", lambda: FEW)
    with serving(routes(right)) as model:
        argv = ["agents", "eval", "--endpoint", model.url, "--key-file", str(key_file), "--suite", "routing"]
        assert invoke([*argv, "--json"]) == 0
        shown = capsys.readouterr().out
        assert invoke([*argv, "--suite", "code"]) == 0
    printed = capsys.readouterr().out
    schema, places = check_document(json.loads(shown))
    assert schema == "agents-eval"
    assert {"routing[].accuracy.mean", "routing[].confusion.*.*", "routing[].groups.*.low"} <= places
    assert [one["router"] for one in json.loads(shown)["routing"]][1:] == [
        "words of the kinds",
        "nearest centroid, 2-fold",
    ]
    assert "accuracy" in printed and "1.000 [" in printed and "\x1b" not in printed
    assert "run in a sandbox only" in printed, "code is left out, and it says why"
    assert "sk-never-shown" not in shown + printed


def test_the_commands_faults_have_their_exit_codes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for argv, code in (
        (["--suite", "routing", "--endpoint", "http://127.0.0.1:9"], 4),
        (["--suite", "routing", "--endpoint", "nonsense"], 3),
        (["--endpoint", "http://127.0.0.1:9", "--key-file", "/nonexistent"], 3),
        (["--suite", "rooting"], 3),
        (["--suite", "code"], 3),
        (["--seeds", "0"], 3),
    ):
        monkeypatch.setattr(sys, "argv", ["sparkctl", "agents", "eval", *argv])
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr().err
        assert (left.value.code, "Traceback" in told) == (code, False), argv
