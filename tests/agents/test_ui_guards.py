"""The web UI against strangers, small screens and failures, in a real Chromium."""

import re
from pathlib import Path

import pytest
from agent_world import KEY
from httpx2 import Client
from playwright.sync_api import Browser, Page, expect
from ui_team import TALK, TEAM
from ui_world import PHONE, UiWorld, ask, over, sign_in, ui_world, visit

from sparkctl.agents.ui import app
from sparkctl.agents.ui.live import MOST_ANSWERS

PAGES = ("/", "/chat", "/documents", "/agents", "/audit", "/logs")


def test_a_phone_needs_no_scrolling_sideways(browser: Browser, ui: UiWorld) -> None:
    with visit(browser, ui.url, size=PHONE, has_touch=True) as made:
        page = made.page
        sign_in(page, path="/chat")
        ask(page, "coding: hostile " + "x" * 300)
        over(page)
        for path in ("", *PAGES):
            if path:
                page.goto(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path


def test_a_form_of_another_page_is_refused(visitor: Page, ui: UiWorld) -> None:
    for form in ({"csrf": "guess", "message": "x"}, {"message": "x"}):
        answer = visitor.request.post(f"{ui.url}/chat/aa", form={**form})
        assert (answer.status, "not of this session" in answer.text()) == (403, True)
    headers = {"Sec-Fetch-Site": "cross-site"}
    token = visitor.locator("input[name=csrf]").first.input_value()
    answer = visitor.request.post(f"{ui.url}/logout", form={"csrf": token}, headers=headers)
    assert (answer.status, "another site" in answer.text()) == (403, True)


def test_every_answer_has_the_strict_policy(visitor: Page, ui: UiWorld) -> None:
    for path in (*PAGES, "/static/app.css", "/nowhere", "/login"):
        policy = visitor.request.get(f"{ui.url}{path}").headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_a_script_that_came_in_nevertheless_would_not_run(browser: Browser, ui: UiWorld) -> None:
    with visit(browser, ui.url) as made:
        made.page.goto("/login")
        made.page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "document.title = 'owned'";
                document.head.append(script);
            }"""
        )
        assert made.page.title() != "owned"
        assert any("Content Security Policy" in words for words in made.complaints)


def test_errors_are_pages_that_say_what_next(visitor: Page) -> None:
    visitor.goto("/nowhere")
    expect(visitor.get_by_text("There is no such page.")).to_be_visible()
    visitor.goto("/chat/not-mine")
    expect(visitor.get_by_text("What next")).to_be_visible()


def test_tries_to_sign_in_are_limited(tmp_path: Path) -> None:
    with ui_world(tmp_path) as world, Client(base_url=world.url, timeout=60) as client:
        client.get("/login")
        for key in ["wrong", "not ascii: é", *["wrong"] * 8, KEY]:
            token = client.cookies["sparkctl-entrance"]
            answer = client.post("/login", data={"key": key, "csrf": token, "next": "/"})
            assert answer.status_code == (429 if key == KEY else 401)
        assert answer.headers["Retry-After"] == "60"
        assert "Too many tries" in answer.text


def test_strangers_cannot_send_much(ui: UiWorld) -> None:
    with Client(base_url=ui.url, timeout=60) as client:
        client.get("/login")
        token = client.cookies["sparkctl-entrance"]
        form = {"key": "x" * 2**17, "csrf": token, "next": "/"}
        for answer in (client.post("/login", data=form), client.post("/login", files={"file": bytes(2**17)})):
            assert (answer.status_code, "larger than" in answer.text) == (413, True)


def test_an_idle_session_ends_though_its_page_renews_itself(browser: Browser, tmp_path: Path) -> None:
    with ui_world(tmp_path, idle_seconds=12) as world, visit(browser, world.url) as made:
        sign_in(made.page)
        expect(made.page.get_by_role("heading", name="Overview")).to_be_visible()
        made.page.wait_for_url("**/login")


def test_a_gateway_that_is_killed_in_mid_answer_is_told_without_a_traceback(browser: Browser, tmp_path: Path) -> None:
    with ui_world(tmp_path, TALK, team=TEAM) as world, visit(browser, world.url) as made:
        page = made.page
        sign_in(page, path="/chat")
        ask(page, "coding: slow")
        expect(page.locator(".turn .answer")).to_contain_text("word3")
        world.stop_gateway()
        over(page)
        expect(page.locator(".turn .notice.bad")).to_be_visible()
        expect(page.locator(".turn .answer")).to_contain_text("word3")
        ask(page, "again")
        expect(page.locator(".turn").nth(1).locator(".notice.bad")).to_contain_text("gateway does not answer")
        page.goto("/agents")
        expect(page.locator("main .notice")).to_contain_text("The gateway does not answer")
        page.goto("/")
        expect(page.locator(".banner")).to_contain_text("The gateway does not answer")
        expect(page.locator("main")).not_to_contain_text("Traceback")


def test_one_who_asks_for_many_answers_at_once_takes_the_ui_from_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "ANSWERS", MOST_ANSWERS)
    with ui_world(tmp_path, TALK, team=TEAM) as world, Client(base_url=world.url, timeout=60) as client:
        client.get("/login")
        client.post("/login", data={"key": KEY, "csrf": client.cookies["sparkctl-entrance"], "next": "/"})
        found = re.search(r'name="csrf" value="([^"]+)"', client.get("/chat").text)
        assert found
        form = {"csrf": found[1], "message": "coding: slow", "agent": "coding"}
        answers = [client.post(f"/chat/a{n}", data=form) for n in range(MOST_ANSWERS + 1)]
        assert [answer.status_code for answer in answers] == [303] * MOST_ANSWERS + [429]
        assert "answers are being written" in answers[-1].text
        assert client.get("/agents").status_code == 200
