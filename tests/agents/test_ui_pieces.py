"""What pages are made of, without a browser: Markdown, figures, sessions, turns, the pieces that a page is sent."""

import json
import socket
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

import pytest
from httpx2 import Client, ConnectError, Response
from ui_world import spark

from sparkctl.agents.ui import figures
from sparkctl.agents.ui.drawing import sparkline
from sparkctl.agents.ui.frames import Frames
from sparkctl.agents.ui.markup import rendered
from sparkctl.agents.ui.pages.entrance import inside
from sparkctl.agents.ui.shapes import Event, Member, Message
from sparkctl.agents.ui.signin import Attempts, Logins
from sparkctl.agents.ui.turns import Turn, past
from sparkctl.agents.ui.watch import Watched


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt&colon;alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://elsewhere.example/?q=secret)",
        "<div hx-get='/logout' hx-trigger='load'>",
        "<a href='vbscript:x' onclick=alert(1)>x</a>",
        "```html\n</code></pre><script>alert(1)</script>\n```",
        '[x](https://e.example "\\" onmouseover=alert(1) x=\\"")',
        "<style>*{display:none}</style><form action=https://e.example><input>",
    ],
)
def test_what_a_model_writes_becomes_no_markup_that_acts(hostile: str) -> None:
    html = rendered(hostile).lower()
    for tag in ("<script", "<img", "<div", "<style", "<form", "<input", 'href="javascript', 'href="data', 'href="vb'):
        assert tag not in html
    assert " onmouseover=alert(1) x=" not in html.replace("&quot;", "").split('title="')[0]


def test_markdown_is_shown_as_such_with_headings_below_those_of_the_page() -> None:
    html = rendered("# Title\n\n**bold** and `code`\n\n| a | b |\n|-|-|\n| 1 | 2 |\n\n[there](https://e.example)")
    for piece in ("<h3>Title</h3>", "<strong>bold</strong>", "<code>code</code>", "<td>1</td>", "noopener noreferrer"):
        assert piece in html


def test_numbers_of_citations_are_links_where_there_is_such_a_one_and_not_in_code() -> None:
    html = rendered("So it is [1, 3]. `x[1]`", {1: "/documents/d/chunks/0"})
    assert 'href="/documents/d/chunks/0"' in html
    assert html.count("<a ") == 1
    assert "[3]" in html
    assert "<code>x[1]</code>" in html


def test_a_sparkline_leaves_out_what_is_not_known() -> None:
    assert sparkline([None, 0.0, None, 100.0], 100) == "118,23.0 120,1.0"
    assert sparkline([1.0], 100) == ""
    assert sparkline([1.0, 2.0], 0) == ""


def test_a_rate_needs_two_looks_in_a_row_and_no_restart_between_them() -> None:
    look = spark("spark-1")()
    wire = look.interfaces[0].model_copy(update={"rdma_received_bytes": 0, "rdma_sent_bytes": 0, "sent_bytes": 0})

    def at(second: float, received: int) -> object:
        card = wire.model_copy(update={"received_bytes": received})
        return look.model_copy(update={"at": second, "interfaces": (card,)})

    looks = [at(0, 0), at(5, 500), None, at(15, 600), at(20, 100)]
    assert figures.rates(looks, wire.name) == [100.0, None, None, None]  # type: ignore[arg-type]


def watched(name: str, error: str = "", **more: float) -> Watched:
    """A node after one look."""
    made = Watched(name, "", looks=deque())
    made.saw(1_000.0, error, None if error else spark(name, **more)())  # type: ignore[arg-type]
    return made


def test_alarms_say_where_and_what_the_bad_first() -> None:
    nodes = [
        watched("a"),
        watched("b", available_gib=4.0),
        watched("c", "connection refused"),
        watched("d", available_gib=1),
    ]
    team = [Member(name="rag", model="small", healthy=False), Member(name="coding", healthy=True), Member(name="own")]
    found = figures.alarms(watched("gateway", "timeout"), nodes, team)
    assert [(one.level, one.where) for one in found] == [
        ("bad", "gateway"),
        ("bad", "c"),
        ("bad", "d"),
        ("bad", "rag"),
        ("warning", "b"),
    ]
    assert found[1].since == 1_000.0
    assert figures.alarms(watched("gateway"), [watched("a")], [Member(name="own")]) == []


def test_since_when_a_node_is_silent_outlives_further_looks_and_its_figures_stay() -> None:
    node = watched("a")
    node.saw(1_005.0, "no route")
    node.saw(1_010.0, "no route to host")
    assert (node.answers, node.since, node.error) == (False, 1_005.0, "no route to host")
    assert node.facts is not None
    node.saw(1_015.0, "", spark("a")())
    assert (node.answers, node.since) == (True, 1_015.0)


