"""The contract of a source of bars, and the registry of sources.

A source answers one question: the bars of an instrument in a timeframe between two instants, as the
vendor has them. It knows the vendor's labels, clocks and paging, and nothing of the lake. What bars
must satisfy is told by :mod:`hf_plugins.bar_quality`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV
from hf_resources.instruments import Instrument
from hf_resources.source_registry import AnySource, SourceRegistry

RAW_COLUMNS: Final = (
    *OHLCV,
    "vwap",
    "trades",
    "taker_buy_volume",
    "open_interest",
    "funding_rate",
    "liquidations_long",
    "liquidations_short",
    "long_short_account_ratio",
    "split_factor",
    "dividend",
    "adjustment",
    "is_final",
)
"""What a source may return, in this order; see :meth:`Source.fetch`."""


class Source(AnySource):
    """A vendor, a folder of files or a sample."""

    @abstractmethod
    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """The timeframes that can be fetched for the instrument, finest first; maybe none."""

    @abstractmethod
    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The bars that open in ``[start, end)``, as the vendor has them.

        Args:
            instrument: what to fetch.
            timeframe: one of :meth:`timeframes`.
            start: first open time, timezone-aware; None means from the first bar there is.
            end: open time to stop before, timezone-aware; None means to the last bar there is.

        Returns:
            Columns out of :data:`RAW_COLUMNS`, indexed by the UTC open time (``DatetimeIndex``
            named ``timestamp``). No rows where the window has no bars. A column that the vendor
            does not have is left out, a value that it does not have is null; none is invented.
            Float64, but for the last:

            * ``open``, ``high``, ``low``, ``close`` (price as traded) and ``volume`` (shares,
              contracts or base currency), always there;
            * ``vwap`` (price, volume-weighted over the bar), ``trades`` (count),
              ``taker_buy_volume`` (the part of ``volume`` in which the buyer was the taker);
            * ``open_interest`` (contracts or base currency) and ``long_short_account_ratio`` (long
              over short accounts), as last known at the bar's close;
            * ``funding_rate``: the last rate settled at or before the bar's close, per interval;
            * ``liquidations_long``, ``liquidations_short``: value in quote currency of the forced
              closings of long and of short positions during the bar;
            * ``split_factor`` (new shares for one old share; 1 without a split) and ``dividend``
              (cash for one share; 0 without one), at the first bar of the ex-date;
            * ``adjustment``: the cumulated factor, where the source knows it (see
              :func:`hf_plugins.market_data.adjusted_bars`);
            * ``is_final`` (bool): False for a bar that the vendor was still forming.

        Raises:
            ConfigurationError: the source does not have that symbol or timeframe.
            DataError: what the vendor has cannot be read as bars.
        """

    def pages(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[pd.DataFrame]:
        """:meth:`fetch` in consecutive pieces, in order of time, that do not overlap.

        Each piece is final when it is yielded: who has stored it goes on with ``start`` at the open
        time after its last bar, and the pieces of both runs make up what one run returns. A source
        that reads a history in one go yields it in one piece.

        Raises:
            ConfigurationError: the source does not have that symbol or timeframe.
            DataError: what the vendor has cannot be read as bars.
        """
        yield self.fetch(instrument, timeframe, start, end)

    @property
    def incremental(self) -> bool:
        """Whether bars before a given time can be left out of a fetch; what is read whole cannot.

        A vendor corrects what is recent, a file may change anywhere.
        """
        return False

    @property
    def closed(self) -> bool:
        """Whether the history has ended, as that of a sample has, so that no bar can be late."""
        return False

    def vintage(self, instrument: Instrument, timeframe: str) -> datetime | None:
        """When the bars were what they are, where the source declares it; None means now."""
        del instrument, timeframe
        return None

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        """A text that changes when there is something new to fetch, for one cheap request.

        For a vendor the open time of its last finished bar; None where there is no cheap way to
        know.
        """
        del instrument, timeframe
        return None

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """Sentences about what this source cannot know, for those who read its bars.

        They stand in the event and the log of each fetch, before what was remarked in the course of
        it (:mod:`hf_resources.sources.remarks`).
        """
        del instrument, timeframe
        return ()

    def declared_clock(self, instrument: Instrument, timeframe: str) -> str | None:
        """The clock that somebody declared for the stamps of these bars, as
        :meth:`hf_resources.sources.clock.Clock.parse` reads it.

        Declarations can be wrong, so the bars are held against them. None where the source knows
        its times, as a vendor does.
        """  # noqa: D205  (one sentence)
        del instrument, timeframe
        return None

    def origin(self, instrument: Instrument, timeframe: str) -> str:
        """What to call this source in a message about these bars."""
        del instrument, timeframe
        return f"source '{self.key}'"


_registry = SourceRegistry("source", Source, "hf_resources.sources")
register_source = _registry.register
source_keys = _registry.keys
get_source = _registry.get


def create_source(key: str, params: Mapping[str, Any] | None = None) -> Source:
    """A source with its parameters checked.

    Raises:
        ConfigurationError: there is no such source, or a parameter is wrong.
    """
    return get_source(key)(**(params or {}))


def window(
    frame: pd.DataFrame, start: datetime | None = None, end: datetime | None = None
) -> pd.DataFrame:
    """The rows of a time-indexed frame that open in ``[start, end)``."""
    keep = np.ones(len(frame), dtype=bool)
    if start is not None:
        keep &= frame.index >= pd.Timestamp(start)
    if end is not None:
        keep &= frame.index < pd.Timestamp(end)
    return frame.loc[keep]
