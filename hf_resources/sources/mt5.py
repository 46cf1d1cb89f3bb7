"""Bars from a MetaTrader 5 terminal on the same machine, which exists on Windows only.

The terminal gives times in the clock of the broker's server, written as if they were UTC. That
clock is declared as a parameter and never guessed: most brokers follow New York plus seven hours,
so that a trading day begins at midnight of the server.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, cast
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import Params
from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.timeframes import duration
from hf_resources.instruments import Instrument
from hf_resources.sources.base import Source, register_source, window

# Names of the library's constants.
_TIMEFRAMES: Final = {
    "1m": "TIMEFRAME_M1",
    "5m": "TIMEFRAME_M5",
    "15m": "TIMEFRAME_M15",
    "30m": "TIMEFRAME_M30",
    "1h": "TIMEFRAME_H1",
}
_FIELDS: Final = ("time", "open", "high", "low", "close", "tick_volume", "real_volume")


class Mt5Params(Params):
    """Parameters of the source ``mt5``."""

    clock: Annotated[
        str,
        Field(min_length=1, description="Time zone that the server's clock follows."),
    ]
    clock_shift_hours: Annotated[
        int,
        Field(ge=-23, le=23, description="Hours that the server's clock is ahead of that zone."),
    ] = 0
    volume: Annotated[
        str,
        Field(
            pattern="^(tick|real)$",
            description="Volume: number of price changes (tick) or traded size (real).",
        ),
    ] = "tick"
    terminal: Annotated[
        str | None,
        Field(description="Path of the terminal; the one that is installed if not given."),
    ] = None
    symbols: Annotated[
        dict[str, str], Field(description="The broker's name of a symbol, where it differs.")
    ] = {}  # noqa: RUF012 - pydantic copies defaults


@register_source("mt5")
class Mt5Source(Source):
    """Bars up to ``1h`` from the local terminal.

    A server with New York's clock plus seven hours is ``clock: America/New_York`` and
    ``clock_shift_hours: 7``. Coarser bars begin by the server's day and not on multiples of UTC;
    they are resampled from these.
    """

    Params: ClassVar[type[Params]] = Mt5Params

    @property
    def incremental(self) -> bool:
        """True: any window can be asked for."""
        return True

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """``1m`` to ``1h``."""
        del instrument
        return tuple(_TIMEFRAMES)

    def declared_clock(self, instrument: Instrument, timeframe: str) -> str | None:
        """The server's: zone and hours."""
        del instrument, timeframe
        settings = cast(Mt5Params, self.params)
        shift = settings.clock_shift_hours
        return f"{settings.clock}{shift:+d}" if shift else settings.clock

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        """The bars that the terminal has, the one being formed included.

        Raises:
            ConfigurationError: this is not Windows, the library or the terminal is missing, or the
                broker does not have the symbol.
        """
        if timeframe not in _TIMEFRAMES:
            raise ConfigurationError(
                f"source 'mt5': {instrument.symbol}: {unknown('timeframe', timeframe, _TIMEFRAMES)}"
            )
        settings = cast(Mt5Params, self.params)
        clock = server_clock(settings.clock)
        name = settings.symbols.get(instrument.symbol, instrument.symbol)
        rates, moment = _copy_rates(settings.terminal, name, timeframe, start, end)
        owner = f"source 'mt5': {instrument.symbol} {timeframe}"
        bars = bars_from_rates(
            rates,
            duration(timeframe),
            clock,
            settings.clock_shift_hours,
            settings.volume,
            moment,
            owner,
        )
        return window(bars, start, end)


def server_clock(name: str) -> ZoneInfo:
    """The time zone of that name.

    Raises:
        ConfigurationError: there is none.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(
            f"source 'mt5': clock is '{name}', which is no time zone; allowed: names such as "
            "America/New_York, Europe/Athens or UTC"
        ) from None


def bars_from_rates(
    rates: np.ndarray,
    step: timedelta,
    clock: ZoneInfo,
    shift_hours: int,
    volume: str,
    moment: datetime,
    owner: str,
) -> pd.DataFrame:
    """The terminal's array as bars.

    Args:
        rates: structured array with the fields time (seconds of the server's clock since 1970),
            open, high, low, close, tick_volume and real_volume, ascending.
        step: length of a bar.
        clock: time zone that the server's clock follows.
        shift_hours: hours that it is ahead of that zone.
        volume: ``tick`` or ``real``.
        moment: the present, UTC.
        owner: source, symbol and timeframe, for messages.

    Returns:
        Float64 columns open, high, low, close, volume, and is_final; indexed by the UTC open time.
        Bars in the hour that a clock change repeats are ordered by their order in ``rates``.

    Raises:
        DataError: a field is missing, or a bar opens at a time that the clock skipped.
    """
    missing = [name for name in _FIELDS if name not in (rates.dtype.names or ())]
    if missing:
        raise DataError(f"{owner}: the terminal's array has no field {', '.join(missing)}")
    local = pd.DatetimeIndex(pd.to_datetime(rates["time"].astype("int64"), unit="s"))
    local = local.as_unit("us") - timedelta(hours=shift_hours)
    try:
        opens = local.tz_localize(clock, ambiguous="infer", nonexistent="raise")
    except ValueError as error:
        raise DataError(
            f"{owner}: the times do not fit the clock {clock.key} {shift_hours:+d} hours "
            f"({str(error).splitlines()[0]}); check clock and clock_shift_hours"
        ) from None
    index = pd.DatetimeIndex(opens.tz_convert("UTC"), name="timestamp")
    bars = pd.DataFrame(
        {name: rates[name].astype("float64") for name in ("open", "high", "low", "close")},
        index=index,
    )
    bars["volume"] = rates[f"{volume}_volume"].astype("float64")
    bars["is_final"] = np.asarray(index + step <= moment, dtype=bool)
    return bars


def _copy_rates(
    terminal: str | None,
    name: str,
    timeframe: str,
    start: datetime | None,
    end: datetime | None,
) -> tuple[np.ndarray, datetime]:
    library = _library()
    if not (library.initialize(terminal) if terminal else library.initialize()):
        raise ConfigurationError(
            f"source 'mt5': the terminal does not start ({library.last_error()}); open it, log in, "
            "or set terminal to its path"
        )
    try:
        if not library.symbol_select(name, True):
            raise ConfigurationError(
                f"source 'mt5': the broker has no symbol '{name}'; set it under symbols"
            )
        moment = datetime.now(UTC)
        # Wider by more than any clock is off, and cut in UTC afterwards.
        margin = timedelta(days=2)
        first = (start or datetime(1990, 1, 1, tzinfo=UTC)) - margin
        last = (end or moment) + margin
        rates = library.copy_rates_range(
            name,
            getattr(library, _TIMEFRAMES[timeframe]),
            first,
            last,
        )
        if rates is None:
            raise DataError(
                f"source 'mt5': {name} {timeframe}: the terminal returns no bars "
                f"({library.last_error()})"
            )
        return rates, moment
    finally:
        library.shutdown()


def _library() -> Any:
    if sys.platform != "win32":
        raise ConfigurationError(
            "source 'mt5': MetaTrader 5 runs on Windows only, and this is "
            f"{sys.platform}; export the bars there and read the files with source 'parquet' or "
            "'csv'"
        )
    try:
        import MetaTrader5  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ConfigurationError(
            "source 'mt5': the library MetaTrader5 is not installed; run: pip install MetaTrader5"
        ) from None
    return MetaTrader5
