"""Export formats of known programs and vendors, chosen by name or recognised by their layout.

A dialect says how a file is laid out and what its columns mean; it says nothing of the clock unless
the file itself does, because the same program exports under a different clock for every server.
Recognition is by what stands in the first lines and in the file's name, gives its reason, and is an
error where two dialects fit. Reading the cells belongs in
:mod:`hf_resources.sources.file_columns`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from hf_plugins.errors import ConfigurationError, DataError, unknown

Columns = Mapping[str, str | tuple[str, ...] | None]
"""From our names of columns to the file's: several are joined by a space, None is none."""


@dataclass(frozen=True)
class Dialect:
    """One export format.

    Attributes:
        key: the name that chooses it.
        title: what to call it in a message.
        recognise: from the file's name and its first lines to the reason why they fit, or None.
        separator: between the fields.
        columns: which column of the file is which of ours. None where the format has a column of
            that meaning but never a value in it.
        optional: which of our names may be absent from a file.
        fields: names of the columns where the format has no header line.
        first: what to call the first column, where files name it differently.
        time: format of the stamps, as the parameter ``time`` of a source; None for ISO 8601.
        utc: whether the format's own header says that the stamps are UTC.
    """

    key: str
    title: str
    recognise: Callable[[str, list[str]], str | None]
    separator: str
    columns: Columns
    optional: frozenset[str] = frozenset()
    fields: tuple[str, ...] = ()
    first: str | None = None
    time: str | None = None
    utc: bool = False

    def header(self, lines: list[str], symbol: str) -> tuple[list[str], int]:
        """Names of the columns and how many lines stand before the data.

        Args:
            lines: the first lines of the file.
            symbol: as the file calls it; chooses the columns where one file holds several.
        """
        if self.fields:
            return list(self.fields), 0
        names, count = header(lines, self.separator, symbol)
        return [self.first or names[0], *names[1:]], count


def header(lines: list[str], separator: str, symbol: str) -> tuple[list[str], int]:
    """Names of the columns of a file with a header, and how many lines that takes.

    A header of three lines (price, ticker, name of the index), as pandas writes that of a table
    with several tickers, becomes one: columns of ``symbol`` get the name of the price, those of
    others the price with the ticker in brackets.

    Raises:
        DataError: the header names tickers and the symbol is not among them.
    """
    first = _cells(lines[0], separator)
    levels = [first, *(_cells(line, separator) for line in lines[1:3])]
    if not _stacked(levels):
        return first, 1
    prices, tickers = levels[:2]
    if prices[0] == "Ticker":
        prices, tickers = tickers, prices
    if symbol not in tickers[1:]:
        raise DataError(unknown("symbol", symbol, set(tickers[1:])))
    names = [
        price if ticker == symbol else f"{price} ({ticker})"
        for price, ticker in zip(prices[1:], tickers[1:], strict=True)
    ]
    return [levels[2][0], *names], 3


def get_dialect(key: str) -> Dialect:
    """The dialect of a name.

    Raises:
        ConfigurationError: there is none; names the nearest.
    """
    try:
        return DIALECTS[key]
    except KeyError:
        raise ConfigurationError(unknown("dialect", key, DIALECTS)) from None


def recognise(name: str, lines: list[str]) -> tuple[Dialect, str] | None:
    """The dialect that a file is in, and why; None where none fits.

    Args:
        name: of the file, without folder.
        lines: its first lines.

    Raises:
        DataError: several fit; lists them with their reasons.
    """
    if not lines:
        return None
    reasons = ((each, each.recognise(name, lines)) for each in DIALECTS.values())
    found = [(dialect, reason) for dialect, reason in reasons if reason]
    if len(found) > 1:
        listed = "; ".join(f"{dialect.key} ({reason})" for dialect, reason in found)
        raise DataError(f"the file fits several dialects: {listed}; declare one")
    return found[0] if found else None


