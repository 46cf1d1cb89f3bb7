"""Performance metrics: pure functions of returns, equity and trades.

No metric has a default value: where one is undefined (too few bars, no losses, no dispersion, a
ruined account) the result is ``None``. Returns are simple returns per bar, the first one against
the starting capital; they are annualised by the number of bars that the instrument's calendar and
timeframe give to a year. Formulas agree with empyrical, apart from the starting capital, which is
part of every equity curve here, so that a loss on the first bar is a drawdown.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

Values = Sequence[float] | np.ndarray | pd.Series

SECONDS_PER_YEAR = 365.25 * 86_400.0
# Below this share of the largest value a standard deviation is rounding, not dispersion.
_ROUNDING = 1e-12


def equity_returns(equity: Values, capital: float) -> np.ndarray:
    """Simple returns of an equity curve, shape (n_bars,), the first one against ``capital``.

    A return on an equity that is not positive does not exist: it is null.
    """
    values = _array(equity)
    before = np.concatenate(([capital], values[:-1])) if values.size else values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(before > 0, values / before - 1.0, np.nan)


def elapsed_years(index: pd.DatetimeIndex) -> float | None:
    """Years of 365.25 days from the open of the first bar to the close of the last one.

    The length of a bar is the smallest spacing in the index. None for fewer than two bars.
    """
    if len(index) < 2:
        return None
    stamps = index.as_unit("ns").asi8
    seconds = float(stamps[-1] - stamps[0] + np.diff(stamps).min()) / 1e9
    return seconds / SECONDS_PER_YEAR if seconds > 0 else None


def is_ruined(equity: Values) -> bool:
    """Whether the equity is zero or below at some bar."""
    return bool(np.any(_array(equity) <= 0))


def total_return(equity: Values, capital: float) -> float | None:
    """``E_n / capital - 1``; -1 or less after ruin."""
    values = _array(equity)
    return _number(values[-1] / capital - 1.0) if values.size and capital > 0 else None


def cagr(equity: Values, capital: float, years: float | None) -> float | None:
    """Compound annual growth rate by elapsed time, ``(E_n / capital) ** (1 / years) - 1``.

    -1 after ruin: everything is lost, over whatever time. Source: CFA Institute, Global Investment
    Performance Standards (annualised time-weighted return).
    """
    growth = total_return(equity, capital)
    if growth is None or years is None or years <= 0:
        return None
    if is_ruined(equity):
        return -1.0
    try:
        return _number((1.0 + growth) ** (1.0 / years) - 1.0)
    except OverflowError:
        return None


def annual_volatility(returns: Values, bars_per_year: float) -> float | None:
    """``std(r, ddof=1) * sqrt(bars_per_year)``; None for fewer than two returns."""
    values = _array(returns)
    if values.size < 2:
        return None
    return _number(float(np.std(values, ddof=1)) * math.sqrt(bars_per_year))


def sharpe(returns: Values, bars_per_year: float, risk_free: float = 0.0) -> float | None:
    """``mean(r - f) / std(r - f, ddof=1) * sqrt(bars_per_year)``; ``risk_free`` is per bar.

    None for fewer than two returns or without dispersion. Source: Sharpe, "The Sharpe Ratio",
    Journal of Portfolio Management 21 (1994).
    """
    excess = _array(returns) - risk_free
    if excess.size < 2:
        return None
    deviation = float(np.std(excess, ddof=1))
    if not deviation > _ROUNDING * float(np.max(np.abs(excess))):
        return None
    return _number(float(np.mean(excess)) / deviation * math.sqrt(bars_per_year))


def sortino(returns: Values, bars_per_year: float, required: float = 0.0) -> float | None:
    """``mean(r - q) / sqrt(mean(min(r - q, 0)^2)) * sqrt(bars_per_year)``; ``required`` per bar.

    The mean of the squares runs over all bars, not over the losing ones. None for fewer than two
    returns or without a loss. Source: Sortino and Price, "Performance Measurement in a Downside
    Risk Framework", Journal of Investing 3 (1994).
    """
    excess = _array(returns) - required
    if excess.size < 2:
        return None
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)))
    if not downside > 0:
        return None
    return _number(float(np.mean(excess)) / downside * math.sqrt(bars_per_year))


def max_drawdown(equity: Values, capital: float) -> float | None:
    """``min_t(E_t / max(capital, E_1 .. E_t) - 1)``: a negative fraction, 0 without a loss.

    The starting capital is the first peak. Below -1 when the account ended in debt. Source:
    Magdon-Ismail and Atiya, "Maximum Drawdown", Risk 17 (2004).
    """
    values = _array(equity)
    if not values.size or not capital > 0:
        return None
    peaks = np.maximum(np.maximum.accumulate(values), capital)
    return _number(min(0.0, float(np.min(values / peaks - 1.0))))


def calmar(growth: float | None, drawdown: float | None) -> float | None:
    """``cagr / |max_drawdown|``; None without a drawdown. Source: Young, Futures 20 (1991)."""
    if growth is None or drawdown is None or drawdown == 0:
        return None
    return _number(growth / abs(drawdown))


def win_rate(pnl: Values) -> float | None:
    """Share of trades with a profit above zero, after costs; None without trades."""
    values = _array(pnl)
    return float(np.mean(values > 0)) if values.size else None


def profit_factor(pnl: Values) -> float | None:
    """Gross profit over gross loss of the trades; None without a losing trade."""
    values = _array(pnl)
    loss = -float(values[values < 0].sum())
    return _number(float(values[values > 0].sum()) / loss) if loss > 0 else None


def exposure(position: Values) -> float | None:
    """Share of bars at whose close a position is held; None without bars."""
    values = _array(position)
    return float(np.mean(values != 0)) if values.size else None


def turnover(traded: float, equity: Values, bars_per_year: float) -> float | None:
    """Traded value (purchases plus sales) a year, as a multiple of the mean equity.

    None where the mean equity is not positive.
    """
    values = _array(equity)
    if not values.size:
        return None
    mean = float(np.mean(values))
    return _number(traded / mean * bars_per_year / values.size) if mean > 0 else None


def summarise(
    equity: pd.Series,
    *,
    capital: float,
    bars_per_year: float,
    position: Values,
    trades: pd.DataFrame,
    traded: float,
    costs_paid: float,
) -> dict[str, float | int | None]:
    """All metrics of a backtest.

    Args:
        equity: at each bar's close, indexed by time.
        capital: starting equity.
        bars_per_year: from the instrument's calendar and timeframe.
        position: fraction of equity held at each close.
        trades: columns ``pnl`` and ``status``; only closed trades are won or lost.
        traded: value of all purchases and sales.
        costs_paid: commission and slippage, in currency.

    Returns:
        Numbers, or None where a metric is undefined. ``ruined`` is 1 when the equity fell to zero
        or below; ratios of returns are then None, because there is no return on nothing.
    """
    ruined = is_ruined(equity)
    returns = equity_returns(equity, capital)
    growth = cagr(equity, capital, elapsed_years(pd.DatetimeIndex(equity.index)))
    drawdown = max_drawdown(equity, capital)
    closed = trades.loc[trades["status"] == "closed", "pnl"]
    return {
        "total_return": total_return(equity, capital),
        "cagr": growth,
        "annual_volatility": None if ruined else annual_volatility(returns, bars_per_year),
        "sharpe": None if ruined else sharpe(returns, bars_per_year),
        "sortino": None if ruined else sortino(returns, bars_per_year),
        "max_drawdown": drawdown,
        "calmar": None if ruined else calmar(growth, drawdown),
        "win_rate": win_rate(closed),
        "profit_factor": profit_factor(closed),
        "exposure": exposure(position),
        "turnover": turnover(traded, equity, bars_per_year),
        "n_trades": len(trades),
        "costs_paid": float(costs_paid),
        "final_equity": _number(equity.iloc[-1]) if len(equity) else None,
        "ruined": int(ruined),
    }


def _array(values: Values) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
