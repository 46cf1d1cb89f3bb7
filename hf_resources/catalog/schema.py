"""Tables of the catalog, as SQLAlchemy models.

Columns and constraints belong here, written once in abstract rows; how a database is opened is in
``engine``, how an existing one is brought up to date is in ``migrations`` (a test holds the two
together). Definitions, heads and the status of a series are mutable and carry a ``version`` for
optimistic locking; rows of datasets and of logs are written once.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any, ClassVar, Final, NamedTuple

from sqlalchemy import (
    JSON,
    BigInteger,
    Date,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

from hf_resources.datasets import Layer

# SQLite counts a 64-bit rowid only in a column called INTEGER.
Key = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times on both sides; SQLite, which has no such type, keeps them without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times; they would mean different moments on different machines."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"time {value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Attach the zone that SQLite dropped."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def now() -> datetime:
    """Time of a row; never part of anything that is hashed."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """Names constraints, so that migrations can address them on every database."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


class Versioned:
    """A mutable row: a write that is based on an older version fails."""

    version: Mapped[int] = mapped_column()

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805  (declared_attr passes the class)
        return {"version_id_col": cls.version}


class DefinitionRow(Versioned, Base):
    """What the YAML declares under a name."""

    __abstract__ = True

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    family: Mapped[str] = mapped_column(String(100))
    description: Mapped[str] = mapped_column(Text)
    plugin_key: Mapped[str] = mapped_column(String(200))
    parameters: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(default=now)
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class DatasetRow(Base):
    """One immutable version of a series; long columns last, so that a lookup need not reach them.

    ``storage_path`` and the paths in ``chunks`` and ``attachments`` are relative to the lake, which
    may therefore be moved.
    """

    __abstract__ = True

    definition_table: ClassVar[str]

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    symbol: Mapped[str] = mapped_column(String(100))
    timeframe: Mapped[str] = mapped_column(String(10))
    version_hash: Mapped[str] = mapped_column(String(64))
    generation: Mapped[int]
    code_version: Mapped[str] = mapped_column(String(64))
    source_fingerprint: Mapped[str] = mapped_column(String(64))
    start_date: Mapped[datetime | None]
    end_date: Mapped[datetime | None]
    row_count: Mapped[int] = mapped_column(BigInteger)
    storage_path: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(default=now)
    columns: Mapped[list[Any]]
    column_digests: Mapped[dict[str, Any]]
    attachments: Mapped[dict[str, Any]]
    summary: Mapped[dict[str, Any]]
    identity: Mapped[dict[str, Any]]
    chunks: Mapped[list[Any]] = mapped_column(deferred=True)

    @declared_attr
    def definition_id(cls) -> Mapped[int]:  # noqa: N805
        """Row of the layer's definition table."""
        return mapped_column(ForeignKey(f"{cls.definition_table}.id"), sort_order=-1)

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Any, ...]:  # noqa: N805
        # The index of this constraint is the one that lookups use.
        unique = ("definition_id", "symbol", "timeframe", "version_hash", "generation")
        return (UniqueConstraint(*unique, name=f"uq_{cls.__tablename__}_version"),)  # pyright: ignore[reportAttributeAccessIssue]


class Feature(DefinitionRow):
    """A feature that the YAML declares."""

    __tablename__ = "features"


class FeatureQuality(DefinitionRow):
    """Quality control of some features."""

    __tablename__ = "feature_quality"


class Model(DefinitionRow):
    """A model; its out-of-sample predictions belong to the same row."""

    __tablename__ = "models"


class SignalLogic(DefinitionRow):
    """A rule that turns predictions into target positions."""

    __tablename__ = "signal_logics"


class Strategy(DefinitionRow):
    """A universe, a signal, an engine and its costs."""

    __tablename__ = "strategies"


class MarketDataSource(DefinitionRow):
    """A source of bars, or a step that enriches them."""

    __tablename__ = "market_data_sources"


class SideDataSource(DefinitionRow):
    """A source of a side table, or what scores its texts."""

    __tablename__ = "side_data_sources"


class Report(DefinitionRow):
    """A report about what is stored."""

    __tablename__ = "reports"


class MarketData(DatasetRow):
    """Bars of one instrument."""

    __tablename__ = "market_data"
    definition_table = "market_data_sources"


class SideTable(DatasetRow):
    """Rows known at an instant: news, filings, releases, and scores of their texts."""

    __tablename__ = "side_data"
    definition_table = "side_data_sources"


class FeatureDataset(DatasetRow):
    """Values of one feature."""

    __tablename__ = "feature_datasets"
    definition_table = "features"


