"""docs/api.md: its examples are run as they stand there, against a gateway with a scripted engine."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_world import KEY, document_of
from standins.scripted import running, serving

from sparkctl.agents.api.app import create_app

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What the page asks its reader to set."""
    folder = tmp_path_factory.mktemp("gateway")
    with serving() as model, running(create_app(document_of(folder, model.url))) as address:
        yield {**os.environ, "GATEWAY": address, "KEY": KEY}


def blocks(language: str) -> list[str]:
    """The blocks of the page in that language."""
    found: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.S | re.M)
    return found


@pytest.mark.parametrize("script", blocks("bash"))
def test_what_curl_sends_is_answered(script: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euc", script.replace("curl ", "curl -f ")], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout
    assert re.search(r"scripted answer|sparkctl/auto", done.stdout)


def test_the_python_program_prints_what_the_page_shows(environment: dict[str, str]) -> None:
    (program,) = blocks("python")
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == blocks("text")[0].strip(), done.stderr


def test_the_body_of_an_error_has_the_members_that_the_page_shows(environment: dict[str, str]) -> None:
    argv = ["curl", "-sS", "-H", f"Authorization: Bearer {KEY}", f"{environment['GATEWAY']}/v1/models/gpt-9"]
    answered = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    shown = json.loads(blocks("json")[0])
    assert answered["error"].keys() == shown["error"].keys()
    assert answered["error"]["code"] == shown["error"]["code"]
