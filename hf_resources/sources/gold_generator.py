"""Made-up minutes of gold and the five instruments around it, from a seed.

So that the gold universe runs on any machine, without data and without a network. The market itself
is drawn in :mod:`hf_plugins.features.gold.generator`; here it only becomes a source. What a
strategy earns on these bars is luck.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Annotated, ClassVar, Final, cast

import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, unknown
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, register_source, window

_TIMEFRAMES: Final = ("1m",)
_SYMBOLS: Final = ("XAUUSD", "XAGUSD", "DXY", "NAS100", "US500", "VIX")


class GoldGeneratorParams(Params):
    """Parameters of the generator."""

    rows: Annotated[
        int,
        Field(ge=1, le=2_000_000, description="Minutes for which all six instruments have a bar."),
    ] = 20_000
    seed: Annotated[
        int, Field(ge=0, description="The same seed gives the same bars; more rows only add some.")
    ] = 1
    start: Annotated[
        str,
        Field(
            pattern=r"^\d{4}-\d{2}-\d{2}$",
            description="Date on or after which the first trading week opens, as 'YYYY-MM-DD'.",
        ),
    ] = "2024-01-01"


@register_source("gold_generator")
class GoldGeneratorSource(Source):
    """One-minute bars of XAUUSD, XAGUSD, DXY, NAS100, US500 and VIX, drawn from a seed."""

    Params: ClassVar[type[Params]] = GoldGeneratorParams

    @property
    def closed(self) -> bool:
        """The sample is what it is: nothing is added to it."""
        return True

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """``1m`` for the six symbols, nothing for any other."""
        return _TIMEFRAMES if instrument.symbol in _SYMBOLS else ()

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The bars that open in ``[start, end)``; ``volume`` is a number of ticks."""
        for kind, value, allowed in (
            ("symbol", instrument.symbol, _SYMBOLS),
            ("timeframe", timeframe, _TIMEFRAMES),
        ):
            if value not in allowed:
                raise ConfigurationError(
                    f"source 'gold_generator': {unknown(kind, value, allowed)}"
                )
        params = cast(GoldGeneratorParams, self.params)
        drawn = _drawn(params.rows, params.seed, params.start)
        return window(drawn[instrument.symbol], start, end).copy()


@lru_cache(maxsize=1)
def _drawn(rows: int, seed: int, start: str) -> dict[str, pd.DataFrame]:
    # The six belong together and are fetched one after the other.
    from hf_plugins.features.gold import generator  # brings compiled kernels with it

    return generator.generate(rows, seed, start=start)
