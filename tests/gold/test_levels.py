"""Levels: the optimum against other solvers, the events against hand-made cases and plain code."""

from __future__ import annotations

from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.kernels import wilder
from hf_plugins.kernels.gold import level_distances, level_events, level_fit

WINDOW, CLUSTERS = level_fit.WINDOW, level_fit.CLUSTERS
TOUCH, BOUNCE, BREAKOUT, CONTACT = range(4)


# --- one fit ---------------------------------------------------------------------------------


def fitted(close: np.ndarray, clusters: int = CLUSTERS) -> np.ndarray:
    levels = np.full(clusters, np.nan)
    scratch = level_fit.workspace(close.size, clusters)
    return levels[: level_fit.fit(close, clusters, levels, scratch)]


def squares(close: np.ndarray, levels: np.ndarray) -> float:
    return float((np.abs(close[:, None] - levels).min(axis=1) ** 2).sum())


def prices(rows: int, seed: int, tick: float = 0.01, spread: float = 0.6) -> np.ndarray:
    steps = np.random.default_rng(seed).standard_t(3, rows) * spread
    return np.round(np.rint((2000 + np.cumsum(steps)) / tick) * tick, 6)


def best_of_all_partitions(close: np.ndarray, clusters: int) -> float:
    """Least sum of squares over all ways to cut the sorted distinct prices into runs."""
    ordered = np.sort(close)
    cuts = np.flatnonzero(np.diff(ordered)) + 1
    return min(
        sum(float(((part - part.mean()) ** 2).sum()) for part in np.split(ordered, chosen))
        for chosen in combinations(cuts, clusters - 1)
    )