def _cells(line: str, separator: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=separator), [])]


def _stacked(levels: list[list[str]]) -> bool:
    return (
        len(levels) == 3
        and len({len(level) for level in levels}) == 1
        and {levels[0][0], levels[1][0]} <= {"Price", "Ticker", ""}
        and "Close" in (*levels[0], *levels[1])
        and levels[2][0] in ("Date", "Datetime")
        and not any(levels[2][1:])
    )


def _with_header(separator: str, required: str) -> Callable[[str, list[str]], str | None]:
    """Recognise by columns that must all be there, written as in the file."""
    names = required.split(separator)

    def recognise(name: str, lines: list[str]) -> str | None:
        del name
        cells = _cells(lines[0], separator)
        return f"its header names {', '.join(names)}" if set(names) <= set(cells) else None

    return recognise


def _metatrader5_daily(name: str, lines: list[str]) -> str | None:
    if "<TIME>" in lines[0]:
        return None
    return _with_header("\t", "<DATE>\t<OPEN>\t<TICKVOL>")(name, lines)


def _by_line(pattern: str, reason: str) -> Callable[[str, list[str]], str | None]:
    """Recognise a format without header by the form of its first line."""
    compiled = re.compile(pattern)

    def recognise(name: str, lines: list[str]) -> str | None:
        del name
        return reason if compiled.fullmatch(lines[0]) else None

    return recognise


_dotted: Final = _by_line(
    r"\d{4}\.\d\d\.\d\d,\d\d:\d\d(,\d+(\.\d+)?){5}",
    "its lines read 2023.01.02,18:00,open,high,low,close,volume",
)


def _metatrader4(name: str, lines: list[str]) -> str | None:
    if name.upper().startswith("DAT_MT_"):
        return None
    return _dotted(name, lines)


def _histdata_metatrader(name: str, lines: list[str]) -> str | None:
    # The same lines as MetaTrader's own export, but the volume is 0 in each.
    form = _dotted(name, lines)
    if form and name.upper().startswith("DAT_MT_"):
        return f"{form} and its name starts with DAT_MT_"
    zero = all(line.rpartition(",")[2] == "0" for line in lines)
    return f"{form} and its volumes are 0" if form and zero else None


def _tradingview(epoch: bool) -> Callable[[str, list[str]], str | None]:
    def recognise(name: str, lines: list[str]) -> str | None:
        del name
        cells = _cells(lines[0], ",")
        if cells[:5] != ["time", "open", "high", "low", "close"]:
            return None
        # Any other spelling of volume is some other program's table.
        if any(cell.lower().startswith("vol") and cell != "Volume" for cell in cells):
            return None
        if len(lines) > 1 and lines[1].partition(",")[0].isdecimal() != epoch:
            return None
        stamps = "seconds since 1970" if epoch else "dates"
        return f"its header starts with time, open, high, low, close; its times are {stamps}"

    return recognise


def _yfinance(name: str, lines: list[str]) -> str | None:
    del name
    first = _cells(lines[0], ",")
    if _stacked([first, *(_cells(line, ",") for line in lines[1:3])]):
        return "its header has three lines: price, ticker, date"
    marks = {"Adj Close", "Dividends", "Stock Splits"} & set(first)
    if first[0] in ("Date", "Datetime") and {"Open", "Close"} <= set(first) and marks:
        return f"its header starts with {first[0]} and names {', '.join(sorted(marks))}"
    return None


_OHLC: Final = ("open", "high", "low", "close")
_CAPITAL: Final = {name: name.capitalize() for name in (*_OHLC, "volume")}
_HEADERLESS: Final = ("timestamp", *_OHLC, "volume")
_ANGULAR: Final = {**{name: f"<{name.upper()}>" for name in _OHLC}, "volume": "<TICKVOL>"}
_OURS: Final = {name: name for name in (*_OHLC, "volume")}

