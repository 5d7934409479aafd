"""Fixtures of the agents' tests; what they are made of is agent_world.py."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from agent_world import World, world
from playwright.sync_api import Browser, Page, sync_playwright
from postgres import Postgres, serving_postgres
from sandbox_box import Box, box, sandbox_image
from ui_team import TALK, TEAM
from ui_world import UiWorld, Visit, node, sign_in, spark, ui_world, visit

AWAY = "http://127.0.0.1:9"
"""Nobody listens there: a node that does not answer."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[World]:
    """The default team behind the `routed` script."""
    with world(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, started once; each test makes its own database in it."""
    with serving_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """What `where.database` is, for tests of both: empty is SQLite in the data folder."""
    if request.param == "sqlite":
        return ""
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture(scope="session")
def image() -> Iterator[str]:
    """An image for sandboxes; what they run is this machine's."""
    with sandbox_image() as made:
        yield made


@pytest.fixture(scope="session")
def sandbox(image: str) -> Iterator[Box]:
    """A sandbox in a real container, started once."""
    with box(image) as made:
        yield made


@pytest.fixture(scope="session")
def hasty(image: str) -> Iterator[Box]:
    """One whose jobs may take 3 s: for those that must be ended for their time, and for no others."""
    with box(image, "--seconds=3") as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; without its own sandbox, as root cannot have it."""
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"], timeout=180_000)
        yield made
        made.close()


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiWorld]:
    """One UI for all that does not break it: two nodes that answer, one that does not."""
    with ExitStack() as stack:
        nodes = {
            "spark-1": stack.enter_context(node(spark("spark-1"))),
            "spark-2": stack.enter_context(node(spark("spark-2", available_gib=4.1, fabric_up=False))),
            "spark-3": AWAY,
        }
        yield stack.enter_context(ui_world(tmp_path_factory.mktemp("ui"), TALK, nodes, team=TEAM))


@pytest.fixture
def stranger(browser: Browser, ui: UiWorld) -> Iterator[Visit]:
    """A browser that has not signed in; whatever a test does with it, its console stays silent."""
    with visit(browser, ui.url) as made:
        yield made
        assert made.complaints == []


@pytest.fixture(scope="module")
def session(browser: Browser, ui: UiWorld) -> Any:
    """The cookies of somebody who is signed in."""
    with visit(browser, ui.url) as made:
        sign_in(made.page)
        return made.page.context.cookies()


@pytest.fixture
def visitor(stranger: Visit, session: Any) -> Page:
    """Signed in, at the overview."""
    stranger.page.context.add_cookies(session)
    stranger.page.goto("/")
    return stranger.page
