"""Execution of target positions on one instrument: orders, fills, cash and round trips.

The conventions stand with the engine that wraps these loops (``hf_plugins.engines.core``). NaN
handling: a missing open rejects an order, a missing close keeps the last price.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def simulate(
    opens: np.ndarray,
    closes: np.ndarray,
    targets: np.ndarray,
    capital: float,
    commission: float,
    slippage: float,
) -> tuple[Any, ...]:
    """Execute targets at the next open.

    Args:
        opens: shape (n_bars,), float64; not positive or NaN where no order can be filled.
        closes: shape (n_bars,), float64; not positive or NaN where the last price is kept.
        targets: shape (n_bars,), float64 in [-1, 1].
        capital: starting equity.
        commission: fraction of traded value.
        slippage: fraction of price.

    Returns:
        Per bar: equity, cash, units, mark, rejected. Then the bar of ruin (-1 for none), the
        slippage paid, the number of fills, and per fill its bar and [units before, units after,
        price, fee], in arrays of which only so many rows count.
    """
    n = closes.size
    equity = np.empty(n)
    cash_at = np.empty(n)
    units_at = np.empty(n)
    mark_at = np.empty(n)
    rejected = np.zeros(n, dtype=np.bool_)
    bars = np.empty(n + 1, dtype=np.int64)  # one order a bar, and one liquidation
    legs = np.empty((n + 1, 4))
    count = 0
    ruin = -1
    paid = 0.0
    cash = capital
    units = 0.0
    held = 0.0
    mark = np.nan
    for i in range(n):
        price = opens[i]
        tradable = price > 0.0 and price < np.inf
        if tradable:
            mark = price
            if ruin < 0 and cash + units * price <= 0.0:
                ruin = i
        if ruin < 0 and i > 0 and targets[i - 1] != held:
            if not tradable:
                rejected[i] = True
            else:
                wanted = targets[i - 1]
                worth = cash + units * price
                # Equity after costs solves: after = worth - rate * |wanted * after - units * price|
                if wanted * worth > units * price:
                    fill = price * (1.0 + slippage)
                    rate = slippage + (1.0 + slippage) * commission
                    after = (worth + units * price * rate) / (1.0 + wanted * rate)
                else:
                    fill = price * (1.0 - slippage)
                    rate = slippage + (1.0 - slippage) * commission
                    after = (worth - units * price * rate) / (1.0 - wanted * rate)
                # Where the costs exceed the equity, the position is closed, which is ruin.
                goal = wanted * after / price if after > 0.0 else 0.0
                change = goal - units
                if change != 0.0:
                    fee = abs(change) * fill * commission
                    cash -= change * fill + fee
                    paid += abs(change) * abs(fill - price)
                    bars[count] = i
                    legs[count, 0] = units
                    legs[count, 1] = goal
                    legs[count, 2] = fill
                    legs[count, 3] = fee
                    count += 1
                    units = goal
                held = wanted
                if cash + units * price <= 0.0:
                    ruin = i
        if ruin < 0:
            if closes[i] > 0.0 and closes[i] < np.inf:
                mark = closes[i]
            if units != 0.0 and cash + units * mark <= 0.0:
                ruin = i
        if ruin >= 0 and units != 0.0:
            cash += units * mark
            bars[count] = i
            legs[count, 0] = units
            legs[count, 1] = 0.0
            legs[count, 2] = mark
            legs[count, 3] = 0.0
            count += 1
            units = 0.0
        equity[i] = cash + units * mark if units != 0.0 else cash
        cash_at[i] = cash
        units_at[i] = units
        mark_at[i] = mark
    return equity, cash_at, units_at, mark_at, rejected, ruin, paid, count, bars, legs


@njit(cache=True)
def round_trips(bars: np.ndarray, legs: np.ndarray, last: int, mark: float) -> np.ndarray:
    """Pair fills into round trips; what is left at the end is valued at ``mark``.

    Args:
        bars: shape (n_fills,), int64, the bar of each fill.
        legs: shape (n_fills, 4), float64: units before, units after, price, fee.
        last: the last bar.
        mark: the last price.

    Returns:
        shape (n_trades, 9): entry bar, exit bar, direction, average entry price, average exit
        price, units added, pnl after fees, value of the entries, whether still open.
    """
    table = np.empty((bars.size + 1, 9))
    count = 0
    entry = 0
    direction = 0.0
    added = 0.0
    paid_in = 0.0
    removed = 0.0
    paid_out = 0.0
    fees = 0.0
    after = 0.0
    price = mark
    fee = 0.0
    for k in range(bars.size + 1):
        closing = 0.0
        opening = 0.0
        if k < bars.size:
            before = legs[k, 0]
            after = legs[k, 1]
            price = legs[k, 2]
            fee = legs[k, 3]
            if before * after < 0.0:
                closing = abs(before)
                opening = abs(after)
            elif abs(after) > abs(before):
                opening = abs(after) - abs(before)
            else:
                closing = abs(before) - abs(after)
        elif after != 0.0:
            price = mark
            fee = 0.0
            closing = abs(after)
        if closing > 0.0:
            removed += closing
            paid_out += closing * price
            fees += fee * closing / (closing + opening)
            if k == bars.size or after * direction <= 0.0:
                table[count, 0] = entry
                table[count, 1] = last if k == bars.size else bars[k]
                table[count, 2] = direction
                table[count, 3] = paid_in / added
                table[count, 4] = paid_out / removed
                table[count, 5] = added
                table[count, 6] = direction * (paid_out - paid_in) - fees
                table[count, 7] = paid_in
                table[count, 8] = 1.0 if k == bars.size else 0.0
                count += 1
                direction = 0.0
        if opening > 0.0:
            if direction == 0.0:
                entry = bars[k]
                direction = 1.0 if after > 0.0 else -1.0
                added = 0.0
                paid_in = 0.0
                removed = 0.0
                paid_out = 0.0
                fees = 0.0
            added += opening
            paid_in += opening * price
            fees += fee * opening / (closing + opening)
    return table[:count]