class CertificateRow(Base):
    """What was tried to find look-ahead in one version of a feature, and what came of it.

    ``certificate`` is that of :mod:`hf_plugins.certificate`; ``passed`` and ``level`` are of it.
    """

    __tablename__ = "certificates"

    dataset_id: Mapped[int] = mapped_column(
        Key, ForeignKey("feature_datasets.id"), primary_key=True, autoincrement=False
    )
    passed: Mapped[bool]
    level: Mapped[str] = mapped_column(String(10))
    created_at: Mapped[datetime] = mapped_column(default=now)
    certificate: Mapped[dict[str, Any]]


class FeatureQualityReport(DatasetRow):
    """What features say and which of them are kept; the tables are attachments."""

    __tablename__ = "feature_quality_reports"
    definition_table = "feature_quality"


class ModelVersion(DatasetRow):
    """A fitted model, as an attachment, with what it was fitted on."""

    __tablename__ = "model_versions"
    definition_table = "models"


class PredictionDataset(DatasetRow):
    """Out-of-sample predictions."""

    __tablename__ = "prediction_datasets"
    definition_table = "models"


class SignalDataset(DatasetRow):
    """Target positions."""

    __tablename__ = "signal_datasets"
    definition_table = "signal_logics"


class Backtest(DatasetRow):
    """An equity curve; metrics are its summary."""

    __tablename__ = "backtests"
    definition_table = "strategies"


class ReportDataset(DatasetRow):
    """The tables of a report."""

    __tablename__ = "report_datasets"
    definition_table = "reports"


class Head(Versioned, Base):
    """The current version of a series. ``dataset_id`` is a row of the layer's own table."""

    __tablename__ = "heads"

    layer: Mapped[str] = mapped_column(String(20), primary_key=True)
    name: Mapped[str] = mapped_column(String(200), primary_key=True)
    symbol: Mapped[str] = mapped_column(String(100), primary_key=True)
    timeframe: Mapped[str] = mapped_column(String(10), primary_key=True)
    dataset_id: Mapped[int] = mapped_column(Key)
    version_hash: Mapped[str] = mapped_column(String(64))
    updated_at: Mapped[datetime] = mapped_column(default=now, onupdate=now)


class TextScore(Base):
    """What a scorer says of a text, whichever table the text is in; written once.

    ``scorer`` is the digest of all that decides its numbers, ``text`` that of the text.
    """

    __tablename__ = "text_scores"

    scorer: Mapped[str] = mapped_column(String(64), primary_key=True)
    text: Mapped[str] = mapped_column(String(64), primary_key=True)
    positive: Mapped[float] = mapped_column(Double)
    negative: Mapped[float] = mapped_column(Double)
    neutral: Mapped[float] = mapped_column(Double)
    sentiment: Mapped[float] = mapped_column(Double)
    uncertainty: Mapped[float] = mapped_column(Double)
    scored_at: Mapped[datetime] = mapped_column(default=now)


class FetchLog(Base):
    """One fetch of bars that brought something, changed something or failed.

    The counts are null where the fetch failed: what came is not known then. ``notes`` are what the
    source had to say.
    """

    __tablename__ = "enrichment_fetch_log"
    __table_args__ = (
        Index("ix_enrichment_fetch_log_series", "symbol", "timeframe", "finished_at"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    symbol: Mapped[str] = mapped_column(String(100))
    asset_class: Mapped[str] = mapped_column(String(20))
    timeframe: Mapped[str] = mapped_column(String(10))
    source: Mapped[str] = mapped_column(String(100))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(String(20))
    rows_fetched: Mapped[int | None] = mapped_column(BigInteger)
    rows_appended: Mapped[int | None] = mapped_column(BigInteger)
    rows_revised: Mapped[int | None] = mapped_column(BigInteger)
    rows_quarantined: Mapped[int | None] = mapped_column(BigInteger)
    rows_vanished: Mapped[int | None] = mapped_column(BigInteger)
    error: Mapped[str | None] = mapped_column(Text)
    version_hash: Mapped[str | None] = mapped_column(String(64))
    notes: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))


