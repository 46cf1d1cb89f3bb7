"""Sample data from a seeded generator: what plugins are tried on."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV
from hf_plugins.errors import ConfigurationError, unknown

SampleKind = Literal["random_walk", "flat", "gaps"]


def sample_bars(
    kind: SampleKind = "random_walk", n: int = 500, seed: int = 0, freq: str = "1h"
) -> pd.DataFrame:
    """Bars from a seeded generator.

    Args:
        kind: ``random_walk``: a price with one per cent of volatility a bar. ``flat``: one price
            and no volume, for ever. ``gaps``: a random walk in which bars are missing from the
            index, others are null (the middle one among them), and others had no trade (one
            price, no volume).
        n: number of rows.
        seed: of the generator; the same seed gives the same bars.
        freq: spacing of the bars, as pandas writes it. Hours by default, so that whatever looks at
            a whole day, week or month finds several bars in it.

    Returns:
        shape (n, 5), float64 columns open, high, low, close, volume; UTC index ``timestamp``.
    """
    if kind not in get_args(SampleKind):
        raise ConfigurationError(unknown("kind of sample", kind, get_args(SampleKind)))
    rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    stamps = pd.date_range("2020-01-01", periods=2 * n if kind == "gaps" else n, freq=freq)
    stamps = pd.DatetimeIndex(stamps.to_numpy(), tz="UTC", name="timestamp")
    if kind == "flat":
        return pd.DataFrame(dict.fromkeys(OHLCV, 100.0) | {"volume": 0.0}, index=stamps)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, n)))
    before = np.concatenate(([100.0], close[:-1]))
    opened = before * np.exp(rng.normal(0.0, 0.003, n))
    reach = np.abs(rng.normal(0.0, 0.005, (2, n)))
    bars = pd.DataFrame(
        {
            "open": opened,
            "high": np.maximum(opened, close) * (1.0 + reach[0]),
            "low": np.minimum(opened, close) * (1.0 - reach[1]),
            "close": close,
            "volume": rng.lognormal(8.0, 1.0, n),
        },
        index=stamps[:n],
    )
    if kind == "gaps":
        kept = np.sort(rng.choice(2 * n, n, replace=False))
        bars.index = stamps[kept]
        idle = rng.random(n) < 0.05
        bars.loc[idle, ["open", "high", "low", "close"]] = before[idle, None]
        bars.loc[idle, "volume"] = 0.0
        gone = rng.random(n) < 0.03
        gone[n // 2 : n // 2 + 1] = True
        bars.loc[gone] = np.nan
    return bars


def sample_columns(
    columns: Iterable[str],
    kind: SampleKind = "random_walk",
    n: int = 500,
    seed: int = 0,
    freq: str = "1h",
) -> pd.DataFrame:
    """:func:`sample_bars` cut down to ``columns``.

    A column ``<instrument>_<field>``, such as ``vix_close``, is that field of bars of that
    instrument's own. Columns that no bars have are random numbers: standard normal (0 in a flat
    sample). All are null in the same rows.
    """
    bars = sample_bars(kind, n, seed, freq)
    data = {}
    for name in columns:
        instrument, _, field = name.rpartition("_")
        if name in OHLCV:
            data[name] = bars[name]
            continue
        if instrument and field in OHLCV:
            own = sample_bars(kind, n, seed + zlib.crc32(instrument.encode()), freq)[field]
            drawn = own.ffill().bfill().to_numpy()  # null in rows of its own: values of neighbours
        else:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
            drawn = np.zeros(n) if kind == "flat" else rng.normal(size=n)
        data[name] = np.where(bars["close"].isna(), np.nan, drawn)
    return pd.DataFrame(data, index=bars.index)


def sample_predictions(columns: Iterable[str], kind: str, n: int, seed: int = 0) -> pd.DataFrame:
    """Predictions as a model might give them.

    ``returns``: small, around zero. ``probabilities``: between 0 and 1. ``constant``: one value.
    ``nulls``: returns with nulls at the start and in between.
    """
    stamps = sample_bars("flat", n).index
    data = {}
    for name in columns:
        rng = np.random.default_rng([seed, zlib.crc32(f"{kind}.{name}".encode())])
        if kind == "probabilities":
            values = rng.random(n)
        elif kind == "constant":
            values = np.full(n, 0.5)
        else:
            values = rng.normal(0.0, 0.01, n)
        if kind == "nulls":
            values[: n // 10] = np.nan
            values[rng.random(n) < 0.1] = np.nan
        data[name] = values
    return pd.DataFrame(data, index=stamps)
