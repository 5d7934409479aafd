"""The user's and the system's SSH configuration, as far as it is read before a connection is opened."""

import re
from collections.abc import Mapping
from pathlib import Path

from sparkctl.errors import ConfigError, Problem

USER_FILE, SYSTEM_FILE = Path(".ssh/config"), Path("/etc/ssh/ssh_config")
"""The first one is in the home folder; what it says wins."""
_NAMES_A_USER = re.compile(r"^\s*user\s*[\s=]", re.IGNORECASE | re.MULTILINE)


def user_on(address: str) -> str:
    """The `User` of a host name, an address or an alias; empty where nothing names one.

    Raises ConfigError for a file that cannot be read. Paramiko, 120 ms, is loaded only where a file names any user.
    """
    texts = {path: _text(path) for path in (Path.home() / USER_FILE, SYSTEM_FILE)}
    if not any(_NAMES_A_USER.search(text) for text in texts.values()):
        return ""
    return _lookup(texts, address)


def unreadable(where: str, reason: str) -> ConfigError:
    """The error of a line or a file that is no SSH configuration."""
    problem = Problem(where, "file", reason, "an SSH configuration, as `ssh -G HOST` reads it")
    return ConfigError((problem,), fix="mend it, then try: ssh -G HOST")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise unreadable(str(path), f"cannot be read: {error.strerror}") from error


def _lookup(texts: Mapping[Path, str], address: str) -> str:
    import io

    import paramiko

    config = paramiko.SSHConfig()
    for path, text in texts.items():
        try:
            config.parse(io.StringIO(text))
        except paramiko.ConfigParseError as error:
            raise unreadable(str(path), str(error)) from error
    return str(config.lookup(address).get("user", ""))
