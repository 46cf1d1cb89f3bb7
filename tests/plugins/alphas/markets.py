"""Synthetic markets: continuous prices, so that ties do not happen by chance."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hf_plugins.alphas import Panel


def fields(bars: int = 400, instruments: int = 30, seed: int = 1) -> dict[str, pd.DataFrame]:
    """Bars of a cross-section by field, all known."""
    rng = np.random.default_rng(seed)
    shape = (bars, instruments)
    close = rng.uniform(5, 80, instruments) * np.exp(np.cumsum(rng.normal(0, 0.02, shape), axis=0))
    opening = close * np.exp(rng.normal(0, 0.008, shape))
    high = np.maximum(close, opening) * np.exp(rng.exponential(0.006, shape))
    low = np.minimum(close, opening) * np.exp(-rng.exponential(0.006, shape))
    arrays = {
        "open": opening,
        "high": high,
        "low": low,
        "close": close,
        "volume": np.exp(rng.normal(12, 0.7, shape)),
        "vwap": low + (high - low) * rng.uniform(0.2, 0.8, shape),
        "cap": close * rng.uniform(1e6, 1e8, instruments),
    }
    index = pd.date_range("2020-01-01", periods=bars)
    names = [f"S{i:02d}" for i in range(instruments)]
    return {name: pd.DataFrame(array, index, names) for name, array in arrays.items()}


def groups(instruments: int = 30, seed: int = 2) -> dict[str, pd.Series]:
    """Labels by classification."""
    rng = np.random.default_rng(seed)
    names = [f"S{i:02d}" for i in range(instruments)]
    counts = {"sector": 3, "industry": 5, "subindustry": 8}
    return {
        name: pd.Series(rng.integers(0, count, instruments), names).map(lambda i: f"g{i}")
        for name, count in counts.items()
    }


def panel(bars: int = 400, instruments: int = 30, seed: int = 1) -> Panel:
    return Panel.of_instruments(fields(bars, instruments, seed), groups(instruments))


def gold_like(bars: int, seed: int = 3) -> pd.DataFrame:
    """Minute bars of one instrument on a grid of ticks, with flat bars and bars without volume."""
    rng = np.random.default_rng(seed)
    close = np.round(4000 * np.exp(np.cumsum(rng.normal(0, 2e-4, bars))), 2)
    opening = np.r_[close[0], close[:-1]]
    frozen = rng.random(bars) < 0.02
    opening[frozen] = close[frozen]
    high = np.maximum(opening, close) + np.round(rng.exponential(0.3, bars), 2) * ~frozen
    low = np.minimum(opening, close) - np.round(rng.exponential(0.3, bars), 2) * ~frozen
    volume = rng.integers(0, 400, bars).astype(float)
    index = pd.date_range("2024-01-01", periods=bars, freq="min", tz="UTC")
    return pd.DataFrame(
        {"open": opening, "high": high, "low": low, "close": close, "volume": volume}, index
    )
