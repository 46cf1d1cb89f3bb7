"""Instruments and the universe: which symbols exist, and what their numbers look like.

The universe is one reviewed YAML file. Its symbols and timeframes become partition keys, so they
are checked here, before anything else sees them; a mistake is told in one sentence that names the
file, the field, the value, what is allowed and the nearest match. Where the data of an instrument
comes from belongs in :mod:`hf_resources.sources`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, Final

import yaml

from hf_plugins.errors import ConfigurationError, listing, nearest, unknown
from hf_plugins.timeframes import DURATIONS

ASSET_CLASSES: Final = ("equity", "crypto", "fx", "metal", "index", "future")
MAX_PRECISION: Final = 12

_SYMBOL: Final = re.compile(r"[A-Z0-9][A-Z0-9._=^/-]{0,31}")
_SYMBOL_RULE: Final = (
    "1 to 32 characters out of A-Z 0-9 . _ = ^ / -, a letter or digit first, no '..'"
)
_CONTINUOUS: Final = ("24/7", "24/5")
_EXCHANGE: Final = re.compile(r"[A-Z][A-Z0-9]{3}")
# Only for the hint after a misspelt calendar; any exchange code is allowed.
_COMMON_CALENDARS: Final = (*_CONTINUOUS, "XNYS", "XNAS", "XLON", "XETR", "XTKS", "CMES")


@dataclass(frozen=True)
class Instrument:
    """One instrument.

    ``calendar`` is ``24/7`` (crypto), ``24/5`` (FX, metals) or the code of an exchange such as
    ``XNYS``. Prices are kept with ``price_precision`` decimals and volumes with ``size_precision``,
    because vendors resend history with noise in the last bits. ``source`` overrides the source that
    the market data component names.

    Raises:
        ConfigurationError: a field is not allowed; the sentence starts with the field's name.
    """

    symbol: str
    asset_class: str
    calendar: str
    price_precision: int
    size_precision: int
    source: str | None = None

    def __post_init__(self) -> None:
        check_symbol(self.symbol)
        if self.asset_class not in ASSET_CLASSES:
            raise ConfigurationError(_sentence("asset_class", self.asset_class, ASSET_CLASSES))
        known = isinstance(self.calendar, str) and (
            self.calendar in _CONTINUOUS or _EXCHANGE.fullmatch(self.calendar)
        )
        if not known:
            raise ConfigurationError(
                f"calendar is {self.calendar!r}; allowed: 24/7, 24/5 or the four-letter code of an "
                f"exchange such as XNYS.{nearest(self.calendar, _COMMON_CALENDARS)}"
            )
        for name in ("price_precision", "size_precision"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value <= MAX_PRECISION:
                raise ConfigurationError(
                    f"{name} is {value!r}; allowed: a whole number of decimals from 0 to "
                    f"{MAX_PRECISION}"
                )
        if self.source is not None and (not isinstance(self.source, str) or not self.source):
            raise ConfigurationError(f"source is {self.source!r}; allowed: the key of a source")


@dataclass(frozen=True)
class Universe:
    """The timeframes and instruments of the platform, in the order of the file."""

    timeframes: tuple[str, ...]
    instruments: tuple[Instrument, ...]

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, in the order of the file."""
        return tuple(instrument.symbol for instrument in self.instruments)

    def get(self, symbol: str) -> Instrument:
        """The instrument of a symbol.

        Raises:
            ConfigurationError: the universe has no such symbol; names the nearest one.
        """
        for instrument in self.instruments:
            if instrument.symbol == symbol:
                return instrument
        raise ConfigurationError(unknown("symbol", symbol, self.symbols))


def check_symbol(symbol: object) -> str:
    """Return ``symbol`` if it may become a partition key and a path.

    Raises:
        ConfigurationError: it may not.
    """
    if not isinstance(symbol, str) or not _SYMBOL.fullmatch(symbol) or ".." in symbol:
        hint = ""
        if isinstance(symbol, str):
            upper = symbol.strip().upper()
            if upper != symbol and _SYMBOL.fullmatch(upper) and ".." not in upper:
                hint = f". Did you mean '{upper}'?"
        elif symbol is not None:
            hint = "; put quotes around it so that YAML reads it as text"
        raise ConfigurationError(f"symbol is {symbol!r}; allowed: {_SYMBOL_RULE}{hint}")
    return symbol


