"""Files put in place over a real sshd: whole or not at all, with the modes that were asked for."""

import os
import threading
from pathlib import Path

import pytest

from sparkctl.errors import CommandFailed
from sparkctl.transport.ssh import SshSession


def mode(path: Path) -> str:
    return f"{path.stat().st_mode & 0o7777:04o}"


@pytest.mark.parametrize("content", [b"", b"text\n", b"\0\xff\n\n", os.urandom(2_000_000)])
def test_the_bytes_arrive(session: SshSession, tmp_path: Path, content: bytes) -> None:
    session.write(str(tmp_path / "file"), content)
    assert (tmp_path / "file").read_bytes() == content
    assert mode(tmp_path / "file") == "0644"


@pytest.mark.parametrize("name", ["with space", "quo'te", "-dash", "$HOME", "new\nline", "ünï"])
def test_any_name_will_do(session: SshSession, tmp_path: Path, name: str) -> None:
    session.write(f"{tmp_path}/{name}", b"x")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_folders_are_made_and_those_of_a_secret_are_private(session: SshSession, tmp_path: Path) -> None:
    session.write(f"{tmp_path}/a/b/secret", b"x", mode=0o600)
    session.write(f"{tmp_path}/c/d/open", b"x")
    made = {name: mode(tmp_path / name) for name in ("a", "a/b", "a/b/secret", "c", "c/d", "c/d/open")}
    assert made == {"a": "0700", "a/b": "0700", "a/b/secret": "0600", "c": "0755", "c/d": "0755", "c/d/open": "0644"}


def test_a_folder_that_is_there_keeps_its_mode(session: SshSession, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    session.write(f"{tmp_path}/open/secret", b"x", mode=0o600)
    assert mode(tmp_path / "open") == "0755"


def test_the_mode_of_an_older_file_is_mended(session: SshSession, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("old")
    (tmp_path / "f").chmod(0o666)
    session.write(f"{tmp_path}/f", b"new", mode=0o755)
    assert ((tmp_path / "f").read_text(), mode(tmp_path / "f")) == ("new", "0755")


def test_a_reader_sees_the_old_file_or_the_new_one(session: SshSession, tmp_path: Path) -> None:
    path, seen, stop = tmp_path / "f", set(), threading.Event()
    path.write_bytes(b"0" * 100_000)

    def read() -> None:
        while not stop.is_set():
            data = path.read_bytes()
            seen.add((len(data), len(set(data))))

    thread = threading.Thread(target=read)
    thread.start()
    for digit in b"123456789":
        session.write(str(path), bytes([digit]) * 100_000)
    stop.set()
    thread.join()
    assert seen == {(100_000, 1)}


def test_a_folder_in_the_way_is_an_error_and_nothing_is_left(session: SshSession, tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(CommandFailed) as caught:
        session.write(f"{tmp_path}/f", b"x")
    assert caught.value.what.startswith(f"write {tmp_path}/f")
    assert list(tmp_path.rglob("*")) == [tmp_path / "f"]


def test_a_link_is_replaced_and_its_target_left_alone(session: SshSession, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("mine")
    (tmp_path / "f").symlink_to(tmp_path / "target")
    session.write(f"{tmp_path}/f", b"x")
    assert ((tmp_path / "target").read_text(), (tmp_path / "f").is_symlink()) == ("mine", False)


def test_a_full_disk_keeps_the_old_file_and_names_the_fix(session: SshSession, tmp_path: Path) -> None:
    with pytest.raises(CommandFailed) as caught:
        session.script(f'cat >"{tmp_path}/f" && cat "{tmp_path}/f" >/dev/full', stdin=b"x")
    assert "df -h" in caught.value.fix
