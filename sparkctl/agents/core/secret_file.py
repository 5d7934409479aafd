"""Secrets as the platform gets them: each a file."""

from pathlib import Path

from sparkctl.agents.core.failure import Refused


def read_secret(path: Path) -> bytes:
    """What stands in the file, without blanks around it. Raises Refused where it cannot be read."""
    try:
        return path.read_bytes().strip()
    except OSError as error:
        raise Refused(f"the secret {path} cannot be read: {error.strerror}") from error
