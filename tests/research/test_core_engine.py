from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_plugins.base import BacktestResult
from hf_plugins.engines.core import RUINED, UNFILLABLE, CoreEngine, simulate
from hf_plugins.errors import ConfigurationError, DataError
from tests.research.frames import array, bars, column, days, targets

TRADE_COLUMNS = [
    "entry_time",
    "exit_time",
    "direction",
    "entry_price",
    "exit_price",
    "size",
    "pnl",
    "return",
    "bars",
    "status",
]


def run(prices: pd.DataFrame, signals: pd.DataFrame, **params: Any) -> BacktestResult:
    return CoreEngine(**params).run(prices, signals, bars_per_year=252)


def walk(count: int, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    closes = 100.0 * np.exp(np.cumsum(generator.normal(0, 0.02, count)))
    return bars(closes * np.exp(generator.normal(0, 0.01, count)), closes)


def test_flat_keeps_the_capital() -> None:
    result = run(walk(50), targets([0.0] * 50), capital=1234.5, commission=0.01, slippage=0.01)
    assert (array(result.equity, "equity") == 1234.5).all()
    assert (array(result.equity, "position") == 0).all()
    assert result.trades.empty
    assert list(result.trades.columns) == TRADE_COLUMNS
    assert result.rejected.empty
    assert result.metrics["n_trades"] == 0
    assert result.metrics["costs_paid"] == 0
    assert result.metrics["sharpe"] is None
    assert result.metrics["win_rate"] is None


def test_always_long_without_costs_is_buy_and_hold_from_the_next_open() -> None:
    prices = walk(200)
    result = run(prices, targets([1.0] * 200), capital=1000.0)
    expected = 1000.0 * prices["close"] / prices["open"].iloc[1]
    expected.iloc[0] = 1000.0
    np.testing.assert_allclose(result.equity["equity"], expected, rtol=1e-12)
    trade = result.trades.iloc[0]
    assert len(result.trades) == 1
    assert trade["status"] == "open"
    assert trade["entry_time"] == prices.index[1]
    assert trade["exit_time"] == prices.index[-1]
    assert trade["bars"] == 199
    assert trade["exit_price"] == pytest.approx(prices["close"].iloc[-1])
    assert result.metrics["win_rate"] is None


def test_a_target_is_executed_at_the_open_of_the_next_bar_and_nowhere_else() -> None:
    prices = bars([10, 20, 40, 80, 160], [11, 21, 41, 81, 161])
    result = run(prices, targets([0, 1, 0, 0, 1]), capital=1000.0)
    trade = result.trades.iloc[0]
    assert (trade["entry_price"], trade["exit_price"]) == (40, 80)
    assert (trade["entry_time"], trade["exit_time"]) == (prices.index[2], prices.index[3])
    assert result.equity["equity"].tolist() == [1000, 1000, 25 * 41, 2000, 2000]
    # The last target has no next open.
    assert len(result.trades) == 1


def test_a_signal_cannot_earn_the_bar_it_was_made_on() -> None:
    closes = array(walk(300, seed=3), "close")
    prices = bars(np.append(100.0, closes[:-1]), closes)
    foresight = np.sign(array(prices, "close") - array(prices, "open"))
    result = run(prices, targets(foresight))
    assert abs(result.metrics["sharpe"] or 0.0) < 3
    same_bar = np.append(foresight[1:], 0.0)  # what executing on the bar itself would give
    assert (run(prices, targets(same_bar)).metrics["sharpe"] or 0.0) > 10


def test_short_mirrors_long() -> None:
    prices = bars([10, 10, 10], [10, 12, 9])
    long = run(prices, targets([1, 1, 1]), capital=100.0)
    short = run(prices, targets([-1, -1, -1]), capital=100.0)
    assert long.equity["equity"].tolist() == [100, 120, 90]
    assert short.equity["equity"].tolist() == [100, 80, 110]
    assert short.trades["direction"].tolist() == [-1]
    assert short.trades["pnl"].tolist() == [10]
    assert short.trades["return"].tolist() == [pytest.approx(0.1)]


def test_costs_by_hand() -> None:
    prices = bars([10, 10, 12], [10, 11, 12])
    result = run(prices, targets([1, 0, 0]), capital=1030.2, commission=0.01, slippage=0.02)
    # 10 * 1.02 = 10.2 a unit, with 1 % commission 10.302: exactly 100 units
    assert result.equity["equity"].iloc[1] == pytest.approx(1100.0)
    # 12 * .98 = 11.76: 1176 less 11.76 commission
    assert result.equity["equity"].iloc[2] == pytest.approx(1164.24)
    trade = result.trades.iloc[0]
    assert trade["size"] == pytest.approx(100)
    assert trade["entry_price"] == pytest.approx(10.2)
    assert trade["exit_price"] == pytest.approx(11.76)
    assert trade["pnl"] == pytest.approx(1164.24 - 1030.2)
    assert trade["return"] == pytest.approx((1164.24 - 1030.2) / 1020)
    # commission 10.2 + 11.76, slippage 100 * .2 + 100 * .24
    assert result.metrics["costs_paid"] == pytest.approx(65.96)


def test_costs_of_a_short_by_hand() -> None:
    prices = bars([10, 10, 8], [10, 10, 8])
    result = run(prices, targets([-1, 0, 0]), capital=1029.8, commission=0.01, slippage=0.02)
    # sold at 9.8, commission .098, slippage .2: 1 unit costs .298 and equity after is 10 a unit
    assert result.trades["size"].iloc[0] == pytest.approx(100)
    assert result.equity["equity"].iloc[1] == pytest.approx(1000)
    # bought back at 8.16, commission .0816: 200 earned, 16 and 8.16 paid
    assert result.equity["equity"].iloc[2] == pytest.approx(1200 - 16 - 8.16)


def test_zero_costs_are_zero() -> None:
    prices = walk(100, seed=1)
    signs = np.where(np.arange(100) % 7 < 3, 1.0, -1.0)
    free = run(prices, targets(signs), commission=0, slippage=0)
    assert free.metrics["costs_paid"] == 0
    dear = run(prices, targets(signs), commission=0.0005, slippage=0)
    assert (dear.metrics["costs_paid"] or 0) > 0
    assert dear.equity["equity"].iloc[-1] < free.equity["equity"].iloc[-1]


def test_no_order_while_the_target_stays_the_same() -> None:
    result = run(walk(120, seed=2), targets([0.5] * 60 + [0.25] * 60), commission=0.001)
    # 0.5 bought once and reduced once, however far the price drifted: one round trip, still open
    assert len(result.trades) == 1
    simulated = simulate(
        array(walk(120, seed=2), "open"),
        array(walk(120, seed=2), "close"),
        np.array([0.5] * 60 + [0.25] * 60),
        capital=1000.0,
        commission=0.001,
        slippage=0.0,
    )
    assert simulated.fills["bar"].tolist() == [1, 61]


def test_the_position_is_the_target_of_the_equity_at_that_open() -> None:
    prices = bars([10, 10, 20, 20], [10, 20, 20, 20])
    result = run(prices, targets([0.5, 0.25, 0.25, 0.25]), capital=100.0)
    # 5 units; at 20 the equity is 150; a quarter of it is 1.875 units
    assert result.equity["equity"].tolist() == [100, 150, 150, 150]
    assert result.equity["position"].tolist() == [0, pytest.approx(2 / 3), 0.25, 0.25]
    trade = result.trades.iloc[0]
    assert trade["size"] == 5
    assert (trade["entry_price"], trade["exit_price"]) == (10, 20)


def test_a_target_that_the_drift_has_reached_is_executed_without_a_fill() -> None:
    # 5 units of 10 and 50 in cash; at 30 they are 0.75 of 200; back at 10 nothing is to be done.
    prices = np.array([10.0, 10.0, 30.0, 10.0, 10.0])
    goals = np.array([0.5, 0.75, 0.75, 0.75, 0.75])
    ledger = simulate(prices, prices, goals, capital=100.0, commission=0.0, slippage=0.0)
    assert ledger.fills["bar"].tolist() == [1]
    assert ledger.equity.tolist() == [100, 100, 200, 100, 100]


def test_a_flip_is_two_trades() -> None:
    prices = bars([10, 10, 12, 12], [10, 11, 12, 12])
    result = run(prices, targets([1, -1, -1, -1]), capital=100.0, commission=0.001)
    assert result.trades["direction"].tolist() == [1, -1]
    assert result.trades["status"].tolist() == ["closed", "open"]
    assert result.trades["exit_time"].iloc[0] == result.trades["entry_time"].iloc[1]
    assert result.trades["bars"].tolist() == [1, 2]
    assert array(result.trades, "pnl").sum() == pytest.approx(
        result.equity["equity"].iloc[-1] - 100.0
    )


@pytest.mark.parametrize("bad", [math.nan, 0.0, -5.0, math.inf])
def test_an_open_that_cannot_be_filled_rejects_and_the_next_one_fills(bad: float) -> None:
    prices = bars([10, bad, bad, 16, 16], [10, 11, 12, 16, 16])
    result = run(prices, targets([1, 1, 1, 1, 1]), capital=160.0)
    assert result.rejected["timestamp"].tolist() == [prices.index[1], prices.index[2]]
    assert result.rejected["target"].tolist() == [1, 1]
    assert result.rejected["reason"].tolist() == [UNFILLABLE, UNFILLABLE]
    assert result.trades["entry_time"].iloc[0] == prices.index[3]
    assert result.equity["equity"].tolist() == [160] * 5


def test_a_rejected_order_is_dropped_when_its_reason_has_gone() -> None:
    result = run(bars([10, math.nan, 10], [10, 10, 10]), targets([1, 0, 0]))
    assert len(result.rejected) == 1
    assert result.trades.empty


def test_a_missing_close_keeps_the_last_known_price() -> None:
    prices = bars([10, 10, 12, 12], [10, 11, math.nan, 13])
    result = run(prices, targets([1, 1, 1, 1]), capital=100.0)
    assert result.equity["equity"].tolist() == [100, 110, 120, 130]


def test_ruin_stops_trading() -> None:
    prices = bars([10, 10, 30, 10, 10], [10, 10, 30, 10, 10])
    result = run(prices, targets([-1, -1, 1, 1, 1]), capital=100.0)
    # short 10 units at 10; at 30 the equity is -100
    assert result.equity["equity"].tolist() == [100, 100, -100, -100, -100]
    assert result.equity["position"].tolist() == [0, -1, 0, 0, 0]
    assert result.equity["returns"].tolist() == [0, 0, -2, 0, 0]
    assert result.trades["status"].tolist() == ["closed"]
    assert result.trades["pnl"].tolist() == [-200]
    assert result.rejected["reason"].tolist() == [RUINED]
    assert result.rejected["timestamp"].tolist() == [prices.index[2]]
    assert result.metrics["ruined"] == 1
    assert result.metrics["cagr"] == -1.0
    assert result.metrics["sharpe"] is None


def test_the_first_bar_counts_in_returns_and_drawdown() -> None:
    result = run(bars([10, 10, 8], [10, 5, 8]), targets([1, 1, 1]), capital=100.0)
    assert result.metrics["max_drawdown"] == pytest.approx(-0.5)
    assert result.equity["returns"].tolist() == [0, -0.5, pytest.approx(0.6)]


def test_bars_without_a_signal_have_target_zero() -> None:
    prices = bars([10, 10, 10, 10, 10], [10, 10, 10, 20, 30])
    signals = targets([0, 1, 1, 0, 0]).iloc[1:3]
    result = run(prices, signals, capital=100.0)
    # bought at bar 2, held by the signal of bar 2, sold at bar 4: the tail is not held on to
    assert result.trades["entry_time"].iloc[0] == prices.index[2]
    assert result.trades["exit_time"].iloc[0] == prices.index[4]


@pytest.mark.parametrize(
    ("wrong", "shown"), [(1.5, "1.5"), (-1.01, "-1.01"), (math.nan, "null"), (math.inf, "inf")]
)
def test_wrong_targets_are_named(wrong: float, shown: str) -> None:
    with pytest.raises(DataError, match=f"2020-01-02.* is {shown}; allowed: -1 to 1"):
        run(walk(3), targets([0, wrong, 0]))


def test_text_targets_are_refused() -> None:
    signals = pd.DataFrame({"target": ["BUY", "SELL", "HOLD"]}, index=days(3))
    with pytest.raises(DataError, match="must be numbers"):
        run(walk(3), signals)


def test_wrong_inputs_are_told() -> None:
    with pytest.raises(DataError, match="no bar of the prices"):
        run(walk(3), targets([0] * 4))
    with pytest.raises(DataError, match="strictly increasing"):
        run(walk(3).iloc[::-1], targets([0] * 3))
    with pytest.raises(DataError, match="'target'"):
        run(walk(3), targets([0] * 3).rename(columns={"target": "goal"}))
    with pytest.raises(DataError, match="'open'"):
        run(walk(3).drop(columns="open"), targets([0] * 3))
    with pytest.raises(DataError, match="no prices"):
        run(walk(3).iloc[:0], targets([]))
    with pytest.raises(DataError, match="more than one row"):
        run(walk(3), pd.concat([targets([0] * 3)] * 2))
    with pytest.raises(DataError, match="UTC"):
        run(walk(3).tz_localize(None), targets([0] * 3))
    with pytest.raises(ConfigurationError, match="of every purchase"):
        CoreEngine(commission=0.6, slippage=0.5)


# ------------------------------------------------------------------ an independent, slow simulator


@dataclass
class Slow:
    """The conventions once more, in plain Python: sizes by bisection, trips by cash flows."""

    capital: float
    commission: float
    slippage: float
    cash: float = 0.0
    units: float = 0.0
    equity: list[float] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    trips: list[dict[str, Any]] = field(default_factory=list)
    ruined: bool = False

    def cost(self, change: float, price: float) -> float:
        fill = price * (1 + math.copysign(self.slippage, change))
        return abs(change) * (abs(fill - price) + fill * self.commission)

    def size(self, target: float, price: float) -> float:
        def excess(units: float) -> float:
            after = self.cash + self.units * price - self.cost(units - self.units, price)
            return units * price - target * after

        if target == 0:
            return 0.0
        worth = self.cash + self.units * price
        low, high = (-4 * worth / price - abs(self.units), 4 * worth / price + abs(self.units))
        for _ in range(200):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) < 0 else (low, middle)
        goal = (low + high) / 2
        if worth - self.cost(goal - self.units, price) <= 0:
            return 0.0
        return goal

    def trade(self, bar: int, goal: float, price: float, *, free: bool = False) -> None:
        """One leg towards zero, then one away from it."""
        steps = [0.0, goal] if self.units * goal < 0 else [goal]
        for step in steps:
            change = step - self.units
            if change == 0:
                continue
            slipped = price if free else price * (1 + math.copysign(self.slippage, change))
            flow = -change * slipped - (0 if free else abs(change) * slipped * self.commission)
            if self.units == 0:
                self.trips.append({"entry": bar, "sign": math.copysign(1, change), "flow": 0.0})
            self.trips[-1]["flow"] += flow
            self.cash += flow
            self.units = step
            if step == 0:
                self.trips[-1]["exit"] = bar

    def run(self, opens: list[float], closes: list[float], goals: list[float]) -> None:
        self.cash, held, mark = self.capital, 0.0, math.nan
        for bar, (first, last) in enumerate(zip(opens, closes, strict=True)):
            fillable = math.isfinite(first) and first > 0
            if fillable:
                mark = first
                self.check(bar, mark)
            if bar and not self.ruined and goals[bar - 1] != held:
                if fillable:
                    held = goals[bar - 1]
                    self.trade(bar, self.size(held, first), first)
                    self.check(bar, mark)
                else:
                    self.rejected.append(bar)
            if not self.ruined and math.isfinite(last) and last > 0:
                mark = last
            self.check(bar, mark)
            self.equity.append(self.cash + (self.units * mark if self.units else 0.0))
        if self.units:
            self.trips[-1]["flow"] += self.units * mark

    def check(self, bar: int, mark: float) -> None:
        if not self.ruined and self.cash + (self.units * mark if self.units else 0.0) <= 0:
            self.ruined = True
            self.trade(bar, 0.0, mark, free=True)
            self.rejected.append(bar)


