"""Features and targets of which is known what there is to find."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.signal import lfilter


def autoregression(rng: np.random.Generator, rows: int, columns: int, phi: float) -> np.ndarray:
    """Independent stationary AR(1) series of unit variance, shape (rows, columns)."""
    shocks = rng.normal(size=(rows, columns)) * np.sqrt(1.0 - phi**2)
    shocks[0] /= np.sqrt(1.0 - phi**2)
    return np.asarray(lfilter([1.0], [1.0, -phi], shocks, axis=0))


def world(
    rows: int,
    columns: int,
    *,
    planted: dict[int, float] | None = None,
    phi: float = 0.9,
    seed: int = 0,
) -> tuple[pd.DataFrame, pd.Series]:
    """Autocorrelated features and a fair coin; planted ones lean towards the coin by a shift."""
    rng = np.random.default_rng(seed)
    values = autoregression(rng, rows, columns, phi)
    target = (rng.random(rows) < 0.5).astype(float)
    for column, shift in (planted or {}).items():
        values[:, column] += shift * (2.0 * target - 1.0)
    index = pd.date_range("2024-01-01", periods=rows, freq="min", tz="UTC")
    names = [f"x{i:03d}" for i in range(columns)]
    return pd.DataFrame(values, index, names), pd.Series(target, index)


def arrays(features: pd.DataFrame, target: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    return features.to_numpy().T.copy(), target.to_numpy().copy()
