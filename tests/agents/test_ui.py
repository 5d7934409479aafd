"""The web UI in a real Chromium, before the real gateway and a scripted model."""

import logging
import re
from pathlib import Path
from uuid import uuid4

import pytest
from agent_world import KEY
from axe_playwright_python.sync_playwright import Axe
from pictures import picture
from playwright.sync_api import Browser, Page, expect
from ui_team import SLOW_WORDS
from ui_world import UiWorld, Visit, ask, over, sign_in, visit

PAGES = ("/", "/chat", "/documents", "/agents", "/audit", "/logs")


def test_pages_are_for_those_who_are_signed_in(stranger: Visit) -> None:
    for path in PAGES:
        stranger.page.goto(path)
        assert stranger.page.url.endswith(f"/login?next={path}")


def test_a_wrong_key_is_refused_and_a_right_one_leads_on(stranger: Visit, ui: UiWorld) -> None:
    page = stranger.page
    sign_in(page, "wrong-key", "/agents")
    expect(page.get_by_role("alert").filter(has_text="does not know this key")).to_be_visible()
    assert "wrong-key" not in page.content()
    page.get_by_label("API key").fill(KEY)
    page.get_by_label("API key").press("Enter")
    page.wait_for_url("**/agents")
    for path in PAGES:
        page.goto(path)
        assert KEY not in page.content()
    (cookie,) = [one for one in page.context.cookies() if one["name"] == "sparkctl-ui"]
    assert (cookie["httpOnly"], cookie["sameSite"], KEY in cookie["value"]) == (True, "Strict", False)


def test_signing_out_ends_the_session_and_not_only_the_cookie(stranger: Visit) -> None:
    visitor = stranger.page
    sign_in(visitor)
    kept = visitor.context.cookies()
    visitor.get_by_role("button", name="Sign out").click()
    visitor.wait_for_url("**/login")
    visitor.context.add_cookies(kept)  # type: ignore[arg-type]
    visitor.goto("/")
    assert "/login" in visitor.url


def test_the_overview_shows_nodes_with_unified_memory_and_one_that_is_silent(visitor: Page) -> None:
    expect(visitor.locator(".card").nth(0)).to_contain_text("unified memory")
    expect(visitor.locator(".card").nth(0)).to_contain_text("of 120 GiB")
    expect(visitor.locator(".card").nth(2)).to_contain_text("silent for")
    alarms = visitor.locator(".alarms")
    for words in ("spark-3 does not answer", "fabric interface enp1s0f0np0 is down", "3.4 % of memory is available"):
        expect(alarms).to_contain_text(words)


def test_the_overview_renews_itself(visitor: Page) -> None:
    with visitor.expect_response("**/live") as response:
        visitor.locator("#live h2").first.evaluate("one => one.textContent = 'old'")
    assert response.value.ok
    expect(visitor.locator("#alarms")).to_have_text("Alarms")


def test_an_answer_streams_and_shows_its_route(visitor: Page) -> None:
    visitor.goto("/chat")
    ask(visitor, "coding, please: a loop")
    over(visitor)
    turn = visitor.locator(".turn")
    expect(turn.locator(".route")).to_have_text(re.compile(r"supervisor.*coding"))
    expect(turn.locator(".answer")).to_have_text("scripted answer to: coding, please: a loop")
    expect(visitor.get_by_label("Message", exact=True)).to_be_focused()
    visitor.wait_for_url("**/chat/*")
    visitor.reload()
    expect(visitor.locator(".turn .answer")).to_have_text("scripted answer to: coding, please: a loop")
    expect(visitor.locator(".turn .route")).to_have_text(re.compile(r"supervisor.*coding"))


def test_a_hostile_answer_is_text(visitor: Page, ui: UiWorld) -> None:
    visitor.goto("/chat")
    title = visitor.title()
    asked: list[str] = []
    visitor.on("request", lambda request: asked.append(request.url))
    ask(visitor, "coding: hostile")
    over(visitor)
    answer = visitor.locator(".turn .answer")
    expect(answer.locator("h3")).to_have_text("A heading")
    expect(answer.locator("td").first).to_have_text("bold")
    assert answer.locator("script, img, style, [hx-get], a[href^=javascript]").count() == 0
    assert visitor.title() == title
    assert all(url.startswith(ui.url) and "logout" not in url for url in asked)


def test_an_answer_can_be_cancelled_and_outlives_a_reload_until_then(visitor: Page, ui: UiWorld) -> None:
    visitor.goto("/chat")
    ask(visitor, "coding: slow")
    answer = visitor.locator(".turn .answer")
    expect(answer).to_contain_text("word3")
    visitor.wait_for_url("**/chat/*")
    visitor.reload()
    expect(answer).to_contain_text("word9")
    assert visitor.locator(".turn").count() == 1
    visitor.get_by_role("button", name="Cancel").click()
    over(visitor)
    expect(answer).to_contain_text("Cancelled.")
    expect(answer).not_to_contain_text(f"word{SLOW_WORDS - 1}")


def test_an_engine_that_dies_is_told_and_the_conversation_goes_on(visitor: Page) -> None:
    visitor.goto("/chat")
    ask(visitor, "coding: dies")
    over(visitor)
    expect(visitor.locator(".turn .notice.bad")).to_be_visible()
    ask(visitor, "coding: again")
    expect(visitor.locator(".turn").nth(1).locator(".answer")).to_contain_text("scripted answer to")


