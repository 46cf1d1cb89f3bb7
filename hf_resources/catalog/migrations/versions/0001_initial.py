"""Definitions, datasets and heads.

Revision ID: 0001
Revises: nothing

Self-contained on purpose: it must create the same tables when the models have moved on.
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

DEFINITIONS = (
    "features",
    "models",
    "signal_logics",
    "strategies",
    "market_data_sources",
    "reports",
)
DATASETS = {
    "market_data": "market_data_sources",
    "feature_datasets": "features",
    "model_versions": "models",
    "prediction_datasets": "models",
    "signal_datasets": "signal_logics",
    "backtests": "strategies",
    "report_datasets": "reports",
}
VERSION = ("definition_id", "symbol", "timeframe", "version_hash", "generation")


def _key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def upgrade() -> None:
    """Create all tables."""
    for table in DEFINITIONS:
        op.create_table(
            table,
            sa.Column("id", _key(), nullable=False),
            sa.Column("name", sa.String(200), nullable=False),
            sa.Column("family", sa.String(100), nullable=False),
            sa.Column("description", sa.Text(), nullable=False),
            sa.Column("plugin_key", sa.String(200), nullable=False),
            sa.Column("parameters", sa.JSON(), nullable=False),
            _time("created_at"),
            _time("updated_at"),
            sa.Column("version", sa.Integer(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
            sa.UniqueConstraint("name", name=f"uq_{table}_name"),
        )
    for table, definition in DATASETS.items():
        op.create_table(
            table,
            sa.Column("definition_id", _key(), nullable=False),
            sa.Column("id", _key(), nullable=False),
            sa.Column("symbol", sa.String(100), nullable=False),
            sa.Column("timeframe", sa.String(10), nullable=False),
            sa.Column("version_hash", sa.String(64), nullable=False),
            sa.Column("generation", sa.Integer(), nullable=False),
            sa.Column("code_version", sa.String(64), nullable=False),
            sa.Column("source_fingerprint", sa.String(64), nullable=False),
            _time("start_date", nullable=True),
            _time("end_date", nullable=True),
            sa.Column("row_count", sa.BigInteger(), nullable=False),
            sa.Column("storage_path", sa.Text(), nullable=False),
            _time("created_at"),
            sa.Column("columns", sa.JSON(), nullable=False),
            sa.Column("column_digests", sa.JSON(), nullable=False),
            sa.Column("attachments", sa.JSON(), nullable=False),
            sa.Column("summary", sa.JSON(), nullable=False),
            sa.Column("identity", sa.JSON(), nullable=False),
            sa.Column("chunks", sa.JSON(), nullable=False),
            sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
            sa.ForeignKeyConstraint(
                ["definition_id"], [f"{definition}.id"], name=f"fk_{table}_definition_id"
            ),
            sa.UniqueConstraint(*VERSION, name=f"uq_{table}_version"),
        )
    op.create_table(
        "heads",
        sa.Column("layer", sa.String(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("symbol", sa.String(100), nullable=False),
        sa.Column("timeframe", sa.String(10), nullable=False),
        sa.Column("dataset_id", _key(), nullable=False),
        sa.Column("version_hash", sa.String(64), nullable=False),
        _time("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("layer", "name", "symbol", "timeframe", name="pk_heads"),
    )


def downgrade() -> None:
    """Drop all tables."""
    for table in ("heads", *DATASETS, *DEFINITIONS):
        op.drop_table(table)
