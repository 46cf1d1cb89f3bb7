from __future__ import annotations

import warnings

import empyrical
import numpy as np
import pandas as pd
import pytest

from hf_plugins import metrics
from tests.research.frames import days

NO_TRADES = pd.DataFrame({"pnl": [], "status": []})


def test_returns_begin_at_the_capital() -> None:
    assert metrics.equity_returns([50.0, 75.0], 100.0).tolist() == [-0.5, 0.5]


def test_a_loss_on_the_first_day_is_a_drawdown() -> None:
    assert metrics.max_drawdown([80.0, 90.0, 100.0], 100.0) == pytest.approx(-0.2)
    assert metrics.max_drawdown([110.0, 88.0, 120.0], 100.0) == pytest.approx(-0.2)
    assert metrics.max_drawdown([101.0, 102.0], 100.0) == 0.0


def test_hand_computed_ratios() -> None:
    returns = [0.01, -0.02, 0.03, 0.0]
    # mean 0.005; squared deviations .000025 .000625 .000625 .000025, sum .0013, over 3
    deviation = (0.0013 / 3) ** 0.5
    assert metrics.annual_volatility(returns, 252) == pytest.approx(deviation * 252**0.5)
    assert metrics.sharpe(returns, 252) == pytest.approx(0.005 / deviation * 252**0.5)
    # one loss of 2 %, over all four bars: sqrt(.0004 / 4) = .01
    assert metrics.sortino(returns, 252) == pytest.approx(0.005 / 0.01 * 252**0.5)


def test_growth_is_by_elapsed_time_to_the_close_of_the_last_bar() -> None:
    index = pd.DatetimeIndex(["2020-01-01", "2020-01-02", "2023-12-31"], tz="UTC")
    years = metrics.elapsed_years(index)
    assert years == pytest.approx(4.0)  # 1461 days
    assert metrics.total_return([1.0, 1.0, 16.0], 1.0) == 15.0
    assert metrics.cagr([1.0, 1.0, 16.0], 1.0, years) == pytest.approx(1.0)
    assert metrics.elapsed_years(days(1)) is None


def test_elapsed_time_does_not_depend_on_the_unit_of_the_index() -> None:
    nanoseconds = days(400).as_unit("ns")
    assert metrics.elapsed_years(nanoseconds) == metrics.elapsed_years(days(400).as_unit("s"))
    assert metrics.elapsed_years(nanoseconds) == pytest.approx(400 / 365.25)


def test_trades() -> None:
    pnl = [3.0, -1.0, 0.0, -1.0, 4.0]
    assert metrics.win_rate(pnl) == pytest.approx(0.4)
    assert metrics.profit_factor(pnl) == pytest.approx(3.5)
    assert metrics.exposure([0.0, 1.0, -0.5, 0.0]) == 0.5
    assert metrics.calmar(0.3, -0.15) == pytest.approx(2.0)
    # 400 traded in two bars of a four-bar year, mean equity 100: 8 times a year
    assert metrics.turnover(400.0, [50.0, 150.0], 4.0) == pytest.approx(8.0)


@pytest.mark.parametrize(
    "value",
    [
        metrics.total_return([], 100.0),
        metrics.cagr([110.0], 100.0, None),
        metrics.cagr([110.0], 100.0, 0.0),
        metrics.annual_volatility([0.1], 252),
        metrics.sharpe([0.1], 252),
        metrics.sharpe([0.1] * 7, 252),
        metrics.sharpe([0.0, 0.0], 252),
        metrics.sortino([0.1, 0.2], 252),
        metrics.max_drawdown([], 100.0),
        metrics.calmar(0.1, 0.0),
        metrics.calmar(None, -0.1),
        metrics.win_rate([]),
        metrics.profit_factor([]),
        metrics.profit_factor([1.0, 2.0]),
        metrics.exposure([]),
        metrics.turnover(1.0, [], 252),
    ],
)
def test_undefined_is_none(value: float | None) -> None:
    assert value is None


def test_ruin_is_explicit() -> None:
    equity = pd.Series([100.0, -20.0, -20.0], index=days(3))
    result = metrics.summarise(
        equity,
        capital=100.0,
        bars_per_year=252,
        position=[0, 0, 0],
        trades=NO_TRADES,
        traded=0.0,
        costs_paid=0.0,
    )
    assert result["ruined"] == 1
    assert result["total_return"] == pytest.approx(-1.2)
    assert result["cagr"] == -1.0
    assert result["max_drawdown"] == pytest.approx(-1.2)
    assert result["sharpe"] is None
    assert result["sortino"] is None
    assert result["annual_volatility"] is None


def test_open_trades_are_neither_won_nor_lost() -> None:
    result = metrics.summarise(
        pd.Series([101.0, 99.0], index=days(2)),
        capital=100.0,
        bars_per_year=252,
        position=[1, 1],
        trades=pd.DataFrame({"pnl": [1.0, -2.0], "status": ["closed", "open"]}),
        traded=1.0,
        costs_paid=0.25,
    )
    assert result["n_trades"] == 2
    assert result["win_rate"] == 1.0
    assert result["profit_factor"] is None
    assert result["costs_paid"] == 0.25
    assert result["final_equity"] == 99.0


@pytest.mark.parametrize("bars_per_year", [252, 365 * 24])
def test_agrees_with_empyrical(bars_per_year: int) -> None:
    returns = np.random.default_rng(5).normal(0.0004, 0.01, 700)
    returns[0] = 0.02  # empyrical does not see a loss on the first bar against the capital
    equity = 1000.0 * np.cumprod(1.0 + returns)
    ours = metrics.equity_returns(equity, 1000.0)
    years = len(returns) / bars_per_year
    growth = metrics.cagr(equity, 1000.0, years)
    drawdown = metrics.max_drawdown(equity, 1000.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pairs = [
            (metrics.total_return(equity, 1000.0), empyrical.cum_returns_final(returns)),
            (growth, empyrical.annual_return(returns, annualization=bars_per_year)),
            (
                metrics.annual_volatility(ours, bars_per_year),
                empyrical.annual_volatility(returns, annualization=bars_per_year),
            ),
            (
                metrics.sharpe(ours, bars_per_year),
                empyrical.sharpe_ratio(returns, annualization=bars_per_year),
            ),
            (
                metrics.sortino(ours, bars_per_year),
                empyrical.sortino_ratio(returns, annualization=bars_per_year),
            ),
            (drawdown, empyrical.max_drawdown(returns)),
            (
                metrics.calmar(growth, drawdown),
                empyrical.calmar_ratio(returns, annualization=bars_per_year),
            ),
        ]
    for mine, theirs in pairs:
        assert mine == pytest.approx(float(theirs), rel=1e-9)
