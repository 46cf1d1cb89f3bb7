"""Raw bars to the enriched bars that features and backtests read, whole or from a state on.

The composition alone: prices are adjusted by :mod:`hf_plugins.market_data`, features come from
``universal`` and ``crypto``, flags pass through as ingestion set them.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.bar_quality.report import FLAGS
from hf_plugins.enrichment import crypto, universal
from hf_plugins.enrichment.crypto import crypto_features, taker_sell_volume
from hf_plugins.enrichment.frames import bar_times, column, continued
from hf_plugins.enrichment.universal import UniversalState, continue_universal
from hf_plugins.errors import DataError, listing
from hf_plugins.market_data import adjusted_bars

PASSED_THROUGH: Final = (
    "trades",
    "taker_buy_volume",
    "open_interest",
    "funding_rate",
    "liquidations_long",
    "liquidations_short",
    "long_short_account_ratio",
)
READS: Final = (
    "open", "high", "low", "close", "volume", "vwap", *PASSED_THROUGH, "adjustment", "is_final",
    *FLAGS,
)  # fmt: skip
OUTPUTS: Final = (
    "open", "high", "low", "close", "volume", "raw_close", "vwap", *PASSED_THROUGH,
    "taker_sell_volume", *universal.COLUMNS, *crypto.COLUMNS, "is_final", *FLAGS,
)  # fmt: skip


def context_rows(timeframe: str, calendar: str, asset_class: str) -> int:
    """Bars before the first new one that :func:`enrich` needs beside a state."""
    rows = universal.context_rows(timeframe, calendar)
    return max(rows, crypto.context_rows(timeframe)) if asset_class == "crypto" else rows


def enrich(
    bars: pd.DataFrame,
    *,
    timeframe: str,
    calendar: str,
    asset_class: str,
    state: UniversalState | None = None,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Adjust prices and add the features of each bar.

    Prices are on a total-return basis, so that neither splits nor dividends look like returns; the
    crypto features use raw prices and volumes, which for crypto are the same.

    Args:
        bars: columns :data:`READS`, indexed by UTC open time; with a ``state`` the context (see
            :func:`context_rows`) and then the new bars.
        timeframe: of the bars.
        calendar: of the instrument.
        asset_class: of the instrument; the crypto features of others are null.
        state: after the last bar of the context; None where all bars are new.

    Returns:
        Columns :data:`OUTPUTS` of the new bars, and the state after the last one as JSON values.

    Raises:
        DataError: a column is missing, the index breaks its contract, or the context is too short.
    """
    if missing := [name for name in READS if name not in bars.columns]:
        raise DataError(f"enriched bars need the columns {listing(missing)}, which are not there")
    start = state or UniversalState.empty()
    first = continued(bar_times(bars, timeframe), start.last)
    # What the universal features look back on; the crypto features look back much farther.
    context = min(first, universal.context_rows(timeframe, calendar))
    recent, new = bars.iloc[first - context :], context
    adjusted = adjusted_bars(recent)
    features, after = continue_universal(adjusted, start, timeframe=timeframe, calendar=calendar)
    sold = taker_sell_volume(column(recent, "volume"), column(recent, "taker_buy_volume"))
    # Arrays, of which one frame is made at the end: a frame that grows is copied again and again.
    values: dict[str, Any] = {
        **{name: column(recent, name) for name in PASSED_THROUGH},
        **{str(name): each.to_numpy() for name, each in adjusted.items()},
        "vwap": column(recent, "vwap") * column(recent, "adjustment"),
        "taker_sell_volume": sold,
        **{name: recent[name].array for name in ("is_final", *FLAGS)},
    }
    values = {name: each[new:] for name, each in values.items()}
    values |= {str(name): each.to_numpy() for name, each in features.items()}
    if asset_class == "crypto":
        own = crypto_features(bars, timeframe=timeframe, after=start.last)
        values |= {str(name): each.to_numpy() for name, each in own.items()}
    else:
        values |= {name: np.full(len(bars) - first, np.nan) for name in crypto.COLUMNS}
    frame = pd.DataFrame(values, index=bars.index[first:], columns=list(OUTPUTS))
    return frame, after.to_json()
