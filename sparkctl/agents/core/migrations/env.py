"""What alembic runs: on the connection that `Database.migrate` opened."""

from alembic import context

from sparkctl.agents.core.tables import Table

context.configure(connection=context.config.attributes["connection"], target_metadata=Table.metadata)
with context.begin_transaction():
    context.run_migrations()
