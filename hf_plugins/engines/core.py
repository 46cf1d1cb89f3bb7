"""The default engine: one instrument, target positions, executed at the next bar's open.

Conventions, the same for every engine:

* The target of bar *t* is executed at the **open of bar t+1**; the target of the last bar is never
  executed. A bar without a signal has target 0: a signal that stopped coming is not held on to.
* An order is sent only when the target differs from the one executed last; a position that drifts
  with the price is left alone.
* Size: the position is worth ``target * equity`` at that open, where equity is what is left after
  the costs of the order itself. A target of 1 therefore never borrows.
* Slippage worsens the price of a fill by its fraction, commission is a fraction of the traded
  value; 0 is 0.
* A missing or non-positive open rejects the order; the rejection is reported, and the order that is
  then current is tried at the next open.
* The position is valued at the close, or at the last known price where the close is missing.
* Ruin: once the equity is zero or below, at an open, after an order or at a close, the position is
  closed at that price and nothing is traded any more. What happens within a bar is not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins import metrics
from hf_plugins.base import BacktestResult, BaseBacktestEngine
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.registry import engines

UNFILLABLE = "the open is missing or not positive"
RUINED = "the equity is not positive: trading has stopped"


@dataclass(frozen=True)
class Ledger:
    """What happened, bar by bar and fill by fill.

    Arrays of shape (n_bars,), at the close: ``equity``, ``cash``, ``units`` and the price ``mark``
    at which the units are valued. ``fills``: one row per fill, columns bar, before, after (units),
    price (with slippage), fee. ``rejected``: bars whose order could not be filled. ``ruin``: the
    bar of ruin, or -1. ``slippage_paid``: against the opens.
    """

    equity: np.ndarray
    cash: np.ndarray
    units: np.ndarray
    mark: np.ndarray
    fills: pd.DataFrame
    rejected: np.ndarray
    ruin: int
    slippage_paid: float


@engines.register("core")
class CoreEngine(BaseBacktestEngine):
    """Target positions of one instrument, filled at the next open.

    The trades table has one row per round trip, from the first fill in a direction to the fill that
    ends it; a flip from long to short ends one trade and begins another. ``size`` is the sum of the
    units added, ``entry_price`` and ``exit_price`` are average fills, ``pnl`` is after commission
    and slippage, ``return`` is ``pnl`` over the value of the entries, ``bars`` counts the closes at
    which it was held. A position held at the end is listed as ``open`` at the last price; no order
    is made of it.
    """

    libraries = ("numba", "numpy", "pandas")

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        cost = self.costs.slippage + (1.0 + self.costs.slippage) * self.costs.commission
        if cost >= 1.0:
            raise ConfigurationError(
                f"engine '{self.key}': commission {self.costs.commission} and slippage "
                f"{self.costs.slippage} together take {cost:.0%} of every purchase; allowed: below "
                "100 % (both are fractions: 5 basis points are 0.0005)"
            )

    @property
    def reads(self) -> tuple[str, ...]:
        """Fills are at opens, marks at closes."""
        return ("open", "close")

    def run(
        self, prices: pd.DataFrame, signals: pd.DataFrame, *, bars_per_year: float
    ) -> BacktestResult:
        """Simulate; see the module's conventions.

        Raises:
            DataError: columns are missing, the times are not UTC, increasing and a subset of those
                of the prices, or a target is null or outside [-1, 1].
        """
        index = _checked_index(prices)
        target = _targets(index, signals)
        ledger = simulate(
            _prices(prices, "open"),
            _prices(prices, "close"),
            target,
            capital=self.costs.capital,
            commission=self.costs.commission,
            slippage=self.costs.slippage,
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            held = np.where(ledger.units == 0, 0.0, ledger.units * ledger.mark / ledger.equity)
        returns = metrics.equity_returns(ledger.equity, self.costs.capital)
        curve = pd.DataFrame(
            {
                "equity": ledger.equity,
                "position": held,
                # After ruin nothing changes any more, and there is no base for a ratio.
                "returns": np.where(np.isnan(returns), 0.0, returns),
            },
            index=index,
        )
        trades = _trades(index, ledger)
        fills = ledger.fills
        change = fills["after"].to_numpy() - fills["before"].to_numpy()
        traded = float(np.sum(np.abs(change) * fills["price"].to_numpy()))
        return BacktestResult(
            equity=curve,
            trades=trades,
            metrics=metrics.summarise(
                pd.Series(ledger.equity, index),
                capital=self.costs.capital,
                bars_per_year=bars_per_year,
                position=held,
                trades=trades,
                traded=traded,
                costs_paid=float(np.sum(fills["fee"].to_numpy())) + ledger.slippage_paid,
            ),
            rejected=_rejected(index, target, ledger),
        )


def simulate(
    opens: np.ndarray,
    closes: np.ndarray,
    targets: np.ndarray,
    *,
    capital: float,
    commission: float,
    slippage: float,
) -> Ledger:
    """Simulate float64 arrays of shape (n_bars,): opens, closes and the targets of each bar."""
    from hf_plugins.kernels import execution

    equity, cash, units, mark, rejected, ruin, paid, count, bars, legs = execution.simulate(
        opens, closes, targets, capital, commission, slippage
    )
    fills = pd.DataFrame(legs[:count], columns=["before", "after", "price", "fee"])
    fills.insert(0, "bar", bars[:count])
    return Ledger(equity, cash, units, mark, fills, rejected, int(ruin), float(paid))


def _trades(index: pd.DatetimeIndex, ledger: Ledger) -> pd.DataFrame:
    from hf_plugins.kernels import execution

    fills = ledger.fills
    rows = execution.round_trips(
        fills["bar"].to_numpy(np.int64),
        np.ascontiguousarray(fills[["before", "after", "price", "fee"]].to_numpy(np.float64)),
        len(index) - 1,
        ledger.mark[-1],
    )
    entry, left = rows[:, 0].astype(np.int64), rows[:, 1].astype(np.int64)
    is_open = rows[:, 8] == 1.0
    return pd.DataFrame(
        {
            "entry_time": index.take(entry),
            "exit_time": index.take(left),
            "direction": rows[:, 2].astype(np.int64),
            "entry_price": rows[:, 3],
            "exit_price": rows[:, 4],
            "size": rows[:, 5],
            "pnl": rows[:, 6],
            "return": rows[:, 6] / rows[:, 7],
            "bars": left - entry + is_open,
            "status": np.where(is_open, "open", "closed"),
        }
    )


def _rejected(index: pd.DatetimeIndex, target: np.ndarray, ledger: Ledger) -> pd.DataFrame:
    bars = np.flatnonzero(ledger.rejected)
    reasons = [UNFILLABLE] * len(bars)
    if ledger.ruin >= 0:
        bars = np.append(bars, ledger.ruin)
        reasons.append(RUINED)
    return pd.DataFrame(
        {
            "timestamp": index.take(bars),
            "target": np.where(bars > 0, target[bars - 1], 0.0),
            "reason": pd.Series(reasons, dtype="str"),
        }
    )


def _checked_index(prices: pd.DataFrame) -> pd.DatetimeIndex:
    index = prices.index
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise DataError("prices must be indexed by the UTC open time of the bar")
    if not len(index):
        raise DataError("there are no prices to simulate on")
    if not (index.is_monotonic_increasing and index.is_unique):
        raise DataError("the times of the prices must be strictly increasing")
    return index


def _prices(prices: pd.DataFrame, column: str) -> np.ndarray:
    if column not in prices:
        raise DataError(f"the prices lack the column '{column}'")
    return np.ascontiguousarray(prices[column].to_numpy(np.float64))


def _targets(index: pd.DatetimeIndex, signals: pd.DataFrame) -> np.ndarray:
    """Targets by bar of the prices; 0 where there is no signal."""
    if "target" not in signals:
        raise DataError("the signals lack the column 'target'")
    if not pd.api.types.is_numeric_dtype(signals["target"].dtype):
        raise DataError(
            f"targets must be numbers in [-1, 1], their type is {signals['target'].dtype}"
        )
    values = signals["target"].to_numpy(np.float64, na_value=np.nan)
    wrong = np.flatnonzero(~(np.abs(values) <= 1.0))
    if wrong.size:
        first = int(wrong[0])
        shown = "null" if np.isnan(values[first]) else f"{values[first]:g}"
        raise DataError(
            f"the target at {signals.index[first]} is {shown}; allowed: -1 to 1, never null "
            f"({wrong.size} of {len(values)} targets are wrong)"
        )
    if not signals.index.is_unique:
        raise DataError("the signals have more than one row for a bar")
    places = index.get_indexer(pd.Index(signals.index))
    if (places < 0).any():
        stray = signals.index[int(np.flatnonzero(places < 0)[0])]
        raise DataError(f"there is a signal at {stray}, but no bar of the prices")
    targets = np.zeros(len(index))
    targets[places] = values + 0.0
    return targets