@pytest.mark.parametrize(("button", "outcome"), [("Allow", "written: a <i>note</i>"), ("Deny", "")])
def test_a_call_after_text_from_outside_waits_for_its_user(visitor: Page, button: str, outcome: str) -> None:
    visitor.goto("/chat")
    ask(visitor, "clerk, write the note")
    asks = visitor.locator(".ask")
    expect(asks).to_contain_text("write_note")
    expect(asks).to_contain_text("a <i>note</i>")
    visitor.get_by_role("button", name=button).click()
    over(visitor)
    expect(visitor.locator(".turn .answer")).to_contain_text("The note is dealt with.")
    calls = visitor.locator(".call")
    calls.nth(0).locator("summary").click()
    expect(calls.nth(0)).to_contain_text("a note: <b>write</b> me an answer")
    calls.nth(1).locator("summary").click()
    expect(calls.nth(1)).to_contain_text(outcome)
    expect(asks).to_have_count(0)


def test_a_conversation_is_renamed_and_deleted(visitor: Page) -> None:
    visitor.goto("/chat")
    ask(visitor, "coding: to be named")
    over(visitor)
    visitor.reload()
    visitor.get_by_text("Rename or delete").click()
    visitor.get_by_label("Title").fill("Loops & <b>more</b>")
    visitor.get_by_role("button", name="Rename").click()
    expect(visitor.locator(".sessions .here > a")).to_have_text("Loops & <b>more</b>")
    visitor.get_by_text("Rename or delete").click()
    visitor.get_by_role("button", name="Delete for good").click()
    visitor.wait_for_url("**/chat")
    expect(visitor.get_by_text("Loops & <b>more</b>")).to_have_count(0)


def test_documents_are_sent_read_found_and_deleted(visitor: Page, tmp_path: Path) -> None:
    name = f"fabric <b> {uuid4().hex}.md"
    file = tmp_path / name
    file.write_text("# Fabric\n\nThe fabric carries the tensors between both Sparks at 200 gigabits.\n")
    visitor.goto("/documents")
    visitor.get_by_label("Add documents").set_input_files(file)
    visitor.get_by_role("button", name="Upload").click()
    row = visitor.locator("#documents tr", has_text=name)
    expect(row.locator(".state")).to_have_text("ready")
    visitor.get_by_label("Search them").fill("tensors between Sparks")
    visitor.get_by_role("button", name="Search").click()
    visitor.locator(".found a").first.click()
    expect(visitor.locator(".chunk")).to_contain_text("200 gigabits")
    visitor.goto("/chat")
    ask(visitor, "rag: how fast is it?")
    over(visitor)
    visitor.locator(".turn .answer").get_by_role("link", name="[1]").click()
    expect(visitor.locator(".chunk")).to_contain_text("200 gigabits")
    visitor.goto("/documents")
    row.locator("summary").click()
    row.get_by_role("button", name="for good").click()
    expect(row).to_have_count(0)


def test_an_image_goes_with_a_message_and_is_shown(visitor: Page) -> None:
    visitor.goto("/chat")
    visitor.get_by_label("Images").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": picture(size=(8, 8))}
    )
    ask(visitor, "coding: look")
    over(visitor)
    image = visitor.get_by_alt_text("Image 1 of this message")
    expect(image).to_have_js_property("naturalWidth", 8)
    visitor.get_by_label("Images").set_input_files(
        {"name": "no.png", "mimeType": "image/png", "buffer": b"<svg onload=alert(1)>"}
    )
    ask(visitor, "coding: look")
    expect(visitor.locator("#notice")).to_contain_text("What next")
    expect(visitor.get_by_label("Message", exact=True)).to_have_value("coding: look")


def test_the_team_is_shown_with_its_tools(visitor: Page) -> None:
    visitor.goto("/agents")
    expect(visitor.locator(".card").filter(has_text="takes requests first")).to_contain_text("supervisor")
    expect(visitor.locator(".card").filter(has_text="Reads and writes notes.")).to_contain_text("write_note")


def test_an_administrator_reads_the_audit(visitor: Page) -> None:
    visitor.goto("/audit")
    expect(visitor.get_by_role("heading", name="Audit")).to_be_visible()


def test_an_administrator_reads_what_the_gateway_wrote(visitor: Page) -> None:
    first, second = (f"a disk is full <b>here</b> {uuid4().hex}" for _ in range(2))
    logging.getLogger("sparkctl.agents").error(first)
    visitor.goto("/logs")
    visitor.get_by_role("link", name="Errors", exact=True).click()
    row = visitor.get_by_role("row").filter(has_text=first)
    expect(row).to_contain_text("error")
    logging.getLogger("sparkctl.agents").error(second)
    expect(visitor.get_by_role("row").nth(1)).to_contain_text(second)


def test_the_keyboard_is_enough(stranger: Visit) -> None:
    page = stranger.page
    page.goto("/login?next=/chat")
    expect(page.get_by_label("API key or token")).to_be_focused()
    page.keyboard.type(KEY)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Message", exact=True)).to_be_focused()
    page.wait_for_load_state()
    page.keyboard.type("coding: by keys")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two lines")
    page.keyboard.press("Enter")
    over(page)
    expect(page.locator(".said p")).to_have_text("coding: by keys\ntwo lines")
    page.goto("/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_hard_to_use(browser: Browser, ui: UiWorld, scheme: str) -> None:
    with visit(browser, ui.url, color_scheme=scheme) as made:
        page = made.page
        page.goto("/login")
        faults = {"/login": faults_of(page)}
        sign_in(page, path="/chat")
        ask(page, "coding: hostile")
        over(page)
        faults["answer"] = faults_of(page)
        for path in PAGES:
            page.goto(path)
            faults[path] = faults_of(page)
        assert {path: found for path, found in faults.items() if found} == {}


def faults_of(page: Page) -> list[str]:
    """What axe-core finds wrong with labels, roles, contrast and order."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {[node['target'] for node in one['nodes']][:3]}" for one in found]
