"""The quantile channel against every line through two closes, and against statsmodels."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.kernels.gold import quantile_line as kernel

WINDOW = kernel.WINDOW
POSITION = np.arange(WINDOW)


def filled(close: np.ndarray, cuts: list[int] | None = None, *, carry: bool = True) -> np.ndarray:
    """All rows, filled chunk by chunk, with the state carried along or always a fresh one."""
    out = np.full((4, close.size), np.nan)
    state = fresh()
    edges = [0, *(cuts or []), close.size]
    for start, stop in pairwise(edges):
        kernel.rows(start, stop, close, state if carry else fresh(), out)
    return out


def fresh() -> np.ndarray:
    state = np.zeros(kernel.STATE_SIZE, np.int64)
    state[0] = -1
    return state


def walk(rows: int, seed: int, tick: float = 0.01, scale: float = 0.6) -> np.ndarray:
    steps = np.random.default_rng(seed).standard_t(3, rows) * scale
    return np.round(np.rint((2000 + np.cumsum(steps)) / tick) * tick, 6)


def every_line(close: np.ndarray, tenths: int, digits: int = 2) -> tuple[Fraction, int]:
    """Value at the newest close, relative to it, and how many optimal values two closes span.

    All lines through two closes of one window in whole ticks, compared as fractions.
    """
    y = np.rint((close - close[-1]) * 10**digits).astype(np.int64)
    pairs = []
    for i in range(WINDOW - 1):
        run = POSITION[i + 1 :, None] - i
        rise = y[i + 1 :, None] - y[i]
        residual = (y - y[i]) * run - rise * (POSITION - i)
        loss = np.where(residual < 0, (tenths - 10) * residual, tenths * residual).sum(axis=1)
        pairs += [(int(w), i, int(j)) for w, j in zip(loss, POSITION[i + 1 :], strict=True)]
    objective = np.array([loss / (j - i) for loss, i, j in pairs])
    good = [pairs[k] for k in np.flatnonzero(objective <= objective.min() * (1 + 1e-12))]
    least = min(Fraction(loss, j - i) for loss, i, j in good)
    values = {
        int(y[j]) + Fraction(int(y[j] - y[i]) * (WINDOW - 1 - j), j - i)
        for loss, i, j in good
        if Fraction(loss, j - i) == least
    }
    chosen = max(values) if tenths == kernel.UPPER else min(values)
    return chosen / 10**digits, len(values)


def assert_exact(close: np.ndarray, row: np.ndarray, digits: int = 2) -> list[int]:
    ways = []
    for tenths, value in ((kernel.UPPER, row[0]), (kernel.LOWER, row[1])):
        exact, count = every_line(close, tenths, digits)
        assert value == pytest.approx(float(Fraction(close[-1]) + exact), rel=1e-13)
        ways.append(count)
    return ways


@pytest.mark.parametrize("tick", [0.01, 0.5, 2.0])
def test_no_line_through_two_closes_is_better(tick: float) -> None:
    close = walk(2_000, seed=int(100 * tick), tick=tick)
    out = filled(close)
    ends = np.random.default_rng(0).integers(WINDOW - 1, close.size, 8)
    for t in ends:
        assert_exact(close[t - WINDOW + 1 : t + 1], out[:, t])


def test_of_equally_good_lines_the_outermost_value_counts() -> None:
    close = walk(3_000, seed=3, tick=1.0)
    out = filled(close)
    ends = range(WINDOW - 1, close.size, 37)
    ways = [assert_exact(close[t - WINDOW + 1 : t + 1], out[:, t], digits=0) for t in ends]
    assert np.max(ways, axis=0).min() > 1, "the sample has no tie of the upper or the lower line"


def test_a_whole_area_of_optimal_lines() -> None:
    """A tenth of the closes at 30, centred like the rest at 10: every line between is optimal.

    The one that ends highest touches the first close at 10 and the last one at 30.
    """
    close = np.full(WINDOW, 10.0)
    close[[10 * k + 4 + k % 2 for k in range(18)]] = 30.0
    assert filled(close)[0, -1] == pytest.approx(10 + 20 * 179 / 175, rel=1e-14)
    assert filled(close)[1, -1] == 10.0
    assert every_line(close, kernel.UPPER)[1] > 1
    assert filled(40 - close)[1, -1] == pytest.approx(30 - 20 * 179 / 175, rel=1e-14)


def test_collinear_closes_are_their_own_line() -> None:
    close = np.round(1000 + 0.07 * np.arange(400), 2)
    out = filled(close)
    rows = slice(WINDOW - 1, None)
    assert np.array_equal(out[0, rows], close[rows])
    assert np.array_equal(out[1, rows], close[rows])
    assert (out[2, rows] == 0).all()
    assert (out[3, rows] == 0.5).all()


@pytest.mark.parametrize("slope", [0.1, 12_345.6789])
def test_mostly_collinear_closes(slope: float) -> None:
    """Many closes on the optimal line: a vertex from which very many lines start.

    The steep one moves too far for the finest unit.
    """
    close = np.round(1000 + slope * np.arange(WINDOW), 4)
    rng = np.random.default_rng(5)
    odd = rng.choice(WINDOW, 50, replace=False)
    close[odd] += np.round(rng.normal(0, 30 * slope, 50), 4)
    close = np.round(close + max(0.0, 1 - close.min()), 4)
    assert_exact(close, filled(close)[:, -1], digits=4)


def test_flat_windows_have_both_lines_at_the_close() -> None:
    close = np.full(500, 1999.99)
    close[250] = 2000.49
    out = filled(close)
    flat = [WINDOW - 1, 249, 250 + WINDOW, 499]
    assert np.array_equal(out[:, flat], np.array([[1999.99, 1999.99, 0.0, 0.5]] * 4).T)


def test_flat_is_what_moves_less_than_the_tolerance() -> None:
    close = np.full(WINDOW, 1999.99)
    close[::2] += 1.5e-9
    assert np.array_equal(filled(close)[:, -1], [1999.99, 1999.99, 0.0, 0.5])
    close[::2] += 1.5e-9
    assert filled(close)[0, -1] > 1999.99


def test_lines_that_cross_have_no_width() -> None:
    close = walk(20_000, seed=11, scale=0.3)
    out = filled(close)
    crossed = np.flatnonzero(out[0] < out[1] - 0.01)
    assert crossed.size > 0, "no crossing in the sample"
    assert (out[2, crossed] == 0.0).all()
    assert (out[3, crossed] == 0.5).all()
    for t in crossed[:2]:
        assert_exact(close[t - WINDOW + 1 : t + 1], out[:, t])


def test_mirror_symmetry() -> None:
    """The upper line of the mirrored closes is the mirrored lower line, ties included."""
    close = walk(1_500, seed=8, tick=1.0)
    out, mirrored = filled(close), filled(4000.0 - close)
    rows = slice(WINDOW - 1, None)
    assert mirrored[0, rows] == pytest.approx(4000.0 - out[1, rows], rel=1e-13)
    assert mirrored[1, rows] == pytest.approx(4000.0 - out[0, rows], rel=1e-13)


def test_against_statsmodels() -> None:
    quantile_regression = pytest.importorskip(
        "statsmodels.regression.quantile_regression", reason="needs statsmodels"
    ).QuantReg
    close = walk(3_000, seed=21)
    out = filled(close)
    design = np.column_stack([np.ones(WINDOW), POSITION - (WINDOW - 1.0)])
    compared = 0
    for t in range(300, 3_000, 450):
        window = close[t - WINDOW + 1 : t + 1]
        for tenths, value in ((kernel.UPPER, out[0, t]), (kernel.LOWER, out[1, t])):
            if every_line(window, tenths)[1] > 1:
                continue
            fitted = quantile_regression(window - window[-1], design).fit(
                q=tenths / 10, max_iter=5_000, p_tol=1e-9
            )
            assert value == pytest.approx(window[-1] + fitted.params[0], abs=2e-3)
            compared += 1
    assert compared >= 8


def test_position_and_width_follow_from_the_lines() -> None:
    close = walk(1_000, seed=4)
    upper, lower, width, position = filled(close)[:, WINDOW - 1 :]
    price = close[WINDOW - 1 :]
    assert np.array_equal(width, np.maximum(upper - lower, 0) / price)
    open_ = upper - lower > 1e-9 * price
    expected = np.where(open_, (price - lower) / np.where(open_, upper - lower, 1), 0.5)
    assert np.array_equal(position, np.clip(expected, 0, 1))


def test_first_value_and_nothing_before() -> None:
    out = filled(walk(WINDOW + 3, seed=1))
    assert np.isnan(out[:, : WINDOW - 1]).all()
    assert np.isfinite(out[:, WINDOW - 1 :]).all()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    tick=st.sampled_from([0.01, 0.25, 5.0]),
    cuts=st.lists(st.integers(1, 699), max_size=6, unique=True).map(sorted),
)
def test_chunks_and_starts_do_not_matter(seed: int, tick: float, cuts: list[int]) -> None:
    close = walk(700, seed, tick)
    whole = filled(close)
    assert np.array_equal(filled(close, cuts), whole, equal_nan=True)
    assert np.array_equal(filled(close, cuts, carry=False), whole, equal_nan=True)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), tenths=st.sampled_from([kernel.UPPER, kernel.LOWER]))
def test_every_start_ends_at_the_same_value(seed: int, tenths: int) -> None:
    close = walk(WINDOW, seed, tick=1.0)
    y, scratch = np.empty(WINDOW), np.empty((2, WINDOW))
    kernel.relative(close, WINDOW - 1, y)
    rng = np.random.default_rng(seed)
    values = set()
    for _ in range(20):
        first, last = sorted(int(i) for i in rng.choice(WINDOW, 2, replace=False))
        a, b = kernel.optimal_line(y, tenths, first, last, scratch)
        rise = Fraction(int(y[b]) - int(y[a]), b - a)
        values.add(int(y[b]) + rise * (WINDOW - 1 - b))
    assert len(values) == 1


def test_live_rows_on_a_shifted_buffer() -> None:
    close = walk(900, seed=13)
    whole = filled(close)
    buffer, shifted = close[:400].copy(), np.full((4, 400), np.nan)
    state = fresh()
    kernel.rows(0, 300, buffer, state, shifted)
    for t in range(300, 900):  # always in row 300 of a buffer that moves on
        buffer[:301] = close[t - 300 : t + 1]
        buffer[301:] = np.nan
        state[0] = 300  # the lines of the bar before, moved with the buffer
        kernel.rows(300, 301, buffer, state, shifted)
        assert np.array_equal(shifted[:, 300], whole[:, t])


def test_the_future_does_not_matter() -> None:
    close = walk(600, seed=2)
    whole = filled(close)
    poisoned = close.copy()
    poisoned[400:] = np.nan
    out = np.full((4, 600), np.nan)
    kernel.rows(0, 400, poisoned, fresh(), out)
    assert np.array_equal(out[:, :400], whole[:, :400], equal_nan=True)
    assert np.isnan(out[:, 400:]).all()


def test_a_missing_close_makes_its_windows_null_and_no_other() -> None:
    close = walk(700, seed=6)
    whole = filled(close)
    for missing in (np.nan, np.inf):
        broken = close.copy()
        broken[300] = missing
        out = filled(broken)
        assert np.isnan(out[:, 300 : 300 + WINDOW]).all()
        rest = np.r_[0:300, 300 + WINDOW : 700]
        assert np.array_equal(out[:, rest], whole[:, rest], equal_nan=True)


@pytest.mark.parametrize("factor", [1e-3, 1e4, 1e9])
def test_windows_that_move_far(factor: float) -> None:
    """Beyond the exact range the unit grows; the lines scale with the closes.

    With rounded products the walk may go in circles, so that they are exact is asserted itself.
    """
    close = walk(400, seed=17)
    y = np.empty(WINDOW)
    assert kernel.relative(close * factor, 399, y)
    assert 2 * np.ptp(y) * (WINDOW - 1) < 2**53
    assert np.array_equal(y, np.rint(y))
    assert np.ptp(y) > 1e6
    out, scaled = filled(close), filled(close * factor)
    rows = slice(WINDOW - 1, None)
    assert scaled[0, rows] == pytest.approx(out[0, rows] * factor, rel=1e-9)
    assert scaled[1, rows] == pytest.approx(out[1, rows] * factor, rel=1e-9)


def test_closes_off_any_grid() -> None:
    """Closes with all digits of a float: no line through two of them is better."""
    rng = np.random.default_rng(9)
    close = 2000 + np.cumsum(rng.normal(0, 0.5, 400))
    out = filled(close)
    u = POSITION - (WINDOW - 1.0)
    for t in (200, 399):
        y = close[t - WINDOW + 1 : t + 1] - close[t]
        for tau, value in ((0.9, out[0, t]), (0.1, out[1, t])):
            best = (np.inf, np.nan)
            for i, j in combinations(range(WINDOW), 2):
                slope = (y[j] - y[i]) / (j - i)
                v = y[j] - slope * u[j]
                error = y - v - slope * u
                best = min(best, (float((error * (tau - (error < 0))).sum()), v))
            assert value == pytest.approx(close[t] + best[1], rel=1e-12)
