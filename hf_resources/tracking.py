"""The record of market data: what was fetched and computed, what was revised, how series stand.

The only place that writes and reads the tables ``enrichment_fetch_log``,
``enrichment_compute_log``, ``market_data_revisions``, ``data_quality_metrics`` and
``enrichment_status``. They tell people and checks what happened; no result depends on them. Records
are written after a publication, in one transaction each, and only of what brought, changed or
failed something: an unchanged fetch updates the status of its series in place, at most once in
:data:`CHECKED_EVERY`. What to do when a record cannot be written is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, TypeVar

import pandas as pd
from sqlalchemy import Select, and_, func, insert, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from hf_plugins.bar_quality import RefusedBarsError
from hf_resources.catalog.schema import (
    Base,
    ComputeLog,
    DataQualityMetric,
    EnrichmentStatus,
    FetchLog,
    MarketDataRevision,
)
from hf_resources.clock_verdict import clock_verdict
from hf_resources.datasets import Dataset
from hf_resources.ingestion import Ingestion
from hf_resources.instruments import Instrument
from hf_resources.sources.paging import instant
from hf_resources.store import DatasetStore
from hf_resources.stored_quality import Gaps, gaps, lateness, revisions

CHECKED_EVERY: Final = timedelta(minutes=1)
"""Least time between two updates that say no more than that a source was asked again."""

_ATTEMPTS: Final = 5
_T = TypeVar("_T")

Series = tuple[str, str]
"""Symbol and timeframe."""


@dataclass(frozen=True)
class Fetch:
    """One attempt to fetch the bars of a series.

    Attributes:
        instrument: what was asked for.
        timeframe: of the bars.
        source: key of the source.
        started_at: timezone-aware.
        finished_at: when it had ended, well or not; timezone-aware.
        tolerance: time that a bar may take to arrive before it is late; None if none will arrive.
        clock: that the source declares for these bars; None if it declares none.
    """

    instrument: Instrument
    timeframe: str
    source: str
    started_at: datetime
    finished_at: datetime
    tolerance: timedelta | None
    clock: str | None = None

    @property
    def series(self) -> Series:
        """Symbol and timeframe."""
        return self.instrument.symbol, self.timeframe


class Tracking:
    """Writes and reads the record. Safe to share between threads."""

    def __init__(self, store: DatasetStore) -> None:
        self.store = store
        self.catalog = store.catalog

    # ------------------------------------------------------------------------------ writing

    def fetched(
        self,
        fetch: Fetch,
        ingestion: Ingestion,
        *,
        before: Dataset | None,
        bars: Dataset,
        changed: bool,
    ) -> None:
        """Record a fetch whose outcome is published.

        Args:
            fetch: the attempt.
            ingestion: what came of it.
            before: head of the series before.
            bars: head of the series now.
            changed: whether a head moved, that of the quarantine included.
        """
        status = self.statuses([fetch.series]).get(fetch.series)
        described = status is not None and status["version_hash"] == bars.version_hash
        if not changed and described and _says_it_already(fetch, status):
            return
        values: dict[str, Any] = {
            "last_checked_at": fetch.finished_at,
            "last_success_at": fetch.finished_at,
            "last_error": None,
            "last_failure": None,
            "consecutive_failures": 0,
            "late_since": self._late_since(fetch, bars.end_date),
            "clock": clock_verdict(
                ingestion,
                fetch.instrument,
                fetch.timeframe,
                fetch.clock,
                status["clock"] if status else None,
            ),
        }
        if changed or not described:
            counted = self._gaps(fetch, ingestion, before, bars, status)
            quality = ingestion.quality
            values |= {
                "last_bar": bars.end_date,
                "version_hash": bars.version_hash,
                "quality_score": quality.score,
                "gaps": counted.runs,
                "missing_bars": counted.bars,
                "faults": [
                    {
                        "check": fault.check,
                        "action": fault.action,
                        "rows": len(fault.rows),
                        "sentence": fault.sentence,
                    }
                    for fault in quality.faults
                ],
            }
        log: list[FetchLog] = []
        amended: list[dict[str, Any]] = []
        if changed:
            summary = ingestion.summary()
            counts = {
                name: summary[name]
                for name in (
                    "rows_fetched",
                    "rows_appended",
                    "rows_revised",
                    "rows_quarantined",
                    "rows_vanished",
                )
            }
            kind = _kind(counts)
            version, notes = bars.version_hash, list(ingestion.notes)
            log = [self._log(fetch, kind, version_hash=version, notes=notes, **counts)]
            amended = self._amended(fetch, ingestion, before, bars)

        def write(session: Session) -> None:
            session.add_all(log)
            self._insert_revisions(session, amended)
            self._update_status(session, fetch.series, lambda row: values)

        self._in_transaction(write)

    def failed(self, fetch: Fetch, error: Exception) -> None:
        """Record a fetch that failed; the bars stand as they were.

        ``refused`` is one that brought bars which the quality policy does not let in, ``failed``
        any other: of the source, of a declaration, or of the platform.
        """
        sentence = str(error) or type(error).__name__
        kind = "refused" if isinstance(error, RefusedBarsError) else "failed"

        def values(row: EnrichmentStatus | None) -> dict[str, Any]:
            failures = 1 if row is None else row.consecutive_failures + 1
            last_bar = None if row is None else row.last_bar
            return {
                "last_checked_at": fetch.finished_at,
                "last_error": sentence,
                "last_failure": kind,
                "consecutive_failures": failures,
                "late_since": self._late_since(fetch, last_bar),
            }

        def write(session: Session) -> None:
            session.add(self._log(fetch, kind, error=sentence))
            self._update_status(session, fetch.series, values)

        self._in_transaction(write)

    def computed(
        self, dataset: Dataset, *, at: datetime, seconds: float, rows: int, whole: bool
    ) -> None:
        """Record a computation of enriched bars.

        Args:
            dataset: what was published.
            at: when it was published, timezone-aware.
            seconds: what it took, publication included.
            rows: rows that the computation was given, the ones it looks back to included.
            whole: whether all rows were computed, not those alone that were appended.
        """
        row = {
            "asset": dataset.ref.asset_key,
            "symbol": dataset.ref.symbol,
            "timeframe": dataset.ref.timeframe,
            "computed_at": at,
            "seconds": seconds,
            "rows_computed": rows,
            "rows_total": dataset.row_count,
            "mode": "whole" if whole else "tail",
            "version_hash": dataset.version_hash,
        }
        self._in_transaction(lambda session: session.add(ComputeLog(**row)))

    def daily(
        self,
        series: Iterable[Series],
        days: Sequence[date],
        rows: Iterable[Mapping[str, Any]],
        *,
        at: datetime,
    ) -> int:
        """Make ``rows`` what is recorded of the series on the days; what is equal stays untouched.

        Args:
            series: those that were looked at; entries of theirs that are not in ``rows`` go.
            days: those that were looked at.
            rows: columns of ``data_quality_metrics`` but ``computed_at``.
            at: the clock, timezone-aware.

        Returns:
            How many entries were added, changed or removed.
        """
        wanted = {(row["symbol"], row["timeframe"], row["day"]): dict(row) for row in rows}
        looked_at, range_ = set(series), set(days)
        table = DataQualityMetric

        def write(session: Session) -> int:
            found = session.scalars(
                select(table).where(table.day.between(min(range_), max(range_)))
            ).all()
            standing = {
                (row.symbol, row.timeframe, row.day): row
                for row in found
                if row.day in range_ and (row.symbol, row.timeframe) in looked_at
            }
            touched = 0
            for key, row in standing.items():
                if key not in wanted:
                    session.delete(row)
                    touched += 1
                    continue
                # The version of the bars is that of which the entry became what it is.
                if any(
                    getattr(row, name) != value
                    for name, value in wanted[key].items()
                    if name != "version_hash"
                ):
                    for name, value in {**wanted[key], "computed_at": at}.items():
                        setattr(row, name, value)
                    touched += 1
            new = [
                table(**row, computed_at=at) for key, row in wanted.items() if key not in standing
            ]
            session.add_all(new)
            return touched + len(new)

        return self._in_transaction(write) if range_ else 0

    def late(self, since: Mapping[Series, datetime | None]) -> int:
        """Record which series are late now, and since when; None where one is not.

        Returns:
            How many entries changed; a series without an entry gets none.
        """

        def write(session: Session) -> int:
            touched = 0
            for row in session.scalars(select(EnrichmentStatus)):
                key = (row.symbol, row.timeframe)
                if key in since and row.late_since != since[key]:
                    row.late_since = since[key]
                    touched += 1
            return touched

        standing = self.statuses()
        if all(
            key not in standing or standing[key]["late_since"] == value
            for key, value in since.items()
        ):
            return 0
        return self._in_transaction(write)

    # ------------------------------------------------------------------------------ reading

    def statuses(self, series: Iterable[Series] | None = None) -> dict[Series, dict[str, Any]]:
        """Rows of ``enrichment_status``, of some series or all."""
        table = EnrichmentStatus
        statement = select(*table.__table__.columns)
        if series is not None:
            statement = statement.where(tuple_(table.symbol, table.timeframe).in_(list(series)))
        return {(row["symbol"], row["timeframe"]): row for row in self._rows(statement)}

    def fetches(
        self, series: Series | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Rows of ``enrichment_fetch_log``, newest first."""
        return self._log_of(FetchLog, FetchLog.finished_at, series, limit)

    def computations(
        self, series: Series | None = None, *, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Rows of ``enrichment_compute_log``, newest first."""
        return self._log_of(ComputeLog, ComputeLog.computed_at, series, limit)

    def revisions(
        self,
        series: Series | None = None,
        *,
        recorded_since: datetime | None = None,
        limit: int | None = None,
    ) -> list[dict[str, Any]]:
        """Rows of ``market_data_revisions``, newest first."""
        table = MarketDataRevision
        statement = self._of(table, series).order_by(
            table.recorded_at.desc(), table.timestamp.desc(), table.revision.desc()
        )
        if recorded_since is not None:
            statement = statement.where(table.recorded_at >= recorded_since)
        return self._rows(statement.limit(limit))

    def latest_quality(self) -> dict[Series, dict[str, Any]]:
        """The newest row of ``data_quality_metrics`` of each series."""
        table = DataQualityMetric
        newest = (
            select(table.symbol, table.timeframe, func.max(table.day).label("day"))
            .group_by(table.symbol, table.timeframe)
            .subquery()
        )
        rows = self._rows(
            self._of(table, None).join(
                newest,
                and_(
                    table.symbol == newest.c.symbol,
                    table.timeframe == newest.c.timeframe,
                    table.day == newest.c.day,
                ),
            )
        )
        return {(row["symbol"], row["timeframe"]): row for row in rows}

    def revised_series(self, recorded_since: datetime) -> list[dict[str, Any]]:
        """Which series were revised: how many revisions, of which first and last bar, and when."""
        table = MarketDataRevision
        return self._rows(
            select(
                table.symbol,
                table.timeframe,
                func.count().label("revisions"),
                func.min(table.timestamp).label("first_bar"),
                func.max(table.timestamp).label("last_bar"),
                func.max(table.recorded_at).label("recorded_at"),
            )
            .where(table.recorded_at >= recorded_since)
            .group_by(table.symbol, table.timeframe)
            .order_by(func.count().desc(), table.symbol, table.timeframe)
        )

    def quality(
        self, first: date, last: date, series: Series | None = None
    ) -> list[dict[str, Any]]:
        """Rows of ``data_quality_metrics`` from one day to another, both included."""
        table = DataQualityMetric
        return self._rows(
            self._of(table, series)
            .where(table.day.between(first, last))
            .order_by(table.day, table.symbol, table.timeframe)
        )

    # ------------------------------------------------------------------------------ details

    @staticmethod
    def _late_since(fetch: Fetch, last_bar: datetime | None) -> datetime | None:
        if last_bar is None or fetch.tolerance is None:
            return None
        late = lateness(
            fetch.instrument,
            fetch.timeframe,
            last_bar,
            now=fetch.finished_at,
            tolerance=fetch.tolerance,
        )
        return late.since if late else None

    def _gaps(
        self,
        fetch: Fetch,
        ingestion: Ingestion,
        before: Dataset | None,
        bars: Dataset,
        status: Mapping[str, Any] | None,
    ) -> Gaps:
        """Gaps of the series; where those of the version before are known, by its end alone."""
        if before is None or status is None or status["version_hash"] != before.version_hash:
            return gaps(self.store, bars, fetch.instrument)
        anchor = None if ingestion.whole else self._anchor(ingestion, before)
        if anchor is None:
            return gaps(self.store, bars, fetch.instrument)
        old = gaps(self.store, before, fetch.instrument, since=anchor)
        new = gaps(self.store, bars, fetch.instrument, since=anchor)
        runs = int(status["gaps"]) - old.runs + new.runs
        return Gaps(runs, int(status["missing_bars"]) - old.bars + new.bars)

    def _anchor(self, ingestion: Ingestion, before: Dataset) -> datetime | None:
        """The last stored bar before the first that came now; both versions have it."""
        kept = pd.DatetimeIndex(ingestion.quality.kept.index)
        if kept.empty:
            return None
        first = instant(kept.min())
        rows = self.store.read(before, ["gap_detected"], end=first, last=1)
        return None if rows.empty else instant(pd.DatetimeIndex(rows.index)[0])

    def _amended(
        self, fetch: Fetch, ingestion: Ingestion, before: Dataset | None, bars: Dataset
    ) -> list[dict[str, Any]]:
        if before is None:
            return []
        same = {
            "symbol": fetch.instrument.symbol,
            "asset_class": fetch.instrument.asset_class,
            "timeframe": fetch.timeframe,
            "recorded_at": fetch.finished_at,
            "version_hash": bars.version_hash,
        }
        found = revisions(self.store, before, bars, ingestion.revised)
        return [{**same, **asdict(each)} for each in found]

    @staticmethod
    def _insert_revisions(session: Session, rows: Sequence[dict[str, Any]]) -> None:
        """Add those that are not recorded yet."""
        if not rows:
            return
        table, one = MarketDataRevision, rows[0]
        stamps = [row["timestamp"] for row in rows]
        known = session.execute(
            select(table.timestamp, table.revision).where(
                table.symbol == one["symbol"],
                table.asset_class == one["asset_class"],
                table.timeframe == one["timeframe"],
                table.timestamp.between(min(stamps), max(stamps)),
            )
        )
        recorded = {tuple(row) for row in known}
        new = [row for row in rows if (row["timestamp"], row["revision"]) not in recorded]
        if new:
            session.execute(insert(table), new)

    @staticmethod
    def _update_status(
        session: Session,
        series: Series,
        values: Callable[[EnrichmentStatus | None], Mapping[str, Any]],
    ) -> None:
        row = session.get(EnrichmentStatus, series, with_for_update=True)
        changes = values(row)
        if row is None:
            row = EnrichmentStatus(symbol=series[0], timeframe=series[1])
            session.add(row)
        for name, value in changes.items():
            setattr(row, name, value)

    @staticmethod
    def _log(fetch: Fetch, status: str, **values: Any) -> FetchLog:
        return FetchLog(
            symbol=fetch.instrument.symbol,
            asset_class=fetch.instrument.asset_class,
            timeframe=fetch.timeframe,
            source=fetch.source,
            started_at=fetch.started_at,
            finished_at=fetch.finished_at,
            status=status,
            **values,
        )

    def _in_transaction(self, action: Callable[[Session], _T]) -> _T:
        """Run and commit; again where another process wrote the same rows in between."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.catalog.write() as connection, Session(connection) as session:
                    done = action(session)
                    session.flush()
                    return done
            except (IntegrityError, StaleDataError):
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    @staticmethod
    def _of(table: Any, series: Series | None) -> Select[*tuple[Any, ...]]:
        statement = select(*table.__table__.columns)
        if series is None:
            return statement
        return statement.where(and_(table.symbol == series[0], table.timeframe == series[1]))

    def _log_of(
        self, table: type[Base], moment: Any, series: Series | None, limit: int | None
    ) -> list[dict[str, Any]]:
        newest = self._of(table, series).order_by(moment.desc(), table.__table__.c.id.desc())
        return self._rows(newest.limit(limit))

    def _rows(self, statement: Select[*tuple[Any, ...]]) -> list[dict[str, Any]]:
        with self.catalog.read() as connection:
            return [dict(row) for row in connection.execute(statement).mappings()]


def _kind(counts: Mapping[str, int]) -> str:
    """What a fetch that changed something is called in the log."""
    for name in ("revised", "appended", "quarantined"):
        if counts[f"rows_{name}"]:
            return name
    # No row is new: the same rows, judged otherwise or by other code.
    return "republished"


def _says_it_already(fetch: Fetch, status: Mapping[str, Any] | None) -> bool:
    """Whether the status is about what an unchanged fetch would make of it."""
    if status is None or status["consecutive_failures"]:
        return False
    return fetch.finished_at - status["last_checked_at"] < CHECKED_EVERY
