"""The pictures of docs/ui.md, taken of the real web UI before the real gateway, a scripted model and stand-in nodes.

`make screenshots` writes them to docs/images.
"""

import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pictures import picture
from playwright.sync_api import Browser, Page, expect, sync_playwright
from ui_team import TALK, TEAM
from ui_world import DESK, PHONE, node, sign_in, spark, ui_world, visit

from sparkctl.agents.node.facts import Facts
from sparkctl.agents.ui import watch

FOLDER = Path(__file__).parents[2] / "docs" / "images"
LOOKS = 60
GUIDE = "# Fabric\n\nThe fabric carries the tensors between both Sparks at up to 200 Gbit/s, through two ports each.\n"


def wavering(name: str, least: float, phase: float) -> Callable[[], Facts]:
    """A stand-in node whose figures go up and down, so that there is something to see."""
    dice, began, carried = random.Random(name), time.monotonic(), [0.0]

    def look() -> Facts:
        wave = math.sin((time.monotonic() - began) / 2 + phase) + dice.uniform(-0.25, 0.25)
        facts = spark(name, available_gib=least + 5 * (1 + wave), busy=min(98.0, max(4.0, 62 + 30 * wave)))()
        carried[0] += max(0.2, 3 + 2 * wave) * 1e9 * watch.EVERY_SECONDS
        wire = facts.interfaces[0].model_copy(update={"rdma_received_bytes": int(carried[0])})
        return facts.model_copy(update={"interfaces": (wire,)})

    return look


def ask(page: Page, message: str) -> None:
    """And wait for the answer, or for what it asks."""
    page.get_by_label("Message", exact=True).fill(message)
    page.get_by_role("button", name="Send").click()
    page.locator(".turn").last.locator(".answer p, .ask").first.wait_for()
    page.wait_for_timeout(500)


def take(browser: Browser, url: str, folder: Path) -> None:
    """All pictures."""
    with visit(browser, url) as made:
        page = made.page
        sign_in(page, path="/documents")
        files = {"name": "fabric-guide.md", "mimeType": "text/markdown", "buffer": GUIDE.encode()}
        page.get_by_label("Add documents").set_input_files(files)  # type: ignore[arg-type]
        page.get_by_role("button", name="Upload").click()
        expect(page.locator("#documents .state")).to_have_text("ready")
        page.get_by_label("Search them").fill("tensors between both Sparks")
        page.get_by_role("button", name="Search").click()
        page.screenshot(path=folder / "ui-documents.png")
        page.goto("/chat")
        dot = {"name": "dot.png", "mimeType": "image/png", "buffer": picture(size=(160, 100), colour="olivedrab")}
        page.get_by_label("Images").set_input_files(dot)  # type: ignore[arg-type]
        ask(page, "rag: how fast is the fabric?")
        page.locator(".call summary").first.click()
        ask(page, "clerk: answer that note")
        page.set_viewport_size({"width": 1280, "height": 1340})
        page.screenshot(path=folder / "ui-chat.png")
        state = page.context.cookies()
    for name, size, scheme in (
        ("overview", DESK, "light"),
        ("overview-dark", DESK, "dark"),
        ("phone", PHONE, "dark"),
    ):
        with visit(browser, url, size=size, color_scheme=scheme) as made:
            made.page.context.add_cookies(state)  # type: ignore[arg-type]
            made.page.goto("/")
            made.page.screenshot(path=folder / f"ui-{name}.png", full_page=True)


def main() -> None:
    """To the folder that is named, or to docs/images."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    watch.EVERY_SECONDS = 0.25  # a picture of ten minutes in fifteen seconds
    with ExitStack() as stack:
        nodes = {
            "spark-1": stack.enter_context(node(wavering("spark-1", 22, 0.0))),
            "spark-2": stack.enter_context(node(wavering("spark-2", 26, 0.9))),
            "spark-3": "http://127.0.0.1:9",
        }
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = stack.enter_context(ui_world(data, TALK, nodes, team=TEAM))
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        time.sleep(LOOKS * watch.EVERY_SECONDS)
        take(browser, world.url, folder)
        browser.close()


if __name__ == "__main__":
    main()
