"""Time to check and to enrich the bars of one symbol, without any storage.

Bars are generated: a random walk with takers, funding, open interest and liquidations. Measured
are a year of hourly crypto, twenty years of daily bars, a million one-minute bars, and a day that
is appended to these. The last line is one JSON object; times are the best of several runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import QualityPolicy, check_bars, context_rows
from hf_plugins.enrichment import (
    UniversalState,
    continue_universal,
    crypto,
    crypto_features,
    universal,
    universal_features,
)
from hf_plugins.sessions import MICROSECONDS_PER_DAY, Sessions, microseconds

CALENDAR = "24/7"
CASES = {"year_1h": ("1h", 8_760, 15), "twenty_years_1d": ("1d", 7_305, 15)}
MINUTES = 1_000_000


def main() -> None:
    """Measure each case and report milliseconds."""
    figures: dict[str, Any] = {"benchmark": "market_data_kernels"}
    whole(bars("1h", 300), "1h", 1)  # compile
    for name, (timeframe, rows, repeats) in CASES.items():
        figures[name] = whole(bars(timeframe, rows), timeframe, repeats)
    minutes = bars("1m", MINUTES)
    figures["million_1m"] = whole(minutes, "1m", 3)
    figures["append_day_1m"] = appended(minutes, 3)
    print(json.dumps(figures))


def bars(timeframe: str, rows: int) -> pd.DataFrame:
    """A random walk with everything that crypto bars may have."""
    generator = np.random.default_rng(7)
    step = microseconds(timeframe)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0, 1e-6 * np.sqrt(step / 1e6), rows)))
    opens = np.concatenate(([100.0], close[:-1]))
    volume = generator.gamma(4.0, 10.0, rows)
    per_rate = max(1, 8 * 3_600_000_000 // step)
    rates = np.round(generator.normal(1e-4, 1e-4, rows // per_rate + 1), 8)
    stamps = pd.Timestamp("2015-01-01", tz="UTC").value // 1000 + np.arange(rows) * step
    return pd.DataFrame(
        {
            "open": opens,
            "high": np.maximum(opens, close) * 1.0005,
            "low": np.minimum(opens, close) * 0.9995,
            "close": close,
            "volume": volume,
            "taker_buy_volume": volume * generator.uniform(0.3, 0.7, rows),
            "funding_rate": np.repeat(rates, per_rate)[:rows],
            "open_interest": 1e9 * np.exp(np.cumsum(generator.normal(0, 1e-4, rows))),
            "liquidations_long": generator.gamma(1.0, 1e4, rows),
            "liquidations_short": generator.gamma(1.0, 1e4, rows),
        },
        index=pd.DatetimeIndex(stamps.view("datetime64[us]"), tz="UTC", name="timestamp"),
    )


def whole(frame: pd.DataFrame, timeframe: str, repeats: int) -> dict[str, float]:
    """Milliseconds to check and enrich a whole history."""
    check = best(lambda: checked(frame, timeframe, None), repeats)
    plain = best(lambda: universal_features(frame, timeframe=timeframe, calendar=CALENDAR), repeats)
    extra = best(lambda: crypto_features(frame, timeframe=timeframe), repeats)
    return {
        "rows": len(frame),
        "check_ms": check,
        "universal_ms": plain,
        "crypto_ms": extra,
        "total_ms": round(check + plain + extra, 2),
    }


def appended(frame: pd.DataFrame, repeats: int) -> dict[str, float]:
    """Milliseconds to check and enrich the last day, given what comes before it."""
    day = MICROSECONDS_PER_DAY // microseconds("1m")
    old, state = frame.iloc[:-day], UniversalState.empty()
    _, state = continue_universal(old, state, timeframe="1m", calendar=CALENDAR)
    last = state.last

    def tail(rows: int) -> pd.DataFrame:
        return frame.iloc[-day - rows :]

    def run() -> None:
        checked(frame.iloc[-day:], "1m", old.iloc[-context_rows(QualityPolicy()) :])
        context = universal.context_rows("1m", CALENDAR)
        continue_universal(tail(context), state, timeframe="1m", calendar=CALENDAR)
        crypto_features(tail(crypto.context_rows("1m")), timeframe="1m", after=last)

    return {"rows": day, "total_ms": best(run, repeats)}


def checked(frame: pd.DataFrame, timeframe: str, history: pd.DataFrame | None) -> None:
    """Check bars against their calendar; they are clean."""
    stamps = pd.DatetimeIndex(frame.index).as_unit("us").asi8
    start, end = int(stamps[0]), int(stamps[-1]) + 1
    expected = Sessions.around_the_clock(start, end).expected(timeframe, start, end)
    quality = check_bars(frame, symbol="X", timeframe=timeframe, expected=expected, history=history)
    if len(quality.kept) != len(frame):
        raise AssertionError("; ".join(fault.sentence for fault in quality.faults))


def best(run: Callable[[], object], repeats: int) -> float:
    """Best of several runs, in milliseconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        times.append(time.perf_counter() - started)
    return round(1000 * min(times), 2)


if __name__ == "__main__":
    main()
