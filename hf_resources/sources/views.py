"""Sources seen through a rule: the bars of another source, from a date on or otherwise combined.

A view answers for a source and passes on whatever its rule does not touch. Its rule is part of its
parameters, and so of the identity of what is fetched. Views are declared per market data document
and have no key of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import pandas as pd

from hf_plugins.base import OHLCV
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source


class SourceView(Source):
    """Base of the views: the source itself, under its own key and with its own parameters."""

    def __init__(self, source: Source) -> None:  # the source has checked its parameters
        self.source = source
        self.params = source.params
        # The key names the source on a class; a view has that of the source behind it.
        vars(self)["key"] = source.key

    def parameters(self) -> dict[str, Any]:
        """Those of the source; a view adds its rule."""
        return self.source.parameters()

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """Those of the source."""
        return self.source.timeframes(instrument)

    def pages(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Those of the source."""
        return self.source.pages(instrument, timeframe, start, end)

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """All pages in one frame."""
        pages = [page for page in self.pages(instrument, timeframe, start, end) if len(page)]
        if pages:
            return pd.concat(pages)
        index = pd.DatetimeIndex([], dtype="datetime64[us, UTC]", name="timestamp")
        return pd.DataFrame({name: pd.Series(dtype="float64") for name in OHLCV}, index=index)

    @property
    def incremental(self) -> bool:
        """As the source."""
        return self.source.incremental

    def vintage(self, instrument: Instrument, timeframe: str) -> datetime | None:
        """As the source."""
        return self.source.vintage(instrument, timeframe)

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        """As the source."""
        return self.source.marker(instrument, timeframe)

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """As the source."""
        return self.source.notes(instrument, timeframe)

    def declared_clock(self, instrument: Instrument, timeframe: str) -> str | None:
        """As the source."""
        return self.source.declared_clock(instrument, timeframe)

    def origin(self, instrument: Instrument, timeframe: str) -> str:
        """As the source."""
        return self.source.origin(instrument, timeframe)


class Since(SourceView):
    """A source whose history begins at 00:00 UTC of a date, however far back it reaches."""

    def __init__(self, source: Source, since: date) -> None:
        super().__init__(source)
        self.since = since

    def parameters(self) -> dict[str, Any]:
        """Those of the source, and the date."""
        return {**self.source.parameters(), "since": self.since.isoformat()}

    def pages(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Those of the source from the date on."""
        first = datetime.combine(self.since, time(), tzinfo=UTC)
        start = first if start is None else max(start, first)
        return self.source.pages(instrument, timeframe, start, end)

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """Those of the source, and that there may be more."""
        told = f"Bars before {self.since.isoformat()} are not fetched, as the document says."
        return (*self.source.notes(instrument, timeframe), told)
