"""The checks of rows: each yields the faulty ones as a mask over the batch.

``row_checks`` look at every row by itself (and at what arrived before it), ``repetitions`` at rows
of one time, ``series_checks`` at the series of those that are left, in time order. No mask at a row
depends on a later one.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from hf_plugins.bar_quality import kernels
from hf_plugins.bar_quality.batch import AMOUNTS, FACTORS, NO_TIME, PRICES, Batch
from hf_plugins.bar_quality.policy import QualityPolicy
from hf_plugins.sessions import ExpectedBars, close_times, microseconds

_MINUTE: Final = 60_000_000
# Rounding of a sum of takers against the volume that they are part of.
_TAKER_ROUNDING: Final = 1e-9

Masks = dict[str, np.ndarray]


def row_checks(
    batch: Batch,
    timeframe: str,
    expected: ExpectedBars | None,
    arrived: np.ndarray | None,
    policy: QualityPolicy,
) -> Masks:
    """Masks of the checks that look at each row by itself, shape (n_rows,) each.

    Args:
        batch: in order of arrival.
        timeframe: of the bars.
        expected: the bars of the calendar; None means any open time that is a multiple of the
            timeframe, counted from 1970-01-01 UTC.
        arrived: when each row arrived, microseconds UTC; None where that is unknown.
        policy: the thresholds.
    """
    stamps, values = batch.stamps, batch.values
    timed = stamps != NO_TIME
    high, low = values["high"], values["low"]
    bodies = [values[name] for name in ("open", "close")]
    # Of the prices that are there; a null or infinite one is the business of `non_finite`.
    top = np.fmax(np.fmax(*bodies), low)
    bottom = np.fmin(np.fmin(*bodies), high)
    masks: Masks = {
        "no_timestamp": ~timed,
        "order": timed & (stamps < np.maximum.accumulate(stamps)) if len(stamps) else ~timed,
        "non_finite": _any(
            [~np.isfinite(values[name]) for name in PRICES]
            + [np.isinf(column) for name, column in values.items() if name not in PRICES]
        ),
        "non_positive": _any([values[name] <= 0 for name in (*PRICES, *FACTORS) if name in values]),
        "ohlc": (high < top) | (low > bottom),
        "negative_amount": _any([values[name] < 0 for name in AMOUNTS if name in values]),
    }
    masks["off_grid"], masks["outside_session"] = _off_schedule(stamps, timed, timeframe, expected)
    takers = [values[name] for name in ("taker_buy_volume", "taker_sell_volume") if name in values]
    if takers:
        limit = values["volume"] * (1.0 + _TAKER_ROUNDING)
        total = takers[0] + takers[1] if len(takers) == 2 else takers[0]
        masks["taker_volume"] = _any([taker > limit for taker in (*takers, total)])
    if "vwap" in values:
        vwap, slack = values["vwap"], policy.vwap_tolerance
        masks["vwap"] = (vwap > high * (1.0 + slack)) | (vwap < low * (1.0 - slack))
    masks["unfinished"] = ~batch.final
    if arrived is not None:
        closes = close_times(stamps, timeframe, expected)
        masks["unfinished"] |= timed & (arrived < closes)
        masks["late"] = timed & (arrived > closes + policy.late_minutes * _MINUTE)
    return masks


def repetitions(batch: Batch, rows: np.ndarray) -> Masks:
    """Masks of rows, among those given, of a time that an earlier one of them has.

    Args:
        batch: in order of arrival.
        rows: positions of the rows to compare, increasing.

    Returns:
        ``duplicate`` where all values are equal to those of the first row of that time,
        ``conflict`` where some differ.
    """
    masks = {name: np.zeros(len(batch), dtype=bool) for name in ("duplicate", "conflict")}
    stamps = batch.stamps[rows]
    if (np.diff(stamps) > 0).all():
        return masks
    order = rows[np.argsort(stamps, kind="stable")]
    stamps = batch.stamps[order]
    leads = np.diff(stamps, prepend=stamps[0] - 1) != 0
    first = order[np.flatnonzero(leads)[np.cumsum(leads) - 1]]
    same = batch.final[order] == batch.final[first]
    for column in batch.values.values():
        now, then = column[order], column[first]
        same &= (now == then) | (np.isnan(now) & np.isnan(then))
    masks["duplicate"][order] = ~leads & same
    masks["conflict"][order] = ~leads & ~same
    return masks


def series_checks(series: Batch, policy: QualityPolicy) -> Masks:
    """Masks of the checks that compare a row with those before it.

    ``stale``: the row ends a run of at least ``stale_bars`` bars with equal prices and volume.

    ``outlier``: the bar strays from the nearer of the last two closes by more than
    ``outlier_multiple`` times the median of what the ``window`` bars before it did, and by more
    than ``outlier_floor``. A split that the bar declares is no move. A jump is an outlier when it
    happens, whatever follows: whether it was a spike or a new level is known one bar later, see
    :func:`outcomes`.

    ``volume_anomaly``: the volume is more than ``volume_multiple`` times the median of the
    ``window`` bars before it, or is 0 although that median is not.

    Args:
        series: in time order, without repetitions, prices finite and above 0.
        policy: the thresholds.
    """
    values = series.values
    run = kernels.identical_run(np.stack([values[name] for name in (*PRICES, "volume")]))
    split = values.get("split_factor", np.ones(len(series)))
    split = np.where(np.isfinite(split) & (split > 0), split, 1.0)
    stray = kernels.excursions(values["high"], values["low"], values["close"], split)
    usual = kernels.past_median(stray, policy.window, policy.minimum_history)
    volume = values["volume"]
    usual_volume = kernels.past_median(volume, policy.window, policy.minimum_history)
    # A comparison with NaN is false: what cannot be judged is no fault.
    return {
        "stale": run >= policy.stale_bars,
        "outlier": (stray > policy.outlier_multiple * usual) & (stray > policy.outlier_floor),
        "volume_anomaly": (usual_volume > 0)
        & ((volume > policy.volume_multiple * usual_volume) | (volume == 0)),
    }


def outcomes(
    series: Batch, outlier: np.ndarray
) -> list[tuple[int, Literal["spike", "level_shift"]]]:
    """What became of each outlier that a good bar follows: its position and the outcome.

    ``spike`` where the next close is nearer to the close before the outlier than to the outlier's
    own, ``level_shift`` otherwise.
    """
    found: list[tuple[int, Literal["spike", "level_shift"]]] = []
    close = np.log(series.values["close"])
    for row in np.flatnonzero(outlier[:-1] & ~outlier[1:]):
        back = abs(close[row + 1] - close[row - 1]) <= abs(close[row + 1] - close[row])
        found.append((int(row), "spike" if back else "level_shift"))
    return found


def _off_schedule(
    stamps: np.ndarray, timed: np.ndarray, timeframe: str, expected: ExpectedBars | None
) -> tuple[np.ndarray, np.ndarray]:
    step = microseconds(timeframe)
    if expected is None:
        return timed & (stamps % step != 0), np.zeros(len(stamps), dtype=bool)
    opens = expected.opens
    if not len(opens):
        return np.zeros(len(stamps), dtype=bool), timed
    after = np.searchsorted(opens, stamps)
    above = opens[np.minimum(after, len(opens) - 1)]
    unexpected = timed & (above != stamps)
    # A bar outside the sessions is on the grid when it is whole bars away from a session next to
    # it; from both, because the grid itself moves with the clocks of the exchange.
    below = opens[np.maximum(after - 1, 0)]
    aligned = ((above - stamps) % step == 0) | ((stamps - below) % step == 0)
    return unexpected & ~aligned, unexpected & aligned


def _any(masks: list[np.ndarray]) -> np.ndarray:
    return np.logical_or.reduce(masks)
