"""How the tests of complexity, regime and similarity run the kernels: any closes, cut anyhow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np

from hf_plugins.kernels.gold import (
    autocorrelation,
    dfa,
    entropy,
    higuchi,
    hurst,
    regime,
    return_moments,
    self_similarity,
    wavelet,
)

Columns = dict[str, np.ndarray]

COMPLEXITY = ("hurst_60", "fractal_dim_60", "dfa_60", "wavelet_energy_ratio", "multiscale_entropy")
REGIME = ("trend_mr_class", "regime_persistence", "regime_change_rate")
SIMILARITY = (
    "autocorr_lag1",
    "autocorr_lag5",
    "autocorr_lag15",
    "autocorr_lag60",
    "partial_autocorr",
    "self_similarity_idx",
)

FIRST_ROW = {
    "hurst_60": 20,
    "trend_mr_class": 20,
    "regime_persistence": 1499,
    "regime_change_rate": 180,
    "fractal_dim_60": 11,
    "dfa_60": 16,
    "wavelet_energy_ratio": 0,
    "multiscale_entropy": 120,
    "autocorr_lag1": 121,
    "autocorr_lag5": 125,
    "autocorr_lag15": 135,
    "autocorr_lag60": 180,
    "partial_autocorr": 122,
    "self_similarity_idx": 1500,
}
LOOKBACK = {
    "hurst_60": 61,
    "trend_mr_class": 61,
    "regime_persistence": 1500,
    "regime_change_rate": 181,
    "fractal_dim_60": 60,
    "dfa_60": 61,
    "wavelet_energy_ratio": 61,
    "multiscale_entropy": 121,
    "autocorr_lag1": 122,
    "autocorr_lag5": 126,
    "autocorr_lag15": 136,
    "autocorr_lag60": 181,
    "partial_autocorr": 123,
    "self_similarity_idx": 1501,
}


def walk(rows: int, seed: int, *, price: float = 2000.0, tick: float = 0.01) -> np.ndarray:
    """Closes on a tick grid, with volatility that comes and goes: shape (rows,)."""
    random = np.random.default_rng(seed)
    volatility = 30 * np.exp(np.sin(np.arange(rows) / 200))
    return price + tick * np.cumsum(np.rint(random.standard_normal(rows) * volatility))


def log_returns(close: np.ndarray) -> np.ndarray:
    """One-bar log returns, NaN in row 0: shape (rows,)."""
    return np.concatenate([[np.nan], np.log(close[1:] / close[:-1])])


class Run:
    """All kernels over one series of closes; ``fill`` may be called for one chunk after the other.

    What no chunk has reached yet holds an absurd number, so that a kernel that reads ahead shows.
    """

    def __init__(self, close: np.ndarray) -> None:
        self._close = close
        self._return = log_returns(close)
        self.close = np.full(close.size, 1e300)
        self.log_return = np.full(close.size, -1e300)
        self.moments = np.full((2, close.size), np.nan)
        self.ranges = np.full((6, close.size), np.nan)
        self.boxes = np.full((6, close.size), np.nan)
        self.columns = {name: np.full(close.size, np.nan) for name in FIRST_ROW}

    def fill(self, start: int, stop: int) -> None:
        self.close[start:stop] = self._close[start:stop]
        self.log_return[start:stop] = self._return[start:stop]
        steps: list[tuple[Callable[..., None], tuple[np.ndarray, ...], tuple[str, ...]]] = [
            (hurst.rows, (self.ranges,), COMPLEXITY[:1]),
            (higuchi.rows, (self.close,), COMPLEXITY[1:2]),
            (dfa.rows, (self.log_return, self.boxes), COMPLEXITY[2:3]),
            (wavelet.rows, (self.log_return,), COMPLEXITY[3:4]),
            (entropy.rows, (self.log_return, self.moments), COMPLEXITY[4:]),
            (regime.rows, (self.columns["hurst_60"],), REGIME),
            (autocorrelation.rows, (self.log_return, self.moments), SIMILARITY[:-1]),
            (self_similarity.rows, (self.log_return,), SIMILARITY[-1:]),
        ]
        return_moments.rows(start, stop, self.log_return, self.moments)
        hurst.range_rows(start, stop, self.log_return, self.ranges)
        dfa.box_rows(start, stop, self.log_return, self.boxes)
        for kernel, inputs, names in steps:
            out = np.stack([self.columns[name] for name in names])
            kernel(start, stop, *inputs, out)
            for name, values in zip(names, out, strict=True):
                self.columns[name][:] = values


def run(close: np.ndarray, cuts: Iterable[int] = ()) -> Columns:
    """All columns of the closes, filled in chunks that end at ``cuts``."""
    filled = Run(close)
    edges = [0, *sorted(cuts), close.size]
    for start, stop in pairwise(edges):
        filled.fill(start, stop)
    return filled.columns


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two columns are equal to the last bit, NaN included."""
    return np.array_equal(a, b, equal_nan=True)
