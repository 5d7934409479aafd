"""How a program of the platform ends that cannot do its work: with an error of sparkctl's, never a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparkctl.agents.core.failure import Failure, Refused, Unknown
from sparkctl.agents.document import wrong
from sparkctl.errors import SparkctlError


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Failures of the block, which works by the document at that path.

    Raises ConfigError for what the document says wrongly, SparkctlError for what is away.
    """
    try:
        yield
    except (Refused, Unknown) as failure:
        raise wrong(path, ("", failure.message)) from failure
    except Failure as failure:
        fix = "start what is away, then try again: sparkctl status"
        raise SparkctlError(failure.message, where=str(path), fix=fix) from failure