class Clock:
    """Time that goes on when it is told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_session_ends_when_it_was_idle_and_a_page_that_renews_itself_is_idle() -> None:
    clock = Clock()
    logins = Logins(idle_seconds=60, clock=clock)
    login = logins.open("key")
    clock.now = 50
    assert logins.find(login.id, counts=False) is login
    clock.now = 61
    assert logins.find(login.id) is None


def test_a_session_in_use_ends_after_its_longest_time() -> None:
    clock = Clock()
    logins = Logins(idle_seconds=7 * 3600, clock=clock)
    login = logins.open("key")
    for hour in (6, 12):
        clock.now = hour * 3600
        assert logins.find(login.id) is login
    clock.now += 1
    assert logins.find(login.id) is None


def test_a_key_is_in_no_words_about_its_session() -> None:
    assert "sesame" not in repr(Logins().open("sesame"))


def test_tries_are_limited_for_each_address() -> None:
    attempts = Attempts(per_minute=2)
    attempts.failed("10.0.0.1")
    assert not attempts.exhausted("10.0.0.1")
    attempts.failed("10.0.0.1")
    assert attempts.exhausted("10.0.0.1")
    assert not attempts.exhausted("10.0.0.2")


@pytest.mark.parametrize(
    "path", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a b", "x", "/\r\nx"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(path: str) -> None:
    assert inside(path) == "/"


def test_a_page_is_sent_the_whole_and_then_what_changed() -> None:
    turn = Turn("t", "s", "hello")
    frames = Frames(turn, "csrf")
    assert 'id="body-t"' in frames.next()
    assert frames.next() == ""
    turn.take(Event(kind="tool_call", call_id="c", name="search", arguments='{"q": "<b>"}'))
    first = frames.next()
    assert 'id="calls-t" hx-swap-oob="beforeend"' in first
    assert "&lt;b&gt;" in first
    turn.take(Event(kind="token", text="answer"))
    second = frames.next()
    assert 'id="answer-t"' in second
    assert "calls-t" not in second
    turn.take(Event(kind="tool_result", call_id="c", output="found"))
    assert 'id="output-t-0"' in frames.next()


def test_an_approval_asks_once_and_is_settled_by_the_end() -> None:
    turn = Turn("t", "s", "hello")
    turn.take(Event(kind="tool_call", call_id="c", name="write_file", arguments="{}"))
    turn.take(Event(kind="approval", call_id="c", name="write_file", arguments="{}", run_id="r"))
    assert [call.id for call in turn.waiting] == ["c"]
    assert turn.run_id == "r"
    turn.take(Event(kind="error", code="cancelled", message="the run was cancelled"))
    assert (turn.state, turn.waiting) == ("cancelled", [])


def test_a_conversation_is_read_from_its_messages() -> None:
    answer = {
        "role": "assistant",
        "text": "this",
        "route": ["supervisor", "rag"],
        "tool_calls": [{"name": "search", "arguments": "{}", "output": "found"}],
        "citations": [{"doc_id": "d", "chunk": 0}],
    }
    said = [{"role": "user", "text": "what"}, answer, {"role": "user", "text": "more"}]
    first, second = past("s", [Message.model_validate(one) for one in said])
    assert (first.message, first.text, first.route) == ("what", "this", ["supervisor", "rag"])
    assert (first.calls[0].output, first.citations[0].doc_id) == ("found", "d")
    assert (second.message, second.text, second.goes_on) == ("more", "", False)


def test_the_program_serves_what_it_is_told_and_ends_when_told_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    model = {"url": "http://127.0.0.1:9/v1", "id": "none"}
    where = {"gateway": "http://127.0.0.1:9", "ui_port": port}
    (tmp_path / "agents.json").write_text(json.dumps({"models": {"main": model}, "where": where}))
    argv = [sys.executable, "-m", "sparkctl", "agents", "ui", "--config", str(tmp_path / "agents.json")]
    program = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        with Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            page = answered(client, program)
            assert "Sign in" in page.text
            token = {"csrf": client.cookies["sparkctl-entrance"], "key": "sesame"}
            away = client.post("/login", data=token)
            assert (away.status_code, "does not answer" in away.text, "sesame" in away.text) == (503, True, False)
    finally:
        program.terminate()
        said, _ = program.communicate(timeout=30)
    assert "sesame" not in said
    assert "Traceback" not in said


def answered(client: Client, program: subprocess.Popen[str]) -> Response:
    """The sign-in page, as soon as there is one."""
    while program.poll() is None:
        try:
            return client.get("/login")
        except ConnectError:
            time.sleep(0.05)
    raise AssertionError(program.communicate()[0])


def test_vendored_files_have_their_licences_beside_them() -> None:
    import sparkctl.agents.ui.app as ui

    vendor = Path(ui.STATIC, "vendor")
    assert {one.name for one in vendor.glob("*LICENSE*")} == {"htmx-LICENSE.txt", "htmx-sse-LICENSE.txt"}
