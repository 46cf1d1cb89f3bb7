"""The market data row as data: every field with its meaning, unit, formula and null rule.

The table of ``docs/market_data.md`` is made from this; nothing is computed here. A field is ``raw``
where a source delivers it and ``computed`` where the platform does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Group = Literal[
    "identification",
    "raw",
    "raw crypto",
    "raw extended",
    "universal",
    "crypto",
    "quality",
    "versioning",
    "timestamps",
]


@dataclass(frozen=True)
class Field:
    """One field of a row.

    Attributes:
        name: of the column.
        group: what kind of field it is.
        dtype: type of the column, as numpy or pandas name it.
        unit: what one of it is; ``-`` where it has none.
        meaning: what it says, or the formula. ``C_t`` is the close of bar t, and so on.
        null: when it is null.
        source: who sets it.
        memory: what a value depends on; ``bar`` is the bar alone.
    """

    name: str
    group: Group
    dtype: str
    unit: str
    meaning: str
    null: str
    source: str
    memory: str = "bar"


_BASE, _QUOTE = "base currency, shares or contracts", "quote currency"
_NEVER, _ABSENT = "never", "the venue does not give it"
_VENUE, _INGEST, _ENRICH, _QUALITY = "source", "ingestion", "enrichment", "bar quality"
_INPUT = "an input is null"
_RECURSIVE = "continued exactly from a state"


def _raw(name: str, unit: str, meaning: str, null: str = _NEVER) -> Field:
    return Field(name, "raw", "float64", unit, meaning, null, _VENUE)


def _crypto_raw(name: str, unit: str, meaning: str, null: str = _ABSENT) -> Field:
    return Field(name, "raw crypto", "float64", unit, meaning, null, _VENUE)


def _universal(name: str, unit: str, meaning: str, null: str, memory: str) -> Field:
    return Field(name, "universal", "float64", unit, meaning, null, _ENRICH, memory)


def _crypto(name: str, unit: str, meaning: str, null: str, memory: str = "bar") -> Field:
    return Field(name, "crypto", "float64", unit, meaning, null, _ENRICH, memory)


FIELDS: Final = (
    Field("id", "identification", "int64", "-", "Number of the row in its store.", _NEVER, _INGEST),
    Field("symbol", "identification", "str", "-", "Of the instrument.", _NEVER, _INGEST),
    Field(
        "asset_class",
        "identification",
        "str",
        "-",
        "equity, crypto, fx, metal, index or future.",
        _NEVER,
        _INGEST,
    ),
    Field("timeframe", "identification", "str", "-", "Length of the bar.", _NEVER, _INGEST),
    Field(
        "timestamp",
        "identification",
        "datetime64[us, UTC]",
        "instant",
        "Open time: start of the bar's slot, counted from the session's open; a daily bar has "
        "00:00 UTC of its session's date. The bar is known at timestamp + timeframe.",
        _NEVER,
        _VENUE,
    ),
    _raw("open", "price", "First price, as traded."),
    _raw("high", "price", "Highest price, as traded."),
    _raw("low", "price", "Lowest price, as traded."),
    _raw("close", "price", "Last price, as traded."),
    _raw("volume", _BASE, "Amount traded.", "the source has no volume"),
    _crypto_raw("open_interest", _BASE, "Open contracts, last known at the bar's close."),
    _crypto_raw("funding_rate", "fraction", "Last rate settled at or before the bar's close."),
    _crypto_raw("liquidations_long", _QUOTE, "Long positions closed by force."),
    _crypto_raw("liquidations_short", _QUOTE, "Short positions closed by force."),
    _crypto_raw("taker_buy_volume", _BASE, "Part of the volume that buyers took."),
    _crypto_raw(
        "taker_sell_volume",
        _BASE,
        "volume - taker_buy_volume",
        f"{_INPUT}, or buyers are said to have taken more than was traded",
    ),
    Field(
        "vwap",
        "raw extended",
        "float64",
        "price",
        "Mean price by volume.",
        f"{_ABSENT}, or volume is 0",
        _VENUE,
    ),
    Field("trades", "raw extended", "float64", "count", "Number of trades.", _ABSENT, _VENUE),
    Field(
        "close_time",
        "raw extended",
        "datetime64[us, UTC]",
        "instant",
        "First instant after the bar: the end of its slot, or the session's close if earlier.",
        _NEVER,
        _INGEST,
    ),
    Field(
        "is_final",
        "raw extended",
        "bool",
        "-",
        "Whether the bar was complete when it was fetched; of a resampled bar, whether all its "
        "finer bars are there and final.",
        _NEVER,
        _VENUE,
    ),
    _universal(
        "return_1h",
        "log fraction",
        "ln(C_t / C_b), b the last bar at least 1 hour before t",
        "no such bar, or it is more than 1 hour older than that",
        "2 hours",
    ),
    _universal(
        "return_1d",
        "log fraction",
        "ln(C_t / C_b), b the last bar at least 24 hours before t",
        "no such bar, or it is older than that by more than 4 days (1 hour in a 24/7 market)",
        "5 days (25 hours in a 24/7 market)",
    ),
    _universal(
        "volatility_20",
        "fraction a year",
        "sample deviation of the last 20 of ln(C_t / C_{t-1}) * sqrt(bars a year)",
        f"first 20 bars; {_INPUT}",
        "21 bars",
    ),
    _universal(
        "volatility_50",
        "fraction a year",
        "sample deviation of the last 50 of ln(C_t / C_{t-1}) * sqrt(bars a year)",
        f"first 50 bars; {_INPUT}",
        "51 bars",
    ),
    _universal(
        "atr",
        "price",
        "Wilder's average over 14 bars of max(H_t - L_t, |H_t - C_{t-1}|, |L_t - C_{t-1}|)",
        "first 14 bars, also after a null",
        f"fading; {_RECURSIVE}",
    ),
    _universal(
        "trend_direction",
        "code",
        "1 (up) where C_t - EMA_20 > 0.25 atr, -1 (down) where it is < -0.25 atr, 0 (neutral) "
        "between",
        "first 20 bars, also after a null",
        f"fading; {_RECURSIVE}",
    ),
    _universal(
        "market_structure",
        "code",
        "1 (bullish) where the last two confirmed pivot highs and the last two confirmed pivot "
        "lows rise, -1 (bearish) where both fall, 0 (neutral) otherwise; a pivot exceeds the 5 "
        "bars on each side and counts from the fifth bar after it",
        "fewer than two pivots of each kind",
        f"cumulative; {_RECURSIVE}",
    ),
    _universal(
        "rolling_volume_20",
        _BASE,
        "mean of the last 20 volumes, the current one included",
        f"first 19 bars; {_INPUT}",
        "20 bars",
    ),
    _crypto(
        "delta",
        _QUOTE,
        "liquidations_long - liquidations_short; positive: more longs were closed by force",
        _INPUT,
    ),
    _crypto(
        "buy_sell_ratio",
        "ratio",
        "taker_buy_volume / taker_sell_volume; above 1: buyers took more",
        f"{_INPUT}, or the denominator is 0",
    ),
    _crypto(
        "liquidation_intensity",
        "per cent",
        "100 (liquidations_long + liquidations_short) / (volume (H + L + C) / 3)",
        f"{_INPUT}, or the denominator is 0",
    ),
    _crypto(
        "volume_spike_score",
        "ratio",
        "(volume - rolling_volume_20) / rolling_volume_20",
        f"first 19 bars; {_INPUT}, or the denominator is 0",
        "20 bars",
    ),
    _crypto(
        "long_short_ratio",
        "ratio",
        "liquidations_long / liquidations_short",
        f"{_INPUT}, or the denominator is 0",
    ),
    _crypto(
        "funding_rate_percentile",
        "per cent",
        "share of the known rates of the last 252 days, bar by bar, below the current one, equal "
        "ones counting half",
        "the rate is null, or the known rates of the window reach back less than 30 days",
        "252 days",
    ),
    _crypto(
        "exchange_inflow",
        _QUOTE,
        "net inflow to centralised exchanges, from side data",
        "there is no such side data",
    ),
    _crypto(
        "open_interest_change",
        "fraction",
        "open_interest_t / open_interest_{t-1} - 1",
        f"first bar; {_INPUT}, or the denominator is 0",
        "2 bars",
    ),
    Field("source", "quality", "str", "-", "Key of the source.", _NEVER, _INGEST),
    Field(
        "is_validated",
        "quality",
        "bool",
        "-",
        "Whether the row failed no check on what it says.",
        _NEVER,
        _QUALITY,
        "102 bars",
    ),
    Field(
        "quality_score",
        "quality",
        "float64",
        "0 to 1",
        "data_completeness times 1 - weight of each failed check.",
        _NEVER,
        _QUALITY,
        "102 bars",
    ),
    Field(
        "validation_notes",
        "quality",
        "str",
        "-",
        "The failed checks in words.",
        "none failed",
        _QUALITY,
        "102 bars",
    ),
    Field(
        "gap_detected",
        "quality",
        "bool",
        "-",
        "Whether an expected bar is missing between this one and the one before it.",
        _NEVER,
        _QUALITY,
        "2 bars",
    ),
    Field(
        "volume_anomaly",
        "quality",
        "bool",
        "-",
        "Whether the volume is far above the median of the last 100 bars, or 0 where that is not.",
        _NEVER,
        _QUALITY,
        "101 bars",
    ),
    Field(
        "data_completeness",
        "quality",
        "float64",
        "0 to 1",
        "Share of the expected fields that are not null.",
        _NEVER,
        _QUALITY,
    ),
    Field(
        "revision",
        "versioning",
        "int64",
        "count",
        "1 for the first version of the bar, one more for each change beyond its precision.",
        _NEVER,
        _INGEST,
    ),
    Field(
        "amended_from",
        "versioning",
        "int64",
        "count",
        "Revision that this one replaces.",
        "first revision",
        _INGEST,
    ),
    Field(
        "fetched_at",
        "timestamps",
        "datetime64[us, UTC]",
        "instant",
        "When this revision of the raw bar was fetched.",
        _NEVER,
        _INGEST,
    ),
    Field(
        "computed_at",
        "timestamps",
        "datetime64[us, UTC]",
        "instant",
        "When the features were computed.",
        "not enriched yet",
        _ENRICH,
    ),
    Field(
        "updated_at",
        "timestamps",
        "datetime64[us, UTC]",
        "instant",
        "When the row was last written.",
        _NEVER,
        _INGEST,
    ),
)
"""Every field, in the order of a row."""

_HEADER: Final = ("Field", "Group", "Type", "Unit", "Meaning", "Null when", "Set by", "Depends on")


def names(group: Group) -> tuple[str, ...]:
    """The fields of a group, in the order of a row."""
    return tuple(field.name for field in FIELDS if field.group == group)


def markdown_table() -> str:
    """All fields as a Markdown table, one row a field."""
    rows = [_HEADER, ("---",) * len(_HEADER)]
    rows += [
        (
            f"`{field.name}`", field.group, field.dtype, field.unit, field.meaning, field.null,
            field.source, field.memory,
        )
        for field in FIELDS
    ]  # fmt: skip
    return "\n".join(f"| {' | '.join(_cell(text) for text in row)} |" for row in rows)


def _cell(text: str) -> str:
    """Bars and asterisks mean something else in a table."""
    return text.replace("|", "\\|").replace("*", "\\*")
