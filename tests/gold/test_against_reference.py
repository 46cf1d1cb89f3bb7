"""The 107 features against the slow reference; causality, memory, and one path against another.

Agreement: counts, flags, ranks, classes and calendar are identical; other values differ by at most
1e-9 of themselves or of the column's median size; nulls are in the same places. Two paths of the
product itself (chunks, live, restarts) agree bit for bit.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.features import gold
from hf_plugins.features.gold.families import families
from hf_plugins.features.gold.join import join
from hf_plugins.features.gold.live import LiveFeatures
from hf_plugins.features.gold.tape import Tape
from tests.gold import reference, synthetic
from tests.gold.synthetic import Frames

# The slow reference is computed once for all that ask for it.
pytestmark = pytest.mark.xdist_group("against_reference")

SIZES = {
    "original": 10,
    "extended": 26,
    "levels": 13,
    "channels": 4,
    "sessions": 5,
    "price_volume": 4,
    "tick_proxies": 3,
    "momentum": 3,
    "regime": 4,
    "volatility": 3,
    "clustering": 2,
    "risk": 3,
    "lead_lag": 3,
    "candles": 3,
    "liquidity": 3,
    "calendar": 3,
    "support_resistance": 3,
    "multi_scale": 4,
    "self_similarity": 6,
    "alpha101": 2,
}
"""The twenty families in the official order, and how many features each has."""

_NAMES = iter(reference.NAMES)
FAMILIES = {family: list(itertools.islice(_NAMES, size)) for family, size in SIZES.items()}
BY_CLOCK = [
    "tod_sin",
    "tod_cos",
    *(f"session_{name}" for name in reference.SESSIONS),
    *FAMILIES["liquidity"],
    *FAMILIES["calendar"],
]
# Wilder's averages fade: what is left of the past after the look-back is small, not nothing.
FADING = {name for name in reference.NAMES if name.endswith("_norm")} | {"rsi_14"}


# --- agreement -------------------------------------------------------------------------------


def assert_agrees(found: pd.DataFrame, expected: pd.DataFrame, rows: Iterable[int]) -> None:
    """Raise with the worst row, both values and the column where the two disagree."""
    positions = np.array(list(rows))
    faults = []
    for name in expected:
        a, b = found[name].to_numpy(), expected[name].to_numpy()
        allowed = 0.0 if name in reference.EXACT else 1e-9
        limit = allowed * np.fmax(np.abs(b), usual_size(name))
        with np.errstate(invalid="ignore"):
            excess = np.where(np.isnan(a) != np.isnan(b), np.inf, np.abs(a - b) - limit)
        excess[np.isnan(a) & np.isnan(b)] = 0.0
        wrong = excess > 0.0
        if wrong.any():
            worst = int(excess.argmax())
            faults.append(
                f"{name}: {wrong.sum()} of {len(a)} rows disagree; worst at row "
                f"{positions[worst]} ({expected.index[worst]}): product {a[worst]!r}, "
                f"reference {b[worst]!r}"
            )
    assert not faults, "\n".join(faults)


def same_bits(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where float64 values are the same to the bit, signs of zeros included; nulls are equal."""
    bits = np.ascontiguousarray(a).view(np.int64) == np.ascontiguousarray(b).view(np.int64)
    return bits | (np.isnan(a) & np.isnan(b))


def assert_same_bits(found: pd.DataFrame, expected: pd.DataFrame, what: str) -> None:
    assert list(found) == list(expected)
    assert found.index.equals(expected.index)
    a, b = found.to_numpy(), expected.to_numpy()
    if not (same := same_bits(a, b)).all():
        row, column = np.argwhere(~same)[0]
        raise AssertionError(
            f"{what}: {(~same).sum()} values differ, first {expected.columns[column]} at row {row} "
            f"({expected.index[row]}): {a[row, column]!r} against {b[row, column]!r}"
        )


def edges(market: reference.Market) -> set[int]:
    """The rows around which values begin."""
    firsts = [int(row) for row in reference.first_rows(market).values() if np.isfinite(row)]
    return {row for first in firsts for row in (first - 1, first, first + 1)}


def around_gaps(market: reference.Market) -> set[int]:
    gaps = np.flatnonzero(np.diff(market.minute) > 30) + 1
    return {int(gap) + step for gap in gaps for step in (-1, 0, 1, 4)}


def around(first: int, last: int) -> set[int]:
    """Rows at which what lies between two rows enters and leaves the windows."""
    windows = (0, 1, 5, 30, 60, 61, 120, 180)
    return {row + step for row in (first, last) for step in windows} | {first - 1}