class ComputeLog(Base):
    """One computation of enriched bars.

    ``rows_computed`` are those that the computation was given, the ones it looks back to included;
    ``mode`` is ``whole`` or ``tail``.
    """

    __tablename__ = "enrichment_compute_log"
    __table_args__ = (
        Index("ix_enrichment_compute_log_series", "symbol", "timeframe", "computed_at"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    asset: Mapped[str] = mapped_column(String(200))
    symbol: Mapped[str] = mapped_column(String(100))
    timeframe: Mapped[str] = mapped_column(String(10))
    computed_at: Mapped[datetime]
    seconds: Mapped[float] = mapped_column(Double)
    rows_computed: Mapped[int] = mapped_column(BigInteger)
    rows_total: Mapped[int] = mapped_column(BigInteger)
    mode: Mapped[str] = mapped_column(String(10))
    version_hash: Mapped[str] = mapped_column(String(64))


class MarketDataRevision(Base):
    """A bar that its source corrected; ``changes`` is ``{column: {"old": ..., "new": ...}}``."""

    __tablename__ = "market_data_revisions"
    __table_args__ = (
        UniqueConstraint(
            "symbol",
            "asset_class",
            "timeframe",
            "timestamp",
            "revision",
            name="uq_market_data_revisions_bar",
        ),
        Index("ix_market_data_revisions_recorded_at", "recorded_at"),
    )

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    symbol: Mapped[str] = mapped_column(String(100))
    asset_class: Mapped[str] = mapped_column(String(20))
    timeframe: Mapped[str] = mapped_column(String(10))
    timestamp: Mapped[datetime]
    revision: Mapped[int]
    amended_from: Mapped[int]
    fetched_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    version_hash: Mapped[str] = mapped_column(String(64))
    changes: Mapped[dict[str, Any]]


class DataQualityMetric(Versioned, Base):
    """Quality of the bars of one UTC day; see :mod:`hf_resources.stored_quality`.

    ``failed`` is ``{check: rows}``, without the checks that no row failed.
    """

    __tablename__ = "data_quality_metrics"

    symbol: Mapped[str] = mapped_column(String(100), primary_key=True)
    timeframe: Mapped[str] = mapped_column(String(10), primary_key=True)
    day: Mapped[date] = mapped_column(Date, primary_key=True)
    rows_in: Mapped[int] = mapped_column(BigInteger)
    rows_kept: Mapped[int] = mapped_column(BigInteger)
    rows_quarantined: Mapped[int] = mapped_column(BigInteger)
    rows_expected: Mapped[int] = mapped_column(BigInteger)
    rows_missing: Mapped[int] = mapped_column(BigInteger)
    quality_score: Mapped[float] = mapped_column(Double)
    data_completeness: Mapped[float | None] = mapped_column(Double)
    gap_detected: Mapped[bool]
    failed: Mapped[dict[str, Any]]
    version_hash: Mapped[str] = mapped_column(String(64))
    computed_at: Mapped[datetime]


class EnrichmentStatus(Versioned, Base):
    """How a series of bars stands: when its source was asked, with what result, what is missing.

    ``version_hash`` is the version of the bars that ``quality_score``, ``gaps``, ``missing_bars``
    and ``faults`` describe; all five are null while there are no bars. ``clock`` is what
    :func:`hf_resources.clock_verdict.clock_verdict` says, null where no clock is declared.
    ``last_failure`` is ``refused`` where the quality policy did not let in what came, else
    ``failed``; null after a success.
    """

    __tablename__ = "enrichment_status"

    symbol: Mapped[str] = mapped_column(String(100), primary_key=True)
    timeframe: Mapped[str] = mapped_column(String(10), primary_key=True)
    last_checked_at: Mapped[datetime]
    last_success_at: Mapped[datetime | None]
    last_bar: Mapped[datetime | None]
    late_since: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    last_failure: Mapped[str | None] = mapped_column(String(20))
    consecutive_failures: Mapped[int]
    version_hash: Mapped[str | None] = mapped_column(String(64))
    quality_score: Mapped[float | None] = mapped_column(Double)
    gaps: Mapped[int | None] = mapped_column(BigInteger)
    missing_bars: Mapped[int | None] = mapped_column(BigInteger)
    faults: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    clock: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class Tables(NamedTuple):
    """The two tables of a layer.

    ``owner``: publishing to this layer updates the definition; otherwise it only makes sure that
    there is one, so that two layers which share a definition do not overwrite each other's.
    """

    definition: type[DefinitionRow]
    dataset: type[DatasetRow]
    owner: bool = True


TABLES: Final[dict[Layer, Tables]] = {
    "market_data": Tables(MarketDataSource, MarketData),
    "side_data": Tables(SideDataSource, SideTable),
    "features": Tables(Feature, FeatureDataset),
    "quality": Tables(FeatureQuality, FeatureQualityReport),
    "models": Tables(Model, ModelVersion),
    "predictions": Tables(Model, PredictionDataset, owner=False),
    "signals": Tables(SignalLogic, SignalDataset),
    "backtests": Tables(Strategy, Backtest),
    "reports": Tables(Report, ReportDataset),
}
