"""The eight features of crypto bars: liquidations, taker flow, funding and open interest.

A raw column that the venue does not have may be absent; the features made from it are then null.
Amounts of liquidations, exchange inflow and traded value are in quote currency; volumes of the bar
and of the takers are in base currency. Every ratio is null where its denominator is zero.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.base import Memory
from hf_plugins.enrichment import kernels
from hf_plugins.enrichment.frames import bar_times, column, continued, optional
from hf_plugins.enrichment.universal import DAY, VOLUME_WINDOW
from hf_plugins.sessions import microseconds

COLUMNS: Final = (
    "delta",
    "buy_sell_ratio",
    "liquidation_intensity",
    "volume_spike_score",
    "long_short_ratio",
    "funding_rate_percentile",
    "exchange_inflow",
    "open_interest_change",
)
READS: Final = (
    "high",
    "low",
    "close",
    "volume",
    "taker_buy_volume",
    "liquidations_long",
    "liquidations_short",
    "funding_rate",
    "open_interest",
    "exchange_inflow",
)

FUNDING_WINDOW: Final = 252 * DAY
FUNDING_MINIMUM: Final = 30 * DAY
"""History that a percentile of the funding rate needs: a rank among a few days is no rank."""


def memories(timeframe: str) -> dict[str, Memory]:
    """Memory of each feature, in bars of the timeframe; all are finite.

    Raises:
        ConfigurationError: the timeframe is unknown.
    """
    bar = Memory.finite(1)
    return {
        "delta": bar,
        "buy_sell_ratio": bar,
        "liquidation_intensity": bar,
        "volume_spike_score": Memory.finite(VOLUME_WINDOW),
        "long_short_ratio": bar,
        "funding_rate_percentile": Memory.finite(FUNDING_WINDOW // microseconds(timeframe)),
        "exchange_inflow": bar,
        "open_interest_change": Memory.finite(2),
    }


def context_rows(timeframe: str) -> int:
    """Bars before the first new one that ``after`` of :func:`crypto_features` needs."""
    return max(each.lookback or 1 for each in memories(timeframe).values()) - 1


def taker_sell_volume(volume: np.ndarray, taker_buy_volume: np.ndarray) -> np.ndarray:
    """Volume that sellers took: the rest of the bar's volume, in base currency.

    Null where either is null, and where the buyers are said to have taken more than was traded.
    """
    rest = volume - taker_buy_volume
    return np.where(rest >= 0.0, rest, np.nan)


def crypto_features(
    bars: pd.DataFrame, *, timeframe: str, after: int | None = None
) -> pd.DataFrame:
    r"""Compute the crypto features.

    ``delta``: long positions liquidated minus short positions liquidated, in quote currency.
    Positive means that more longs were closed by force, which sells into the market; negative that
    more shorts were, which buys.

    ``buy_sell_ratio``: volume taken by buyers over volume taken by sellers.

    ``liquidation_intensity``: liquidations of both sides as per cent of the bar's traded value,
    which is its volume times its typical price :math:`(H + L + C) / 3`. Both are in quote currency;
    the typical price serves, and not the volume-weighted one, so that the feature means the same at
    venues that do not publish the latter.

    ``volume_spike_score``: :math:`(V_t - \bar V_t) / \bar V_t` with the mean volume of the last 20
    bars, the current one included.

    ``long_short_ratio``: long positions liquidated over short positions liquidated.

    ``funding_rate_percentile``: per cent of the bars of the last 252 days, the current one
    included, whose funding rate was below the current one; equal rates count half. Bars before the
    first known rate do not count, and there is no value until the known rates reach back 30 days.

    ``exchange_inflow``: net inflow to centralised exchanges, in quote currency, as given.

    ``open_interest_change``: :math:`O_t / O_{t-1} - 1` from bar to bar.

    Args:
        bars: shape (n_bars, at least 4), columns high, low, close, volume and those of
            :data:`READS` that the venue has, indexed by UTC open time, strictly increasing, at
            least a timeframe apart.
        timeframe: of the bars.
        after: open time, microseconds UTC, of the last bar of the context; only the bars after it
            are returned, with the bits of a whole computation where the context has
            :func:`context_rows` bars or all there are. None returns all.

    Returns:
        shape (n_new, 8), float64 columns :data:`COLUMNS`. Null where an input is null, during
        warm-up, and where a denominator is zero.

    Raises:
        DataError: a required column is missing, or the index breaks its contract.
        ConfigurationError: the timeframe is unknown.
    """
    times = bar_times(bars, timeframe)
    new = continued(times, after)
    high, low, close, volume = (column(bars, name) for name in READS[:4])
    buy, longs, shorts, funding, interest, inflow = (optional(bars, name) for name in READS[4:])
    mean = kernels.trailing_mean(volume, VOLUME_WINDOW)
    traded = volume * ((high + low + close) / 3.0)
    previous = np.concatenate(([np.nan], interest[:-1]))[: len(times)]
    values = {
        "delta": longs - shorts,
        "buy_sell_ratio": _ratio(buy, taker_sell_volume(volume, buy)),
        "liquidation_intensity": 100.0 * _ratio(longs + shorts, traded),
        "volume_spike_score": _ratio(volume - mean, mean),
        "long_short_ratio": _ratio(longs, shorts),
        "funding_rate_percentile": _percentile(times, funding),
        "exchange_inflow": inflow,
        "open_interest_change": _ratio(interest - previous, previous),
    }
    return pd.DataFrame(
        {name: _finite(each[new:]) for name, each in values.items()},
        index=bars.index[new:],
        columns=list(COLUMNS),
    )


def _percentile(times: np.ndarray, values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    ranks = np.full(len(values), -1, dtype=np.int64)
    distinct, ranks[known] = np.unique(values[known], return_inverse=True)
    return kernels.percentile_rank(times, ranks, len(distinct), FUNDING_WINDOW, FUNDING_MINIMUM)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    safe = np.where(denominator == 0.0, np.nan, denominator)
    return numerator / safe


def _finite(values: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(values), values, np.nan)