def chosen(market: reference.Market, rows: set[int], groups: int, seed: int) -> list[int]:
    """Some rows, and groups of ten random ones: rows close to each other share windows."""
    starts = np.random.default_rng(seed).choice(len(market), groups, replace=False)
    drawn = {int(start) + 3 * step for start in starts for step in range(10)}
    return sorted(row for row in rows | drawn if 0 <= row < len(market))


# --- markets ---------------------------------------------------------------------------------


def ordinary() -> tuple[Frames, list[int]]:
    # From the middle of a week, so that a weekend comes when all columns have values.
    frames = synthetic.beginning(synthetic.ordinary(12_700, seed=3), 3_700)
    market = reference.Market(frames)
    return frames, chosen(market, edges(market) | around_gaps(market), 8, 1)


def stressed() -> tuple[Frames, list[int]]:
    made = synthetic.stressed(11_500, seed=1)
    market = reference.Market(made.frames)
    rows = edges(market) | around_gaps(market)
    for _, first, last in made.spots:
        places = [int(market.time.searchsorted(stamp)) for stamp in (first, last)]
        # Early in the data only the columns with short windows have values.
        rows |= around(*places) if places[0] > 8_000 else {place + 5 for place in places}
    return made.frames, chosen(market, rows, 4, 2)


def few_prices() -> tuple[Frames, list[int]]:
    frames = synthetic.with_few_prices(8_800, seed=6)
    return frames, chosen(reference.Market(frames), {8_799}, 3, 3)


def frozen() -> tuple[Frames, list[int]]:
    return synthetic.frozen(8_800), [0, 1, 14, 20, 60, 120, 180, 7_300, 8_799]


MARKETS: dict[str, Callable[[], tuple[Frames, list[int]]]] = {
    "ordinary": ordinary,
    "stressed": stressed,
    "few_prices": few_prices,
    "frozen": frozen,
}


@cache
def market_of(name: str) -> tuple[reference.Market, list[int], pd.DataFrame]:
    frames, rows = MARKETS[name]()
    return reference.Market(frames), rows, gold.compute(frames)


@cache
def expected_of(name: str, family: str) -> pd.DataFrame:
    market, rows, _ = market_of(name)
    return reference.compute(market, rows, FAMILIES[family])


@cache
def usual_size(column: str) -> float:
    """Median size on ordinary data: what a difference near zero is measured by."""
    family = next(family for family, names in FAMILIES.items() if column in names)
    return float(np.nanmedian(expected_of("ordinary", family)[column].abs()))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", MARKETS)
def test_a_family_equals_the_reference(name: str, family: str):
    market, rows, product = market_of(name)
    assert product.index.equals(market.time)
    columns = [column for column in FAMILIES[family] if column in product]
    assert columns == FAMILIES[family], "the product has not all columns of this family"
    assert_agrees(product.iloc[rows], expected_of(name, family), rows)


@pytest.mark.parametrize("name", MARKETS)
def test_values_begin_where_the_table_says_and_never_stop(name: str):
    market, _, product = market_of(name)
    assert np.isfinite(product.to_numpy()).sum() + product.isna().to_numpy().sum() == product.size
    for column, first in reference.first_rows(market).items():
        missing = product[column].isna().to_numpy()
        expected = np.arange(len(market)) < first
        np.testing.assert_array_equal(missing, expected, err_msg=column)


def test_the_names_are_the_official_ones_in_the_official_order():
    frames = synthetic.ordinary(30)
    assert list(gold.compute(frames)) == reference.NAMES
    assert list(gold.compute(frames, alpha101=False)) == reference.NAMES[:105]


@pytest.mark.parametrize("rows", [1, 2, 3, 11, 12, 13, 15, 21, 60, 61, 62, 130])
def test_short_data_give_nulls_by_rule(rows: int):
    frames = synthetic.ordinary(rows, seed=9)
    product = gold.compute(frames)
    assert_agrees(product, reference.compute(frames, columns=list(product)), range(rows))


# Both clocks change in each season, on different dates.
@pytest.mark.parametrize("start", ["2024-03-08", "2024-10-24"])
def test_clock_and_calendar_over_the_changes_to_and_from_summer_time(start: str):
    stamps = pd.date_range(start, periods=3_000, freq="15min", tz="UTC")
    frames = synthetic.at_times(stamps)
    expected = reference.compute(frames, columns=BY_CLOCK)
    assert_agrees(gold.compute(frames), expected, range(len(stamps)))
    # The fix of 15:00 is seen at 14:00 and at 15:00 UTC, so both sides of a change are there.
    fixes = stamps[expected["london_fix_proximity"].to_numpy() == 0.0]
    assert {14, 15} <= set(fixes.hour)


