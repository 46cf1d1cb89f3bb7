"""What every source's bars must satisfy before the platform keeps them.

One function that checks and rounds. It never fixes, fills or drops: bars that break a rule are an
error that names the first offending row, because a silent repair here would be invisible in
everything computed below.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV
from hf_plugins.errors import DataError, nearest
from hf_plugins.market_data import ADJUSTMENT_DIGITS
from hf_plugins.timeframes import duration
from hf_resources.instruments import Instrument

PRICES: Final = ("open", "high", "low", "close")
ADJUSTMENT: Final = "adjustment"
COLUMNS: Final = (*OHLCV, ADJUSTMENT)
RAW_DECIMALS: Final = {
    **dict.fromkeys(PRICES, ("price", 0)),
    "volume": ("size", 0),
    "vwap": ("price", 4),
    "trades": ("none", 0),
    "taker_buy_volume": ("size", 0),
    "open_interest": ("size", 0),
    "funding_rate": ("none", 10),
    "liquidations_long": ("price", 0),
    "liquidations_short": ("price", 0),
    "long_short_account_ratio": ("none", 6),
    "split_factor": ("significant", 0),
    "dividend": ("none", 8),
    ADJUSTMENT: ("significant", 0),
}
"""Decimals of each column: those of the instrument's prices or sizes (or none), and some more."""
# Above this a float64 has no decimals left to round.
_EXACT: Final = 2.0**53


def canonical_bars(
    frame: pd.DataFrame, instrument: Instrument, timeframe: str, origin: str
) -> pd.DataFrame:
    """Check bars and round them to the instrument's precision.

    Vendors resend history with noise in the last bits; rounded to the declared precision the same
    bar has the same bytes each time. The rules between prices are checked on the rounded values, so
    that noise cannot break one either.

    Args:
        frame: columns open, high, low, close, volume and perhaps ``adjustment``, indexed by the
            bar's open time in UTC.
        instrument: whose precision applies.
        timeframe: whose length the open times must be multiples of, counted from 1970-01-01 UTC.
        origin: what to call the source in a message.

    Returns:
        A new frame, float64, columns in the order above, index ``timestamp`` of
        ``datetime64[us, UTC]``.

    Raises:
        DataError: one sentence with the origin, symbol, timeframe, first offending row, its value,
            the rule, and how many rows break it.
    """
    owner = f"{origin}: {instrument.symbol} {timeframe}"
    columns = _schema(frame, owner)
    index = _index(frame, timeframe, owner)

    raw = {name: frame[name].to_numpy(dtype="float64", na_value=np.nan) for name in columns}
    for name in columns:
        _refuse(owner, index, ~np.isfinite(raw[name]), raw[name], name, "must be a finite number")
    bars: dict[str, np.ndarray] = {}
    for name in PRICES:
        bars[name] = _decimals(raw[name], instrument.price_precision)
        rule = "must be greater than 0 when rounded to the instrument's price_precision of "
        rule += f"{instrument.price_precision}"
        _refuse(owner, index, bars[name] <= 0, raw[name], name, rule)
    _refuse(owner, index, raw["volume"] < 0, raw["volume"], "volume", "must not be below 0")
    bars["volume"] = _decimals(raw["volume"], instrument.size_precision)
    _envelope(owner, index, bars, "high", np.maximum, "must not be below open, low and close")
    _envelope(owner, index, bars, "low", np.minimum, "must not be above open, high and close")
    if ADJUSTMENT in columns:
        bars[ADJUSTMENT] = _significant(raw[ADJUSTMENT])
        _refuse(
            owner, index, bars[ADJUSTMENT] <= 0, raw[ADJUSTMENT], ADJUSTMENT,
            "must be greater than 0",
        )  # fmt: skip
    return pd.DataFrame(bars, index=index)


def _schema(frame: pd.DataFrame, owner: str) -> list[str]:
    present = [str(name) for name in frame.columns]
    for name in present:
        if name not in COLUMNS:
            raise DataError(
                f"{owner}: unknown column '{name}'; allowed: {', '.join(COLUMNS)}."
                f"{nearest(name, COLUMNS)}"
            )
        if present.count(name) > 1:
            raise DataError(f"{owner}: column '{name}' is there {present.count(name)} times")
    for name in OHLCV:
        if name not in present:
            raise DataError(
                f"{owner}: column '{name}' is missing; the bars have: "
                f"{', '.join(present) or 'none'}"
            )
    columns = [name for name in COLUMNS if name in present]
    for name in columns:
        kind = frame[name].dtype
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            raise DataError(f"{owner}: column '{name}' is of type {kind}; it must be numbers")
    if frame.empty:
        raise DataError(f"{owner}: there are no bars; at least one is required")
    return columns


