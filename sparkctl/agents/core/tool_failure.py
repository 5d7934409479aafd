"""What a model is told when a tool of it fails: the failure's own sentence, and nothing of a bug of ours."""

import logging
from typing import Any

from agents import RunContextWrapper

from sparkctl.agents.core.failure import Failure

LOG = logging.getLogger("sparkctl.agents")


def told(_context: RunContextWrapper[Any], error: Exception) -> str:
    """For `function_tool(failure_error_function=...)`."""
    if isinstance(error, Failure):
        return f"This did not work: {error.message}"
    LOG.error("a tool ended in a bug of ours, or was called with wrong arguments", exc_info=error)
    return "This did not work: the tool failed, or its arguments are not valid."
