"""docs/agents.md: its example of a kind is imported and run from the page's own text."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from agent_world import world
from conversing import played, to
from standins.scripted import Reply

from sparkctl.agents.api.runs import State
from sparkctl.config.agents import Platform

PAGE = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()


def blocks(language: str) -> list[str]:
    """The page's blocks of code in that language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def test_the_kind_on_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (module,) = blocks("python")
    (tmp_path / "units_agent.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    agents: dict[str, Any] = yaml.safe_load(blocks("yaml")[-1])["agents"]
    script = played(to("units"), Reply(calls=(("miles", '{"kilometres": 10}'),)), Reply(text="6.214 miles."))
    with world(tmp_path, script, **agents) as gateway:
        answer = gateway.client.post("/chat", json={"message": "10 kilometres in miles?"}).json()
    assert answer["route"] == ["supervisor", "units"]
    assert [call["output"] for call in answer["tool_calls"]] == ["6.214 miles"]


def test_the_profiles_on_the_page_are_valid() -> None:
    for block in blocks("yaml"):
        Platform.model_validate(yaml.safe_load(block)["agents"])


def test_the_page_names_every_state_of_a_run_and_every_route() -> None:
    for state in get_args(State):
        assert f"`{state}`" in PAGE
    for path in ("/chat/stream", "/agents", "/runs/{run_id}/approve", "/runs/{run_id}/cancel", "/sessions/{id}"):
        assert path in PAGE
