"""A series that grows by a day: new windows alone, against tsfresh on all of them.

Hourly bars of a random walk. Measured for each set of calculators: ``tsfresh.extract_features`` on
every window of the grown series, in one process, at the calculators and settings that the plugin
has (as many columns, the same numbers: they are compared bit for bit before any time is told); the
plugin on the whole series; and the plugin on what the guard of an asset gives it when a day was
appended: the new rows and those that they look back on. Times are processor time of this process,
which a busy machine does not stretch as it does the clock, and the least of several rounds; all is
in one thread, and nothing waits for a disk. ``--calculators`` tells what each calculator
takes for a window, in the library and in the plugin (whose own cost, of a frame of one window, is
part of that), which is how the set ``fast`` was found. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd

from hf_plugins.base import BaseFeature
from hf_plugins.features.automated import calculators
from hf_plugins.features.automated.extraction import TsfreshParams
from hf_plugins.registry import features

DAY = 24
SETS = ("minimal", "fast", "efficient")


def main() -> None:
    """Measure, print a table, and the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=30, help="of hours, before the one appended")
    parser.add_argument("--window", type=int, default=60)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--calculators", action="store_true", help="each calculator on its own")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.calculators:
        print(calculator_times(options.window).to_string())
        return
    data = bars((options.days + 1) * DAY)
    figures = {
        feature_set: measure(data, feature_set, options.window, options.repeats)
        for feature_set in SETS
    }
    print(pd.DataFrame(figures).T.to_string())
    load, _, _ = os.getloadavg()
    told = {"benchmark": "tsfresh_growth", "cpus": os.cpu_count(), "load_at_end": round(load, 2)}
    shape = {"rows": len(data), "appended": DAY, "window": options.window}
    print(json.dumps({**told, **shape, **figures}))


def bars(rows: int) -> pd.DataFrame:
    """Closes of a random walk by the hour."""
    close = 100.0 * np.exp(np.cumsum(np.random.default_rng(7).normal(0.0, 0.005, rows)))
    index = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC", name="timestamp")
    return pd.DataFrame({"close": close}, index=index)


def measure(data: pd.DataFrame, feature_set: str, window: int, repeats: int) -> dict[str, float]:
    """Figures of one set."""
    plugin = features.create("automated.tsfresh", feature_set=feature_set, window=window)
    settings = library_settings(plugin)
    grown = data.iloc[-((plugin.memory.lookback or 0) + DAY) :]
    # What is imported, compiled or cached on first use, and the numbers themselves.
    agree(plugin.compute(grown).iloc[-DAY:], extract(data.iloc[-(window + DAY - 1) :], plugin))
    agree(plugin.compute(grown).iloc[-DAY:], plugin.compute(data).iloc[-DAY:])
    times = in_turn(
        {
            "grown": lambda: plugin.compute(grown),
            "whole": lambda: plugin.compute(data),
            "tsfresh": lambda: extract(data, plugin, settings),
        },
        repeats,
    )
    windows = len(data) - window + 1
    figures = {
        "columns": len(plugin.outputs),
        "windows": windows,
        **{f"{name}_s": seconds for name, seconds in times.items()},
        "whole_ms_per_window": 1e3 * times["whole"] / windows,
        "tsfresh_ms_per_window": 1e3 * times["tsfresh"] / windows,
        "tsfresh_over_whole": times["tsfresh"] / times["whole"],
        "tsfresh_over_grown": times["tsfresh"] / times["grown"],
    }
    return {name: round(value, 4) for name, value in figures.items()}


def library_settings(plugin: BaseFeature) -> dict[str, list[dict[str, Any]] | None]:
    """The plugin's calculators and settings, as the library takes them."""
    params = plugin.params
    assert isinstance(params, TsfreshParams)
    return {
        calculator: [dict(each) for each in settings] if settings[0] else None
        for calculator, settings in calculators.of_set(params.feature_set, params.window)
    }


def extract(
    data: pd.DataFrame, plugin: BaseFeature, settings: Mapping[str, Any] | None = None
) -> pd.DataFrame:
    """What the library makes of all windows, rolled by itself; a row for each."""
    from tsfresh import extract_features
    from tsfresh.utilities.dataframe_functions import roll_time_series

    window = plugin.memory.lookback or 0
    long = data.reset_index().assign(id=0)
    rolled: Any = roll_time_series(
        long,
        column_id="id",
        column_sort="timestamp",
        max_timeshift=window - 1,
        min_timeshift=window - 1,
        n_jobs=0,
        disable_progressbar=True,
    )
    rolled = rolled.set_index("timestamp")  # times are read from the index
    found = extract_features(
        rolled,
        default_fc_parameters=settings or library_settings(plugin),
        column_id="id",
        column_value="close",
        n_jobs=0,
        disable_progressbar=True,
    )
    return cast(pd.DataFrame, found)


def agree(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Refuse to compare the speed of different numbers."""
    expected = theirs.astype(float).replace([np.inf, -np.inf], np.nan).to_numpy()
    if not np.array_equal(ours.to_numpy(), expected, equal_nan=True):
        raise AssertionError("the plugin and the library do not yield the same numbers")


def calculator_times(window: int, rounds: int = 15) -> pd.DataFrame:
    """Median milliseconds that each calculator takes for a window: the library's, the plugin's."""
    data = bars(window + rounds - 1)
    windows = [data.iloc[start : start + window] for start in range(rounds)]
    rows = []
    for name, settings in calculators.of_set("comprehensive", window):
        listed = {name: None if not settings[0] else [_plain(each) for each in settings]}
        plugin = features.create(
            "automated.tsfresh", feature_set="listed", calculators=listed, window=window
        )
        library = [spent(of_library, name, settings, each) for each in windows]
        own = [spent(plugin.compute, each) for each in windows]
        rows.append((name, len(settings), np.median(library), np.median(own)))
    table = pd.DataFrame(rows, columns=["calculator", "columns", "library_ms", "plugin_ms"])
    return table.sort_values("library_ms", ascending=False).round(3).reset_index(drop=True)


def of_library(name: str, settings: Sequence[calculators.Setting], data: pd.DataFrame) -> None:
    """One calculator of the library on one window."""
    from tsfresh.feature_extraction import feature_calculators

    function = getattr(feature_calculators, name)
    timed = getattr(function, "input", None) == "pd.Series"
    x = data["close"] if timed else data["close"].to_numpy()
    if function.fctype == "combiner":
        list(function(x, param=settings))
        return
    for each in settings:
        function(x, **each)


def _plain(setting: calculators.Setting) -> dict[str, Any]:
    """As YAML has it."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in setting.items()
    }


def spent(run: Callable[..., object], *arguments: Any) -> float:
    """Milliseconds of processor time."""
    started = time.process_time()
    run(*arguments)
    return 1e3 * (time.process_time() - started)


def in_turn(runs: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Least processor time of each in seconds, all of them once a round."""
    times = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for name, run in runs.items():
            started = time.process_time()
            run()
            times[name] = min(times[name], time.process_time() - started)
    return times


if __name__ == "__main__":
    main()
