"""The features of a bar in plain pandas, and the sessions of New York from their own library.

Written for the eye and not for speed; nothing here is of the project.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import exchange_calendars
import numpy as np
import pandas as pd

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def features(bars: Any, bars_per_year: float, *, never_closes: bool) -> pd.DataFrame:
    """The universal features of bars with high, low, close and volume."""
    high, low, close, volume = (bars[name] for name in ("high", "low", "close", "volume"))
    returns = np.log(close / close.shift())
    before = close.shift()
    true_range = pd.concat([high - low, (high - before).abs(), (low - before).abs()], axis=1).max(
        axis=1
    )
    true_range.iloc[0] = np.nan
    atr = seeded(true_range, first=1, length=14, alpha=1 / 14)
    distance = close - seeded(close, first=0, length=20, alpha=2 / 21)
    trend = np.sign(distance).where(distance.abs() > 0.25 * atr, 0.0)
    return pd.DataFrame(
        {
            "return_1h": return_since(close, HOUR, HOUR),
            "return_1d": return_since(close, DAY, HOUR if never_closes else 4 * DAY),
            "volatility_20": returns.rolling(20).std() * np.sqrt(bars_per_year),
            "volatility_50": returns.rolling(50).std() * np.sqrt(bars_per_year),
            "atr": atr,
            "trend_direction": trend.where(distance.notna() & atr.notna()),
            "market_structure": structure(high, low),
            "rolling_volume_20": volume.rolling(20).mean(),
        },
        index=bars.index,
    )


def crypto(bars: Any) -> pd.DataFrame:
    """The crypto features that need no liquidations."""
    mean = bars["volume"].rolling(20).mean()
    sold = bars["volume"] - bars["taker_buy_volume"]
    return pd.DataFrame(
        {
            "buy_sell_ratio": bars["taker_buy_volume"] / sold.where(sold != 0),
            "volume_spike_score": (bars["volume"] - mean) / mean.where(mean != 0),
            "open_interest_change": bars["open_interest"] / bars["open_interest"].shift() - 1,
            "funding_rate_percentile": percentile(bars["funding_rate"]),
        },
        index=bars.index,
    )


def seeded(values: Any, *, first: int, length: int, alpha: float) -> pd.Series:
    """Exponential smoothing that starts with the mean of the first ``length`` values."""
    start = first + length - 1
    seed = values.copy()
    seed.iloc[:start] = np.nan
    seed.iloc[start] = values.iloc[first : start + 1].mean()
    return seed.ewm(alpha=alpha, adjust=False).mean()


def return_since(close: Any, lag: timedelta, tolerance: timedelta) -> pd.Series:
    wanted = pd.DataFrame({"at": close.index - lag})
    known = pd.DataFrame({"at": close.index, "then": close.to_numpy()})
    then = pd.merge_asof(wanted, known, on="at", tolerance=tolerance)["then"]
    return pd.Series(np.log(close.to_numpy() / then.to_numpy()), close.index)


def structure(high: Any, low: Any, width: int = 5) -> pd.Series:
    """1 and -1 where the last two pivots of both kinds rise or fall, once they are known."""
    highs: list[float] = []
    lows: list[float] = []
    result = np.full(len(high), np.nan)
    up, down = high.to_numpy(), low.to_numpy()
    for row in range(len(result)):
        pivot = row - width
        if pivot >= width:
            before, after = slice(pivot - width, pivot), slice(pivot + 1, row + 1)
            if up[pivot] > up[before].max() and up[pivot] >= up[after].max():
                highs.append(up[pivot])
            if down[pivot] < down[before].min() and down[pivot] <= down[after].min():
                lows.append(down[pivot])
        if len(highs) > 1 and len(lows) > 1:
            rise = highs[-1] > highs[-2] and lows[-1] > lows[-2]
            fall = highs[-1] < highs[-2] and lows[-1] < lows[-2]
            result[row] = int(rise) - int(fall)
    return pd.Series(result, high.index)


def percentile(rates: Any) -> pd.Series:
    """Share of the known rates of 252 days below the current one, equal ones half; per cent."""
    values, times = rates.to_numpy(), rates.index
    known = rates.first_valid_index()
    result = np.full(len(values), np.nan)
    for row in range(len(values)):
        if np.isnan(values[row]) or times[row] - known < 30 * DAY:
            continue
        window = values[: row + 1][times[: row + 1] > times[row] - 252 * DAY]
        window = window[~np.isnan(window)]
        below, equal = (window < values[row]).sum(), (window == values[row]).sum()
        result[row] = 100 * (below + 0.5 * equal) / len(window)
    return pd.Series(result, rates.index)


def slots(first: Any, last: Any, step: timedelta) -> Any:
    """Open times of all bars of the sessions of New York from one to another, both included."""
    calendar = exchange_calendars.get_calendar("XNYS")
    schedule = calendar.schedule.loc[str(first.date()) : str(last.date())]
    days = [
        pd.date_range(row["open"], row["close"], freq=step, inclusive="left")
        for _, row in schedule.iterrows()
    ]
    found: Any = days[0].append(days[1:])
    return found[(found >= first) & (found <= last)]


def slot_of(stamps: Any, step: timedelta) -> Any:
    """The session's slot that each instant lies in, null outside of the sessions."""
    calendar = exchange_calendars.get_calendar("XNYS")
    schedule = calendar.schedule
    days = stamps.tz_localize(None).normalize()
    opens = pd.DatetimeIndex(schedule["open"].reindex(days))
    closes = pd.DatetimeIndex(schedule["close"].reindex(days))
    slot: Any = opens + (stamps - opens) // step * step
    inside = (stamps >= opens) & (stamps < closes)
    return pd.DatetimeIndex(slot.where(inside))