def _index(frame: pd.DataFrame, timeframe: str, owner: str) -> pd.DatetimeIndex:
    index = frame.index
    if not isinstance(index, pd.DatetimeIndex):
        raise DataError(
            f"{owner}: the bars are indexed by {index.dtype}; they must be indexed by their open "
            "time in UTC"
        )
    if index.tz is None:
        raise DataError(
            f"{owner}: the timestamps, such as {index[0]}, have no time zone; they must be in UTC"
        )
    if str(index.tz) not in ("UTC", "Etc/UTC", "UTC+00:00"):
        raise DataError(
            f"{owner}: the timestamps, such as {index[0]}, are in time zone {index.tz}; they must "
            "be in UTC"
        )
    if index.hasnans:
        rows = np.flatnonzero(index.isna())
        raise DataError(
            f"{owner}: row {rows[0]} has no timestamp; every bar needs one ({_rows(len(rows))})"
        )
    index = index.tz_convert("UTC")
    times = index.as_unit("ns").asi8
    gaps = np.diff(times)
    if (gaps < 0).any():
        rows = np.flatnonzero(gaps < 0) + 1
        raise DataError(
            f"{owner}: the bar at {_time(index, rows[0])} comes after the one at "
            f"{_time(index, rows[0] - 1)}; bars must be sorted by time ({_rows(len(rows))})"
        )
    if (gaps == 0).any():
        rows = np.flatnonzero(gaps == 0) + 1
        raise DataError(
            f"{owner}: the bar at {_time(index, rows[0])} is there more than once; every bar is "
            f"allowed once ({_rows(len(rows))})"
        )
    step = int(duration(timeframe).total_seconds()) * 1_000_000_000
    off = times % step != 0
    if off.any():
        raise DataError(
            f"{owner}: the bar at {_time(index, np.flatnonzero(off)[0])} does not open on a "
            f"multiple of {timeframe} UTC; a timestamp is the open time of its bar "
            f"({_rows(int(off.sum()))})"
        )
    return pd.DatetimeIndex(index.as_unit("us"), name="timestamp")


def _envelope(
    owner: str,
    index: pd.DatetimeIndex,
    bars: dict[str, np.ndarray],
    name: str,
    extreme: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rule: str,
) -> None:
    others = [other for other in PRICES if other != name]
    bound = extreme(extreme(bars[others[0]], bars[others[1]]), bars[others[2]])
    wrong = bars[name] != extreme(bars[name], bound)
    if wrong.any():
        first = np.flatnonzero(wrong)[0]
        other = next(each for each in others if bars[each][first] == bound[first])
        rule += f" (the {other} is {float(bound[first])!r})"
    _refuse(owner, index, wrong, bars[name], name, rule)


def _refuse(
    owner: str,
    index: pd.DatetimeIndex,
    wrong: np.ndarray,
    values: np.ndarray,
    name: str,
    rule: str,
) -> None:
    if wrong.any():
        first = np.flatnonzero(wrong)[0]
        raise DataError(
            f"{owner}: {name} is {float(values[first])!r} at {_time(index, first)}; {name} {rule} "
            f"({_rows(int(wrong.sum()))})"
        )


def _decimals(values: np.ndarray, precision: int) -> np.ndarray:
    small = np.abs(values) * 10.0**precision < _EXACT
    rounded = np.where(small, np.round(np.where(small, values, 0.0), precision), values)
    return rounded + 0.0  # -0.0 becomes 0.0


def _significant(values: np.ndarray) -> np.ndarray:
    # Through text, because that is the one way that is right in every decade; the factor is
    # piecewise constant, so there are few distinct values.
    distinct, inverse = np.unique(values, return_inverse=True)
    rounded = [float(f"{value:.{ADJUSTMENT_DIGITS}g}") for value in distinct]
    return np.array(rounded, dtype="float64")[inverse]


def _time(index: pd.DatetimeIndex, row: int) -> str:
    instant = pd.Timestamp(index.asi8[row], unit=index.unit)
    whole = instant == instant.floor("min")
    return f"{instant.strftime('%Y-%m-%d %H:%M' if whole else '%Y-%m-%d %H:%M:%S.%f')} UTC"


def _rows(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


def rounded_bars(frame: pd.DataFrame, instrument: Instrument, owner: str) -> pd.DataFrame:
    """Round bars to the instrument's precision, and change nothing else.

    Vendors resend history with noise in the last bits; after this the same bar has the same bytes
    each time. What is wrong with a row is told by :mod:`hf_plugins.bar_quality`.

    Args:
        frame: columns out of :data:`RAW_DECIMALS` and ``is_final``, indexed by open time.
        instrument: whose precision applies.
        owner: what to call the bars in a message.

    Raises:
        DataError: a column is unknown or not made of numbers.
    """
    rounded = {}
    for label, column in frame.items():
        name = str(label)
        kind = column.dtype
        if name == "is_final":
            rounded[name] = column
            continue
        if name not in RAW_DECIMALS:
            raise DataError(
                f"{owner}: unknown column '{name}'; allowed: {', '.join(RAW_DECIMALS)}, is_final."
                f"{nearest(name, RAW_DECIMALS)}"
            )
        if not pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_bool_dtype(kind):
            raise DataError(f"{owner}: column '{name}' is of type {kind}; it must be numbers")
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        base, extra = RAW_DECIMALS[name]
        precision = {"price": instrument.price_precision, "size": instrument.size_precision}
        with np.errstate(invalid="ignore"):
            rounded[name] = (
                _significant(values)
                if base == "significant"
                else _decimals(values, precision.get(base, 0) + extra)
            )
    return pd.DataFrame(rounded, index=frame.index)
