"""A scripted model that was taken over: it emits every forbidden call, and none of them has an effect."""

from collections.abc import Iterator

import pytest
from callers import bearer
from coding_world import Coder, coder
from sandbox_box import Box

OUTSIDE = (
    "../victim.txt", "/etc/passwd", "a/../../x", "..", ".", "", "x\0y", "a" * 5000, "/proc/self/environ", "//x"
)  # fmt: skip


@pytest.fixture(scope="module")
def agent(sandbox: Box, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coder]:
    with coder(tmp_path_factory.mktemp("hijacked"), sandbox.client.socket) as one:
        yield one


def files(sandbox: Box) -> set[str]:
    """All files of all sessions."""
    return {str(path.relative_to(sandbox.workspaces)) for path in sandbox.workspaces.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", OUTSIDE)
def test_no_name_leads_out_of_the_workspace(agent: Coder, sandbox: Box, name: str) -> None:
    before = files(sandbox)
    for tool, given in (
        ("write_file", {"filename": name, "content": "planted"}),
        ("read_file", {"filename": name}),
    ):
        told = agent.use(tool, **given)
        assert told.startswith("This did not work: "), told
        assert "root:" not in told
    assert files(sandbox) == before


def test_another_users_file_is_neither_read_nor_changed(agent: Coder, sandbox: Box) -> None:
    agent.use("write_file", session="victim", filename="secret.txt", content="of the victim")
    key = agent.client.post("/keys", json={"user": "mallory"}).json()["key"]
    path = next(one for one in files(sandbox) if one.endswith("/secret.txt"))
    calls = [
        ("execute_code", {"code": f"cat /workspaces/{path}; echo x > /workspaces/{path}", "language": "bash"}),
        ("execute_code", {"code": f"print(open('/workspaces/{path}').read())", "language": "python"}),
        ("read_file", {"filename": f"../{path}"}),
        ("write_file", {"filename": f"../{path}", "content": "x"}),
        ("search_code_patterns", {"query": "victim"}),
        ("list_files", {"directory": ".."}),
    ]
    agent.client.headers["Authorization"], owner = bearer(key)["Authorization"], agent.client.headers["Authorization"]
    try:
        answer = agent.chat(*calls, session="victim")
    finally:
        agent.client.headers["Authorization"] = owner
    assert len(answer["tool_calls"]) == len(calls)
    assert "of the victim" not in str(answer)
    assert agent.use("read_file", session="victim", filename="secret.txt") == "of the victim"


@pytest.mark.parametrize(
    ("tool", "given"),
    [
        ("execute_code", {"code": "open('planted', 'w').write('x')", "language": "python"}),
        ("write_file", {"filename": "planted", "content": "x"}),
        ("generate_tests", {"code": "x = 1", "language": "python", "tests": "def test_a(): open('planted', 'w')"}),
    ],
)
def test_after_text_from_outside_nothing_is_run_or_written_without_a_human(
    agent: Coder, sandbox: Box, tool: str, given: dict[str, str]
) -> None:
    before = files(sandbox)
    answer = agent.chat(("look_up", {"word": "x"}), (tool, given), session=f"asked-{tool}", agent="reader")
    assert answer["approval"]["name"] == tool
    assert files(sandbox) == before

    decision = {"call_id": answer["approval"]["call_id"], "allow": False}
    denied = agent.client.post(f"/runs/{answer['run_id']}/approve", json=decision).json()
    assert denied["response"] == "done"
    assert files(sandbox) == before


def test_what_a_human_allows_is_done(agent: Coder, sandbox: Box) -> None:
    call = ("write_file", {"filename": "allowed.txt", "content": "x"})
    answer = agent.chat(("look_up", {"word": "x"}), call, session="allowed", agent="reader")
    decision = {"call_id": answer["approval"]["call_id"], "allow": True}
    agent.client.post(f"/runs/{answer['run_id']}/approve", json=decision)
    assert any(one.endswith("/allowed.txt") for one in files(sandbox))


def test_the_next_run_of_that_session_asks_too(agent: Coder) -> None:
    agent.chat(("look_up", {"word": "x"}), session="later", agent="reader")
    answer = agent.chat(("execute_code", {"code": "print(1)", "language": "python"}), session="later", agent="reader")
    assert answer["approval"]["name"] == "execute_code"


def test_reading_needs_nobody(agent: Coder) -> None:
    answer = agent.chat(("look_up", {"word": "x"}), ("list_files", {}), session="reads", agent="reader")
    assert answer["response"] == "done"
