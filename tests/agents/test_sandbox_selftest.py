"""`sparkctl agents selftest` against a real sandbox, tight and not."""

import json
from pathlib import Path

import pytest
from agent_world import document_of
from documents import check_document
from sandbox_box import Box, box

from sparkctl.agents.sandbox.server import serve
from sparkctl.cli.app import invoke
from sparkctl.errors import SparkctlError


def config(folder: Path, socket: str) -> str:
    """The document of a gateway with that sandbox."""
    document = document_of(folder, "http://127.0.0.1:9/v1")
    where = document.where.model_copy(update={"sandbox": socket})
    path = folder / "agents.json"
    path.write_text(document.model_copy(update={"where": where}).model_dump_json())
    return str(path)


def test_a_tight_sandbox_denies_all_and_runs_code(
    sandbox: Box, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = config(tmp_path, sandbox.client.socket)
    assert invoke(["agents", "selftest", "--config", path, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    check_document(document)
    assert document["passed"]
    assert len(document["checks"]) == 34
    assert not [one for one in document["checks"] if one["fault"]]
    assert {"python", "bash"} <= set(document["languages"])
    assert invoke(["agents", "selftest", "--config", path]) == 0
    assert "code is run, in python" in capsys.readouterr().out


def test_one_that_is_not_says_what_was_possible(
    image: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with box(image, network_mode="bridge") as loose:
        assert invoke(["agents", "selftest", "--config", config(tmp_path, loose.client.socket)]) == 2
    told = capsys.readouterr().out
    assert "see a network                     it was possible" in told
    assert "code is not run" in told


def test_one_that_is_away_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SparkctlError, match="the sandbox is away"):
        invoke(["agents", "selftest", "--config", config(tmp_path, str(tmp_path / "none"))])


def test_the_server_refuses_to_be_anything_but_the_first_process() -> None:
    with pytest.raises(SparkctlError, match="must be the first of its own container"):
        serve(None)  # type: ignore[arg-type]
