"""Alembic's entry: run the migrations on the connection that migrate.to_latest() opened."""

from alembic import context

from edgeprof.scheduler.archive.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # One transaction for all steps, on SQLite too: engine.py says BEGIN itself.
    transactional_ddl=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
