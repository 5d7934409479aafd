"""What is read from the machine that sparkctl runs on: files of the user, the login name."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

from sparkctl.errors import Problem


def path_of(text: str | Path, cwd: Path) -> Path:
    """A path that the user wrote, from `cwd`; a ~ that leads nowhere stays as it is."""
    return cwd / os.path.expanduser(text)  # noqa: PTH111 - Path.expanduser raises for a user who does not exist


def is_file(path: Path) -> bool:
    """Whether there is such a file; False for a path that cannot be."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def is_open(path: Path) -> bool:
    """Whether others than its owner can read a file."""
    try:
        return bool(path.stat().st_mode & 0o044)
    except (OSError, ValueError):
        return False


def login_name(environ: Mapping[str, str]) -> str:
    """The login name of whoever runs sparkctl: USER, LOGNAME, else the account."""
    if name := environ.get("USER") or environ.get("LOGNAME"):
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without an account, as in some containers
        return f"uid{os.getuid()}"


def read_text(path: Path, label: str, largest: int) -> str | Problem:
    """The text of a file in UTF-8 of at most `largest` bytes, or why it cannot be had; `label` is its name there."""
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
        if len(content) > largest:
            return Problem(label, "file", f"larger than {largest >> 10} KiB", "a smaller file")
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        return Problem(label, "file", f"byte {error.start} is not UTF-8", "a text file in UTF-8")
    except OSError as error:
        return Problem(label, "file", f"cannot be read: {error.strerror}", "a readable file")
    except ValueError:
        return Problem(label, "file", "cannot be read: no such name can be", "a readable file")
