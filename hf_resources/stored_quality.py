"""What is wrong with the bars that are stored: by day, as gaps, as revisions, as lateness.

The checks themselves, and what a score means, are in :mod:`hf_plugins.bar_quality`; they ran when
the rows came, and what they found is stored beside each row. Here it is read back, and held against
the calendar, which goes on while no rows come. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import CHECKS, BarQuality, daily_summary
from hf_plugins.errors import DataError
from hf_plugins.sessions import ExpectedBars
from hf_resources.calendars import expected_bars
from hf_resources.datasets import Dataset
from hf_resources.instruments import Instrument
from hf_resources.store import DatasetStore

_INSTANT: Final = timedelta(microseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FLAGS: Final = ["quality_score", "validation_notes", "data_completeness"]
_BITS: Final = {check.note: 1 << place for place, check in enumerate(CHECKS.values())}
_UNFINISHED: Final = CHECKS["unfinished"].note


@dataclass(frozen=True)
class Gaps:
    """Bars of the calendar between the first and the last stored bar that are not stored.

    Attributes:
        runs: how often they begin to be missing.
        bars: how many are missing.
    """

    runs: int
    bars: int


@dataclass(frozen=True)
class Revision:
    """One bar that its source corrected; ``changes`` is ``{column: {"old": ..., "new": ...}}``."""

    timestamp: datetime
    revision: int
    amended_from: int
    fetched_at: datetime
    changes: dict[str, Any]


@dataclass(frozen=True)
class Lateness:
    """Bars that should be there by now.

    Attributes:
        bars: how many.
        first: label of the first of them.
        last: label of the last of them.
        since: when the first became late: its close plus the tolerance.
    """

    bars: int
    first: datetime
    last: datetime
    since: datetime


def lateness(
    instrument: Instrument,
    timeframe: str,
    last_bar: datetime,
    *,
    now: datetime,
    tolerance: timedelta,
) -> Lateness | None:
    """What is late after the last stored bar, by the instrument's calendar; None if nothing is.

    A bar is late once ``tolerance`` has passed since its close.

    Args:
        instrument: whose calendar applies.
        timeframe: of the bars.
        last_bar: label of the last stored bar, timezone-aware.
        now: the clock, timezone-aware.
        tolerance: time that a bar may take to arrive.

    Raises:
        ConfigurationError: the calendar does not cover the time in between.
    """
    if last_bar >= now:
        return None
    expected = expected_bars(instrument, timeframe, last_bar + _INSTANT, now)
    due = expected.closes <= _microseconds(now - tolerance)
    if not due.any():
        return None
    opens = expected.opens[due]
    since = _instant(expected.closes[due][0]) + tolerance
    return Lateness(len(opens), _instant(opens[0]), _instant(opens[-1]), since)


def gaps(
    store: DatasetStore, bars: Dataset, instrument: Instrument, *, since: datetime | None = None
) -> Gaps:
    """Count the gaps of a series, or of its end.

    Args:
        store: holds the series.
        bars: the series.
        instrument: whose calendar applies.
        since: label of a stored bar from which on to count; None counts the whole series.
    """
    if bars.start_date is None or bars.end_date is None or not bars.row_count:
        return Gaps(0, 0)
    begin = since or bars.start_date
    stored = store.read(bars, ["gap_detected"], start=begin)
    labels = expected_bars(instrument, bars.ref.timeframe, begin, bars.end_date + _INSTANT).opens
    missing = ~np.isin(labels, _stamps(stored.index))
    # Before the first label there is a stored bar, so a run that begins there is a new one.
    starts = missing & ~np.concatenate(([False], missing[:-1]))
    return Gaps(int(starts.sum()), int(missing.sum()))


def revisions(
    store: DatasetStore,
    before: Dataset,
    after: Dataset,
    revised: Iterable[tuple[datetime, int, tuple[str, ...]]],
) -> list[Revision]:
    """Old and new values of bars that were revised between two versions of a series.

    Args:
        store: holds both versions.
        before: the older version.
        after: the newer version.
        revised: label, revision and changed columns of each bar.
    """
    wanted = {label: (number, names) for label, number, names in revised}
    if not wanted:
        return []
    columns = sorted({name for _, names in wanted.values() for name in names})
    start, end = min(wanted), max(wanted) + _INSTANT
    index = pd.DatetimeIndex(list(wanted)).as_unit("ns")
    old = store.read(before, columns, start=start, end=end).loc[index]
    new = store.read(after, [*columns, "amended_from", "fetched_at"], start=start, end=end).loc[
        index
    ]
    found = []
    for (label, (number, names)), then, now in zip(
        wanted.items(), old.to_dict("records"), new.to_dict("records"), strict=True
    ):
        found.append(
            Revision(
                timestamp=label,
                revision=number,
                amended_from=int(now["amended_from"]),
                fetched_at=now["fetched_at"].to_pydatetime(),
                changes={
                    name: {"old": _plain(then[name]), "new": _plain(now[name])} for name in names
                },
            )
        )
    return found


def daily_quality(
    store: DatasetStore,
    bars: Dataset,
    quarantine: Dataset | None,
    instrument: Instrument,
    days: Sequence[date],
    *,
    now: datetime,
) -> list[dict[str, Any]]:
    """Quality of one series on each of some UTC days; the days of a bar are those of its label.

    A day without an expected bar and without a row has no entry. A bar counts as expected from the
    first bar of the series on, once it is closed: a day on which nothing came is a day of missing
    bars. A row that was put aside only because it was taken before its close does not count once
    the finished bar is there, and rows without a timestamp belong to no day.

    Args:
        store: holds the datasets.
        bars: head of the series.
        quarantine: head of the rows that were put aside.
        instrument: whose calendar applies.
        days: which days, in order.
        now: the clock, timezone-aware.

    Returns:
        One mapping for each day, in order: the columns of
        :func:`hf_plugins.bar_quality.daily_summary`, the counts of failed checks as ``failed``
        (``{check: rows}``, those that are not 0).

    Raises:
        DataError: a note beside a stored row is of no check that this code knows.
    """
    if bars.start_date is None or not days:
        return []
    start, end = _midnight(days[0]), _midnight(days[-1]) + timedelta(days=1)
    kept = store.read(bars, _FLAGS, start=start, end=end)
    aside = _aside(store, quarantine, kept.index, start, end)
    expected = _closed(instrument, bars, start, end, now)
    stamps = np.concatenate([_stamps(kept.index), _stamps(pd.DatetimeIndex(aside["at"]))])
    notes = [*kept["validation_notes"], *aside["validation_notes"]]
    quality = BarQuality(
        symbol=instrument.symbol,
        timeframe=bars.ref.timeframe,
        kept=kept,
        flags=kept,
        quarantined=aside,
        faults=(),
        outcomes=(),
        missing=expected.opens[~np.isin(expected.opens, stamps)],
        stamps=stamps,
        failed=_failed(bars, notes),
        positions=np.arange(len(kept)),
    )
    if not len(stamps) and not len(expected.opens):
        return []
    wanted = set(days)
    summary = daily_summary(quality, expected).to_dict("records")
    return [row for each in summary if (row := _row(each))["day"] in wanted]


def _aside(
    store: DatasetStore,
    quarantine: Dataset | None,
    kept: pd.Index,
    start: datetime,
    end: datetime,
) -> pd.DataFrame:
    if quarantine is None or not quarantine.row_count:
        return pd.DataFrame({"at": pd.DatetimeIndex([], tz="UTC"), "validation_notes": []})
    rows = store.read(quarantine, ["bar_timestamp", "validation_notes"])
    rows = rows.rename(columns={"bar_timestamp": "at"})
    inside = (rows["at"] >= pd.Timestamp(start)) & (rows["at"] < pd.Timestamp(end))
    preliminary = (rows["validation_notes"] == _UNFINISHED) & rows["at"].isin(kept.to_series())
    return rows.loc[inside & ~preliminary]


def _closed(
    instrument: Instrument, bars: Dataset, start: datetime, end: datetime, now: datetime
) -> ExpectedBars:
    """Expected bars of the days, from the first of the series on, that are closed by now."""
    begin = max(start, bars.start_date) if bars.start_date else start
    if begin >= end:
        return ExpectedBars(np.empty(0, np.int64), np.empty(0, np.int64))
    expected = expected_bars(instrument, bars.ref.timeframe, begin, end)
    done = expected.closes <= _microseconds(now)
    return ExpectedBars(expected.opens[done], expected.closes[done])


def _failed(bars: Dataset, notes: Iterable[Any]) -> np.ndarray:
    """The failed checks behind each row's notes, as bits in the order of the checks."""
    known: dict[Any, int] = {}
    found = []
    for text in notes:
        if text not in known:
            bits = 0
            for note in text.split("; ") if isinstance(text, str) else ():
                if note not in _BITS:
                    raise DataError(
                        f"{bars.ref}: the note '{note}' beside a stored bar is of no check that "
                        "this code knows; fetch the whole history again (`hf run --force`)"
                    )
                bits |= _BITS[note]
            known[text] = bits
        found.append(known[text])
    return np.array(found, dtype=np.int64)


def _row(summary: dict[str, Any]) -> dict[str, Any]:
    failed = {name: int(count) for name in CHECKS if (count := summary.pop(f"failed_{name}"))}
    row = {str(name): _plain(value) for name, value in summary.items() if name != "day"}
    return {**row, "day": summary["day"].date(), "failed": failed}


def _plain(value: Any) -> Any:
    """A number as JSON has it; NaN is null."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _stamps(index: pd.Index) -> np.ndarray:
    return pd.DatetimeIndex(index).as_unit("us").asi8


def _microseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // _INSTANT


def _instant(stamp: np.integer) -> datetime:
    return _EPOCH + int(stamp) * _INSTANT
