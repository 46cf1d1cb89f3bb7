"""Alembic's entry point: runs revisions on the connection that ``engine`` hands over.

The transaction is the caller's, so that a schema is either all old or all new.
"""

from alembic import context

from hf_resources.catalog.schema import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite cannot alter most things in place.
    render_as_batch=True,
)
context.run_migrations()
