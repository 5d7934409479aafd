"""The memory watchdog's files: a configuration that cannot be, and a record that was torn."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparkctl.node import watchdog


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"cluster": "lab"}', "5"])
def test_a_bad_configuration_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "guard.json").write_text(text)
    argv = [sys.executable, "-IS", watchdog.__file__, str(tmp_path / "guard.json")]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 78
    assert ended.stderr.startswith(f"{tmp_path}/guard.json: ")
    assert "Traceback" not in ended.stderr


def test_a_torn_record_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "trips.json"
    path.write_text('{"trips": [')
    for number in range(watchdog.KEPT_TRIPS + 5):
        watchdog.add_trip(path, {"number": number})
    trips = json.loads(path.read_text())["trips"]
    assert [trip["number"] for trip in trips] == list(range(5, watchdog.KEPT_TRIPS + 5))
    assert [file.name for file in tmp_path.iterdir()] == ["trips.json"]
