"""RSI, ATR, MACD and Bollinger bands on a million bars, against the libraries called directly.

Measured are the plugins, frame in and frame out; pandas-ta-classic on the same pandas columns;
TA-Lib on plain arrays, which is the least that any of them could do; and what a plugin takes for
one appended bar, from its state or from its look-back. All in one process, one after the other in
turn, and the best of several rounds, as other work on the machine only ever adds to a time. Before
the clock starts, kernels are compiled and values are compared. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as pandas_ta
import talib

from hf_plugins.base import BaseFeature
from hf_plugins.registry import features

TOLERANCE = 1e-9


def main() -> None:
    """Measure, print a table, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    data = bars(options.rows)
    indicators: dict[str, Any] = {}
    for name, contestants in cases(data).items():
        plugin = features.create(f"technical.{name}")
        whole = plugin.compute(data.loc[:, list(plugin.columns)])
        agree(name, whole, contestants["talib"]())
        times = in_turn({"own": lambda p=plugin: compute(p, data), **contestants}, options.repeats)
        ratios = {f"{each}_over_own": times[each] / times["own"] for each in contestants}
        figures = {f"{each}_ms": 1e3 * seconds for each, seconds in times.items()} | ratios
        figures["appended_bar_us"] = 1e6 * appended(plugin, data)
        indicators[name] = {each: round(value, 3) for each, value in figures.items()}
    print(pd.DataFrame(indicators).T.to_string())
    print(json.dumps({"benchmark": "technical", "rows": options.rows, **indicators}))


def bars(rows: int) -> pd.DataFrame:
    """A random walk of one-minute bars."""
    generator = np.random.default_rng(11)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 5e-4, rows)))
    reach = np.abs(generator.normal(0.0, 3e-4, (2, rows)))
    return pd.DataFrame(
        {"high": close * (1 + reach[0]), "low": close * (1 - reach[1]), "close": close},
        index=pd.date_range("2020-01-01", periods=rows, freq="1min", tz="UTC", name="timestamp"),
    )


def cases(data: pd.DataFrame) -> dict[str, dict[str, Callable[[], Any]]]:
    """What the libraries are asked for: the plugins' defaults."""
    high, low, close = (data[name] for name in ("high", "low", "close"))
    highest, lowest, last = (column.to_numpy(copy=True) for column in (high, low, close))
    return {
        "rsi": {
            "pandas_ta": lambda: pandas_ta.rsi(close, length=14),
            "talib": lambda: talib.RSI(last, 14),
        },
        "atr": {
            "pandas_ta": lambda: pandas_ta.atr(high, low, close, length=14),
            "talib": lambda: talib.ATR(highest, lowest, last, 14),
        },
        "macd": {
            "pandas_ta": lambda: pandas_ta.macd(close, fast=12, slow=26, signal=9),
            "talib": lambda: talib.MACD(last, 12, 26, 9),
        },
        "bbands": {
            "pandas_ta": lambda: pandas_ta.bbands(close, length=20, std=2.0),
            "talib": lambda: talib.BBANDS(last, 20, 2.0, 2.0)[::-1],
        },
    }


def agree(name: str, ours: pd.DataFrame, theirs: Any) -> None:
    """Refuse to compare the speed of different numbers."""
    columns = theirs if isinstance(theirs, tuple) else (theirs,)
    for number, expected in enumerate(columns):
        known = np.isfinite(expected)
        worst = np.abs(ours.iloc[:, number].to_numpy()[known] - expected[known]).max()
        if not worst <= TOLERANCE:
            raise AssertionError(f"{name}: column {number} differs from TA-Lib by {worst:g}")


def compute(plugin: BaseFeature, data: pd.DataFrame) -> pd.DataFrame:
    """What the platform asks of a plugin."""
    return plugin.compute(data.loc[:, list(plugin.columns)])


def appended(plugin: BaseFeature, data: pd.DataFrame, repeats: int = 200) -> float:
    """Seconds for the last bar, when all before it are known."""
    data = data.loc[:, list(plugin.columns)]
    if plugin.context is None:
        tail = data.iloc[-(plugin.memory.lookback or 0) :]
        return in_turn({"": lambda: plugin.compute(tail)}, repeats)[""]
    _, state = plugin.advance(data.iloc[:-1], len(data) - 1, None)
    return in_turn({"": lambda: plugin.advance(data.iloc[-1:], 1, state)}, repeats)[""]


def in_turn(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Best time of each in seconds, all of them once a round."""
    times = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            times[name] = min(times[name], time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