@settings(max_examples=150, deadline=None)
@given(
    ticks=st.lists(st.integers(0, 40) | st.integers(0, 100_000), min_size=1, max_size=14),
    clusters=st.integers(1, 5),
)
def test_no_partition_is_better(ticks: list[int], clusters: int) -> None:
    close = (190_000 + np.array(ticks)) / 100
    levels = fitted(close, clusters)
    distinct = np.unique(close)
    assert levels.size == min(clusters, distinct.size)
    if distinct.size <= clusters:
        assert np.array_equal(levels, distinct)
    else:
        best = best_of_all_partitions(close, clusters)
        assert squares(close, levels) == pytest.approx(best, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(("tick", "seed"), [(0.01, 1), (0.01, 2), (0.1, 3), (1.0, 4)])
def test_against_another_exact_solver(tick: float, seed: int) -> None:
    kmeans1d = pytest.importorskip("kmeans1d", reason="needs kmeans1d")
    close = prices(WINDOW, seed, tick)
    expected = np.sort(kmeans1d.cluster(close, CLUSTERS).centroids)
    assert fitted(close) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("clusters", range(1, 13))
def test_every_number_of_clusters(clusters: int) -> None:
    kmeans1d = pytest.importorskip("kmeans1d", reason="needs kmeans1d")
    rng = np.random.default_rng(clusters)
    close = np.round(2000 + rng.choice([0.0, 30.0, 31.0, 90.0], 900) + rng.normal(0, 4, 900), 1)
    expected = np.sort(kmeans1d.cluster(close, clusters).centroids)
    assert squares(close, fitted(close, clusters)) == pytest.approx(
        squares(close, expected), rel=1e-12
    )


def test_one_price_far_from_the_rest() -> None:
    kmeans1d = pytest.importorskip("kmeans1d", reason="needs kmeans1d")
    close = prices(WINDOW, seed=5)
    close[3_000] = 9_999.99
    assert fitted(close)[-1] == 9_999.99
    assert fitted(close) == pytest.approx(
        np.sort(kmeans1d.cluster(close, CLUSTERS).centroids), rel=1e-11
    )


def test_fewer_prices_than_levels() -> None:
    close = np.tile([2000.01, 1999.99, 2003.3], 100)
    assert fitted(close).tolist() == [1999.99, 2000.01, 2003.3]
    assert fitted(np.full(100, 1234.56789)).tolist() == [1234.56789]
    seven = np.arange(7) * 0.01 + 1000
    assert np.array_equal(fitted(np.repeat(seven, 9)), np.round(seven, 2))


def test_a_level_of_one_price_is_that_price() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        price = round(float(rng.uniform(500, 9_999)), 5)
        assert fitted(np.full(7, price)).tolist() == [price]


def test_order_does_not_matter() -> None:
    close = prices(WINDOW, seed=6)
    shuffled = np.random.default_rng(1).permutation(close)
    assert np.array_equal(fitted(close), fitted(shuffled))


def test_exact_up_to_the_limit_and_null_beyond() -> None:
    limit = level_fit.PRICE_LIMIT
    close = np.round(limit - 1 - np.arange(WINDOW) % 7 / 100, 2)
    assert np.array_equal(fitted(close), np.unique(close))
    assert WINDOW * int(limit * level_fit.UNITS) < 2**53
    for outside in (limit, np.nan, np.inf, -1.0):
        close[17] = outside
        assert fitted(close).size == 0


# --- whole series ----------------------------------------------------------------------------


class Levels:
    """All level kernels on one series, filled chunk by chunk."""

    def __init__(self, market: dict[str, np.ndarray], cuts: list[int] | None = None) -> None:
        self.market = market
        rows = market["close"].size
        self.fits = np.full((level_fit.ROWS, rows), np.nan)
        self.levels = np.full((level_fit.ROWS, rows), np.nan)
        self.distances = np.full((8, rows), np.nan)
        self.events = np.full((4, rows), np.nan)
        self.counts = np.full((5, rows), np.nan)
        edges = [0, *(cuts or []), rows]
        for start, stop in pairwise(edges):
            self.fill(start, stop)

    def fill(self, start: int, stop: int) -> None:
        m = self.market
        minute, high, low, close = m["minute"], m["high"], m["low"], m["close"]
        atr = m["atr"]
        level_fit.fits(start, stop, minute, close, self.fits)
        level_fit.in_force(start, stop, self.fits, self.levels)
        level_distances.rows(start, stop, close, atr, self.levels, self.distances)
        level_events.events(start, stop, high, low, close, atr, self.levels, self.events)
        level_events.rows(start, stop, minute, close, self.levels, self.events, self.counts)

    @property
    def results(self) -> np.ndarray:
        return np.concatenate([self.levels, self.distances, self.events, self.counts])


def market(rows: int, seed: int, tick: float = 0.1, spread: float = 0.3) -> dict[str, np.ndarray]:
    """Bars with gaps of the clock, on a grid coarse enough for many contacts."""
    rng = np.random.default_rng(seed)
    close = prices(rows, seed, tick, spread)
    before = np.r_[close[0], close[:-1]]
    wick = np.round(np.rint(rng.exponential(spread, (2, rows)) / tick) * tick, 6)
    gaps = (rng.random(rows) < 0.02) * rng.integers(1, 90, rows)
    high = np.round(np.maximum(before, close) + wick[0], 6)
    low = np.round(np.minimum(before, close) - wick[1], 6)
    return {
        "minute": 28_401_300 + np.arange(rows) + np.cumsum(gaps),
        "high": high,
        "low": low,
        "close": close,
        "atr": wilder.atr(high, low, close, 14),
    }


def cut(bars: dict[str, np.ndarray], rows: slice) -> dict[str, np.ndarray]:
    return {name: values[rows].copy() for name, values in bars.items()}


@pytest.fixture(scope="module")
def bars() -> dict[str, np.ndarray]:
    return market(9_600, seed=1)


@pytest.fixture(scope="module")
def whole(bars: dict[str, np.ndarray]) -> Levels:
    return Levels(bars)


def test_fits_are_made_at_the_first_bar_of_the_hour(
    bars: dict[str, np.ndarray], whole: Levels
) -> None:
    hour = bars["minute"] // 60
    due = np.flatnonzero(np.r_[False, hour[1:] != hour[:-1]])
    due = due[due >= WINDOW - 1]
    assert np.array_equal(np.flatnonzero(~np.isnan(whole.fits[0])), due)
    for t in due[:: due.size // 4]:
        expected = fitted(bars["close"][t - WINDOW + 1 : t + 1])
        assert np.array_equal(whole.fits[1:, t], expected)
    for t, following in zip(due, [*due[1:], hour.size], strict=True):
        assert (whole.levels[:, t:following] == whole.fits[:, t, None]).all()
    assert np.isnan(whole.results[:, : due[0]]).all()


def test_the_earliest_possible_fit() -> None:
    bars = market(7_300, seed=2)
    rows = np.arange(7_300)
    for offset, first in ((0, 7_200), (1, 7_199), (2, 7_258)):
        bars["minute"] = 60 * 400_000 + rows + offset
        levels = Levels(bars).levels[0]
        assert np.flatnonzero(levels > 0)[0] == first


def plain_events(whole: Levels, t: int) -> tuple[int, int, int, bool]:
    """The events of one bar, word by word."""
    m = whole.market
    high, low, close, atr = m["high"], m["low"], m["close"], m["atr"]

    def contact(level: float, i: int) -> bool:
        return bool(low[i] <= level <= high[i])

    def bounced(level: float, i: int) -> bool:
        zone = 0.5 * max(atr[i], 1e-6 * close[i])
        five = slice(i - 4, i + 1)
        above = close[i - 5] > level and low[five].min() <= level < close[five].min()
        below = close[i - 5] < level and high[five].max() >= level > close[five].max()
        return bool((above or below) and abs(close[i] - level) > zone)

    def back(level: float, sign: int) -> bool:
        beyond = sign * (close[t - 16 : t + 1] - level) > 0
        return any(
            not beyond[16] and beyond[16 - n : 16].all() and not beyond[15 - n]
            for n in range(1, 16)
        )

    levels = whole.levels[1 : 1 + int(whole.levels[0, t]), t]
    return (
        sum(contact(v, t) and not contact(v, t - 1) for v in levels),
        sum(bounced(v, t) and not bounced(v, t - 1) for v in levels),
        sum(back(v, sign) for v in levels for sign in (1, -1)),
        any(contact(v, t) for v in levels),
    )


@pytest.mark.parametrize(("tick", "spread"), [(0.1, 0.3), (1.0, 0.4), (0.01, 0.5)])
def test_events_word_by_word(tick: float, spread: float) -> None:
    whole = Levels(market(8_800, seed=3, tick=tick, spread=spread))
    first = int(np.flatnonzero(whole.levels[0] > 0)[0])
    expected = np.array([plain_events(whole, t) for t in range(first, 8_800)]).T
    assert np.array_equal(whole.events[:, first:], expected)
    assert (expected.sum(axis=1) > 5).all(), "the sample has too few events of a kind"


def test_counts_are_sums_over_the_window(bars: dict[str, np.ndarray], whole: Levels) -> None:
    first = int(np.flatnonzero(whole.levels[0] > 0)[0])
    for column, event, length in ((0, TOUCH, 360), (1, BOUNCE, 1440), (3, BREAKOUT, 1440)):
        counts = whole.counts[column]
        start = first + length - 1
        assert np.isnan(counts[:start]).all()
        sums = np.convolve(whole.events[event, first:], np.ones(length), "valid")
        assert np.array_equal(counts[start:], sums)
    since = whole.counts[4]
    start = first + 1439
    assert np.isnan(since[:start]).all()
    for t in range(start, 9_600, 7):
        contacts = np.flatnonzero(whole.events[CONTACT, t - 1439 : t + 1])
        minutes = bars["minute"][t - 1439 : t + 1]
        expected = minutes[-1] - minutes[contacts[-1]] if contacts.size else 1440
        assert since[t] == min(expected, 1440)


def test_distances_word_by_word(bars: dict[str, np.ndarray], whole: Levels) -> None:
    close = bars["close"]
    first = int(np.flatnonzero(whole.levels[0] > 0)[0])
    for t in range(first, 9_600, 11):
        levels, price = whole.levels[1:, t], close[t]
        below, above = levels[levels <= price], levels[levels >= price]
        span = levels[-1] - levels[0]
        rank = int(np.abs(price - levels).argmin())
        atr = max(bars["atr"][t], 1e-6 * price)
        distances = np.array(
            [
                abs(price - levels[rank]),
                price - below.max() if below.size else span,
                above.min() - price if above.size else span,
            ]
        )
        near = float(distances[0] <= 0.5 * atr)
        expected = [*distances, *(distances / atr), rank + 1, near]
        assert np.array_equal(whole.distances[:, t], expected)
        velocity = (abs(close[t - 5] - levels[rank]) - abs(price - levels[rank])) / 5
        assert whole.counts[2, t] == velocity


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(1, 9_599), max_size=8, unique=True).map(sorted))
def test_chunks_do_not_matter(bars: dict[str, np.ndarray], whole: Levels, cuts: list[int]) -> None:
    assert np.array_equal(Levels(bars, cuts).results, whole.results, equal_nan=True)


