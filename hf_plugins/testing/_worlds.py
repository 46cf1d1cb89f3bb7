"""Sample inputs with everything that a feature declares beside its bars, made to find leaks.

Bars are missing, null and without trade; days end before midnight; other instruments lack minutes;
coarser bars close later than those that are beside them; news comes in bursts, at the very close,
an instant after it, after hours and at weekends.
"""

from __future__ import annotations

import zlib
from typing import Final, Literal, get_args

import numpy as np
import pandas as pd

from hf_plugins.base import BaseFeature, Side
from hf_plugins.certificate import Certificate, Inputs, certify
from hf_plugins.joins import joined
from hf_plugins.testing._samples import sample_columns
from hf_plugins.timeframes import duration

WorldKind = Literal["steady", "gaps", "sessions"]

_FINE: Final = 2_000
"""Rows beyond which bars are minutes: what looks further back counts them."""
_SESSION_HOURS: Final = 21
_BEFORE_NEW_YEAR: Final = pd.Timedelta(days=7)
"""Samples begin so long before a year, and so that even few hours hold the end of a month."""
_FREQUENCIES: Final = {"1m": "1min", "5m": "5min", "15m": "15min", "30m": "30min"}


def sample_inputs(
    plugin: BaseFeature, kind: WorldKind = "steady", rows: int = 400, seed: int = 0
) -> Inputs:
    """Inputs of a feature from a seeded generator.

    Args:
        plugin: whose columns and sides are wanted.
        kind: ``steady``: bars around the clock. ``gaps``: bars are missing, null or without trade.
            ``sessions``: daily bars from Monday to Friday whose trading ends at 21:00 UTC.
        rows: own bars.
        seed: of the generator.
    """
    timeframe = _timeframe(plugin, kind, rows)
    sample = "gaps" if kind == "gaps" else "random_walk"
    own = sample_columns(plugin.reads, sample, rows, seed, _frequency(timeframe))
    own.index = own.index - _BEFORE_NEW_YEAR
    closes = None
    if kind == "sessions":
        days = pd.bdate_range("2020-01-01", periods=rows, tz="UTC", name="timestamp")
        own.index = pd.DatetimeIndex(days).as_unit("ns")
        closes = pd.DatetimeIndex(own.index).asi8 + pd.Timedelta(hours=_SESSION_HOURS).value
        quiet = np.random.default_rng([seed, 9]).random(rows) < 0.05
        if "volume" in own:
            own.loc[quiet, "volume"] = 0.0
    inputs = Inputs(own, timeframe, closes=closes)
    sides = {
        side: _table(side, inputs, seed) if side.table else _bars(side, inputs, seed)
        for side in plugin.sides
    }
    return Inputs(own, timeframe, sides, closes)


def full_certificates(plugin: BaseFeature, seed: int = 0) -> dict[str, Certificate]:
    """The full certificate of a feature on each kind of sample."""
    lookback = plugin.memory.lookback or 0
    rows = max(300, lookback + 150)
    found = {}
    for kind in get_args(WorldKind):
        if kind == "sessions" and (rows > _FINE or not _fits_days(plugin)):
            continue
        inputs = sample_inputs(plugin, kind, rows, seed)
        read = inputs.own
        if inputs.sides:
            read = joined(inputs.own, inputs.sides, inputs.timeframe, inputs.closes)
        published = type(plugin)(**plugin.parameters()).compute(read.copy())
        found[kind] = certify(plugin, inputs, published, seed=seed, level="full")
    return found


def _timeframe(plugin: BaseFeature, kind: WorldKind, rows: int) -> str:
    if kind == "sessions":
        return "1d"
    inner = [side.timeframe for side in plugin.sides if side.join == "inner" and side.timeframe]
    return inner[0] if inner else "1h" if rows <= _FINE else "1m"


def _fits_days(plugin: BaseFeature) -> bool:
    """Whether daily bars can have all of the sides beside them."""
    return all(side.timeframe in (None, "1d") for side in plugin.sides if side.join == "inner")


def _frequency(timeframe: str) -> str:
    return _FREQUENCIES.get(timeframe, timeframe)


def _bars(side: Side, inputs: Inputs, seed: int) -> pd.DataFrame:
    """Bars of a side: those of an equal timeframe lack some, coarser ones are all there."""
    timeframe = side.timeframe or inputs.timeframe
    # Sides that read the same rows are given the same rows.
    name = zlib.crc32(f"{side.symbol} {side.timeframe} {side.feature}".encode())
    if timeframe == inputs.timeframe:
        stamps = pd.DatetimeIndex(inputs.own.index)
        frame = _filled(side, stamps, seed + name)
        kept = np.random.default_rng([seed, name]).random(len(frame)) > 0.03
        return frame.loc[kept]
    length = duration(timeframe)
    stamps = pd.date_range(
        inputs.own.index[0].floor(length) - 3 * length,
        inputs.own.index[-1] + 3 * length,
        freq=length,
        name=inputs.own.index.name,
    )
    return _filled(side, stamps, seed + name)


def _filled(side: Side, stamps: pd.DatetimeIndex, seed: int) -> pd.DataFrame:
    return sample_columns(side.columns, n=len(stamps), seed=seed).set_axis(stamps, axis=0)


def _table(side: Side, inputs: Inputs, seed: int) -> pd.DataFrame:
    """Rows known at any instant: bursts, at a close, right after one, after hours, at weekends."""
    name = zlib.crc32(f"{side.symbol} {side.table}".encode())
    rng = np.random.default_rng([seed, name])
    closes = inputs.bar_ends if inputs.closes is None else inputs.closes
    first, last = int(inputs.stamps[0]), int(inputs.bar_ends[-1])
    anywhere = rng.integers(first, last, max(4, len(closes) // 3))
    some = rng.choice(closes, max(2, len(closes) // 12))
    lag = 60_000_000_000 * side.lag_minutes  # that it can be had at the very close
    burst = rng.choice(anywhere, 8) + rng.integers(1, 600_000_000, 8) * 1_000
    instants = np.unique(np.concatenate([anywhere, some - lag, some - lag + 1_000, burst]))
    stamps = pd.DatetimeIndex(instants, tz="UTC", name=inputs.own.index.name)
    columns = {}
    for column in side.columns:
        drawn = np.random.default_rng([seed, name, zlib.crc32(column.encode())])
        values = drawn.normal(size=len(stamps))
        values[drawn.random(len(stamps)) < 0.05] = np.nan
        columns[column] = values
    return pd.DataFrame(columns, index=stamps)
