"""Ingestion: what a source sends becomes the next version of a series of bars.

Fetched rows are rounded to the instrument's precision, checked under the policy and merged with
what is known. A bar that changed beyond that precision is a new revision; the old one stays in the
earlier versions of the dataset, which are immutable, so that a read ``as_of`` an instant is a read
of the version that stood then. Rows that fail are put aside with their reason. Nothing is dropped,
filled or repaired.

How bars are fetched belongs in ``sources``, what is wrong with a row in
:mod:`hf_plugins.bar_quality`, when to ingest in ``hf_assets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import (
    CHECKS,
    BarQuality,
    QualityPolicy,
    RefusedBarsError,
    check_bars,
    context_rows,
)
from hf_plugins.bar_quality.report import FLAGS
from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, HfError
from hf_plugins.market_data import cumulated_adjustment
from hf_plugins.sessions import ExpectedBars, close_times
from hf_plugins.timeframes import duration
from hf_resources.calendars import expected_bars
from hf_resources.chunks import Staged
from hf_resources.datasets import Dataset, StorageError
from hf_resources.instruments import Instrument
from hf_resources.sources.base import RAW_COLUMNS, Source
from hf_resources.sources.paging import instant
from hf_resources.sources.remarks import gathered
from hf_resources.sources.rounding import ADJUSTMENT, rounded_bars
from hf_resources.spool import Spool
from hf_resources.store import DatasetStore

BOOKKEEPING: Final = ("revision", "amended_from", "fetched_at")
BAR_COLUMNS: Final = (*RAW_COLUMNS, *FLAGS, *BOOKKEEPING)
"""Columns of a dataset of bars, the same for every source; null where a venue gives nothing."""
CLOCKED: Final = ("fetched_at", "timestamp")
"""Columns that say when something came; they are no part of what the data is."""
_STAMP: Final = "datetime64[ns, UTC]"
_TYPES: Final = {
    **dict.fromkeys((*RAW_COLUMNS, *FLAGS), "float64"),
    **dict.fromkeys(("is_final", "is_validated", "gap_detected", "volume_anomaly"), "bool"),
    "validation_notes": "str",
}
_ASIDE: Final = {**_TYPES, "bar_timestamp": _STAMP}
_SIDE: Final = (
    "vwap", "trades", "taker_buy_volume", "open_interest", "funding_rate", "liquidations_long",
    "liquidations_short", "long_short_account_ratio",
)  # fmt: skip
RECHECKED: Final = 10
"""Known bars that an incremental fetch asks for again, for vendors correct what is recent."""


@dataclass(frozen=True)
class Ingestion:
    """The outcome of one fetch, ready to publish.

    Attributes:
        bars: the series, columns :data:`BAR_COLUMNS`.
        quarantine: rows put aside so far, in order of arrival: the instant of arrival (plus the
            row's position in microseconds) is the index, ``bar_timestamp`` the row's own.
        quality: of the rows that were fetched now.
        fetched_at: when; the vintage, where the source declares one.
        appended: new bars.
        revised: bars with a new revision, as (timestamp, revision, columns that changed).
        unchanged: fetched bars that were known.
        vanished: known bars of the window that the source no longer sends; they stay.
        held: fetched rows that fail and whose values are in quarantine already.
        whole: the whole history was asked for.
        notes: what the source has to say about its bars and about this fetch.
    """

    bars: Staged
    quarantine: Staged
    quality: BarQuality
    fetched_at: datetime
    appended: int
    revised: tuple[tuple[datetime, int, tuple[str, ...]], ...]
    unchanged: int
    vanished: int
    held: int
    whole: bool
    notes: tuple[str, ...] = ()

    @property
    def digests(self) -> dict[str, str]:
        """What identifies the data, whenever it came."""
        names = self.bars.digests
        aside = self.quarantine.digests if self.quarantine.chunks else {}
        return {name: digest for name, digest in names.items() if name != "fetched_at"} | {
            f"quarantine.{name}": digest for name, digest in aside.items() if name not in CLOCKED
        }

    def summary(self) -> dict[str, Any]:
        """Plain values for the event and for checks."""
        return {
            "fetched_at": self.fetched_at.isoformat(),
            "rows_fetched": self.quality.rows_in,
            "rows_appended": self.appended,
            "rows_revised": len(self.revised),
            "rows_unchanged": self.unchanged,
            "rows_quarantined": len(self.quality.quarantined) - self.held,
            "rows_held": self.held,
            "rows_vanished": self.vanished,
            "missing_bars": len(self.quality.missing),
            "quality_score": self.quality.score,
            "faults": [fault.sentence for fault in self.quality.faults],
        }


def ingest(
    store: DatasetStore,
    source: Source,
    instrument: Instrument,
    timeframe: str,
    *,
    policy: QualityPolicy,
    now: datetime,
    bars: Dataset | None,
    quarantine: Dataset | None,
    whole: bool = False,
) -> tuple[Ingestion, Spool]:
    """Fetch what is new and merge it with what is known.

    Args:
        store: holds the known series and the pages of an unfinished fetch.
        source: of the instrument's bars.
        instrument: whose precision and calendar apply.
        timeframe: of the bars.
        policy: what each fault leads to.
        now: the clock, timezone-aware.
        bars: head of the series; None if there is none.
        quarantine: head of the rows put aside.
        whole: fetch the whole history, although the source could send the end alone, and judge
            known bars that are not in it anew, as by another precision, calendar or policy.

    Returns:
        The outcome, and the pages to clear once it is published.

    Raises:
        ConfigurationError: the source does not have that symbol or timeframe.
        RefusedBarsError: the policy refuses what came, or no row of it can be kept.
        DataError: there are no bars, they cannot be read, or they are of an earlier vintage than
            what is known, or of a later one than now.
    """
    start = None if whole or bars is None else _window_start(bars, timeframe, source)
    known = bars.version_hash if bars else None
    purpose = [source.key, source.parameters(), asdict(instrument), known, start]
    spool = Spool(store.lake, instrument.symbol, timeframe, purpose)
    origin = source.origin(instrument, timeframe)
    owner = f"{origin}: {instrument.symbol} {timeframe}"

    def ask(since: datetime | None) -> Iterator[pd.DataFrame]:
        return source.pages(instrument, timeframe, since)

    fetched_at = _arrival(source.vintage(instrument, timeframe), now, bars, owner)
    with gathered() as remarks:
        # What is read in one go, such as a file, has no pages to keep.
        pages = spool.read(ask, start) if source.incremental else list(ask(start))
    if not pages and bars is None:
        raise DataError(f"{owner}: there are no bars; at least one is required")
    merge = _Merge(store, instrument, timeframe, policy, fetched_at, bars, quarantine, start, whole)
    try:
        outcome = merge.outcome(rounded_bars(_one(pages), instrument, owner))
        notes = (*source.notes(instrument, timeframe), *remarks.sentences())
        return replace(outcome, notes=notes), spool
    except StorageError:
        raise  # the pages are as good as before
    except HfError as error:
        # Pages that are refused would be refused each time; the next run asks for them anew.
        spool.clear()
        if isinstance(error, DataError) and not str(error).startswith(origin):
            kind = RefusedBarsError if isinstance(error, RefusedBarsError) else DataError
            raise kind(f"{origin}: {error}") from None
        raise


def known_at(dataset: Dataset) -> datetime:
    """When the rows of a dataset of bars had come."""
    return datetime.fromisoformat(dataset.summary["fetched_at"])


def as_of(versions: Sequence[Dataset], instant: datetime) -> Dataset | None:
    """What was known at an instant: the latest of the versions that had come by then."""
    candidates = [each for each in versions if known_at(each) <= instant]
    return max(candidates, key=lambda each: (known_at(each), each.id), default=None)


def _window_start(bars: Dataset, timeframe: str, source: Source) -> datetime | None:
    if not source.incremental or bars.end_date is None:
        return None
    return bars.end_date - RECHECKED * duration(timeframe)


def _arrival(vintage: datetime | None, now: datetime, bars: Dataset | None, owner: str) -> datetime:
    if vintage is None:
        vintage = now
    elif vintage > now:
        raise DataError(
            f"{owner}: this vintage is declared to be of {vintage.isoformat()}, and now it is "
            f"{now.isoformat()}; allowed: an instant that is past"
        )
    if bars is not None and vintage < (seen := known_at(bars)):
        raise DataError(
            f"{owner}: this vintage is of {vintage.isoformat()}, but one of {seen.isoformat()} is "
            "ingested already; ingest vintages in their order"
        )
    return vintage


def _one(pages: list[pd.DataFrame]) -> pd.DataFrame:
    if pages:
        return pages[0] if len(pages) == 1 else pd.concat(pages)
    index = pd.DatetimeIndex([], dtype=_STAMP, name="timestamp")
    return pd.DataFrame(index=index, columns=list(OHLCV), dtype="float64")


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows as arrays: open times in nanoseconds UTC, increasing, and the other columns by name."""

    stamps: np.ndarray
    values: dict[str, Any]

    def __len__(self) -> int:
        return len(self.stamps)

    @classmethod
    def checked(cls, kept: pd.DataFrame, flags: pd.DataFrame, arrival: int) -> _Rows:
        """Rows that passed the checks, as the first revision that came at ``arrival``."""
        values = _arrays(kept, flags)
        values["revision"] = np.ones(len(kept), dtype=np.int64)
        values["amended_from"] = np.zeros(len(kept), dtype=np.int64)  # no revision has this number
        values["fetched_at"] = np.full(len(kept), arrival)
        return cls(_nanoseconds(kept.index), values)

    @classmethod
    def known(cls, frame: pd.DataFrame) -> _Rows:
        """Rows of a dataset of bars."""
        values = _arrays(frame, frame)
        values["revision"] = frame["revision"].to_numpy()
        values["amended_from"] = frame["amended_from"].to_numpy("int64", na_value=0)
        values["fetched_at"] = _nanoseconds(pd.DatetimeIndex(frame["fetched_at"]))
        return cls(_nanoseconds(frame.index), values)

    def frame(self) -> pd.DataFrame:
        """The rows with the columns of a dataset of bars."""
        amended = self.values["amended_from"]
        special = {
            "amended_from": pd.arrays.IntegerArray(amended, amended == 0),
            "fetched_at": _index(self.values["fetched_at"]),
        }
        index = _index(self.stamps).rename("timestamp")
        return pd.DataFrame({**self.values, **special}, index=index, columns=list(BAR_COLUMNS))

    def take(self, rows: Any) -> _Rows:
        """The rows at some positions."""
        return _Rows(self.stamps[rows], {name: each[rows] for name, each in self.values.items()})

    def beside(self, other: _Rows) -> _Rows:
        """These rows and others, of other times, in time order."""
        stamps = np.concatenate((self.stamps, other.stamps))
        order = np.argsort(stamps, kind="stable")
        values = {name: _joined(each, other.values[name]) for name, each in self.values.items()}
        return _Rows(stamps, values).take(order)


@dataclass(frozen=True)
class _Merge:
    """What is known of a series, and how fetched rows are put on top of it."""

    store: DatasetStore
    instrument: Instrument
    timeframe: str
    policy: QualityPolicy
    fetched_at: datetime
    bars: Dataset | None
    quarantine: Dataset | None
    start: datetime | None
    anew: bool

    def outcome(self, frame: pd.DataFrame) -> Ingestion:
        history, known = self._known()
        old = None if known is None else _Rows.known(known)
        quality = self._check(frame, old, history)
        if self.anew and known is not None:
            rest = self._rest(known, frame, quality)
            if len(rest):
                quality = self._check(_interleaved(rest, frame), old, history)
        quality.refuse_if_blocked()
        if quality.kept.empty and old is None:
            reasons = " ".join(fault.sentence for fault in quality.faults)
            raise RefusedBarsError(
                f"refused by the quality policy, none of the {len(frame)} bars can be kept: "
                f"{reasons}"
            )
        arrival = pd.Timestamp(self.fetched_at).value
        new = _Rows.checked(quality.kept, quality.flags, arrival)
        aside, held = self._aside(quality)
        bars, revised, again, vanished = new, (), 0, 0
        if old is not None:
            again = int(np.isin(new.stamps, old.stamps, assume_unique=True).sum())
            vanished = int((~np.isin(old.stamps, _nanoseconds(frame.index))).sum())
            bars, revised = _merge(old, new, keep=not self.anew)
        bars.values["adjustment"] = self._adjustment(bars, history)
        base = self.bars
        changed = 0 if old is None else _first_difference(old, bars)
        if self.anew and old is not None and not np.isin(old.stamps, bars.stamps).all():
            base, changed = None, 0  # known bars go, so that nothing can be put on top of them
        tail = bars.take(slice(changed, None)).frame()
        return Ingestion(
            bars=self.store.stage(tail, self.timeframe, base=base),
            quarantine=aside,
            quality=quality,
            fetched_at=self.fetched_at,
            appended=len(new) - again,
            revised=revised,
            unchanged=again - len(revised),
            vanished=vanished,
            held=held,
            whole=self.start is None,
        )

    def _known(self) -> tuple[pd.DataFrame | None, pd.DataFrame | None]:
        """Known bars before the window, as many as the checks look back on, and those in it."""
        if self.bars is None or self.start is None:
            return None, None if self.bars is None else self.store.read(self.bars)
        rows = context_rows(self.policy) + RECHECKED + 1
        found = self.store.read(self.bars, last=rows)
        within = found.index >= pd.Timestamp(self.start)
        return found.loc[~within], found.loc[within]

    def _rest(self, known: pd.DataFrame, frame: pd.DataFrame, quality: BarQuality) -> pd.DataFrame:
        """Known bars, as raw rows at the precision of now, that no fetched bar takes the place of.

        One that came again, and was refused for what it says, is told by the row that came. One
        that only came out of order stands.
        """
        rest = known.loc[~known.index.isin(quality.kept.index), list(RAW_COLUMNS)]
        # A factor that the source does not give is derived from the others afterwards.
        optional = {ADJUSTMENT, "is_final"} - {*frame.columns}
        rest = rest.drop(columns=sorted(optional))
        rest = rounded_bars(rest, self.instrument, self.instrument.symbol)
        aside = quality.quarantined
        wrong = aside.index[~aside["is_validated"].to_numpy("bool")]
        refused = frame.loc[frame.index.isin(rest.index.intersection(wrong))]
        told = set(_raw_contents(refused.reindex(columns=rest.columns)))
        again = np.array([row in told for row in _raw_contents(rest)], dtype=bool)
        return rest.loc[~again]

    def _adjustment(self, bars: _Rows, history: pd.DataFrame | None) -> np.ndarray:
        """The source's own factor where it has one, else the one of its splits and dividends."""
        given = bars.values["adjustment"]
        close, factor = None, 1.0
        if history is not None and len(history):
            close, factor = (float(history[name].iloc[-1]) for name in ("close", "adjustment"))
        cumulated = cumulated_adjustment(
            *(bars.values[name] for name in ("close", "split_factor", "dividend")),
            previous_close=close,
            previous=factor,
        )
        return np.where(np.isnan(given), cumulated, given)

    def _check(
        self, frame: pd.DataFrame, old: _Rows | None, history: pd.DataFrame | None
    ) -> BarQuality:
        expected = self._expected(pd.DatetimeIndex(frame.index), history)
        return check_bars(
            frame,
            symbol=self.instrument.symbol,
            timeframe=self.timeframe,
            expected=expected,
            policy=self.policy,
            history=None if history is None else history.loc[:, list(RAW_COLUMNS)],
            arrived=self._arrived(pd.DatetimeIndex(frame.index), old, expected),
        )

    def _expected(
        self, stamps: pd.DatetimeIndex, history: pd.DataFrame | None
    ) -> ExpectedBars | None:
        """The bars of the calendar from the last one before the window to the last one there is.

        A stamp in the future is none of them, however far it lies.
        """
        stamps = stamps[stamps <= pd.Timestamp(self.fetched_at)]
        if not len(stamps):
            return None
        first = stamps.min()
        if history is not None and len(history):
            first = pd.DatetimeIndex(history.index)[-1]
        last = instant(stamps.max()) + duration(self.timeframe)
        return expected_bars(self.instrument, self.timeframe, instant(first), last)

    def _arrived(
        self, index: pd.DatetimeIndex, old: _Rows | None, expected: ExpectedBars | None
    ) -> np.ndarray:
        """When each row came for the first time, microseconds UTC.

        Of a whole history nobody knows, and of a known bar only whether it was late. The others
        count as come with their close, or now where that lies ahead, for such a bar is unfinished.
        """
        now = pd.Timestamp(self.fetched_at).value // 1000
        stamps = index.as_unit("us").asi8
        on_time = np.minimum(now, close_times(stamps, self.timeframe, expected))
        if old is None:
            return on_time
        notes = pd.Series(old.values["validation_notes"])
        late = notes.str.contains(CHECKS["late"].note, regex=False, na=False).to_numpy(dtype=bool)
        known = old.stamps // 1000
        came_now = np.isin(stamps, known[late])
        if self.start is not None:
            came_now |= ~np.isin(stamps, known)
        return np.where(came_now, now, on_time)

    def _aside(self, quality: BarQuality) -> tuple[Staged, int]:
        """The quarantine with its new rows, and how many of the fetched ones it holds already."""
        found, base = quality.quarantined, self.quarantine
        if found.empty:
            return self._as_before(), 0
        values = _arrays(found, found)
        values["bar_timestamp"] = pd.DatetimeIndex(found.index).as_unit("ns")
        frame = pd.DataFrame(values, columns=list(_ASIDE))
        held = np.zeros(len(frame), dtype=bool)
        first = pd.Timestamp(self.fetched_at).tz_convert("UTC").as_unit("ns")
        if base is not None and base.end_date is not None:
            seen = set(_contents(self.store.read(base)))
            held = np.array([row in seen for row in _contents(frame)], dtype=bool)
            # Whatever came before stands before it, also where both came at once.
            first = max(first, pd.Timestamp(base.end_date) + pd.Timedelta(microseconds=1))
        if held.all():
            return self._as_before(), len(frame)
        offsets = pd.to_timedelta(np.arange(len(frame) - held.sum()), unit="us")
        index = pd.DatetimeIndex(first + offsets, name="timestamp").as_unit("ns")
        fresh = frame.loc[~held].set_axis(index, axis=0)
        return self.store.stage(fresh, self.timeframe, base=base), int(held.sum())

    def _as_before(self) -> Staged:
        kept = () if self.quarantine is None else self.store.chunks(self.quarantine)
        return Staged(kept, (), tuple(_ASIDE.items()))


def _arrays(frame: pd.DataFrame, flags: pd.DataFrame) -> dict[str, Any]:
    """The raw columns of one frame and the flags of another, null where a source has none."""
    values: dict[str, Any] = {}
    for name in RAW_COLUMNS:
        if name not in frame.columns:
            values[name] = np.full(len(frame), np.nan)
        elif name != "is_final":
            values[name] = frame[name].to_numpy("float64", na_value=np.nan)
    # A source that does not mark unfinished bars has only finished ones.
    final = frame["is_final"] if "is_final" in frame.columns else None
    values["is_final"] = (
        np.ones(len(frame), dtype=bool) if final is None else final.to_numpy("bool", na_value=True)
    )
    for name in FLAGS:
        column = flags[name]
        values[name] = column.array if _TYPES[name] == "str" else column.to_numpy(_TYPES[name])
    return values


def _interleaved(known: pd.DataFrame, fetched: pd.DataFrame) -> pd.DataFrame:
    """Known rows among fetched ones, where they would have come; these stay in their order."""
    came = np.maximum.accumulate(_nanoseconds(fetched.index))  # a row that came late stays late
    order = np.argsort(np.concatenate((_nanoseconds(known.index), came)), kind="stable")
    return pd.concat([known, fetched]).iloc[order]


def _merge(
    old: _Rows, new: _Rows, *, keep: bool
) -> tuple[_Rows, tuple[tuple[datetime, int, tuple[str, ...]], ...]]:
    """Put bars over known ones; with ``keep`` known ones that are not among them stay.

    Without it the bars are all that there is: known ones were judged with them.
    """
    place = np.searchsorted(old.stamps, new.stamps)
    place = np.minimum(place, max(len(old) - 1, 0))
    rows = np.flatnonzero(old.stamps[place] == new.stamps) if len(old) else place[:0]
    before, after = old.take(place[rows]), new.values
    for name in _SIDE:  # a venue that keeps thirty days takes nothing back from older bars
        mended = after[name].copy()
        mended[rows] = np.where(np.isnan(mended[rows]), before.values[name], mended[rows])
        after[name] = mended
    # A factor that the source does not give is derived from the others afterwards.
    derived = bool(np.isnan(after[ADJUSTMENT]).all())
    given = [name for name in RAW_COLUMNS if not (derived and name == ADJUSTMENT)]
    differs = np.stack([_differs(before.values[name], after[name][rows]) for name in given])
    changed = differs.any(axis=0)
    revision = before.values["revision"]
    after["amended_from"][rows] = np.where(changed, revision, before.values["amended_from"])
    after["fetched_at"][rows] = np.where(
        changed, after["fetched_at"][rows], before.values["fetched_at"]
    )
    after["revision"][rows] = revision + changed
    # Known bars stay, so that no gap opens before one of them when its predecessor is not sent.
    kept = after["gap_detected"][rows] & ~before.values["gap_detected"] & ~changed
    for name in FLAGS if keep and kept.any() else ():
        after[name] = after[name].copy()
        after[name][rows[kept]] = before.values[name][kept]
    wrong = np.flatnonzero(changed)
    stamps = _index(before.stamps[wrong]).to_pydatetime()
    revised = tuple(
        (stamp, int(number) + 1, tuple(given[each] for each in np.flatnonzero(differs[:, row])))
        for stamp, number, row in zip(stamps, revision[wrong], wrong, strict=True)
    )
    gone = np.setdiff1d(np.arange(len(old)), place[rows], assume_unique=True)
    return (new.beside(old.take(gone)) if keep and len(gone) else new), revised


def _first_difference(old: _Rows, merged: _Rows) -> int:
    """Position of the first row that is not as it is known; the length if there is none."""
    rows = min(len(old), len(merged))
    differs = old.stamps[:rows] != merged.stamps[:rows]
    for name in BAR_COLUMNS:
        differs |= _differs(old.values[name][:rows], merged.values[name][:rows])
    wrong = np.flatnonzero(differs)
    return int(wrong[0]) if wrong.size else rows


def _differs(left: Any, right: Any) -> np.ndarray:
    """Where two columns differ; a null is like a null and like nothing else."""
    unequal = np.asarray(left != right, dtype=bool)
    if unequal.any():
        unequal &= ~np.asarray(pd.isna(left) & pd.isna(right))
    return unequal


def _joined(left: Any, right: Any) -> Any:
    if isinstance(left, np.ndarray):
        return np.concatenate((left, right))
    return pd.concat([pd.Series(left), pd.Series(right)]).array


def _contents(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """What the rows of a quarantine say; why they are there may be told anew each time."""
    return _tuples(frame[name] for name in ("bar_timestamp", *RAW_COLUMNS))


def _raw_contents(frame: pd.DataFrame) -> Iterator[tuple[Any, ...]]:
    """What raw rows say, that of being final included: a bar that was does not cease to be."""
    return _tuples([frame.index.to_series(), *(frame[name] for name in frame.columns)])


def _tuples(columns: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    return zip(*(each.astype(object).where(each.notna(), None) for each in columns), strict=True)


def _nanoseconds(index: pd.Index) -> np.ndarray:
    return pd.DatetimeIndex(index).as_unit("ns").asi8


def _index(stamps: np.ndarray) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(stamps.view("datetime64[ns]")).tz_localize("UTC")