def test_bar_by_bar(bars: dict[str, np.ndarray], whole: Levels) -> None:
    live = Levels(bars, [9_000, *range(9_001, 9_400)])
    assert np.array_equal(live.results, whole.results, equal_nan=True)


def test_a_start_from_the_bars_of_the_lookback(bars: dict[str, np.ndarray], whole: Levels) -> None:
    """8,698 bars and their average ranges give all values of the last one."""
    for stop in range(9_541, 9_601, 6):
        late = Levels(cut(bars, slice(stop - 8_698, stop)))
        assert np.array_equal(late.results[:, -1], whole.results[:, stop - 1])


def test_the_future_does_not_matter(bars: dict[str, np.ndarray], whole: Levels) -> None:
    poisoned = cut(bars, slice(None))
    for name in ("high", "low", "close", "atr"):
        poisoned[name][8_900:] = np.nan
    past = Levels(poisoned, [8_900])
    assert np.array_equal(past.results[:, :8_900], whole.results[:, :8_900], equal_nan=True)


# --- events by hand --------------------------------------------------------------------------


def story(
    closes: list[float],
    levels: list[float],
    *,
    wicks: dict[int, tuple[float, float]] | None = None,
    atr: float = 1.0,
) -> np.ndarray:
    """Events of each bar of a story told by closes; a bar's range is its close unless it has wicks.

    20 quiet bars at the first close come before, so that every pattern has its past.
    """
    close = np.array([closes[0]] * 20 + closes)
    high, low = close.copy(), close.copy()
    for bar, (bottom, top) in (wicks or {}).items():
        low[20 + bar], high[20 + bar] = bottom, top
    tape = np.full((level_fit.ROWS, close.size), np.nan)
    tape[0] = len(levels)
    tape[1 : 1 + len(levels)] = np.array(levels)[:, None]
    out = np.full((4, close.size), np.nan)
    level_events.events(20, close.size, high, low, close, np.full(close.size, atr), tape, out)
    return out[:, 20:]


