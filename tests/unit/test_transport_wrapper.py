"""The wrapper by itself, under a local bash: what a real server makes slow to show."""

import subprocess
import time
from pathlib import Path

import pytest

from sparkctl.transport import wrapper
from sparkctl.transport.wrapper import MARK, Job, wrap_argv, wrap_hold, wrap_script, wrap_write


def start(job: Job) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["bash", "-c", job.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin
    process.stdin.write(job.payload)
    process.stdin.flush()
    return process


def finish(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdin and process.stdout
    out = process.stdout.read()
    process.stdin.close()
    process.stdout.close()
    process.wait(60)
    return out


def test_a_held_script_ends_when_the_laptop_falls_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wrapper, "SILENCE_SECONDS", 12)
    process = start(wrap_hold("echo held; exec sleep 600"))
    assert process.stdin
    started = time.monotonic()
    for _ in range(7):
        time.sleep(2)
        process.stdin.write(b"\n")
        process.stdin.flush()
    assert process.poll() is None
    assert finish(process) == MARK + b"held\n"
    assert 25 <= time.monotonic() - started < 120


def test_a_job_that_is_cut_short_does_nothing(tmp_path: Path) -> None:
    job = wrap_argv(["touch", f"{tmp_path}/made"])
    for size in (0, 1, len(job.payload) // 2, len(job.payload) - 2):
        result = subprocess.run(["bash", "-c", job.command], input=job.payload[:size], capture_output=True)
        assert (result.returncode != 0, result.stdout) == (True, b"")
    assert not (tmp_path / "made").exists()


def test_input_that_is_cut_short_never_looks_whole(tmp_path: Path) -> None:
    job = wrap_script(f"cat >{tmp_path}/copy && touch {tmp_path}/whole", b"x" * 1000)
    process = subprocess.run(["bash", "-c", job.command], input=job.payload[:-500], capture_output=True)
    assert process.returncode == 143
    assert not (tmp_path / "whole").exists()


def test_a_file_is_on_the_disk_before_it_has_its_name_and_its_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut must leave the old file or the new one, not an empty one."""
    stand_in, log, file = tmp_path / "bin" / "sync", tmp_path / "log", tmp_path / "folder" / "file"
    stand_in.parent.mkdir()
    stand_in.write_text(f'#!/bin/sh\n[ -s "$2" ] && echo "$2 $(cat {file} || echo none)" >>{log}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(stand_in.parent), prepend=":")
    finish(start(wrap_write(str(file), b"content", 0o644)))
    first, last = log.read_text().splitlines()
    assert first.startswith(f"{file}.") and first.endswith(" none")
    assert last == f"{tmp_path}/folder content"


def test_no_argument_and_no_script_stands_on_the_command_line() -> None:
    for job in (wrap_argv(["echo", "canary"]), wrap_script("echo canary", b"canary"), wrap_hold("echo canary")):
        assert "canary" not in job.command


def test_the_login_shell_is_asked_in_words_that_every_shell_reads_alike() -> None:
    job = wrap_argv(["echo", "it's", "!"], sudo=True)
    assert job.command.startswith("sudo -n bash --norc -c '")
    assert not set(job.command) & set("!\n\\`*?[{")
