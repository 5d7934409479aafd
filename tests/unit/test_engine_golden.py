"""Every container of every engine and layout, in full: what changes here is replaced on every cluster that runs it.

A change that is meant: `make golden`, then read the difference.
"""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from engine_layouts import LAYOUTS, Layout

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_services(layout: Layout) -> None:
    text = json.dumps([asdict(service) for service in layout.services()], indent=1) + "\n"
    file = GOLDEN / f"{layout}.json"
    if os.environ.get("SPARKCTL_GOLDEN") == "write":
        file.write_text(text)
    assert text == file.read_text()


def test_no_file_is_left_of_a_layout_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {str(layout) for layout in LAYOUTS}


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_layout_is_a_function_of_its_spec(layout: Layout) -> None:
    """Two laptops make the same containers; a word more of `extra_args` makes others."""
    assert layout.services() == layout.services()
    more = replace(
        layout, changes=(*layout.changes, ("extra_args", ("--seed", "7")), ("env", (("OLLAMA_DEBUG", "1"),)))
    )
    assert [s.spec for s in more.services()] != [s.spec for s in layout.services()]
