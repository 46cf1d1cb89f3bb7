"""The market data sample that ships with the project.

Real daily bars of five shares, so that the whole chain runs right after installation, without an
account and without a network. Its origin and licence stand in ``sample_data/PROVENANCE.md``.
"""

from __future__ import annotations

from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Final

import pandas as pd

from hf_plugins.errors import ConfigurationError, unknown
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, register_source, window

_TIMEFRAMES: Final = ("1d",)


@register_source("sample")
class SampleSource(Source):
    """Daily bars of AAPL, FB, GOOG, IBM and MSFT from 2000-03-01 to 2013-03-01; no parameters."""

    @property
    def closed(self) -> bool:
        """Nothing is added to it."""
        return True

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """``1d`` for the five symbols, nothing for any other."""
        return _TIMEFRAMES if instrument.symbol in _sample() else ()

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The bars that open in ``[start, end)``."""
        sample = _sample()
        if instrument.symbol not in sample:
            raise ConfigurationError(
                f"source 'sample': {unknown('symbol', instrument.symbol, sample)}"
            )
        if timeframe not in _TIMEFRAMES:
            raise ConfigurationError(
                f"source 'sample': {unknown('timeframe', timeframe, _TIMEFRAMES)}"
            )
        return window(sample[instrument.symbol], start, end).copy()


@cache
def _sample() -> dict[str, pd.DataFrame]:
    with (files("hf_resources.sources.sample_data") / "daily.parquet").open("rb") as file:
        rows = pd.read_parquet(file)
    return {
        str(symbol): bars.drop(columns="symbol").set_index("timestamp").astype("float64")
        for symbol, bars in rows.groupby("symbol")
    }
