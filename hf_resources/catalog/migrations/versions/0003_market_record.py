"""What the record of market data says of clocks, of sources and of refusals.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns."""
    op.add_column("enrichment_fetch_log", sa.Column("notes", sa.JSON(), nullable=True))
    op.add_column("enrichment_status", sa.Column("last_failure", sa.String(20), nullable=True))
    op.add_column("enrichment_status", sa.Column("clock", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("enrichment_status", "clock")
    op.drop_column("enrichment_status", "last_failure")
    op.drop_column("enrichment_fetch_log", "notes")
