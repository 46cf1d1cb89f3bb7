"""What the vendors that are asked over HTTP have in common as sources.

A vendor's module says which symbol it calls what, how a window of bars is asked for and how the
reply is read; here is the rest of the contract of :class:`hf_resources.sources.base.Source`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, cast

import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.timeframes import DURATIONS, duration
from hf_resources.instruments import Instrument
from hf_resources.sources.base import RAW_COLUMNS, Source
from hf_resources.sources.http import HttpParams
from hf_resources.sources.paging import instant, on_grid


class VendorParams(HttpParams):
    """Parameters of every vendor."""

    symbols: Annotated[
        dict[str, str],
        Field(description="The vendor's name of a symbol, where it is not the usual one."),
    ] = {}  # noqa: RUF012 - pydantic copies defaults


class VendorSource(Source):
    """A source that is read over HTTP, page by page."""

    Params: ClassVar[type[Params]] = VendorParams

    def parameters(self) -> dict[str, Any]:
        """The parameters that decide what the bars are, after defaults, as JSON-ready values.

        How the vendor is reached is not among them: a longer time limit makes no other bars.
        """
        return self.params.model_dump(mode="json", exclude=set(HttpParams.model_fields))

    @property
    def incremental(self) -> bool:
        """True: any window can be asked for."""
        return True

    @abstractmethod
    def columns(self, instrument: Instrument) -> tuple[str, ...]:
        """The raw columns that the bars of an instrument have."""

    @abstractmethod
    def read(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None,
        end: datetime | None,
    ) -> Iterator[pd.DataFrame]:
        """:meth:`pages` between two instants on the timeframe's grid."""

    def pages(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[pd.DataFrame]:
        """Each page as it comes; the request after a page waits until the page was taken."""
        self.require(instrument, timeframe)
        step = duration(timeframe)
        columns = list(self.columns(instrument))
        for bars in self.read(instrument, timeframe, on_grid(start, step), on_grid(end, step)):
            yield bars.loc[:, columns]

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """All pages in one frame."""
        pages = list(self.pages(instrument, timeframe, start, end))
        return pd.concat(pages) if pages else self._none(instrument)

    def require(self, instrument: Instrument, timeframe: str) -> None:
        """Check that there can be such bars, before anything is asked.

        Raises:
            ConfigurationError: the source has none of that kind.
        """
        allowed = self.timeframes(instrument)
        if not allowed:
            raise ConfigurationError(
                f"source '{self.key}': {instrument.symbol} is of asset class "
                f"'{instrument.asset_class}', which this source does not have"
            )
        if timeframe not in allowed:
            known = duration(timeframe) if timeframe in DURATIONS else timedelta(0)
            finer = [each for each in allowed if duration(each) < known]
            hint = (
                f" It can be made of {finer[-1]}: resample: {{{timeframe}: {finer[-1]}}}"
                if finer
                else ""
            )
            raise ConfigurationError(
                f"source '{self.key}': {instrument.symbol}: "
                f"{unknown('timeframe', timeframe, allowed)}{hint}"
            )

    def vendor_symbol(self, instrument: Instrument, usual: str) -> str:
        """The vendor's name of an instrument: what ``symbols`` says, or the usual one."""
        return cast(VendorParams, self.params).symbols.get(instrument.symbol, usual)

    def owner(self, instrument: Instrument, timeframe: str) -> str:
        """What to call these bars in a message."""
        return f"source '{self.key}': {instrument.symbol} {timeframe}"

    def _none(self, instrument: Instrument) -> pd.DataFrame:
        index = pd.DatetimeIndex([], dtype="datetime64[us, UTC]", name="timestamp")
        columns = self.columns(instrument)
        types: Mapping[str, str] = {
            name: "bool" if name == "is_final" else "float64" for name in columns
        }
        frame = pd.DataFrame(index=index, columns=pd.Index(columns), dtype="float64")
        return frame.astype(dict(types))


def last_final(bars: pd.DataFrame) -> str | None:
    """Open time of the last finished bar in ISO format, or None."""
    done = bars.index[bars["is_final"].to_numpy()]
    return instant(done.max()).isoformat() if len(done) else None


def ordered(columns: set[str]) -> tuple[str, ...]:
    """Raw columns in their one order."""
    return tuple(name for name in RAW_COLUMNS if name in columns)