PRICE = st.one_of(
    st.floats(1, 100), st.floats(20, 30), st.floats(20, 30), st.sampled_from([math.nan, 0.0, -1.0])
)
BAR = st.tuples(PRICE, PRICE, st.sampled_from([-1.0, -0.5, 0.0, 0.0, 0.3, 1.0]))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    rows=st.lists(BAR, min_size=1, max_size=25),
    commission=st.sampled_from([0.0, 0.001, 0.05]),
    slippage=st.sampled_from([0.0, 0.002, 0.1]),
)
@example(
    rows=[(10, 10, -1.0), (10, 10, -1.0), (19.9, 19.5, 1.0), (19.6, 19.6, 0.0)],
    commission=0.05,
    slippage=0.1,
)
def test_agrees_with_the_slow_simulator(
    rows: list[tuple[float, float, float]], commission: float, slippage: float
) -> None:
    opens, closes, goals = ([float(row[k]) for row in rows] for k in range(3))
    slow = Slow(1000.0, commission, slippage)
    slow.run(opens, closes, goals)
    prices = bars(opens, closes)
    result = run(prices, targets(goals), capital=1000.0, commission=commission, slippage=slippage)

    np.testing.assert_allclose(result.equity["equity"], slow.equity, rtol=1e-9, atol=1e-7)
    assert result.rejected["timestamp"].tolist() == [prices.index[bar] for bar in slow.rejected]
    assert bool(result.metrics["ruined"]) == slow.ruined
    trades = result.trades
    assert trades["direction"].tolist() == [trip["sign"] for trip in slow.trips]
    np.testing.assert_allclose(trades["pnl"], [t["flow"] for t in slow.trips], rtol=1e-9, atol=1e-7)
    assert trades["entry_time"].tolist() == [prices.index[trip["entry"]] for trip in slow.trips]
    last = len(rows) - 1
    assert trades["exit_time"].tolist() == [
        prices.index[trip.get("exit", last)] for trip in slow.trips
    ]
    assert trades["status"].tolist() == [
        "closed" if "exit" in trip else "open" for trip in slow.trips
    ]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rows=st.lists(BAR, min_size=2, max_size=40),
    commission=st.sampled_from([0.0, 0.01]),
    slippage=st.sampled_from([0.0, 0.01]),
)
def test_accounting_identities(
    rows: list[tuple[float, float, float]], commission: float, slippage: float
) -> None:
    opens, closes, goals = (np.array([float(row[k]) for row in rows]) for k in range(3))
    ledger = simulate(
        opens, closes, goals, capital=1000.0, commission=commission, slippage=slippage
    )
    held = ledger.units != 0
    value = np.where(held, ledger.units * ledger.mark, 0.0)
    np.testing.assert_allclose(ledger.cash + value, ledger.equity, rtol=1e-12)
    # Cash and units follow from the fills alone.
    fills = ledger.fills
    change = column(fills, "after") - column(fills, "before")
    flow = -change * column(fills, "price") - column(fills, "fee")
    cash, units = (
        np.cumsum(np.bincount(fills["bar"], weights=weights, minlength=len(rows)))
        for weights in (flow, change)
    )
    np.testing.assert_allclose(ledger.cash, 1000.0 + cash, rtol=1e-9, atol=1e-7)
    np.testing.assert_allclose(ledger.units, units, rtol=1e-9, atol=1e-9)
    # What the trades earned is what the equity gained.
    result = run(
        bars(opens, closes),
        targets(goals),
        capital=1000.0,
        commission=commission,
        slippage=slippage,
    )
    gained = result.equity["equity"].iloc[-1] - 1000.0
    assert array(result.trades, "pnl").sum() == pytest.approx(gained, rel=1e-9, abs=1e-7)
    assert np.prod(1 + result.equity["returns"]) * 1000.0 == pytest.approx(
        result.equity["equity"].iloc[-1], rel=1e-9, abs=1e-6
    )


def test_the_future_does_not_change_the_past() -> None:
    prices, signs = walk(150, seed=4), np.sign(np.sin(np.arange(150) / 5.0))
    whole = run(prices, targets(signs), commission=0.001)
    part = run(prices.iloc[:100], targets(signs).iloc[:100], commission=0.001)
    pd.testing.assert_frame_equal(whole.equity.iloc[:100], part.equity, check_freq=False)
