"""A message of a client's history is known without the one before it, too."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column."""
    op.add_column("runs", sa.Column("heard_alone", sa.String(length=64), nullable=False, server_default=""))
    op.create_index(op.f("ix_runs_heard_alone"), "runs", ["heard_alone"], unique=False)