def test_standing_on_a_level_is_one_touch() -> None:
    events = story([90.0, 100.0, 100.0, 100.0, 90.0, 100.0], [100.0])
    assert events[TOUCH].tolist() == [0, 1, 0, 0, 0, 1]
    assert events[CONTACT].tolist() == [0, 1, 1, 1, 0, 1]


def test_one_bar_may_touch_several_levels() -> None:
    events = story([90.0, 90.0], [95.0, 97.0, 130.0], wicks={1: (90.0, 97.0)})
    assert events[TOUCH].tolist() == [0, 2]


def test_contact_includes_both_ends_of_the_bar() -> None:
    assert story([90.0, 92.0], [95.0], wicks={1: (91.0, 95.0)})[TOUCH].tolist() == [0, 1]
    assert story([90.0, 92.0], [95.0], wicks={1: (91.0, 94.99)})[TOUCH].tolist() == [0, 0]


@pytest.mark.parametrize("side", [1, -1])
def test_bounce_is_counted_once_when_the_zone_is_left(side: int) -> None:
    # Touched in bar 1; half an ATR away is 0.5; left in bar 3 and still away in bar 4.
    closes = [100 + side * x for x in (2.0, 0.3, 0.5, 0.6, 1.5, 2.0)]
    wicks = {1: (min(closes[1], 100.0), max(closes[1], 100.0))}
    events = story(closes, [100.0], wicks=wicks)
    assert events[BOUNCE].tolist() == [0, 0, 0, 1, 0, 0]


