"""Code run in a real sandbox as an attacker, and a look that all is well afterwards."""

from collections.abc import Iterator

import pytest
from sandbox_box import Box

from sparkctl.agents.sandbox.job import Result


def execute(sandbox: Box, code: str, language: str = "python", session: str = "attacker") -> Result:
    return sandbox.ask(sandbox.client.execute("mallory", session, language, code))


@pytest.fixture(autouse=True)
def works_afterwards(sandbox: Box) -> Iterator[None]:
    """Whatever a test did, the next job runs, and nothing but the server is left in the container."""
    yield
    works(sandbox)


def works(sandbox: Box) -> None:
    """A job runs, and nothing but the server is left."""
    assert execute(sandbox, "echo fine", "bash").output == "fine\n"
    assert len(sandbox.container.top()["Processes"]) == 1
