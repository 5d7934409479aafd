"""The coding agent's seven tools, through the gateway, in a real sandbox; the model is scripted."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_world import document_of
from callers import bearer
from coding_world import Coder, coder
from sandbox_box import Box, box
from standins.scripted import Reply

from sparkctl.agents.chat.coding import tools
from sparkctl.agents.sandbox.client import sandbox_of

ADD = "def add(a, b):\n    return a + b\n"
RIGHT = "import unittest\nfrom solution import add\n\nclass T(unittest.TestCase):\n    def test_a(self):\n"
RIGHT += "        self.assertEqual(add(1, 2), 3)\n"


@pytest.fixture(scope="module")
def agent(sandbox: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coder]:
    with coder(tmp_path_factory.mktemp("coder"), sandbox.client.socket) as one:
        yield one


def test_they_are_the_seven_of_the_document() -> None:
    named = "execute_code analyze_code search_code_patterns generate_tests write_file read_file list_files"
    assert [tool.name for tool in tools()] == named.split()


def test_a_job_that_may_take_long_is_waited_for(tmp_path: Path) -> None:
    document = document_of(tmp_path, "http://127.0.0.1:9/v1", sandbox={"seconds": 600})
    assert sandbox_of(document).patience > 600


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("python", "print(6 * 7)"),
        ("JavaScript", "console.log(6 * 7)"),
        ("bash", "echo $((6 * 7))"),
        ("sh", "echo 42"),
    ],
)
def test_programs_run_and_their_output_is_told(agent: Coder, language: str, code: str) -> None:
    told = agent.use("execute_code", code=code, language=language)
    assert told.splitlines()[0].startswith("exit code 0")
    assert told.splitlines()[1] == "42"


def test_a_language_that_is_not_there_is_told_with_those_that_are(agent: Coder) -> None:
    told = agent.use("execute_code", code="x", language="cobol")
    assert told.startswith("This did not work: 'cobol' cannot be run here: the sandbox has python, javascript, bash")


def test_a_failing_program_is_told_as_one(agent: Coder) -> None:
    told = agent.use("execute_code", code="raise ValueError('no')", language="python")
    assert told.startswith("exit code 1")
    assert "ValueError: no" in told
    assert "/workspaces" not in told


def test_files_stay_in_the_session_and_programs_see_them(agent: Coder) -> None:
    assert agent.use("write_file", filename="lib/nums.py", content="A = 7\n") == "lib/nums.py: 6 bytes were written"
    assert agent.use("execute_code", code="from lib.nums import A; print(A)", language="python").splitlines()[1] == "7"
    assert (
        agent.use(
            "execute_code", code="console.log(require('fs').readFileSync('lib/nums.py', 'utf8'))", language="js"
        ).splitlines()[1]
        == "A = 7"
    )
    assert agent.use("read_file", filename="lib/nums.py") == "A = 7\n"
    assert agent.use("list_files").split() == ["6", "lib/nums.py"]
    assert agent.use("list_files", directory="lib").split() == ["6", "nums.py"]
    assert agent.use("list_files", session="other") == "There are no files."
    assert "no such file" in agent.use("read_file", session="other", filename="lib/nums.py")


def test_another_users_session_of_the_same_name_is_another(agent: Coder) -> None:
    agent.use("write_file", session="same", filename="mine.txt", content="of the owner")
    key = agent.client.post("/keys", json={"user": "anna"}).json()["key"]
    agent.replies[:] = [Reply(calls=(("list_files", "{}"),))]
    body = {"message": "go", "session_id": "same", "agent_type": "coding"}
    answer = agent.client.post("/chat", json=body, headers=bearer(key)).json()
    assert answer["tool_calls"][0]["output"] == "There are no files."


def test_a_session_that_is_deleted_takes_its_files_along(agent: Coder, sandbox: Box) -> None:
    agent.use("write_file", session="gone", filename="gone.txt", content="x")
    assert agent.client.delete("/sessions/gone").status_code == 204
    while list(sandbox.workspaces.glob("*/gone.txt")):
        time.sleep(0.01)


def test_a_key_without_the_scope_runs_and_reads_nothing(agent: Coder) -> None:
    key = agent.client.post("/keys", json={"user": "anna", "scopes": ["chat"]}).json()["key"]
    for name, given in (
        ("execute_code", '{"code": "print(1)", "language": "python"}'),
        ("read_file", '{"filename": "x"}'),
    ):
        agent.replies[:] = [Reply(calls=((name, given),))]
        answer = agent.client.post("/chat", json={"message": "go", "agent_type": "coding"}, headers=bearer(key)).json()
        assert answer["tool_calls"][0]["output"] == "This did not work: this key lacks the scope code"


def test_analysis_tells_mistakes_and_runs_nothing(agent: Coder) -> None:
    code = "import os\ndef f(a=[]):\n    x = 1\n    if a == None:\n        eval('1')\n    return a\nprint('ran')"
    told = agent.use("analyze_code", code=code)
    for words in (
        "line 1: os is imported and not used",
        "line 3: x is set and not used",
        "mutable default",
        "line 4: None is compared with ==",
        "line 5: eval runs text as code",
        "f: cyclomatic complexity 2",
    ):
        assert words in told
    assert "ran" not in told.split()
    assert "syntax error in line 2" in agent.use("analyze_code", code="a = 1\nb = (")
    assert "exit code 1" in agent.use("analyze_code", code="(" * 100_000)
    assert "SyntaxError" in agent.use("analyze_code", code="let = = 1", language="javascript")
    assert "syntax error" in agent.use("analyze_code", code="if true; then", language="bash")


def test_search_finds_lines(agent: Coder) -> None:
    agent.use("write_file", session="search", filename="a.py", content="one = 1\ntwo = 2\n")
    agent.use("write_file", session="search", filename="b.txt", content="two\n")
    told = agent.use("search_code_patterns", session="search", query=r"^tw[o]\b", files="*.py")
    assert told.splitlines()[1:] == ["a.py:2: two = 2"]
    assert "nothing matches" in agent.use("search_code_patterns", session="search", query="three")
    assert "no regular expression" in agent.use("search_code_patterns", session="search", query="(")


def test_a_search_and_tests_that_take_for_ever_are_stopped(hasty: Box, tmp_path: Path) -> None:
    with coder(tmp_path, hasty.client.socket) as agent:
        agent.use("write_file", filename="a.py", content="a" * 40 + "!\n")
        assert "its time was up" in agent.use("search_code_patterns", query="^(a+)+$")
        told = agent.use("generate_tests", code=ADD, language="python", tests="while True: pass")
    assert told.startswith("NOT PASSED: the tests did not run to their end"), told


@pytest.mark.parametrize(
    ("language", "code", "tests", "first"),
    [
        ("python", ADD, RIGHT, "PASSED: 1 tests"),
        ("python", ADD, "from solution import add\ndef test_a():\n    assert add(1, 2) == 3\n", "PASSED: 1 tests"),
        ("python", ADD.replace("+", "-"), RIGHT, "FAILED: 1 of 1"),
        ("python", ADD, "x = 1", "NOT PASSED: no test ran"),
        ("python", ADD, "import sys; sys.exit(0)", "NOT PASSED: the tests did not run to their end"),
        ("python", ADD, "import pytest", "NOT PASSED: the tests did not run to their end"),
        (
            "python",
            ADD,
            "import atexit, os\ndef test_a(): assert False\natexit.register(lambda: os._exit(0))",
            "NOT PASSED",
        ),
        ("javascript", "exports.f = () => 1", "const {f} = require('./solution.js')\n"
         "require('node:test')('f', () => require('node:assert').equal(f(), 1))", "PASSED: 1 tests"),
        ("javascript", "export const f = () => 2", "import {f} from './solution.mjs'\nimport test from 'node:test'\n"
         "import assert from 'node:assert'\ntest('f', () => assert.equal(f(), 1))", "FAILED: 1 of 1"),
        ("javascript", "exports.f = 1", "process.exit(0)", "NOT PASSED"),
        ("bash", "f() { echo 1; }", "source ./solution.sh; [ $(f) = 1 ]", "PASSED: 1 tests"),
        ("bash", "f() { echo 2; }", "source ./solution.sh; [ $(f) = 1 ]", "FAILED: 1 of 1"),
    ],
)  # fmt: skip
def test_tests_are_run_and_their_result_is_told_truly(
    agent: Coder, language: str, code: str, tests: str, first: str
) -> None:
    told = agent.use("generate_tests", code=code, language=language, tests=tests)
    assert told.startswith(first), told


def test_a_call_without_its_arguments_waits_for_a_human_and_runs_nothing(agent: Coder) -> None:
    answer = agent.chat(("execute_code", {"code": "print(1)"}), session="wrong")
    decision = {"call_id": answer["approval"]["call_id"], "allow": True}
    answer = agent.client.post(f"/runs/{answer['run_id']}/approve", json=decision).json()
    assert "its arguments are not valid" in answer["tool_calls"][0]["output"]


def test_tests_that_are_not_given_are_written_by_the_model(agent: Coder) -> None:
    agent.replies[:] = [
        Reply(calls=(("generate_tests", json.dumps({"code": ADD, "language": "py", "tests": ""})),)),
        Reply(text=f"Here they are:\n```python\n{RIGHT}```\nGood luck."),
    ]
    answer = agent.client.post("/chat", json={"message": "go", "agent_type": "coding"}).json()
    assert answer["tool_calls"][0]["output"].startswith("PASSED: 1 tests")
    assert answer["usage"] == {"prompt_tokens": 30, "completion_tokens": 15}


def test_without_a_sandbox_the_answer_says_why(tmp_path: Path) -> None:
    for socket, agents, why in (
        ("", {}, "no sandbox was deployed"),
        (str(tmp_path / "none.sock"), {}, "the sandbox is away"),
        (str(tmp_path / "none.sock"), {"sandbox": {"enabled": False}}, "agents.sandbox.enabled is false"),
    ):
        with coder(tmp_path, socket, **agents) as one:
            assert why in one.use("execute_code", code="print(1)", language="py")


def test_where_the_isolation_failed_its_test_the_answer_says_so(image: str, tmp_path: Path) -> None:
    with box(image, network_mode="bridge") as loose, coder(tmp_path, loose.client.socket) as one:
        told = one.use("execute_code", code="print(1)", language="py")
    assert "isolation failed its test: see a network" in told
    assert "exit code" not in told
