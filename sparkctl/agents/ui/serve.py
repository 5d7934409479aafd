"""`sparkctl agents ui`: the web UI's process."""

from pathlib import Path

from sparkctl.agents.document import read_document
from sparkctl.agents.server import listen
from sparkctl.agents.ui.app import create_app

DRAIN_SECONDS = 3
"""How long open pages may hold the process when it is told to end."""


def serve(path: Path) -> None:
    """Listen until told to end. Raises ConfigError, SparkctlError."""
    document = read_document(path)
    listen(create_app(document), document.where.ui_listen, document.where.ui_port, drain_seconds=DRAIN_SECONDS)
