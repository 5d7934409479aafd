"""`sparkctl agents serve`: the gateway's process."""

from pathlib import Path

from sparkctl.agents.api.app import create_app
from sparkctl.agents.core.log import set_up
from sparkctl.agents.document import read_document
from sparkctl.agents.ending import told
from sparkctl.agents.server import listen

DRAIN_SECONDS = 20
"""How long running answers may go on when the process is told to end."""


def serve(path: Path) -> None:
    """Listen until told to end. Raises ConfigError, SparkctlError."""
    document = read_document(path)
    set_up()
    with told(path):
        listen(create_app(document), document.where.listen, document.where.port, drain_seconds=DRAIN_SECONDS)
