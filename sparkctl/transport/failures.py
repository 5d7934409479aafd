"""What to say when a command on a node fails: which, where, its last lines, and the fix where one is known."""

import shlex
from collections.abc import Sequence

from sparkctl.errors import CommandFailed

LAST_LINES = 20
WIDTH = 160

_GROUP = (
    "let the user speak to the engine: sudo usermod -aG docker {user}, then connect anew (groups count from the next "
    "login)"
)
_START = "start the engine on {node}: sudo systemctl start docker"

_FIXES = (
    ("permission denied while trying to connect to the docker", _GROUP),
    ("docker.sock: connect: permission denied", _GROUP),
    ("cannot connect to the docker daemon", _START),
    ("docker.sock: connect: no such file", _START),
    ("docker.sock: connect: connection refused", _START),
    (
        "a password is required",
        "allow sudo without a password on {node} (a line `{user} ALL=(ALL) NOPASSWD: ALL` by visudo), "
        "or log in as root",
    ),
    (
        "incorrect password attempt",
        "that is not the password of {user} on {node}: try again, by sparkctl setup --sudoers --ask-sudo-password or "
        "SPARKCTL_SUDO_PASSWORD",
    ),
    ("is not in the sudoers file", "give {user} the right to sudo on {node}, or log in as root"),
    ("sudo: command not found", "install sudo on {node}, or log in as root"),
    ("no space left on device", "free space on {node}: df -h shows which file system is full"),
    ("command not found", "install the missing command on {node}"),
    (": not found", "install the missing command on {node}"),
)


def shorten(argv: Sequence[str]) -> str:
    """The command as one would type it, at most WIDTH characters."""
    return _clip(shlex.join(argv))


def shorten_script(text: str) -> str:
    """A script by its first line that does something."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith(("set -", "exec "))]
    return _clip(f"script `{lines[0] if lines else ''}`" + " …" * (len(lines) > 1))


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """The last `count` lines that are not blank."""
    return "\n".join([line for line in text.splitlines() if line.strip()][-count:])


def known_fix(output: str, *, node: str, user: str) -> str:
    """The fix for a failure that is recognised by its words, or nothing."""
    words = output.lower()
    for pattern, fix in _FIXES:
        if pattern in words:
            return fix.format(node=node, user=user)
    return ""


def command_failed(title: str, ending: str, output: str, *, node: str, user: str) -> CommandFailed:
    """The error for a command that `ending` (`ended with status 1`) describes."""
    fix = known_fix(output, node=node, user=user)
    return CommandFailed(f"{title}: {ending}", where=node, fix=fix, output=last_lines(output))


def _clip(text: str) -> str:
    return text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