DIALECTS: Final[dict[str, Dialect]] = {
    dialect.key: dialect
    for dialect in (
        # Volume is the number of price changes: real volume is 0 outside of exchanges, and where it
        # is not, `columns: {volume: <VOL>}` takes it.
        Dialect(
            "metatrader5",
            "MetaTrader 5 export",
            _with_header("\t", "<DATE>\t<TIME>\t<OPEN>\t<TICKVOL>"),
            "\t",
            {**_ANGULAR, "timestamp": ("<DATE>", "<TIME>")},
            time="%Y.%m.%d %H:%M:%S",
        ),
        Dialect(
            "metatrader5_daily",
            "MetaTrader 5 export of daily bars",
            _metatrader5_daily,
            "\t",
            {**_ANGULAR, "timestamp": "<DATE>"},
            time="%Y.%m.%d",
        ),
        Dialect(
            "metatrader4",
            "MetaTrader 4 export",
            _metatrader4,
            ",",
            {**_OURS, "timestamp": ("date", "time")},
            fields=("date", "time", *_OHLC, "volume"),
            time="%Y.%m.%d %H:%M",
        ),
        Dialect(
            "histdata_ascii",
            "HistData ASCII",
            _by_line(
                r"\d{8} \d{6}(;\d+(\.\d+)?){5}",
                "its lines read 20230102 180000;open;high;low;close;volume",
            ),
            ";",
            {**_OURS, "timestamp": "timestamp", "volume": None},
            fields=_HEADERLESS,
            time="%Y%m%d %H%M%S",
        ),
        Dialect(
            "histdata_metatrader",
            "HistData for MetaTrader",
            _histdata_metatrader,
            ",",
            {**_OURS, "timestamp": ("date", "time"), "volume": None},
            fields=("date", "time", *_OHLC, "volume"),
            time="%Y.%m.%d %H:%M",
        ),
        Dialect(
            "dukascopy",
            "Dukascopy export in GMT",
            _with_header(",", "Gmt time,Open,High,Low,Close,Volume"),
            ",",
            {**_CAPITAL, "timestamp": "Gmt time"},
            time="%d.%m.%Y %H:%M:%S.%f",
            utc=True,
        ),
        Dialect(
            "dukascopy_local",
            "Dukascopy export in local time",
            _with_header(",", "Local time,Open,High,Low,Close,Volume"),
            ",",
            {**_CAPITAL, "timestamp": "Local time"},
            time="%d.%m.%Y %H:%M:%S.%f",
        ),
        Dialect(
            "tradingview",
            "TradingView chart export",
            _tradingview(epoch=False),
            ",",
            {**_OURS, "timestamp": "time", "volume": "Volume"},
            optional=frozenset({"volume"}),
        ),
        Dialect(
            "tradingview_epoch",
            "TradingView chart export with UNIX times",
            _tradingview(epoch=True),
            ",",
            {**_OURS, "timestamp": "time", "volume": "Volume"},
            optional=frozenset({"volume"}),
            time="epoch_s",
        ),
        Dialect(
            "yfinance",
            "yfinance table",
            _yfinance,
            ",",
            # Open to Close are adjusted for splits already, so the ratios in "Stock Splits" must
            # not be applied again and are left out; dividends are on the same basis.
            {
                **_CAPITAL,
                "timestamp": "Date",
                "adjusted_close": "Adj Close",
                "dividend": "Dividends",
            },
            optional=frozenset({"adjusted_close", "dividend"}),
            first="Date",
        ),
        Dialect(
            "tiingo",
            "Tiingo daily prices",
            _with_header(",", "date,close,open,high,low,volume,adjClose,divCash,splitFactor"),
            ",",
            {
                **_OURS,
                "timestamp": "date",
                "adjusted_close": "adjClose",
                "dividend": "divCash",
                "split_factor": "splitFactor",
            },
        ),
    )
}
"""All dialects by key."""
