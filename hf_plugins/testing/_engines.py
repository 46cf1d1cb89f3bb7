"""The contract of backtest engines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.base import OHLCV, BacktestResult, BaseBacktestEngine
from hf_plugins.testing import _plugin
from hf_plugins.testing._compare import (
    call,
    check_aligned,
    check_float64,
    check_unchanged,
    difference,
    place,
    shown,
)
from hf_plugins.testing._plugin import Case
from hf_plugins.testing._report import Check, Violation, run_checks
from hf_plugins.testing._samples import sample_columns

_ROWS = 200
_BARS_PER_YEAR = 252.0
_COLUMNS = ("equity", "position", "returns")
# Cash and units may be summed in another order; a cost or a wrong price is far larger.
_ROUNDING = 1e-9


class EngineCase(Case[BaseBacktestEngine]):
    """An engine with prices and targets."""

    def __init__(self, plugin: type[BaseBacktestEngine], params: dict[str, Any]) -> None:
        super().__init__(plugin, params)
        columns = dict.fromkeys([*OHLCV, *self.new().reads])
        self.prices = sample_columns(columns, "random_walk", _ROWS, seed=5)
        rng = np.random.default_rng(13)
        # Targets are held for a few bars, as a signal's are.
        drawn = rng.choice([-1.0, 0.0, 0.5, 1.0], size=-(-_ROWS // 4))
        self.signals = self.targets(np.repeat(drawn, 4)[:_ROWS])

    def targets(self, values: Any) -> pd.DataFrame:
        """A frame of targets, one per bar."""
        target = np.broadcast_to(np.asarray(values, dtype=np.float64), _ROWS)
        return pd.DataFrame({"target": target.copy()}, index=self.prices.index)

    def free(self) -> BaseBacktestEngine:
        """An instance without costs."""
        return self.new(commission=0.0, slippage=0.0)

    def run(
        self,
        prices: pd.DataFrame | None = None,
        signals: pd.DataFrame | None = None,
        engine: BaseBacktestEngine | None = None,
    ) -> BacktestResult:
        """Run on copies; the usual prices and targets unless others are given."""
        prices = self.prices if prices is None else prices
        signals = self.signals if signals is None else signals
        result = call(
            "run",
            (engine or self.new()).run,
            prices.copy(deep=True),
            signals.copy(deep=True),
            bars_per_year=_BARS_PER_YEAR,
        )
        if not isinstance(result, BacktestResult):
            raise Violation(f"run yields a {type(result).__name__}, not a BacktestResult")
        check_aligned(result.equity, prices.index, "the prices")
        missing = [name for name in _COLUMNS if name not in result.equity]
        if missing:
            raise Violation(f"the equity frame lacks the columns {missing}")
        return result


def engine_checks(case: EngineCase) -> list[Check]:
    """All checks of an engine."""
    return run_checks(
        case,
        [
            declarations,
            parameters,
            schema,
            determinism,
            input_untouched,
            declared_reads,
            causality,
            next_open,
            costs,
            flat_targets,
            metrics,
        ],
    )


def declarations(case: EngineCase) -> None:
    """Reads and libraries are well formed; capital, commission and slippage are understood."""
    _plugin.check_names("reads", case.new().reads, case.new().reads)
    _plugin.check_libraries(case.plugin)
    missing = {"capital", "commission", "slippage"} - set(case.plugin.Params.model_fields)
    if missing:
        raise Violation(f"lacks the parameters {sorted(missing)}, which every engine understands")


def parameters(case: EngineCase) -> None:
    """Parameters survive the way through JSON with an equal equity and code version."""
    original, rebuilt = _plugin.round_trip(case)
    one, two = (case.run(engine=each).equity for each in (original, rebuilt))
    if found := difference(one, two):
        raise Violation(f"rebuilt from its own parameters, the engine yields other values: {found}")
    _plugin.check_unknown_parameter(case)


def schema(case: EngineCase) -> None:
    """Equity, position and returns are float64 without nulls, returns start from the capital."""
    part = case.signals.iloc[_ROWS // 4 : _ROWS // 2]
    for name, result in (
        ("all bars", case.run()),
        ("signals for a part of the bars", case.run(signals=part)),
        ("one bar", case.run(case.prices.iloc[:1], case.signals.iloc[:1])),
    ):
        equity = result.equity.loc[:, list(_COLUMNS)]
        check_float64(equity, name)
        wrong = np.argwhere(~np.isfinite(equity.to_numpy()))
        if wrong.size:
            row, column = wrong[0]
            at = place(equity.index, int(row))
            raise Violation(f"{_COLUMNS[column]} at {at} with {name} is not a finite number")
        value = equity["equity"].to_numpy()
        before = np.concatenate(([case.new().costs.capital], value[:-1]))
        returns = pd.DataFrame({"returns": value / before - 1.0}, index=equity.index)
        if found := difference(returns, equity.loc[:, ["returns"]], tolerance=_ROUNDING):
            raise Violation(f"with {name}, {found} (from the equity, and as reported)")
        if not isinstance(result.trades, pd.DataFrame):
            raise Violation(f"trades is a {type(result.trades).__name__}, not a DataFrame")


def determinism(case: EngineCase) -> None:
    """The same prices and targets give the same bits, from a fresh instance and a used one."""
    engine = case.new()
    first = case.run(engine=engine)
    case.run(signals=case.targets(-0.5), engine=engine)
    for second in (case.run(engine=engine), case.run()):
        if found := difference(first.equity, second.equity):
            raise Violation(f"a second run differs: {found}")
        if first.metrics != second.metrics or not first.trades.equals(second.trades):
            raise Violation("a second run has other metrics or trades")


def input_untouched(case: EngineCase) -> None:
    """Prices and signals are not changed in place."""
    prices, signals = case.prices.copy(deep=True), case.signals.copy(deep=True)
    call("run", case.new().run, prices, signals, bars_per_year=_BARS_PER_YEAR)
    check_unchanged("the frame of prices", case.prices, prices)
    check_unchanged("the frame of signals", case.signals, signals)


def declared_reads(case: EngineCase) -> None:
    """Price columns that are not declared need not be there, and change nothing where they are."""
    known = case.run().equity
    alone = case.run(case.prices.loc[:, list(case.new().reads)]).equity
    if found := difference(known, alone):
        raise Violation(f"columns that are not declared as read change the values: {found}")


def causality(case: EngineCase) -> None:
    """The equity up to a bar does not change with later prices and targets, or with its own."""
    known = case.run().equity
    n = _ROWS
    for cut in (1, 2, n // 3, n // 2, n - 1):
        seen = case.run(case.prices.iloc[:cut], case.signals.iloc[:cut]).equity
        _same_past(known, seen, cut, f"bars after row {cut - 1} are cut off")
        prices, signals = case.prices.copy(), case.signals.copy()
        prices.iloc[cut:] *= 3.0
        signals.iloc[cut:] = -1.0
        seen = case.run(prices, signals).equity
        _same_past(known, seen.iloc[:cut], cut, f"bars after row {cut - 1} take other values")
        signals = case.signals.copy()
        signals.iloc[cut - 1] = 0.25
        seen = case.run(signals=signals).equity
        _same_past(known, seen.iloc[:cut], cut, f"the target of row {cut - 1} itself is changed")


def _same_past(known: pd.DataFrame, seen: pd.DataFrame, cut: int, how: str) -> None:
    if found := difference(known.iloc[:cut], seen):
        raise Violation(f"{found} (before and after {how})")


def next_open(case: EngineCase) -> None:
    """The target of a bar is filled at the next bar's open, and valued at closes."""
    opened, closed = case.prices["open"].to_numpy(), case.prices["close"].to_numpy()
    engine = case.free()
    capital = engine.costs.capital
    for row in (0, 1, _ROWS // 2, _ROWS - 3):
        for target in (1.0, -1.0, 0.5):
            values = np.zeros(_ROWS)
            values[row] = target
            equity = case.run(signals=case.targets(values), engine=engine).equity["equity"]
            expected = np.full(_ROWS, capital)
            held = closed[row + 1] / opened[row + 1] - 1.0
            left = opened[row + 2] / opened[row + 1] - 1.0
            expected[row + 1] = capital * (1.0 + target * held)
            expected[row + 2 :] = capital * (1.0 + target * left)
            frame = pd.DataFrame({"equity": expected}, index=equity.index)
            if found := difference(frame, equity.to_frame("equity"), tolerance=_ROUNDING):
                raise Violation(
                    f"a target of {target:g} at row {row} alone is not filled at the open of row "
                    f"{row + 1} and closed at the open of row {row + 2}: {found} (expected without "
                    "costs, and as simulated)"
                )


def costs(case: EngineCase) -> None:
    """No costs means none, to the last trade; commission and slippage each lower the equity."""
    free = case.run(engine=case.free()).equity["equity"].iloc[-1]
    for name in ("commission", "slippage"):
        engine = case.new(**{"commission": 0.0, "slippage": 0.0, name: 0.001})
        paid = case.run(engine=engine).equity["equity"].iloc[-1]
        if not paid < free:
            raise Violation(
                f"a {name} of 0.001 does not lower the final equity: {shown(free)} without and "
                f"{shown(paid)} with it"
            )
    # In and out at one price: whatever is lost was a cost.
    prices = case.prices.copy()
    prices.loc[:, ["open", "high", "low", "close"]] = 100.0
    engine = case.free()
    equity = case.run(prices, engine=engine).equity["equity"].to_numpy()
    wrong = np.flatnonzero(np.abs(equity / engine.costs.capital - 1.0) > _ROUNDING)
    if wrong.size:
        row = int(wrong[0])
        raise Violation(
            "with neither commission nor slippage, trading at a constant price changes the equity: "
            f"{shown(equity[row])} at {place(prices.index, row)}"
        )


def flat_targets(case: EngineCase) -> None:
    """Targets of zero, or none yet, leave the capital as it is, without a trade or a cost."""
    engine = case.new(commission=0.01, slippage=0.01)
    result = case.run(signals=case.targets(0.0), engine=engine)
    equity = result.equity["equity"].to_numpy()
    wrong = np.flatnonzero(equity != engine.costs.capital)
    if wrong.size:
        row = int(wrong[0])
        raise Violation(
            f"the equity at {place(result.equity.index, row)} is {shown(equity[row])} with targets "
            f"of zero and a capital of {engine.costs.capital:g}"
        )
    if len(result.trades):
        raise Violation(f"there are {len(result.trades)} trades with targets of zero")
    first = _ROWS // 2
    late = case.run(signals=case.targets(1.0).iloc[first:], engine=engine).equity["equity"]
    if (late.to_numpy()[: first + 1] != engine.costs.capital).any():
        raise Violation("the equity changes before the first target is executed")


def metrics(case: EngineCase) -> None:
    """Metrics are finite numbers, or None where undefined, such as a Sharpe ratio of nothing."""
    flat = case.run(signals=case.targets(0.0))
    one = case.run(case.prices.iloc[:1], case.signals.iloc[:1])
    for name, result in (("trading", case.run()), ("zero targets", flat), ("one bar", one)):
        for metric, value in result.metrics.items():
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise Violation(f"metric '{metric}' with {name} is {value!r}, not a plain number")
            if not math.isfinite(value):
                raise Violation(f"metric '{metric}' with {name} is {value}; undefined is None")
    for metric, value in flat.metrics.items():
        ratio = any(word in metric for word in ("sharpe", "sortino", "calmar", "profit_factor"))
        if ratio and value is not None:
            raise Violation(f"metric '{metric}' with zero targets is {value}; it is undefined")
