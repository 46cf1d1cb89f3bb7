"""Causality certificates of feature datasets.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TABLE = "certificates"


def upgrade() -> None:
    """Create the table."""
    key = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        TABLE,
        sa.Column("dataset_id", key, nullable=False, autoincrement=False),
        sa.Column("passed", sa.Boolean(), nullable=False),
        sa.Column("level", sa.String(10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("certificate", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("dataset_id", name=f"pk_{TABLE}"),
        sa.ForeignKeyConstraint(
            ["dataset_id"], ["feature_datasets.id"], name=f"fk_{TABLE}_dataset_id"
        ),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table(TABLE)