@pytest.mark.parametrize("side", [1, -1])
def test_no_bounce_after_a_close_on_the_level(side: int) -> None:
    closes = [100 + side * x for x in (2.0, 0.0, 1.0, 2.0)]
    assert story(closes, [100.0])[BOUNCE].sum() == 0


@pytest.mark.parametrize(("bars", "bounces"), [(4, 1), (5, 0)])
def test_bounce_within_five_bars(bars: int, bounces: int) -> None:
    """Touched in bar 1, then near for some bars, then away; the touch is four or five bars back."""
    closes = [102.0, *[100.4] * bars, 101.0]
    events = story(closes, [100.0], wicks={1: (100.0, 100.4)})
    assert events[BOUNCE].tolist() == [0] * (bars + 1) + [bounces]


def test_bounce_needs_the_price_to_come_from_that_side() -> None:
    # Five bars before the last the close was below: through the level, not off it.
    closes = [99.0, 102.0, 100.4, 100.4, 100.4, 101.0]
    events = story(closes, [100.0], wicks={2: (100.0, 100.4)})
    assert events[BOUNCE, 5] == 0
    assert story([99.0, 102.0, 102.0, *closes[2:]], [100.0], wicks={4: (100.0, 100.4)})[
        BOUNCE
    ].tolist() == [0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("beyond", "count"), [(1, 1), (15, 1), (16, 0)])
def test_false_breakout_ends_after_fifteen_closes(side: int, beyond: int, count: int) -> None:
    closes = [100 - side, *[100 + side] * beyond, 100 - side, 100 - side]
    events = story([float(close) for close in closes], [100.0])
    assert events[BREAKOUT].tolist() == [0] * (beyond + 1) + [count, 0]


@pytest.mark.parametrize("side", [1, -1])
def test_a_close_on_the_level_is_not_beyond_it(side: int) -> None:
    # It ends a breakout and begins one.
    closes = [100.0 + side * x for x in (0.0, 1.0, 0.0, 1.0, 1.0, -1.0)]
    assert story(closes, [100.0])[BREAKOUT].tolist() == [0, 0, 1, 0, 0, 1]


def test_false_breakout_of_several_levels() -> None:
    events = story([99.0, 103.0, 99.0], [100.0, 101.0, 102.0, 103.0])
    assert events[BREAKOUT].tolist() == [0, 0, 3]


def test_earlier_bars_are_judged_by_the_levels_of_now() -> None:
    close = np.array([90.0] * 20 + [100.0, 100.0])
    tape = np.full((level_fit.ROWS, 22), np.nan)
    tape[0] = 1
    tape[1] = [95.0] * 21 + [100.0]  # fitted anew in the last bar
    out = np.full((4, 22), np.nan)
    level_events.events(20, 22, close, close, close, np.ones(22), tape, out)
    assert out[TOUCH, 20:].tolist() == [0, 0]  # on the new level already before it was one
    assert out[CONTACT, 20:].tolist() == [0, 1]


# --- distances by hand -----------------------------------------------------------------------


