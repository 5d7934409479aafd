"""A web UI to test against: real UI, real gateway, scripted model, stand-in nodes, a real Chromium."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from agent_world import KEY, document_of
from fastapi import FastAPI, Header, HTTPException
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from standins.scripted import Script, Scripted, routed, running, serving

from sparkctl.agent_spec import AgentsDocument
from sparkctl.agents.api.app import create_app as create_gateway
from sparkctl.agents.node.facts import Disk, Facts, Gpu, Interface, Memory, Pressure
from sparkctl.agents.ui.app import create_app
from sparkctl.agents.ui.signin import IDLE_SECONDS

GIB = 2**30
NODE_KEY = "test-key-of-the-nodes"
PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
PATIENCE_MS = 60_000
"""How long a page may take to become what is expected: it fails no test of a machine that is busy."""
expect.set_options(timeout=PATIENCE_MS)


def spark(name: str, available_gib: float = 31.0, fabric_up: bool = True, busy: float = 87.0) -> Callable[[], Facts]:
    """What a stand-in node says: a Spark's figures, whose GPU has no memory of its own."""

    def look() -> Facts:
        now = time.time()
        fabric = Interface(
            name="enp1s0f0np0",
            fabric=True,
            up=fabric_up,
            speed_mbit=200_000,
            received_bytes=10**9,
            sent_bytes=10**9,
            rdma_device="rocep1s0f0",
            rdma_received_bytes=int(now * 4e9) % 10**15,
            rdma_sent_bytes=int(now * 4e9) % 10**15,
        )
        gpu = Gpu(
            index=0,
            name="NVIDIA GB10",
            utilization_percent=busy,
            memory_total_bytes=None,
            memory_used_bytes=None,
            temperature_celsius=61,
            power_watts=43,
        )
        return Facts(
            node=name,
            at=now,
            uptime_seconds=400_000,
            cpus=20,
            load=3.2,
            memory=Memory(
                total_bytes=int(119.7 * GIB),
                available_bytes=int(available_gib * GIB),
                swap_total_bytes=0,
                swap_free_bytes=0,
            ),
            pressure=Pressure(some_percent=0.4, full_percent=0.0),
            disks=(Disk(path="/", total_bytes=3_700 * GIB, available_bytes=2_100 * GIB),),
            interfaces=(fabric,),
            gpus=(gpu,),
        )

    return look


@contextmanager
def node(look: Callable[[], Facts]) -> Iterator[str]:
    """A stand-in for a node's own program, which wants its key; its address."""
    app = FastAPI()

    @app.get("/facts")
    async def facts(authorization: Annotated[str, Header()]) -> Facts:
        if authorization != f"Bearer {NODE_KEY}":
            raise HTTPException(401)
        return look()

    with running(app) as address:
        yield address


@dataclass
class UiWorld:
    """A running UI: `url` is where a browser goes, `model` the scripted engine, `stop_gateway` kills the gateway."""

    url: str
    model: Scripted
    document: AgentsDocument
    stop_gateway: Callable[[], None]


@contextmanager
def ui_world(
    folder: Path,
    script: Script = routed,
    nodes: dict[str, str] | None = None,
    idle_seconds: float = IDLE_SECONDS,
    ingest: bool = True,
    **agents: Any,
) -> Iterator[UiWorld]:
    """A UI before a gateway with that script and these keys of `agents`; without `ingest`, documents stay queued."""
    with serving(script) as model:
        document = document_of(folder, model.url, **agents)
        document = document.model_copy(update={"where": document.where.model_copy(update={"ingest": ingest})})
        (folder / "secrets" / "node-key").write_text(NODE_KEY)
        served = running(create_gateway(document))
        address = served.__enter__()
        open_ = [served]

        def stop() -> None:
            while open_:
                open_.pop().__exit__(None, None, None)

        try:
            told = document.where.model_copy(update={"gateway": address, "nodes": nodes or {}})
            document = document.model_copy(update={"where": told})
            with running(create_app(document, idle_seconds)) as url:
                yield UiWorld(url, model, document, stop)
        finally:
            stop()


@dataclass
class Visit:
    """A page of a browser, with everything that its console complained of: a violation of the policy is there."""

    page: Page
    complaints: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Remember an error or a warning, but for statuses of answers: what they mean is said by the page itself."""
        status = ("Failed to load resource", "Response Status Error Code", "htmx:timeout", "htmx:sendAbort")
        if message.type in ("error", "warning") and not message.text.startswith(status):
            self.complaints.append(message.text)


@contextmanager
def visit(browser: Browser, url: str, *, size: dict[str, int] = DESK, **more: Any) -> Iterator[Visit]:
    """A browser of its own, at that address."""
    context = browser.new_context(viewport=size, base_url=url, **more)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    made = Visit(context.new_page())
    made.page.on("console", made.hear)
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    try:
        yield made
    finally:
        context.close()


def sign_in(page: Page, key: str = KEY, path: str = "/") -> None:
    """By the form, to that page."""
    page.goto(f"/login?next={path}")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def ask(page: Page, message: str) -> None:
    """In the conversation that is open."""
    page.get_by_label("Message", exact=True).fill(message)
    page.wait_for_load_state()  # until then nothing catches the click, and the browser sends the form itself
    page.get_by_role("button", name="Send").click()


def over(page: Page) -> None:
    """Wait for the end of the answer."""
    expect(page.locator(".turn").last).to_have_attribute("aria-busy", "false")
