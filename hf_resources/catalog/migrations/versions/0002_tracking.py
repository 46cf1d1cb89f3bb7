"""Tracking of market data: fetches, computations, revisions, quality by day and status.

Revision ID: 0002
Revises: 0001
"""

from datetime import datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _time(name: str, *, nullable: bool = False) -> sa.Column[datetime]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), nullable=nullable)


def _count(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "enrichment_fetch_log",
        sa.Column("id", _key(), nullable=False),
        _text("symbol", 100),
        _text("asset_class", 20),
        _text("timeframe", 10),
        _text("source", 100),
        _time("started_at"),
        _time("finished_at"),
        _text("status", 20),
        _count("rows_fetched", nullable=True),
        _count("rows_appended", nullable=True),
        _count("rows_revised", nullable=True),
        _count("rows_quarantined", nullable=True),
        _count("rows_vanished", nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        _text("version_hash", 64, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_enrichment_fetch_log"),
    )
    op.create_index(
        "ix_enrichment_fetch_log_series",
        "enrichment_fetch_log",
        ["symbol", "timeframe", "finished_at"],
    )
    op.create_table(
        "enrichment_compute_log",
        sa.Column("id", _key(), nullable=False),
        _text("asset", 200),
        _text("symbol", 100),
        _text("timeframe", 10),
        _time("computed_at"),
        sa.Column("seconds", sa.Double(), nullable=False),
        _count("rows_computed"),
        _count("rows_total"),
        _text("mode", 10),
        _text("version_hash", 64),
        sa.PrimaryKeyConstraint("id", name="pk_enrichment_compute_log"),
    )
    op.create_index(
        "ix_enrichment_compute_log_series",
        "enrichment_compute_log",
        ["symbol", "timeframe", "computed_at"],
    )
    op.create_table(
        "market_data_revisions",
        sa.Column("id", _key(), nullable=False),
        _text("symbol", 100),
        _text("asset_class", 20),
        _text("timeframe", 10),
        _time("timestamp"),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("amended_from", sa.Integer(), nullable=False),
        _time("fetched_at"),
        _time("recorded_at"),
        _text("version_hash", 64),
        sa.Column("changes", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_market_data_revisions"),
        sa.UniqueConstraint(
            "symbol",
            "asset_class",
            "timeframe",
            "timestamp",
            "revision",
            name="uq_market_data_revisions_bar",
        ),
    )
    op.create_index(
        "ix_market_data_revisions_recorded_at", "market_data_revisions", ["recorded_at"]
    )
    op.create_table(
        "data_quality_metrics",
        _text("symbol", 100),
        _text("timeframe", 10),
        sa.Column("day", sa.Date(), nullable=False),
        _count("rows_in"),
        _count("rows_kept"),
        _count("rows_quarantined"),
        _count("rows_expected"),
        _count("rows_missing"),
        sa.Column("quality_score", sa.Double(), nullable=False),
        sa.Column("data_completeness", sa.Double(), nullable=True),
        sa.Column("gap_detected", sa.Boolean(), nullable=False),
        sa.Column("failed", sa.JSON(), nullable=False),
        _text("version_hash", 64),
        _time("computed_at"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "timeframe", "day", name="pk_data_quality_metrics"),
    )
    op.create_table(
        "enrichment_status",
        _text("symbol", 100),
        _text("timeframe", 10),
        _time("last_checked_at"),
        _time("last_success_at", nullable=True),
        _time("last_bar", nullable=True),
        _time("late_since", nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("consecutive_failures", sa.Integer(), nullable=False),
        _text("version_hash", 64, nullable=True),
        sa.Column("quality_score", sa.Double(), nullable=True),
        _count("gaps", nullable=True),
        _count("missing_bars", nullable=True),
        sa.Column("faults", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("symbol", "timeframe", name="pk_enrichment_status"),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in (
        "enrichment_status",
        "data_quality_metrics",
        "market_data_revisions",
        "enrichment_compute_log",
        "enrichment_fetch_log",
    ):
        op.drop_table(table)
