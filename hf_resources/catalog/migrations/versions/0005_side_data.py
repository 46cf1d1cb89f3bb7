"""Side tables, and the scores of their texts.

Revision ID: 0005
Revises: 0004
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

DEFINITION = "side_data_sources"
DATASET = "side_data"
SCORES = "text_scores"
VERSION = ("definition_id", "symbol", "timeframe", "version_hash", "generation")


def _key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=False)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        DEFINITION,
        sa.Column("id", _key(), nullable=False),
        _text("name", 200),
        _text("family", 100),
        sa.Column("description", sa.Text(), nullable=False),
        _text("plugin_key", 200),
        sa.Column("parameters", sa.JSON(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=f"pk_{DEFINITION}"),
        sa.UniqueConstraint("name", name=f"uq_{DEFINITION}_name"),
    )
    op.create_table(
        DATASET,
        sa.Column("definition_id", _key(), nullable=False),
        sa.Column("id", _key(), nullable=False),
        _text("symbol", 100),
        _text("timeframe", 10),
        _text("version_hash", 64),
        sa.Column("generation", sa.Integer(), nullable=False),
        _text("code_version", 64),
        _text("source_fingerprint", 64),
        _time("start_date", nullable=True),
        _time("end_date", nullable=True),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("storage_path", sa.Text(), nullable=False),
        _time("created_at"),
        *(
            sa.Column(name, sa.JSON(), nullable=False)
            for name in (
                "columns",
                "column_digests",
                "attachments",
                "summary",
                "identity",
                "chunks",
            )
        ),
        sa.PrimaryKeyConstraint("id", name=f"pk_{DATASET}"),
        sa.ForeignKeyConstraint(
            ["definition_id"], [f"{DEFINITION}.id"], name=f"fk_{DATASET}_definition_id"
        ),
        sa.UniqueConstraint(*VERSION, name=f"uq_{DATASET}_version"),
    )
    op.create_table(
        SCORES,
        _text("scorer", 64),
        _text("text", 64),
        *(
            sa.Column(name, sa.Double(), nullable=False)
            for name in ("positive", "negative", "neutral", "sentiment", "uncertainty")
        ),
        _time("scored_at"),
        sa.PrimaryKeyConstraint("scorer", "text", name=f"pk_{SCORES}"),
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table(SCORES)
    op.drop_table(DATASET)
    op.drop_table(DEFINITION)
