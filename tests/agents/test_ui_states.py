"""What the web UI shows is what is: after restarts, in several tabs, where requests are lost or refused."""

from pathlib import Path

from pictures import picture
from playwright.sync_api import Browser, Page, Route, expect
from standins.scripted import routed, running
from ui_team import TALK, TEAM
from ui_world import UiWorld, ask, over, sign_in, ui_world, visit

from sparkctl.agents.ui.app import create_app


def test_a_call_that_waits_is_found_again_after_a_restart_and_decided_once(browser: Browser, tmp_path: Path) -> None:
    with (
        ui_world(tmp_path, TALK, team=TEAM) as world,
        running(create_app(world.document)) as restarted,
        visit(browser, world.url) as before,
        visit(browser, restarted) as after,
    ):
        sign_in(before.page, path="/chat")
        ask(before.page, "clerk, write the note")
        expect(before.page.locator(".ask")).to_contain_text("write_note")
        page = after.page
        sign_in(page, path="/chat")
        expect(page.locator(".sessions li")).to_contain_text("waits for you")
        with page.expect_response("**/turns/*/events"):  # its first piece makes the page's button anew
            page.locator(".sessions a").click()
        page.wait_for_load_state()
        expect(page.locator(".said")).to_contain_text("clerk, write the note")
        expect(page.locator(".route")).to_contain_text("clerk")
        expect(page.locator(".call").first).to_contain_text("read_note")
        page.get_by_role("button", name="Allow").click()
        expect(page.locator(".turn .answer")).to_contain_text("The note is dealt with.")
        expect(page.locator(".turn")).to_be_focused()
        page.reload()
        expect(page.locator(".turn")).to_have_count(1)
        expect(page.locator(".sessions li")).not_to_contain_text("waits for you")
        before.page.reload()
        expect(before.page.locator(".turn .answer")).to_contain_text("The note is dealt with.")
        expect(before.page.locator(".turn")).to_have_count(1)
        expect(before.page.locator(".ask")).to_have_count(0)
        ask(before.page, "coding: next")
        expect(before.page.locator(".turn").nth(1).locator(".answer")).to_contain_text("scripted answer to")


def test_a_message_that_was_refused_is_still_there_after_a_reload(browser: Browser, tmp_path: Path) -> None:
    with (
        ui_world(tmp_path, routed, limits={"tokens_per_day": 1}) as world,
        visit(browser, world.url) as made,
    ):
        page = made.page
        sign_in(page, path="/chat")
        ask(page, "coding: first")
        over(page)
        page.reload()
        ask(page, "coding: second")
        expect(page.locator(".turn").nth(1).locator(".notice.bad")).to_be_visible()
        page.reload()
        expect(page.locator(".turn")).to_have_count(2)
        expect(page.locator(".said").nth(1)).to_contain_text("coding: second")


def test_a_page_that_does_not_reach_the_web_ui_says_so_until_it_does(browser: Browser, ui: UiWorld) -> None:
    with visit(browser, ui.url) as made:
        page = made.page
        sign_in(page, path="/chat")
        page.route("**/chat/*", lambda route: route.abort())
        ask(page, "coding: try")
        notice = page.locator("#notice")
        expect(notice).to_contain_text("does not reach the web UI")
        expect(page.get_by_label("Message", exact=True)).to_have_value("coding: try")
        page.unroute("**/chat/*")
        page.get_by_role("button", name="Send").click()
        over(page)
        expect(notice).to_be_empty()


def test_an_image_is_still_there_after_a_reload(visitor: Page) -> None:
    visitor.goto("/chat")
    visitor.get_by_label("Images").set_input_files(
        {"name": "dot.png", "mimeType": "image/png", "buffer": picture(size=(8, 8))}
    )
    ask(visitor, "coding: look")
    over(visitor)
    visitor.reload()
    expect(visitor.get_by_alt_text("Image 1 of this message")).to_have_js_property("naturalWidth", 8)


def test_what_is_typed_while_a_message_is_sent_is_not_lost(visitor: Page) -> None:
    visitor.goto("/chat")
    message = visitor.get_by_label("Message", exact=True)

    def slowly(route: Route) -> None:
        message.evaluate("one => one.value = 'the next one'")
        route.continue_()

    visitor.route("**/chat/*", slowly, times=1)
    ask(visitor, "coding: two\nlines")
    over(visitor)
    expect(message).to_have_value("the next one")
    expect(visitor.locator(".turn")).to_have_count(1)


def test_lines_reach_the_model_as_they_were_typed(browser: Browser, tmp_path: Path) -> None:
    with ui_world(tmp_path, routed) as world, visit(browser, world.url) as made:
        sign_in(made.page, path="/chat")
        ask(made.page, "coding: two\nlines")
        over(made.page)
        asked = [one["content"] for one in world.model.bodies[-1]["messages"] if one["role"] == "user"]
    assert asked == ["coding: two\nlines"]


def test_a_document_that_is_refused_keeps_no_other_back(visitor: Page, tmp_path: Path) -> None:
    visitor.goto("/documents")
    bad, good = tmp_path / "bad <i>.exe", tmp_path / "after.md"
    bad.write_bytes(b"MZ")
    good.write_text("# After\n\ntext\n")
    visitor.get_by_label("Add documents").set_input_files([bad, good])
    visitor.get_by_role("button", name="Upload").click()
    expect(visitor.locator("main .notice")).to_contain_text("1 of 2 files were not taken: bad <i>.exe:")
    visitor.goto("/documents")
    expect(visitor.locator("#documents tr", has_text="after.md")).to_contain_text("ready")


def test_what_is_open_in_a_list_that_renews_itself_stays_open(browser: Browser, tmp_path: Path) -> None:
    with ui_world(tmp_path, ingest=False) as world, visit(browser, world.url) as made:
        page = made.page
        sign_in(page, path="/documents")
        page.get_by_label("Add documents").set_input_files(
            {"name": "a.md", "mimeType": "text/markdown", "buffer": b"# A\n\ntext\n"}
        )
        page.get_by_role("button", name="Upload").click()
        expect(page.locator("#documents .state")).to_have_text("queued")
        for _ in range(2):  # the first makes the list anew
            with page.expect_response("**/documents/list"):
                pass
        page.locator("#documents summary").click()
        for _ in range(2):
            with page.expect_response("**/documents/list"):
                pass
        expect(page.get_by_role("button", name="for good")).to_be_visible()