def standing(price: float, levels: list[float], atr: float = 2.0) -> list[float]:
    tape = np.full((level_fit.ROWS, 1), np.nan)
    tape[0] = len(levels)
    tape[1 : 1 + len(levels), 0] = levels
    out = np.full((8, 1), np.nan)
    level_distances.rows(0, 1, np.array([price]), np.array([atr]), tape, out)
    return out[:, 0].tolist()


def test_level_equal_to_the_price_is_support_and_resistance() -> None:
    assert standing(100.0, [90.0, 100.0, 110.0]) == [0, 0, 0, 0, 0, 0, 2, 1]


def test_price_outside_all_levels() -> None:
    assert standing(80.0, [90.0, 100.0, 110.0]) == [10, 20, 10, 5, 10, 5, 1, 0]
    assert standing(115.0, [90.0, 100.0, 110.0]) == [5, 5, 20, 2.5, 2.5, 10, 3, 0]
    assert standing(95.0, [100.0]) == [5, 0, 5, 2.5, 0, 2.5, 1, 0]


def test_of_two_equally_near_levels_the_lower_one_counts() -> None:
    assert standing(100.0, [90.0, 99.0, 101.0])[6:] == [2, 1]


def test_the_zone_includes_its_edge() -> None:
    assert standing(101.0, [100.0], atr=2.0)[7] == 1
    assert standing(101.0, [100.0], atr=1.99)[7] == 0


def test_a_market_without_range_has_a_least_range() -> None:
    assert standing(1000.0, [999.0], atr=0.0)[3] == 1.0 / 1e-3
    assert np.isnan(standing(1000.0, [999.0], atr=np.nan)[3])


def test_no_levels_no_values() -> None:
    assert np.isnan(standing(100.0, [])).all()


def test_time_since_last_touch_is_capped_and_found_again() -> None:
    rows = 4_500
    minute = 10 * np.arange(rows) + 28_000_000
    events = np.zeros((4, rows))
    events[CONTACT, [1_500, 1_600]] = 1
    out, levels = np.full((5, rows), np.nan), np.full((level_fit.ROWS, rows), np.nan)
    level_events.rows(0, rows, minute, np.ones(rows), levels, events, out)
    since = out[4]
    assert np.isnan(since[:1_439]).all()
    assert (since[1_439:1_500] == 1440).all()
    assert since[[1_500, 1_501, 1_599, 1_600]].tolist() == [0, 10, 990, 0]
    assert since[[1_743, 1_744, 1_745, 4_499]].tolist() == [1430, 1440, 1440, 1440]
    for cut in (1_440, 1_601, 1_744, 3_100):
        cold = out.copy()
        cold[:, cut - 1 :] = np.nan  # the row before is unknown: from the window
        level_events.rows(cut, rows, minute, np.ones(rows), levels, events, cold)
        assert np.array_equal(cold[:, cut:], out[:, cut:], equal_nan=True)


def test_a_bar_without_levels_voids_the_windows_that_hold_it() -> None:
    rows = 5_000
    events = np.ones((4, rows))
    events[:, 2_000] = np.nan
    out, levels = np.full((5, rows), np.nan), np.full((level_fit.ROWS, rows), np.nan)
    level_events.rows(0, rows, np.arange(rows), np.ones(rows), levels, events, out)
    for column, length in ((0, 360), (1, 1440), (3, 1440), (4, 1440)):
        void = np.flatnonzero(np.isnan(out[column]))
        assert void.tolist() == [*range(length - 1), *range(2_000, 2_000 + length)]


def test_real_gold(shared_data: Path) -> None:
    kmeans1d = pytest.importorskip("kmeans1d", reason="needs kmeans1d")
    path = shared_data / "gold_m1" / "2025_2026_mt5" / "xauusd_m1_ftmo.parquet"
    close = pd.read_parquet(path, columns=["close"])["close"].to_numpy(np.float64)
    for start in range(0, close.size - WINDOW, 30_000):
        window = close[start : start + WINDOW]
        expected = np.sort(kmeans1d.cluster(window, CLUSTERS).centroids)
        assert fitted(window) == pytest.approx(expected, rel=1e-12)
