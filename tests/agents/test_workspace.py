"""Files by names that somebody else chose: nothing outside of the workspace is ever read or written."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkctl.agents.core.failure import Failure, Refused, TooLarge, Unknown
from sparkctl.agents.sandbox.workspace import READ_BYTES, Workspace, Workspaces, open_workspaces

CANARY = "outside"
AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""From include/uapi/linux: the current folder, and two names that change places at once."""
PIECES = st.one_of(
    st.sampled_from(
        ["..", ".", "", "a", "b", "link", "up", "file", "root", "\0", "~", "a" * 256, "…", "\udc80", "-rf"]
    ),
    st.text(max_size=8),
)
NAMES = st.builds(
    lambda parts, lead, tail: lead + "/".join(parts) + tail,
    st.lists(PIECES, max_size=12),
    st.sampled_from(["", "/", "//", "./", "../"]),
    st.sampled_from(["", "/", "/.", "/.."]),
)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a secret in it, and the workspaces beside."""
    (tmp_path / "secret").write_text(CANARY)
    (tmp_path / "workspaces").mkdir()
    return tmp_path


@pytest.fixture
def all_of_them(home: Path) -> Workspaces:
    return open_workspaces(home / "workspaces", 1 << 20, 3 << 19)


@pytest.fixture
def place(all_of_them: Workspaces) -> Iterator[Workspace]:
    """A workspace in which a job has planted links out of it."""
    made = all_of_them.of("anna", "s")
    (made.path / "a").mkdir()
    (made.path / "file").write_text("inside")
    (made.path / "link").symlink_to("../../secret")
    (made.path / "up").symlink_to("..")
    (made.path / "root").symlink_to("/")
    (made.path / "a" / "b").symlink_to("../../..")
    os.mkfifo(made.path / "pipe")
    yield made


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=NAMES)
def test_no_name_reads_or_writes_outside(place: Workspace, home: Path, name: str) -> None:
    with suppress(Refused, Unknown):
        assert place.read(name).content != CANARY
    try:
        place.write(name, "written")
    except (Refused, TooLarge, Unknown):
        pass
    else:
        assert place.read(name).content == "written"
    with suppress(Refused, Unknown):
        place.files(name)
    assert (home / "secret").read_text() == CANARY
    assert {one.name for one in home.iterdir()} == {"secret", "workspaces"}
    assert {one.name for one in (home / "workspaces").iterdir()} == {".key", place.path.name}


@pytest.mark.parametrize(
    "name", ["link", "up/x", "root/etc/passwd", "a/b/secret", "../secret", "/etc/passwd", "pipe", "a"]
)
def test_what_leads_out_or_is_no_file_is_refused(place: Workspace, name: str) -> None:
    with pytest.raises(Refused):
        place.read(name)
    with pytest.raises(Refused):
        place.write(name, "x")


def test_a_folder_that_is_swapped_for_a_link_meanwhile_leads_nowhere(place: Workspace, home: Path) -> None:
    """A job swaps them all the time, while the server opens: it gets what is inside, or an error."""
    (home / "out").mkdir()
    (home / "out" / "x").write_text(CANARY)
    (place.path / "real").mkdir()
    (place.path / "real" / "x").write_text("inside")
    (place.path / "trap").symlink_to("../../out")
    real, trap = (os.fsencode(place.path / name) for name in ("real", "trap"))
    libc, over = ctypes.CDLL(None), threading.Event()

    def swap() -> None:
        while not over.is_set():
            libc.renameat2(AT_FDCWD, real, AT_FDCWD, trap, RENAME_EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = {"inside": 0, "refused": 0}
    try:
        for number in range(3_000):
            try:
                assert place.read("real/x").content.startswith("inside")
                place.write("real/x", f"inside {number}")
                place.write(f"real/new{number % 3}/y", "z")
                seen["inside"] += 1
            except Failure:
                seen["refused"] += 1
    finally:
        over.set()
        thread.join()
    assert min(seen.values()) > 0, seen
    assert (home / "out" / "x").read_text() == CANARY
    assert [one.name for one in (home / "out").iterdir()] == ["x"]


def test_files_are_written_with_their_folders_and_read_and_listed(place: Workspace) -> None:
    assert place.write("src/deep/app.py", "ä\n") == 3
    assert place.read("src/deep/app.py").content == "ä\n"
    assert place.read("src/../src/deep/app.py").content == "ä\n"
    place.write(".hidden/x", "1")
    assert [(one.name, one.size) for one in place.files()] == [("file", 6), ("src/deep/app.py", 3)]
    assert (place.path / "src").stat().st_mode & 0o777 == 0o700


def test_a_long_file_is_read_in_part_and_bytes_are_no_error(place: Workspace) -> None:
    (place.path / "long").write_bytes(b"\xff" * (READ_BYTES + 1))
    found = place.read("long")
    assert (found.size, found.truncated, found.content[0]) == (READ_BYTES + 1, True, "\ufffd")


def test_more_than_the_limit_is_not_written(place: Workspace) -> None:
    with pytest.raises(TooLarge, match="may hold 1 MiB"):
        place.write("big", "x" * (1 << 20))
    assert not (place.path / "big").exists()


def test_content_that_is_no_text_is_refused(place: Workspace) -> None:
    with pytest.raises(Refused, match="no text"):
        place.write("x", "\udc80")


def test_users_and_sessions_have_folders_of_their_own_whose_names_nobody_knows(
    all_of_them: Workspaces, home: Path
) -> None:
    pairs = [("a", "b"), ("a", "c"), ("ab", ""), ("", "ab"), ('a", "b', "c"), ("a", 'b", "c')]
    named = [pair for pair in pairs if all(pair)]
    paths = {all_of_them.of(*pair).path for pair in named}
    assert len(paths) == len(named)
    assert all(path.parent == home / "workspaces" and path.stat().st_mode & 0o777 == 0o700 for path in paths)
    other = Workspaces(home / "workspaces", b"another key", 1, 1)
    assert other.of("a", "b").path not in paths
    for pair in set(pairs) - set(named):
        with pytest.raises(Refused):
            all_of_them.of(*pair)


def test_the_key_lasts(all_of_them: Workspaces, home: Path) -> None:
    again = open_workspaces(home / "workspaces", 1, 1)
    assert again.of("anna", "s").path == all_of_them.of("anna", "s").path
    assert (home / "workspaces" / ".key").stat().st_mode & 0o777 == 0o600


def test_a_workspace_is_forgotten_whatever_is_in_it(all_of_them: Workspaces, place: Workspace, home: Path) -> None:
    below = place.path
    for _ in range(60):
        below = below / "d"
        below.mkdir()
    (below / "x").write_text("deep")
    (place.path / "closed").mkdir(0)
    all_of_them.forget("anna", "s")
    all_of_them.forget("anna", "s")
    assert [one.name for one in (home / "workspaces").iterdir()] == [".key"]
    assert (home / "secret").read_text() == CANARY


def test_what_is_deeper_than_any_path_is_forgotten_too(all_of_them: Workspaces, place: Workspace) -> None:
    here = Path.cwd()
    try:
        os.chdir(place.path)
        for _ in range(1_500):
            Path("deep").mkdir()
            os.chdir("deep")
    finally:
        os.chdir(here)
    assert place.full
    all_of_them.forget("anna", "s")
    assert not place.path.exists()


def test_workspaces_that_nobody_asked_for_go(all_of_them: Workspaces, place: Workspace) -> None:
    os.utime(place.path, (1e10, 1e10))  # a job may set this time, and not the other
    assert all_of_them.forget_older(3600) == 0
    assert all_of_them.forget_older(-1) == 1
    assert not place.path.exists()


def test_what_a_job_added_goes_and_what_was_there_stays(place: Workspace) -> None:
    before = place.marks()
    place.write("file", "changed")
    place.write("new/x", "x")
    place.shrink(before)
    assert not (place.path / "new" / "x").exists()
    assert not (place.path / "file").exists()
    assert (place.path / "link").is_symlink()


def test_a_user_has_a_limit_for_all_his_workspaces_which_takes_nothing_away(all_of_them: Workspaces) -> None:
    one, two, three = (all_of_them.of("anna", name) for name in ("one", "two", "three"))
    (one.path / "file").write_bytes(bytes(1 << 20))
    assert all_of_them.limited(two).limit == 1 << 19
    (two.path / "file").write_bytes(bytes(3 << 18))
    all_of_them.measure(two)
    assert [all_of_them.limited(place).limit for place in (one, two, three)] == [1 << 20, 3 << 18, 0]
    assert all_of_them.limited(all_of_them.of("berta", "one")).limit == 1 << 20
    all_of_them.forget("anna", "one")
    assert all_of_them.limited(three).limit == 3 << 18


def test_folders_that_a_job_added_go_too(place: Workspace) -> None:
    before = place.marks()
    place.write("a/new/er/x", "x")
    (place.path / "empty").mkdir()
    place.shrink(before)
    assert {path.name for path in place.path.rglob("*") if path.is_dir() and not path.is_symlink()} == {"a"}