def load_universe(path: str | Path, *, sources: Iterable[str] | None = None) -> Universe:
    """Read a universe file.

    Args:
        path: YAML with the keys ``timeframes`` and ``instruments``.
        sources: keys that an instrument's ``source`` may have; None leaves that to the source
            registry.

    Raises:
        ConfigurationError: one sentence naming the file, the field, its value, what is allowed and
            the nearest match.
    """
    path = Path(path)
    try:
        return _parse(_read(path), None if sources is None else tuple(sources))
    except _FieldError as error:
        raise ConfigurationError(f"{path}: {error}") from None


class _FieldError(Exception):
    """A sentence without the name of the file."""


def _read(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [each.name for each in path.parent.glob("*.y*ml")]
        raise _FieldError(f"the file does not exist.{nearest(path.name, siblings)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _FieldError(f"the file cannot be read ({error})") from None
    try:
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise _FieldError(f"{where}the file is not valid YAML ({error.problem})") from None
    except yaml.YAMLError as error:
        raise _FieldError(f"the file is not valid YAML ({error})") from None
    if document is None:
        raise _FieldError("the file is empty; it needs the fields instruments, timeframes")
    if not isinstance(document, Mapping):
        raise _FieldError(
            f"the file holds a {type(document).__name__}; allowed: the fields instruments, "
            "timeframes"
        )
    return document


def _parse(document: Mapping[str, Any], sources: tuple[str, ...] | None) -> Universe:
    _check_keys("", document, ("timeframes", "instruments"), ("timeframes", "instruments"))
    timeframes = _list("timeframes", document["timeframes"])
    for position, timeframe in enumerate(timeframes):
        field = f"timeframes[{position}]"
        if not isinstance(timeframe, str) or timeframe not in DURATIONS:
            raise _FieldError(_sentence(field, timeframe, DURATIONS))
        if timeframe in timeframes[:position]:
            raise _FieldError(f"{field} is '{timeframe}', which is there twice; name it once")
    instruments: dict[str, Instrument] = {}
    for position, entry in enumerate(_list("instruments", document["instruments"])):
        field = f"instruments[{position}]"
        instrument = _instrument(field, entry)
        if instrument.symbol in instruments:
            first = list(instruments).index(instrument.symbol)
            raise _FieldError(
                f"{field}.symbol is '{instrument.symbol}', which instruments[{first}] has already; "
                "each symbol is allowed once"
            )
        if sources is not None and instrument.source not in (None, *sources):
            raise _FieldError(_sentence(f"{field}.source", instrument.source, sources))
        instruments[instrument.symbol] = instrument
    return Universe(tuple(timeframes), tuple(instruments.values()))


def _instrument(field: str, entry: object) -> Instrument:
    names = [each.name for each in fields(Instrument)]
    required = [each.name for each in fields(Instrument) if each.default is MISSING]
    if not isinstance(entry, Mapping):
        raise _FieldError(f"{field} is {entry!r}; allowed: a mapping of {', '.join(names)}")
    _check_keys(f"{field}.", entry, names, required)
    try:
        return Instrument(**entry)
    except ConfigurationError as error:
        raise _FieldError(f"{field}.{error}") from None


def _check_keys(
    prefix: str, mapping: Mapping[Any, Any], allowed: Iterable[str], required: Iterable[str]
) -> None:
    names = list(allowed)
    for key in mapping:
        if key not in names:
            raise _FieldError(
                f"{prefix}{key} is not a known field; allowed: {listing(names)}."
                f"{nearest(key, names)}"
            )
    for name in required:
        if name not in mapping:
            raise _FieldError(f"{prefix}{name} is missing; allowed fields: {listing(names)}")


def _list(field: str, value: object) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise _FieldError(f"{field} is {value!r}; allowed: a list with at least one entry")
    return value


def _sentence(field: str, value: object, allowed: Iterable[str]) -> str:
    names = list(allowed)
    return f"{field} is {value!r}; allowed: {', '.join(names)}.{nearest(value, names)}"