def test_clock_and_calendar_over_thirty_years():
    rng = np.random.default_rng(4)
    minutes = np.unique(rng.integers(0, 30 * 366 * 1440, 4_000))
    stamps = pd.DatetimeIndex(
        pd.Timestamp("2003-12-01", tz="UTC") + pd.to_timedelta(minutes, "min")
    )
    frames = synthetic.at_times(stamps)
    expected = reference.compute(frames, columns=BY_CLOCK)
    assert_agrees(gold.compute(frames), expected, range(len(stamps)))


# --- causality and memory --------------------------------------------------------------------


def before(frames: Frames, stamp: pd.Timestamp) -> Frames:
    return {name: frame.loc[frame.index < stamp] for name, frame in frames.items()}


@cache
def long_market() -> tuple[Frames, pd.DataFrame]:
    frames = synthetic.stressed(18_500, seed=4, in_order=True).frames
    return frames, gold.compute(frames)


@pytest.mark.parametrize("cut", [1, 61, 300, 1_501, 7_250, 8_701, 10_000, 12_345])
def test_no_value_changes_when_the_future_is_cut_off(cut: int):
    frames, whole = long_market()
    part = gold.compute(before(frames, whole.index[cut]))
    assert_same_bits(part, whole.iloc[:cut], f"cut at row {cut}")


@pytest.mark.parametrize("cut", [61, 1_501, 8_701, 9_999])
def test_no_value_changes_when_the_future_is_another(cut: int):
    frames, whole = long_market()
    rng = np.random.default_rng(cut)
    poisoned = {}
    for name, frame in frames.items():
        future = np.flatnonzero(frame.index >= whole.index[cut])
        changed = frame.copy()
        changed.iloc[future] = frame.iloc[rng.permutation(future)].to_numpy() * rng.uniform(
            0.2, 5.0, (len(future), 1)
        )
        poisoned[name] = changed.drop(changed.index[future[::7]])
    part = gold.compute(poisoned).iloc[:cut]
    assert_same_bits(part, whole.iloc[:cut], f"another future from row {cut}")


def assert_same_from(
    found: pd.DataFrame, expected: pd.DataFrame, name: str, row: int, what: str
) -> None:
    """Equal bits from ``row`` on; in columns that fade, equal to the tolerance of agreement."""
    a, b = found[name].to_numpy()[row:], expected[name].to_numpy()[row:]
    same = same_bits(a, b)
    if name in FADING:
        same |= np.abs(a - b) <= 1e-9 * np.abs(b)
    if not same.all():
        worst = row + int(np.flatnonzero(~same)[-1])
        raise AssertionError(
            f"{what}: {name} still differs at row {worst}, {worst - row} rows after its look-back "
            f"of {reference.LOOKBACK[name]}: {found[name].iloc[worst]!r} against "
            f"{expected[name].iloc[worst]!r}"
        )


READS = {
    "XAGUSD": {
        *(name for name in reference.NAMES if "_xag_" in name),
        "xag_lag5_ret",
    },
    "DXY": {*(name for name in reference.NAMES if "dxy" in name or "xaucore" in name)},
    "NAS100": {*(name for name in reference.NAMES if "nas" in name or "xaucore" in name)},
    "US500": {"gold_equity_corr_regime"},
    "VIX": {"vix_level", "vix_change"},
}
READS["XAUUSD"] = set(reference.NAMES) - {
    *BY_CLOCK,
    *READS["VIX"],
    "dxy_lag5_ret",
    "nas_lag5_ret",
    "xag_lag5_ret",
}


@pytest.mark.parametrize("instrument", reference.INSTRUMENTS)
def test_one_absurd_bar_is_forgotten_after_the_look_back(instrument: str):
    frames, clean = long_market()
    at = 9_150
    changed = set()
    # A line that bounds nine tenths of the closes from below does not mind one far above it: so
    # one bar closes far above and another one far below.
    for edge, factor in (("high", 3.0), ("low", 1.0 / 3.0)):
        poisoned = frames[instrument].copy()
        poisoned.loc[clean.index[at], [edge, "close"]] *= factor
        poisoned.loc[clean.index[at], "volume"] = 1e6
        found = gold.compute(frames | {instrument: poisoned})
        assert_same_bits(found.iloc[:at], clean.iloc[:at], "before the absurd bar")
        for name in clean:
            assert_same_from(found, clean, name, at + reference.LOOKBACK[name], "an absurd bar")
            if not same_bits(found[name].to_numpy(), clean[name].to_numpy()).all():
                changed.add(name)
    assert sorted(READS[instrument] - changed) == [], "columns that do not see the instrument"
    assert sorted(changed - READS[instrument]) == [], "columns that should not see the instrument"


