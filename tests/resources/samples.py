"""Small frames, identities and definitions for tests of the store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.versioning import Identity, Implementation, InputVersion
from hf_resources.datasets import DatasetRef, Definition, Layer

FREQUENCY = {"1m": "min", "5m": "5min", "1h": "h", "4h": "4h", "1d": "D"}


def frame(rows: int, *, start: str = "2013-01-30", timeframe: str = "1d", seed: int = 0) -> Any:
    """Random columns ``a`` and ``b``; a longer frame of the same seed begins with a shorter one."""
    index = pd.date_range(
        start, periods=rows, freq=FREQUENCY[timeframe], tz="UTC", name="timestamp", unit="ns"
    )
    index.freq = None  # a frame that was read has none
    values = np.random.default_rng(seed).normal(size=(rows, 2))
    return pd.DataFrame(values, columns=pd.Index(["a", "b"]), index=index)


def ref(
    name: str = "rsi_14",
    *,
    layer: Layer = "features",
    symbol: str = "AAPL",
    timeframe: str = "1d",
) -> DatasetRef:
    """A reference to a series."""
    return DatasetRef(layer, name, symbol, timeframe)


def identity(length: int = 14, *, of: DatasetRef | None = None, **changes: Any) -> Identity:
    """An identity whose hash depends on ``length``, the series and ``changes``."""
    series = of or ref()
    values: dict[str, Any] = {
        "plugin_key": "technical.rsi",
        "params": {"length": length},
        "symbol": series.symbol,
        "timeframe": series.timeframe,
        "start_date": "2000-01-03T00:00:00+00:00",
        "end_date": "2013-02-28T00:00:00+00:00",
        "source_fingerprint": "f" * 64,
        "code_version": "c" * 16,
        "implementation": Implementation(
            {"hf_plugins.features.technical": "1"}, {"numba": "0.61", "numpy": "2.4.6"}
        ),
        "inputs": {"market_data/enriched": InputVersion("v1", {"close": "c1", "volume": "w1"})},
    }
    return Identity(**{**values, **changes})


def definition(of: DatasetRef | None = None, **changes: Any) -> Definition:
    """A definition that fits a reference."""
    series = of or ref()
    values: dict[str, Any] = {
        "layer": series.layer,
        "name": series.name,
        "plugin_key": "technical.rsi",
        "parameters": {"length": 14},
    }
    return Definition(**{**values, **changes})
