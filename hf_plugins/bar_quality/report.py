"""From faults to rows kept and rows put aside, with flags, sentences and a daily summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, cast

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import checks
from hf_plugins.bar_quality.batch import NO_TIME, NUMERIC, PRICES, Batch, read_batch
from hf_plugins.bar_quality.faults import CHECKS, Action, Fault
from hf_plugins.bar_quality.policy import QualityPolicy
from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, listing
from hf_plugins.sessions import MICROSECONDS_PER_DAY, ExpectedBars, instant

FLAGS: Final = (
    "is_validated",
    "quality_score",
    "validation_notes",
    "gap_detected",
    "volume_anomaly",
    "data_completeness",
)

_NAMES: Final = tuple(CHECKS)
_BIT: Final = {name: 1 << position for position, name in enumerate(_NAMES)}
_OF_SERIES: Final = sum(_BIT[name] for name, check in CHECKS.items() if check.of_series)
_DEFAULT: Final = QualityPolicy()
_DONE: Final[dict[Action, str]] = {
    "warn": "kept and flagged",
    "quarantine": "in quarantine",
    "block": "the batch is refused",
}
# What a sentence shows of the first faulty row.
_SHOWN: Final[dict[str, tuple[str, ...]]] = {
    "taker_volume": ("taker_buy_volume", "taker_sell_volume", "volume"),
    "vwap": ("vwap", "low", "high"),
    "volume_anomaly": ("volume",),
    **dict.fromkeys(("ohlc", "outlier", "stale"), PRICES),
}


class RefusedBarsError(DataError):
    """Bars came and were read, and the quality policy refuses them."""


@dataclass(frozen=True)
class Outcome:
    """What became of an outlier, known one bar later; it changes no flag.

    Attributes:
        timestamp: of the outlier.
        kind: ``spike`` when the price came back, ``level_shift`` when it stayed.
        known_at: of the bar that showed it.
    """

    timestamp: pd.Timestamp
    kind: Literal["spike", "level_shift"]
    known_at: pd.Timestamp


@dataclass(frozen=True, eq=False)
class BarQuality:
    """What the checks made of a batch; every row of the input is in ``kept`` or ``quarantined``.

    Attributes:
        symbol: of the bars.
        timeframe: of the bars.
        kept: the good rows in time order, values untouched.
        flags: columns ``is_validated``, ``quality_score``, ``validation_notes``, ``gap_detected``,
            ``volume_anomaly``, ``data_completeness``; the index of ``kept``.
        quarantined: the rows put aside in order of arrival, values untouched, then the flags as
            above with the reason in ``validation_notes``, and ``row``, the position in the input.
        faults: what was found, in the order of the checks.
        outcomes: what became of outliers.
        missing: labels of expected bars that no row of the input has, microseconds UTC.
        stamps: labels of the input rows, microseconds UTC, the least int64 where there is none.
        failed: the failed checks of each input row, as bits in the order of ``CHECKS``.
        positions: where each row of ``kept`` stood in the input.
    """

    symbol: str
    timeframe: str
    kept: pd.DataFrame
    flags: pd.DataFrame
    quarantined: pd.DataFrame
    faults: tuple[Fault, ...]
    outcomes: tuple[Outcome, ...]
    missing: np.ndarray
    stamps: np.ndarray
    failed: np.ndarray
    positions: np.ndarray

    @property
    def rows_in(self) -> int:
        """Rows of the input."""
        return len(self.failed)

    @property
    def blocked(self) -> bool:
        """Whether the policy refuses the batch."""
        return any(fault.action == "block" for fault in self.faults)

    @property
    def score(self) -> float | None:
        """Quality of the batch in [0, 1]: mean over its rows and its missing bars.

        A kept row counts with its ``quality_score``, a quarantined row and a missing bar with 0.
        None where there is neither a row nor an expected bar.
        """
        items = self.rows_in + len(self.missing)
        total = self.flags["quality_score"].to_numpy().sum()
        return float(total) / items if items else None

    def refuse_if_blocked(self) -> None:
        """Raise where the policy refuses the batch.

        Raises:
            RefusedBarsError: the sentences of the faults that block.
        """
        if self.blocked:
            blocking = [fault for fault in self.faults if fault.action == "block"]
            policy = ", ".join(f"{fault.check}: block" for fault in blocking)
            reasons = " ".join(fault.sentence for fault in blocking)
            raise RefusedBarsError(f"refused by the quality policy ({policy}): {reasons}")


def check_bars(
    frame: pd.DataFrame,
    *,
    symbol: str,
    timeframe: str,
    expected: ExpectedBars | None = None,
    policy: QualityPolicy = _DEFAULT,
    fields: Sequence[str] = OHLCV,
    history: pd.DataFrame | None = None,
    arrived: np.ndarray | int | None = None,
) -> BarQuality:
    """Check raw bars; keep, flag or put aside each row as the policy says.

    A row's flags depend on bars that opened no later (for ``order`` on what arrived before it, for
    repetitions on both), so that they are the same whether the future is in the batch or not.

    ``is_validated``: the row failed no check on what it says (all but ``order``, ``missing`` and
    ``late``, which are about its place in the series). ``data_completeness``: share of ``fields``
    that are not null. ``quality_score``: see :func:`hf_plugins.bar_quality.faults.quality_score`.
    ``validation_notes``: the failed checks as text, null where there are none. ``gap_detected``:
    an expected bar between this one and the kept one before it is not kept. ``volume_anomaly``: see
    :func:`hf_plugins.bar_quality.checks.series_checks`.

    Args:
        frame: raw bars in order of arrival, columns out of
            :data:`hf_plugins.bar_quality.batch.COLUMNS`, rounded to the precision of the
            instrument, indexed by open time in UTC. Volume may be null, prices may not.
        symbol: of the bars.
        timeframe: of the bars.
        expected: the bars of the calendar over the range that was asked for; a row outside of it
            counts as outside the session. None checks the grid alone and finds no gaps.
        policy: what each check leads to.
        fields: columns that a complete row has.
        history: bars kept earlier, in time order, that end before the first new one;
            :func:`hf_plugins.bar_quality.policy.context_rows` of them are enough.
        arrived: when the rows arrived, microseconds UTC, one instant or one for each row; None
            where that is unknown, and after a backfill, where everything is late.

    Raises:
        DataError: the frame is not a table of bars, the history overlaps it, or ``fields`` names a
            column that bars cannot have.
        ConfigurationError: the timeframe is unknown.
    """
    owner = f"{symbol} {timeframe}"
    batch = read_batch(frame, owner)
    past = None if history is None or history.empty else read_batch(history, f"{owner} history")
    when = None if arrived is None else np.broadcast_to(np.asarray(arrived), len(batch))
    masks = checks.row_checks(batch, timeframe, expected, when, policy)
    masks |= checks.repetitions(batch, np.flatnonzero(~_aside(masks, policy, len(batch))))

    rows = np.flatnonzero(~_aside(masks, policy, len(batch)))
    rows = rows[np.argsort(batch.stamps[rows], kind="stable")]
    series = batch.take(rows)
    known = 0 if past is None else len(past)
    if past is not None:
        if len(series) and past.stamps[-1] >= series.stamps[0]:
            raise DataError(
                f"{owner}: the history ends at {instant(past.stamps[-1])}, after the first new bar "
                f"at {instant(series.stamps[0])}; it must end before it"
            )
        series = series.after(past)
    found = checks.series_checks(series, policy)
    for name, mask in found.items():
        masks[name] = np.zeros(len(batch), dtype=bool)
        masks[name][rows] = mask[known:]

    rows = rows[~_aside(masks, policy, len(batch))[rows]]
    last = NO_TIME if past is None else int(past.stamps[-1])
    masks["missing"] = _after_gap(batch, rows, last, expected)
    failed = np.zeros(len(batch), dtype=np.int64)
    for name, mask in masks.items():
        failed |= np.where(mask, _BIT[name], 0)

    flags = _flags(failed, _completeness(batch, fields, owner))
    aside = np.setdiff1d(np.arange(len(batch)), rows, assume_unique=True)
    # Stamps may repeat among these rows, so they are put side by side by position.
    parts = [
        frame.iloc[aside].reset_index(drop=True),
        flags.iloc[aside].reset_index(drop=True),
        pd.Series(aside, name="row"),
    ]
    quarantined = pd.concat(parts, axis=1).set_axis(frame.index[aside], axis=0)
    # The usual case, nothing wrong and in order, needs no copy.
    whole = len(rows) == len(batch) and bool((np.diff(rows) == 1).all())
    kept = frame if whole else frame.iloc[rows]
    flags = flags if whole else flags.iloc[rows]
    absent = _not_among(batch.stamps, last, expected)
    faults = _faults(owner, batch, masks, policy)
    unkept = _not_among(batch.stamps[rows], last, expected)
    # A bar that is still being formed at the end is not missing; `unfinished` tells of it.
    kept_until = batch.stamps[rows].max() if len(rows) else last
    forming = batch.stamps[masks["unfinished"] & (batch.stamps > kept_until)]
    unkept = unkept[~np.isin(unkept, forming)]
    if len(unkept):
        faults.append(_missing_fault(owner, masks["missing"], unkept, len(absent), policy))
    return BarQuality(
        symbol=symbol,
        timeframe=timeframe,
        kept=kept,
        flags=flags.set_axis(kept.index, axis=0),
        quarantined=quarantined,
        faults=tuple(sorted(faults, key=lambda fault: _NAMES.index(fault.check))),
        outcomes=_outcomes(series, found["outlier"], known),
        missing=absent,
        stamps=batch.stamps,
        failed=failed,
        positions=rows,
    )


def daily_summary(quality: BarQuality, expected: ExpectedBars | None = None) -> pd.DataFrame:
    """One row for each UTC day that has a row of the input, or an expected bar.

    Columns: ``symbol``, ``timeframe``, ``day`` (00:00 UTC; null for rows without a timestamp),
    ``rows_in``, ``rows_kept``, ``rows_quarantined``, ``rows_expected`` (0 without ``expected``),
    ``rows_missing``, ``quality_score`` (as :attr:`BarQuality.score`, of the day),
    ``data_completeness`` (mean over the kept rows, null without any), ``gap_detected`` (any), and
    ``failed_{check}`` with the number of rows that failed it, for each check.
    """
    kept = np.zeros(quality.rows_in)
    score, completeness = np.zeros(quality.rows_in), np.zeros(quality.rows_in)
    kept[quality.positions] = 1
    score[quality.positions] = quality.flags["quality_score"]
    completeness[quality.positions] = quality.flags["data_completeness"]
    row_days = _days(quality.stamps)
    expected_days = _days(np.empty(0, np.int64) if expected is None else expected.opens)
    missing_days = _days(quality.missing)
    days, slot = np.unique(np.concatenate((row_days, expected_days)), return_inverse=True)
    slot = slot[: len(row_days)]

    def total(weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(slot, weights=weights, minlength=len(days))

    rows_in, rows_kept = total(), total(kept)
    missing = np.bincount(np.searchsorted(days, missing_days), minlength=len(days))
    table = {
        "symbol": quality.symbol,
        "timeframe": quality.timeframe,
        "day": pd.DatetimeIndex(days.view("datetime64[us]"), tz="UTC"),
        "rows_in": rows_in,
        "rows_kept": rows_kept.astype(np.int64),
        "rows_quarantined": (rows_in - rows_kept).astype(np.int64),
        "rows_expected": np.bincount(np.searchsorted(days, expected_days), minlength=len(days)),
        "rows_missing": missing,
        "quality_score": total(score) / (rows_in + missing),
        "data_completeness": total(completeness) / np.where(rows_kept, rows_kept, np.nan),
        "gap_detected": (missing > 0) | (total(quality.failed & _BIT["missing"]) > 0),
    }
    for name in _NAMES:
        table[f"failed_{name}"] = total((quality.failed & _BIT[name]) > 0).astype(np.int64)
    return pd.DataFrame(table)


def _aside(masks: checks.Masks, policy: QualityPolicy, rows: int) -> np.ndarray:
    """Rows that the policy keeps out of the series."""
    aside = np.zeros(rows, dtype=bool)
    for name, mask in masks.items():
        if policy.action(name) != "warn":
            aside |= mask
    return aside


def _after_gap(
    batch: Batch, rows: np.ndarray, last: int, expected: ExpectedBars | None
) -> np.ndarray:
    """Kept rows with an expected bar between them and the kept row before that is not kept."""
    mask = np.zeros(len(batch), dtype=bool)
    if expected is not None and len(rows):
        stamps = batch.stamps[rows]
        before = np.concatenate(([last], stamps[:-1]))
        opens = expected.opens
        mask[rows] = np.searchsorted(opens, stamps) > np.searchsorted(opens, before, side="right")
    return mask


def _not_among(stamps: np.ndarray, last: int, expected: ExpectedBars | None) -> np.ndarray:
    """Expected labels after ``last`` that no stamp has."""
    if expected is None:
        return np.empty(0, dtype=np.int64)
    wanted = expected.opens[np.searchsorted(expected.opens, last, side="right") :]
    if not len(stamps):
        return wanted
    there = stamps if (np.diff(stamps) > 0).all() else np.sort(stamps)
    place = np.minimum(np.searchsorted(there, wanted), len(there) - 1)
    return wanted[there[place] != wanted]


def _completeness(batch: Batch, fields: Sequence[str], owner: str) -> np.ndarray:
    if unknown_fields := [name for name in fields if name not in NUMERIC]:
        raise DataError(
            f"{owner}: bars cannot have the expected fields {listing(unknown_fields)}; allowed: "
            f"{listing(NUMERIC)}"
        )
    there = np.zeros(len(batch))
    for name in fields:
        if name in batch.values:
            there += ~np.isnan(batch.values[name])
    return there / len(fields) if fields else np.ones(len(batch))


def _flags(failed: np.ndarray, completeness: np.ndarray) -> pd.DataFrame:
    score = completeness.copy()
    present = int(np.bitwise_or.reduce(failed))
    for name, check in CHECKS.items():  # the product in `quality_score`, in its order
        if present & _BIT[name]:
            score = np.where(failed & _BIT[name], score * (1.0 - check.weight), score)
    faulty = failed != 0
    distinct, inverse = np.unique(failed[faulty], return_inverse=True)
    texts = [
        "; ".join(CHECKS[name].note for name in _NAMES if bits & _BIT[name]) for bits in distinct
    ]
    place = np.full(len(failed), -1)  # null
    place[faulty] = inverse
    flags = {
        "is_validated": (failed & ~_OF_SERIES) == 0,
        "quality_score": score,
        "validation_notes": pd.array(texts, dtype="str").take(place, allow_fill=True),
        "gap_detected": (failed & _BIT["missing"]) != 0,
        "volume_anomaly": (failed & _BIT["volume_anomaly"]) != 0,
        "data_completeness": completeness,
    }
    return pd.DataFrame(flags, columns=list(FLAGS))


def _faults(owner: str, batch: Batch, masks: checks.Masks, policy: QualityPolicy) -> list[Fault]:
    faults = []
    for name, mask in masks.items():
        if name == "missing" or not mask.any():
            continue
        rows = np.flatnonzero(mask)
        first, action = rows[0], policy.action(name)
        what = f"row {first}"
        if batch.stamps[first] != NO_TIME:
            what = f"the bar at {instant(batch.stamps[first])}"
        values = batch.values
        shown = ", ".join(
            f"{each} {float(values[each][first])!r}"
            for each in _SHOWN.get(name, ())
            if each in values
        )
        sentence = (
            f"{owner}: {what} {CHECKS[name].note}{f' ({shown})' if shown else ''}; "
            f"{len(rows)} of {len(batch)} rows, {_DONE[action]}."
        )
        faults.append(Fault(name, action, tuple(rows.tolist()), sentence))
    return faults


def _missing_fault(
    owner: str, after_gap: np.ndarray, unkept: np.ndarray, absent: int, policy: QualityPolicy
) -> Fault:
    aside = len(unkept) - absent
    plural = "bar is" if len(unkept) == 1 else "bars are"
    verb = "s" if aside == 1 else ""
    sentence = (
        f"{owner}: {len(unkept)} expected {plural} missing, the first at {instant(unkept[0])}"
        f"{f'; {aside} of them came and stand{verb} in quarantine' if aside else ''}; "
        f"{'the batch is refused' if policy.missing == 'block' else 'nothing is filled'}."
    )
    return Fault("missing", policy.missing, tuple(np.flatnonzero(after_gap).tolist()), sentence)


def _outcomes(series: Batch, outlier: np.ndarray, known: int) -> tuple[Outcome, ...]:
    """Outcomes that a new row shows; those within the history were told before."""
    return tuple(
        Outcome(_timestamp(series.stamps[row]), kind, _timestamp(series.stamps[row + 1]))
        for row, kind in checks.outcomes(series, outlier)
        if row + 1 >= known
    )


def _timestamp(stamp: np.integer) -> pd.Timestamp:
    return cast(pd.Timestamp, pd.Timestamp(int(stamp), unit="us", tz="UTC"))


def _days(stamps: np.ndarray) -> np.ndarray:
    days = stamps // MICROSECONDS_PER_DAY * MICROSECONDS_PER_DAY
    return np.where(stamps == NO_TIME, NO_TIME, days)