@pytest.mark.parametrize("start", [1, 777, 1_500])
def test_no_value_depends_on_the_start_after_the_look_back(start: int):
    frames, whole = long_market()
    kept = {name: frame.loc[frame.index >= whole.index[start]] for name, frame in frames.items()}
    found = gold.compute(kept)
    expected = whole.iloc[start:]
    for name in whole:
        # The first trading day of the data may be cut off: values wait for the third.
        assert_same_from(found, expected, name, reference.LOOKBACK[name], f"start at row {start}")


# --- one path against another ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_any_chunks_give_the_same_bits(seed: int):
    frames, whole = long_market()
    bars = join(frames)
    tape = Tape(families(), len(bars))
    tape.put(bars)
    rng = np.random.default_rng(seed)
    cuts = {*rng.integers(1, len(bars), 25).tolist(), *rng.integers(1, 130, 6).tolist()}
    for start, stop in itertools.pairwise([0, *sorted(cuts), len(bars)]):
        tape.fill(start, stop)
    found = pd.DataFrame(tape.features.T, index=bars.index, columns=list(tape.names))
    inverted = [name for name in reference.INVERTED if name in found]
    found[inverted] = 0.0 - found[inverted]  # a zero stays a plain one
    assert_same_bits(found, whole, "chunks")


@cache
def single_bars() -> dict[str, dict[Any, Any]]:
    frames, _ = long_market()
    return {name: frame.to_dict("index") for name, frame in frames.items()}


def feed(live: LiveFeatures, first: Any, last: Any) -> pd.DataFrame:
    """The values of the joined bars among all the minutes in which an instrument has a bar."""
    bars = single_bars()
    minutes = sorted(stamp for stamp in set().union(*bars.values()) if first <= stamp <= last)
    values = {}
    for stamp in minutes:
        found = live.update(
            stamp, {name: bars[name][stamp] for name in bars if stamp in bars[name]}
        )
        if found is not None:
            values[stamp] = found
    index = pd.DatetimeIndex(list(values), name="timestamp").as_unit("ns")
    return pd.DataFrame(np.array(list(values.values())), index=index, columns=list(live.names))


@pytest.mark.parametrize("start", [0, 1, 59, 200, 1_600, 7_190, 9_050])
def test_live_values_have_the_bits_of_the_batch_from_any_start(start: int):
    frames, whole = long_market()
    first, last = whole.index[start], whole.index[start + 260]
    live = LiveFeatures(before(frames, first))
    found = feed(live, first, last)
    assert_same_bits(found, whole.iloc[start : start + 261], f"live from row {start}")


def test_live_values_after_a_restart_from_the_saved_state():
    frames, whole = long_market()
    live = LiveFeatures(before(frames, whole.index[9_000]))
    feed(live, whole.index[9_000], whole.index[9_069])
    live = LiveFeatures.restore(live.state())
    found = feed(live, whole.index[9_070], whole.index[9_200])
    assert_same_bits(found, whole.iloc[9_070:9_201], "live after a restart")


def test_live_values_from_the_last_9000_bars_alone():
    frames, whole = long_market()
    kept = {name: frame.loc[frame.index >= whole.index[3_000]] for name, frame in frames.items()}
    live = LiveFeatures(before(kept, whole.index[12_000]))
    found = feed(live, whole.index[12_000], whole.index[12_120])
    expected = whole.iloc[12_000:12_121]
    for name in expected:
        assert_same_from(found, expected, name, 0, "live from 9,000 bars")


@pytest.mark.slow
def test_live_values_over_weeks():
    # Long enough for the buffer to be shifted.
    frames, whole = long_market()
    live = LiveFeatures(before(frames, whole.index[8_000]))
    found = feed(live, whole.index[8_000], whole.index[-1])
    assert_same_bits(found, whole.iloc[8_000:], "live over weeks")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 14))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_equals_the_reference_on_many_rows(seed: int, family: str):
    market, rows, product = many(seed)
    expected = reference.compute(market, rows, FAMILIES[family])
    assert_agrees(product.iloc[rows], expected, rows)


@cache
def many(seed: int) -> tuple[reference.Market, list[int], pd.DataFrame]:
    frames = synthetic.stressed(13_000, seed).frames
    market = reference.Market(frames)
    return market, chosen(market, edges(market), 200, seed), gold.compute(frames)
