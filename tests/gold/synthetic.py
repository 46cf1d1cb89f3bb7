"""Markets for the tests of the gold features: ordinary ones, and ones where everything goes wrong.

All start from the generator that ships with the project. What is done to them is done by time
stamp, so that it survives the inner join, and its places are kept: tests look at the rows around.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.features.gold import generator

PRICES = ["open", "high", "low", "close"]
Frames = dict[str, pd.DataFrame]


def frames(rows: int, seed: int = 0) -> Frames:
    """A stressed market of about ``rows`` joined bars."""
    return stressed(rows, seed).frames


def ordinary(rows: int, seed: int = 0) -> Frames:
    return generator.generate(rows, seed)


def beginning(data: Frames, row: int) -> Frames:
    """The market from a joined row on."""
    first = minutes(data)[row]
    return {name: frame.loc[frame.index >= first] for name, frame in data.items()}


@dataclass
class Stressed:
    """Frames, and the first and the last stamp of each thing that was done to them."""

    frames: Frames
    spots: list[tuple[str, Any, Any]] = field(default_factory=list)


def stressed(
    rows: int, seed: int = 0, start: str = "2024-03-01", *, in_order: bool = False
) -> Stressed:
    """Every stress once after row 260 and once more after row 8,800, where all columns have values.

    ``in_order`` leaves the bars sorted, in UTC and each there once, as a live feed brings them.

    The default start has the change to summer time in New York in its second week. All prices lie
    on coarse grids, so that equal prices, equal moves and prices that equal a level are common.
    """
    market = Stressed(generator.generate(rows, seed, start=start))
    for name, step in (("XAUUSD", 0.1), ("XAGUSD", 0.01), ("VIX", 0.05)):
        frame = market.frames[name]
        frame[PRICES] = np.round(np.rint(frame[PRICES] / step) * step, 6)
    stamps = minutes(market.frames)
    for row in (260, 8_800):
        for stress, length in STRESSES:
            if row + length + 100 > len(stamps):
                break
            chosen = pd.DatetimeIndex(stamps[row : row + length])
            stress(market.frames, chosen)
            market.spots.append((stress.__name__, chosen[0], chosen[-1]))
            row += length + 70
    rng = np.random.default_rng([seed, 7])
    if not in_order:
        market.frames = disordered(market.frames, rng)
    return market


def minutes(data: Frames) -> pd.DatetimeIndex:
    """Stamps that all frames have, sorted."""
    common = set.intersection(*(set(frame.index) for frame in data.values()))
    return pd.DatetimeIndex(sorted(common))


def freeze(frame: pd.DataFrame, stamps: pd.DatetimeIndex) -> None:
    """One price from the first stamp to the last."""
    span = (frame.index >= stamps[0]) & (frame.index <= stamps[-1])
    frame.loc[span, PRICES] = frame.loc[stamps[0], "close"]


def frozen_gold(data: Frames, stamps: pd.DatetimeIndex) -> None:
    freeze(data["XAUUSD"], stamps)
    data["XAUUSD"].loc[stamps, "volume"] = 0.0


def frozen_dollar(data: Frames, stamps: pd.DatetimeIndex) -> None:
    freeze(data["DXY"], stamps)


def frozen_markets(data: Frames, stamps: pd.DatetimeIndex) -> None:
    for frame in data.values():
        freeze(frame, stamps)


def no_volume(data: Frames, stamps: pd.DatetimeIndex) -> None:
    data["XAUUSD"].loc[stamps, "volume"] = 0.0


def unknown_volume(data: Frames, stamps: pd.DatetimeIndex) -> None:
    data["XAUUSD"].loc[stamps, "volume"] = np.nan
    data["XAGUSD"].loc[stamps, "volume"] = np.nan


def equal_ticks(data: Frames, stamps: pd.DatetimeIndex) -> None:
    """A staircase: the returns differ by 1e-5 of themselves, which is not variation."""
    for name, tick in (("XAUUSD", 0.1), ("XAGUSD", 0.001), ("DXY", 0.005), ("NAS100", 0.1)):
        start = float(data[name].loc[stamps[0], "close"])
        for step, stamp in enumerate(stamps):
            data[name].loc[stamp, PRICES] = round(start + step * tick, 6)


def five_equal_ticks_of_the_dollar(data: Frames, stamps: pd.DatetimeIndex) -> None:
    start = float(data["DXY"].loc[stamps[0], "close"])
    for step, stamp in enumerate(stamps):
        data["DXY"].loc[stamp, PRICES] = round(start + step * 0.005, 6)


def long_staircase(data: Frames, stamps: pd.DatetimeIndex) -> None:
    start = float(data["NAS100"].loc[stamps[0], "close"])
    for step, stamp in enumerate(stamps):
        data["NAS100"].loc[stamp, PRICES] = round(start - step * 0.1, 6)


def jump_and_return(data: Frames, stamps: pd.DatetimeIndex) -> None:
    """Four per cent up, and back at the end."""
    gold = data["XAUUSD"]
    gold.loc[stamps, PRICES] = np.round(gold.loc[stamps, PRICES] * 1.04, 1)


def rally(data: Frames, stamps: pd.DatetimeIndex) -> None:
    """A fifth more for longer than the long averages look back."""
    gold = data["XAUUSD"]
    gold.loc[stamps, PRICES] = np.round(gold.loc[stamps, PRICES] * 1.2, 1)


def absurd_tick(data: Frames, stamps: pd.DatetimeIndex) -> None:
    data["XAUUSD"].loc[stamps[:1], ["low", "close"]] /= 2.0


def broken_candles(data: Frames, stamps: pd.DatetimeIndex) -> None:
    """The close outside of the range, and bars without a range whose close is far from the open."""
    gold = data["XAUUSD"]
    middle = gold.loc[stamps, ["open", "close"]].mean(axis=1).round(1)
    gold.loc[stamps, "high"] = np.maximum(middle, gold.loc[stamps, "low"] + 0.1)
    gold.loc[stamps[::2], "low"] = gold.loc[stamps[::2], "high"]
    gold.loc[stamps[::2], "open"] += 10.0


def invalid_prices(data: Frames, stamps: pd.DatetimeIndex) -> None:
    """Bars that must count as absent, one per instrument."""
    worst = [np.nan, np.inf, 0.0, -1.0, -np.inf, np.nan]
    for position, (frame, price) in enumerate(zip(data.values(), worst, strict=True)):
        frame.loc[stamps[3 * position], PRICES[position % 4]] = price


def gap_of_all(data: Frames, stamps: pd.DatetimeIndex) -> None:
    for name, frame in data.items():
        data[name] = frame.loc[(frame.index < stamps[1]) | (frame.index >= stamps[-1])]


def gap_of_one(data: Frames, stamps: pd.DatetimeIndex) -> None:
    frame = data["VIX"]
    data["VIX"] = frame.loc[(frame.index < stamps[1]) | (frame.index >= stamps[-1])]


def every_other_minute(data: Frames, stamps: pd.DatetimeIndex) -> None:
    for name, gone in (("XAGUSD", stamps[1:-1:2]), ("DXY", stamps[2:-1:4])):
        data[name] = data[name].drop(gone)


def mirrored(data: Frames, stamps: pd.DatetimeIndex) -> None:
    """A triangle wave: collinear closes, equal ranges, quantile lines that are not unique."""
    gold = data["XAUUSD"]
    wave = np.abs((np.arange(len(stamps)) % 40) - 20.0)
    middle = float(gold.loc[stamps[0], "close"])
    for column, shift in (("open", 0.0), ("high", 0.2), ("low", -0.2), ("close", 0.1)):
        gold.loc[stamps, column] = np.round(middle + 0.1 * wave + shift, 6)


STRESSES: list[tuple[Callable[[Frames, pd.DatetimeIndex], None], int]] = [
    (five_equal_ticks_of_the_dollar, 7),
    (frozen_gold, 75),
    (no_volume, 70),
    (equal_ticks, 40),
    (invalid_prices, 20),
    (gap_of_all, 180),
    (jump_and_return, 30),
    (frozen_dollar, 70),
    (mirrored, 190),
    (unknown_volume, 5),
    (absurd_tick, 1),
    (long_staircase, 130),
    (gap_of_one, 40),
    (broken_candles, 30),
    (every_other_minute, 60),
    (frozen_markets, 200),
    (rally, 150),
]


def disordered(data: Frames, rng: np.random.Generator) -> Frames:
    """The same market in other clocks and out of order.

    Some bars come twice: a wrong one before the right one, which replaces it, and the right one
    before one without a price, which is no bar and replaces nothing.
    """
    zones = ["UTC", "America/New_York", "Europe/Athens", "Asia/Kolkata", "UTC", "UTC"]
    result = {}
    for (name, frame), zone in zip(data.items(), zones, strict=True):
        stamps = pd.DatetimeIndex(frame.index).tz_convert(zone)
        frame = frame.set_axis(stamps.as_unit("us") if name == "VIX" else stamps)
        if name in ("XAUUSD", "US500", "VIX"):
            frame = frame.iloc[rng.permutation(len(frame))]
        wrong = frame.iloc[rng.choice(len(frame), 40, replace=False)] * 1.5
        void = frame.iloc[rng.choice(len(frame), 40, replace=False)].assign(close=np.nan)
        result[name] = pd.concat([wrong, frame, void]).assign(spread=1.0)
    return result


def with_few_prices(rows: int, seed: int = 0) -> Frames:
    """Gold closes at one of five prices only: fewer than there could be levels."""
    data = ordinary(rows, seed)
    rng = np.random.default_rng(seed)
    gold = data["XAUUSD"]
    gold["close"] = 2000.0 + 2.5 * rng.integers(0, 5, len(gold))
    gold["open"] = gold["close"].shift(fill_value=2000.0)
    gold["high"] = gold[["open", "close"]].max(axis=1)
    gold["low"] = gold[["open", "close"]].min(axis=1)
    return data


def frozen(rows: int) -> Frames:
    """Nothing moves, ever."""
    data = ordinary(rows)
    for frame in data.values():
        frame[PRICES] = float(frame["close"].iloc[0])
        frame["volume"] = 7.0
    return data


def at_times(stamps: pd.DatetimeIndex) -> Frames:
    """The same uneventful bar at each of ``stamps``: for what depends on the clock alone."""
    bar = {"open": 2000.0, "high": 2001.0, "low": 1999.0, "close": 2000.5, "volume": 1.0}
    return {name: pd.DataFrame(bar, index=stamps) for name in generator.INSTRUMENTS}
