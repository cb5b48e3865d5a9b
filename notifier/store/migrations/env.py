"""Run by Alembic; the connection comes from `notifier.store.migrate`."""

from alembic import context

from notifier.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
