"""`sparkctl agents selftest`: what the sandbox of a gateway found out about its own isolation."""

import asyncio
from pathlib import Path

from sparkctl.agents.core.failure import Failure
from sparkctl.agents.document import read_document
from sparkctl.agents.sandbox.client import sandbox_of
from sparkctl.agents.sandbox.selftest import Report
from sparkctl.errors import SparkctlError


def report(path: Path) -> Report:
    """The report of the sandbox that the document at that path names. Raises ConfigError, SparkctlError."""
    try:
        return asyncio.run(sandbox_of(read_document(path)).selftest())
    except Failure as failure:
        fix = "see its log: sparkctl logs sandbox"
        raise SparkctlError(failure.message, where=str(path), fix=fix) from failure
