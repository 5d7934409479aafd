from pathlib import Path

import pytest
from config_world import World

from sparkctl import data
from sparkctl.config import reference
from sparkctl.config.inert import INERT
from sparkctl.config.load import NAMES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", reference.parts())
def test_the_generated_pages_are_current(name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    assert page == reference.filled(page, reference.parts()[name]), "run: python -m sparkctl.config.reference docs"


def test_a_page_without_its_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="lacks"):
        reference.filled("text", {"where": "x"})


def test_every_variable_stands_in_the_reference_once() -> None:
    page = (DOCS / "configuration.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    assert not NAMES & INERT.keys()
    for name in NAMES | INERT.keys():
        assert sum(f"`{name}`" in row.split(" | ")[0] for row in rows) == 1, name


def test_the_shipped_file_names_every_variable_that_has_an_effect(tmp_path: Path) -> None:
    text = data.path("unified-config.env").read_text(encoding="utf-8")
    named = {line.lstrip("#").partition("=")[0] for line in text.splitlines() if "=" in line}
    assert NAMES - named == {"WORKER_USER", "WORKER_NODE_CIDR", "WORKER_NODE_NETWORK"}
    uncommented = "\n".join(line.removeprefix("#") if line[1:2].isupper() else line for line in text.splitlines())
    problems = World(tmp_path).shared(uncommented).problems()
    assert not [problem for problem in problems if problem.found in ("unknown variable", "not an assignment")]


def test_the_example_profile_of_the_page_loads(tmp_path: Path) -> None:
    page = (DOCS / "profiles.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    world = World(tmp_path).profile("coder", example)
    config = world.load("coder", CONTROL_PLANE_API_IP="192.168.1.5", WORKER_NODE_SSH_TARGET="192.168.1.6")
    assert config.profile.nodes == 2
