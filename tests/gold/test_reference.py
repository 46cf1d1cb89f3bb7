"""Is the slow reference right? Against libraries that others wrote, and by hand.

Every one of the 107 names is checked by at least one of the two, on ordinary data: in degenerate
windows libraries give NaN or noise, so those are cases by hand.
"""

from __future__ import annotations

import calendar
import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

import kmeans1d
import numpy as np
import pandas as pd
import pytest
import pywt
import statsmodels.api as sm
import talib
from scipy import stats
from scipy.optimize import linprog
from sklearn.linear_model import LinearRegression

from tests.gold import reference, synthetic
from tests.gold.nolds_measures import measures as nolds

# The import of antropy compiles for seconds: in one process, and not where tests are collected.
pytestmark = pytest.mark.xdist_group("antropy")

Bars = Any  # a frame; its declared types allow every column to be a frame of its own
Oracle = Callable[[Bars], float]


@cache
def market() -> reference.Market:
    return reference.Market(synthetic.ordinary(8_900, seed=5))


@cache
def table() -> Bars:
    """The joined bars as one frame, with log returns: what the oracles read."""
    m = market()
    data = {name: getattr(m, name) for name in ("open", "high", "low", "close", "volume")}
    frame: Bars = pd.DataFrame(data, index=m.time)
    for name in reference.INSTRUMENTS:
        frame[name] = m.closes[name]
        frame[f"r_{name}"] = np.log(frame[name]).diff()
    return frame.assign(r=frame["r_XAUUSD"])


def rows() -> list[int]:
    rng = np.random.default_rng(12)
    return [7_400, *sorted(rng.choice(np.arange(7_400, 8_900), 8, replace=False).tolist()), 8_899]


def values(bars: Bars, name: str, last: int | None = None) -> np.ndarray:
    return np.array(bars[name] if last is None else bars[name].iloc[-last:], dtype=np.float64)


# --- oracles: bars up to and including row t -> the value at t -------------------------------


def z_score(x: np.ndarray | pd.Series) -> float:
    return float(stats.zscore(np.asarray(x)[-60:], ddof=1)[-1])


def rolling_volatility(bars: Bars, length: int) -> np.ndarray:
    """The last 200 values."""
    returns = values(bars, "r", 200 + length)
    return np.lib.stride_tricks.sliding_window_view(returns, length).std(axis=1, ddof=1)[-200:]


def rate_of_change(bars: Bars, length: int) -> np.ndarray:
    return talib.ROCP(values(bars, "close"), length)


def acceleration(bars: Bars) -> float:
    return z_score((rate_of_change(bars, 30) / 30 - rate_of_change(bars, 60) / 60)[-60:])


def volatility_acceleration(bars: Bars) -> float:
    return z_score(rolling_volatility(bars, 30) - rolling_volatility(bars, 60))


def above_average(length: int) -> Oracle:
    def oracle(bars: Bars) -> float:
        close = values(bars, "close", length)
        return float(close[-1] / talib.SMA(close, length)[-1] - 1)

    return oracle


def trend_residual(bars: Bars) -> float:
    fit = sm.OLS(values(bars, "close", 60), sm.add_constant(np.arange(60.0))).fit()
    return float(fit.resid[-1] / np.std(fit.resid, ddof=1))


def residual_on(name: str) -> Oracle:
    def oracle(bars: Bars) -> float:
        y, x = values(bars, "close", 60), values(bars, name, 60)
        fit: Any = stats.linregress(x - x.mean(), y)
        residuals = y - fit.intercept - fit.slope * (x - x.mean())
        return float(residuals[-1] / residuals.std(ddof=1))

    return oracle


def efficiency(bars: Bars) -> float:
    close = bars["close"]
    return float(close.diff(60).abs().iloc[-1] / close.diff().abs().tail(60).sum())


def time_of_day(wave: Callable[[float], float], sign: float) -> Oracle:
    def oracle(bars: Bars) -> float:
        now = bars.index[-1]
        return sign * wave(2 * math.pi * ((now - now.normalize()) / pd.Timedelta(days=1)))

    return oracle


def pearson(a: str, b: str, length: int) -> Oracle:
    def oracle(bars: Bars) -> float:
        found: Any = stats.pearsonr(values(bars, a, length), values(bars, b, length))
        return float(found.statistic)

    return oracle


def regression(x: str, length: int, sign: float) -> Oracle:
    def oracle(bars: Bars) -> float:
        fit: Any = stats.linregress(values(bars, x, length), values(bars, "r", length))
        return sign * float(fit.slope)

    return oracle


def core(length: int) -> Oracle:
    def oracle(bars: Bars) -> float:
        result = values(bars, "r", length).sum()
        for name in ("r_DXY", "r_NAS100"):
            x = values(bars, name, length)
            fit = LinearRegression().fit(x[:, None], values(bars, "r", length))
            result -= fit.coef_[0] * x.sum()
        return float(result)

    return oracle


def log_return(length: int) -> Oracle:
    return lambda bars: float(np.log(bars["close"]).diff(length).iloc[-1])


def channel(what: str) -> Oracle:
    def oracle(bars: Bars) -> float:
        close = values(bars, "close", 180)
        upper, lower = quantile_line(close, 0.9), quantile_line(close, 0.1)
        inside = (close[-1] - lower) / (upper - lower)
        return {
            "upper": upper,
            "lower": lower,
            "width": max(upper - lower, 0.0) / close[-1],
            "position": min(max(inside, 0.0), 1.0),
        }[what]

    return oracle


def quantile_line(close: np.ndarray, tau: float) -> float:
    """End value by the dual linear programme: weights of the closes, in [tau - 1, tau].

    The weights sum to a small number instead of 0: that is a small price on the end value, and
    decides between lines that are equally good.
    """
    n = len(close)
    lean = -1e-4 if tau > 0.5 else 1e-4
    equal = np.vstack([np.ones(n), np.arange(n) / (n - 1.0) - 1.0])
    found = linprog(close[-1] - close, A_eq=equal, b_eq=[lean, 0.0], bounds=(tau - 1.0, tau))
    assert found.success, found.message
    return float(close[-1] - found.eqlin.marginals[0])


def in_session(first: str, end: str) -> Oracle:
    def oracle(bars: Bars) -> float:
        return float(len(bars.iloc[-1:].between_time(first, end, inclusive="left")))

    return oracle


def session_ratio(bars: Bars) -> float:
    tail = bars.tail(7200)
    hours = pd.DatetimeIndex(tail.index).hour
    label = pd.cut(hours, [-1, 6, 7, 12, 15, 21, 23], labels=["A", "AL", "L", "LN", "N", "none"])
    volatility = bars["r"].rolling(30).std().tail(7200)
    by_label = volatility.groupby(np.asarray(label)).mean()
    return float(volatility.iloc[-1] / by_label[label[-1]])


def balance_slope(bars: Bars) -> float:
    close, volume = values(bars, "close", 60), values(bars, "volume", 60)
    return float(talib.LINEARREG_SLOPE(talib.OBV(close, volume), 60)[-1])


def rises(bars: Bars) -> float:
    return float((bars["close"].diff().tail(60).replace(0.0, np.nan).dropna() > 0).mean())


def parkinson(bars: Bars) -> float:
    logs = np.log(bars["high"] / bars["low"]).tail(60)
    return float(np.sqrt((logs**2).mean() / (4 * np.log(2))))


def garman_klass(bars: Bars) -> float:
    last = bars.tail(60)
    body = np.log(last["close"]) - np.log(last["open"])
    wide = np.log(last["high"]) - np.log(last["low"])
    return float(np.sqrt((wide**2 / 2 - (np.log(4) - 1) * body**2).mean()))


def volatility_lag(bars: Bars) -> float:
    now: Any = pd.Series(rolling_volatility(bars, 30))
    return float(now.tail(120).corr(now.shift(10).tail(120)))


def breakout(bars: Bars) -> float:
    window = rolling_volatility(bars, 30)[-120:]
    return float(window[-1] > window.mean() + 2 * window.std(ddof=1))


def lagged(name: str) -> Oracle:
    return lambda bars: float(np.log(bars[name]).diff().shift(5).iloc[-1])


def candle(what: str) -> Oracle:
    def oracle(bars: Bars) -> float:
        bar = bars.iloc[-1]
        top, bottom = max(bar["open"], bar["close"]), min(bar["open"], bar["close"])
        part = {"body": top - bottom, "upper": bar["high"] - top, "lower": bottom - bar["low"]}
        return float(part[what] / (bar["high"] - bar["low"]))

    return oracle


def days_before(bars: Bars) -> pd.Series:
    days = bars.resample("24h", offset="22h").agg({"high": "max", "low": "min", "close": "last"})
    return days.dropna().iloc[-2]


def day_before_distance(bars: Bars) -> float:
    day, close = days_before(bars), bars["close"].iloc[-1]
    return float(np.abs(close - day[["high", "low"]]).min() / close)


def pivot_distance(bars: Bars) -> float:
    return float(bars["close"].iloc[-1] / days_before(bars).mean() - 1)


def hurst(returns: np.ndarray) -> float:
    sizes = [10, 12, 15, 20, 30, 60]
    slope = nolds.hurst_rs(returns, nvals=sizes, fit="poly", corrected=False, unbiased=False)
    return min(max(float(slope), 0.0), 1.0)


@cache
def classes() -> pd.Series:
    returns = values(table(), "r")
    found = [hurst(returns[t - 59 : t + 1]) > 0.5 for t in range(7_400 - 1_440, 8_900)]
    return pd.Series(found, index=table().index[7_400 - 1_440 :])


def persistence(bars: Bars) -> float:
    upto = classes().loc[: bars.index[-1]].to_numpy()[::-1]
    return float(len(next(list(group) for _, group in itertools.groupby(upto[:1440]))))


def changes(bars: Bars) -> float:
    upto = classes().loc[: bars.index[-1]].astype(int)
    return float(upto.diff().abs().tail(120).sum())


def detrended(bars: Bars) -> float:
    return float(
        nolds.dfa(values(bars, "r", 60), nvals=[4, 5, 6, 10, 12, 15], overlap=False, fit_exp="poly")
    )


def haar(bars: Bars) -> float:
    returns = values(bars, "r", 60)
    _, detail = pywt.dwt(returns, "haar")
    return float((detail**2).sum() / (returns**2).sum())


def entropy(bars: Bars) -> float:
    import antropy

    returns = values(bars, "r", 120)
    radius = 0.2 * returns.std()
    scales = [returns.reshape(-1, scale).mean(axis=1) for scale in (1, 2, 3)]
    return float(np.mean([antropy.sample_entropy(x, 2, tolerance=radius) for x in scales]))


def fractal_dimension(bars: Bars) -> float:
    import antropy

    return float(antropy.higuchi_fd(values(bars, "close", 60), kmax=10))


def autocorrelation(lag: int) -> Oracle:
    return lambda bars: float(bars["r"].tail(120).corr(bars["r"].shift(lag).tail(120)))


def partial_correlation(bars: Bars) -> float:
    now, before, first = (bars["r"].shift(lag).tail(120).to_numpy() for lag in (0, 1, 2))
    given = sm.add_constant(before)
    rest = [sm.OLS(y, given).fit().resid for y in (now, first)]
    return float(np.corrcoef(rest[0], rest[1])[0, 1])


def similarity(bars: Bars) -> float:
    returns = values(bars, "r", 1500)
    found: Any = stats.ks_2samp(returns[1440:], returns[:1440])
    return 1.0 - float(found.statistic)


def alpha024(bars: Bars) -> float:
    close = bars["close"]
    average = close.rolling(100).mean()
    change = average.diff(100).iloc[-1] / close.shift(100).iloc[-1]
    first, second = close - close.rolling(100).min(), close.diff(3)
    return -float((first if change <= 0.05 else second).iloc[-1])


def alpha083(bars: Bars) -> float:
    last = bars.tail(200)
    ranges = (last["high"] - last["low"]) / last["close"].rolling(5).mean()
    typical = talib.TYPPRICE(*(values(last, name) for name in ("high", "low", "close")))
    ranked = ranges.round(12).shift(2).rolling(60).rank(pct=True)
    ranked *= last["volume"].rolling(60).rank(pct=True)
    return float((ranked * (typical - last["close"]) / ranges).iloc[-1])


def mean_true_range(bars: Bars) -> float:
    high, low, close = (values(bars, name) for name in ("high", "low", "close"))
    return float(talib.ATR(high, low, close, 14)[-1])


@cache
def fitted(day_hour: pd.Timestamp) -> list[float]:
    """Levels by another exact solver, fitted at the first joined bar of the hour."""
    row = table().index.searchsorted(day_hour)
    upto = table().iloc[row - 7199 : row + 1]
    return sorted(kmeans1d.cluster(upto["close"].tolist(), 7).centroids)


def level_distance(what: str) -> Oracle:
    def oracle(bars: Bars) -> float:
        close = float(bars["close"].iloc[-1])
        hour = bars.index[-1].floor("h")
        levels: Any = pd.Series(fitted(hour), index=range(1, 8))
        nearest = (levels - close).abs()
        below, above = levels[levels <= close], levels[levels >= close]
        span = levels.max() - levels.min()
        found = {
            "nearest": nearest.min(),
            "support": close - below.max() if len(below) else span,
            "resistance": above.min() - close if len(above) else span,
        }
        if what in found:
            return float(found[what])
        if what.endswith("_norm"):
            return float(found[what[:-5]] / mean_true_range(bars))
        if what == "rank":
            return float(nearest.idxmin())
        if what == "near":
            return float(nearest.min() <= mean_true_range(bars) / 2)
        gap = np.abs(bars["close"].tail(6) - levels[nearest.idxmin()])
        return float((gap.iloc[0] - gap.iloc[-1]) / 5)

    return oracle


ORACLES: dict[str, Oracle] = {
    "accelz_60_30": acceleration,
    "volaccelz60_30": volatility_acceleration,
    "dist_ma120": above_average(120),
    "resid_z60": trend_residual,
    "resid_z60_dxy": residual_on("DXY"),
    "resid_z60_nas100": residual_on("NAS100"),
    "er60": efficiency,
    "tod_sin": time_of_day(math.sin, 1.0),
    "tod_cos": time_of_day(math.cos, -1.0),
    "leadcorr_nas100": pearson("r", "r_NAS100", 60),
    **{f"ret_{n}m": log_return(n) for n in (1, 5, 30, 60, 120)},
    "vol_30m": lambda bars: float(bars["r"].tail(30).std()),
    **{f"dist_ma_{n}": above_average(n) for n in (15, 30, 290)},
    **{f"corr_xau_xag_{n}": pearson("r", "r_XAGUSD", n) for n in (30, 60, 120)},
    **{f"corr_xau_dxy_{n}": pearson("r", "r_DXY", n) for n in (30, 60, 120)},
    "beta_xag_to_xau_5": regression("r_XAGUSD", 5, 1.0),
    **{f"beta_xag_to_xau_{n}": regression("r_XAGUSD", n, -1.0) for n in (30, 60, 120)},
    **{f"beta_xau_to_dxy_{n}": regression("r_DXY", n, 1.0) for n in (30, 60, 120)},
    **{f"xaucore_{n}": core(n) for n in (5, 30, 60, 120)},
    **{
        f"dist_{what}": level_distance(what)
        for side in ("nearest", "support", "resistance")
        for what in (side, f"{side}_norm")
    },
    "level_rank": level_distance("rank"),
    "near_level_flag": level_distance("near"),
    "touch_velocity": level_distance("velocity"),
    **{f"channel_{what}": channel(what) for what in ("upper", "lower", "width", "position")},
    "session_asian": in_session("00:00", "08:00"),
    "session_london": in_session("07:00", "16:00"),
    "session_ny": in_session("13:00", "22:00"),
    "session_overlap": in_session("13:00", "16:00"),
    "vol_session_ratio": session_ratio,
    "vw_return_60": lambda bars: float(
        np.average(values(bars, "r", 60), weights=values(bars, "volume", 60))
    ),
    "obv_slope_60": balance_slope,
    "vol_surprise": lambda bars: z_score(values(bars, "volume", 60)),
    "pv_corr_60": pearson("close", "volume", 60),
    "tick_direction_ratio": rises,
    "tick_intensity": lambda bars: float(talib.SMA(values(bars, "volume", 60), 60)[-1]),
    "bar_tick_vol_ratio": lambda bars: float(bars["r"].tail(60).std() / parkinson(bars)),
    "rsi_14": lambda bars: float(talib.RSI(values(bars, "close"), 14)[-1]),
    "mom_divergence": lambda bars: float(
        rate_of_change(bars, 5)[-1] - rate_of_change(bars, 60)[-1]
    ),
    "mom_60": lambda bars: float(rate_of_change(bars, 60)[-1]),
    "hurst_60": lambda bars: hurst(values(bars, "r", 60)),
    "trend_mr_class": lambda bars: float(hurst(values(bars, "r", 60)) > 0.5),
    "regime_persistence": persistence,
    "regime_change_rate": changes,
    "parkinson_vol": parkinson,
    "gk_vol": garman_klass,
    "vol_of_vol": lambda bars: float(rolling_volatility(bars, 30)[-60:].std(ddof=1)),
    "vol_autocorr_10": volatility_lag,
    "vol_breakout_flag": breakout,
    "gold_equity_corr_regime": lambda bars: float(np.sign(pearson("r", "r_US500", 60)(bars))),
    "vix_level": lambda bars: float(bars["VIX"].iloc[-1]),
    "vix_change": lambda bars: float(talib.MOM(values(bars, "VIX"), 60)[-1]),
    "dxy_lag5_ret": lagged("DXY"),
    "nas_lag5_ret": lagged("NAS100"),
    "xag_lag5_ret": lagged("XAGUSD"),
    "body_range_ratio": candle("body"),
    "upper_wick_ratio": candle("upper"),
    "lower_wick_ratio": candle("lower"),
    "round_number_10": lambda bars: float(
        min(bars["close"].iloc[-1] % 10, 10 - bars["close"].iloc[-1] % 10)
    ),
    "prev_day_hl_dist": day_before_distance,
    "pivot_point_dist": pivot_distance,
    "fractal_dim_60": fractal_dimension,
    "dfa_60": detrended,
    "wavelet_energy_ratio": haar,
    "multiscale_entropy": entropy,
    **{f"autocorr_lag{lag}": autocorrelation(lag) for lag in (1, 5, 15, 60)},
    "partial_autocorr": partial_correlation,
    "self_similarity_idx": similarity,
    "alpha024": alpha024,
    "alpha083": alpha083,
}

BY_HAND = {
    "touch_count_6h",
    "bounce_count",
    "false_breakout_count",
    "time_since_last_touch",
    "mins_to_session_open",
    "mins_to_session_close",
    "london_fix_proximity",
    "week_of_month",
    "month_of_quarter",
    "nfp_week_flag",
}


def test_the_table_and_the_functions_have_the_same_107_names_in_the_same_order():
    assert len(reference.NAMES) == 107
    assert len(set(reference.NAMES)) == 107
    assert list(reference.FEATURES) == reference.NAMES


def test_every_name_has_a_second_opinion():
    assert set(ORACLES) | BY_HAND == set(reference.NAMES)
    assert not set(ORACLES) & BY_HAND


@pytest.mark.parametrize("name", ORACLES)
def test_the_reference_equals_a_library(name: str):
    expected = np.array([ORACLES[name](table().iloc[: t + 1]) for t in rows()])
    found = np.array([reference.value(market(), name, t) for t in rows()])
    assert np.isfinite(expected).all()
    scale = np.maximum(np.abs(expected), np.median(np.abs(expected)))
    np.testing.assert_array_less(np.abs(found - expected), 1e-9 * scale + 1e-300, name)


# --- levels ----------------------------------------------------------------------------------


def partitions(values_: Sequence[float], clusters: int) -> list[list[float]]:
    """Means of every way to cut sorted values into intervals, the best first."""
    ordered = sorted(values_)
    found = []
    for cuts in itertools.combinations(range(1, len(ordered)), clusters - 1):
        parts = [ordered[a:b] for a, b in itertools.pairwise((0, *cuts, len(ordered)))]
        loss = sum(sum((x - np.mean(part)) ** 2 for x in part) for part in parts)
        found.append((loss, [float(np.mean(part)) for part in parts]))
    return [means for _, means in sorted(found)]


@pytest.mark.parametrize("seed", range(20))
def test_the_levels_are_the_best_of_all_partitions(seed: int):
    rng = np.random.default_rng(seed)
    closes = np.round(2000 + rng.normal(0, 5, 12), 2)
    found = reference.optimal_levels(closes, clusters=4)
    np.testing.assert_allclose(found, partitions(closes.tolist(), 4)[0], rtol=1e-12)


def test_the_levels_equal_those_of_an_exact_solver():
    for row in (7_199, 7_700, 8_500):
        closes = market().close[row - 7_199 : row + 1]
        theirs = sorted(kmeans1d.cluster(closes.tolist(), 7).centroids)
        np.testing.assert_allclose(reference.optimal_levels(closes), theirs, rtol=1e-12)


def test_fewer_prices_than_clusters_give_one_level_each_and_exactly_the_price():
    assert reference.optimal_levels([2000.1, 1999.35, 2000.1]) == [1999.35, 2000.1]
    assert reference.optimal_levels([1999.35] * 9) == [1999.35]


def test_a_fit_is_in_force_from_the_first_bar_of_the_hour_to_the_next():
    m = market()
    first = next(t for t in range(7_199, len(m)) if m.stamps[t].hour != m.stamps[t - 1].hour)
    assert math.isnan(reference.value(m, "dist_nearest", first - 1))
    assert reference.levels(m, first) == reference.optimal_levels(
        m.close[first - 7_199 : first + 1]
    )
    following = next(
        t for t in range(first + 1, len(m)) if m.stamps[t].hour != m.stamps[first].hour
    )
    assert reference.levels(m, following - 1) == reference.levels(m, first)
    assert reference.levels(m, following) != reference.levels(m, first)


def small_market(
    closes: Sequence[float] | np.ndarray, reach: float = 0.0, level: float = 100.0
) -> Any:
    """Bars around given closes with one level for ever, and true ranges of 1."""
    close = np.array(closes)
    return SimpleNamespace(
        close=close,
        high=close + reach,
        low=close - reach,
        minute=list(range(len(close))),
        memory={
            **{("levels", t): [level] for t in range(len(close))},
            **{("average_true_range", t): 1.0 for t in range(len(close))},
        },
    )


def test_standing_on_a_level_is_one_touch():
    m = small_market([102, 100.5, 100.2, 99.8, 101, 102, 100], reach=0.5)
    assert [reference.touches(m, t) for t in range(1, 7)] == [1, 0, 0, 0, 0, 1]
    assert reference.level_events(m, 6, reference.touches, 6) == 2.0


def test_a_close_at_the_level_is_contact_without_reach():
    m = small_market([101, 100, 99])
    assert [reference.touches(m, t) for t in (1, 2)] == [1, 0]


@pytest.mark.parametrize("side", [1, -1])
def test_a_bounce_leaves_the_near_zone_on_the_side_it_came_from(side: int):
    # From row 5 on: the level is reached by the range at row 5 only, left by more than 0.5 at
    # row 7; at row 8 it is still bounced, which is not counted again.
    away = np.array([3, 3, 3, 3, 2, 0.3, 0.45, 0.7, 2, 3, 3, 3])
    m = small_market(100 + side * away, reach=0.4)
    assert [reference.bounces(m, t) for t in range(6, 12)] == [0, 1, 0, 0, 0, 0]
    # A close at the level itself is no bounce.
    through = away.copy()
    through[5] = 0.0
    m = small_market(100 + side * through, reach=0.4)
    assert sum(reference.bounces(m, t) for t in range(6, 12)) == 0


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("beyond", "counted"), [(1, 1), (15, 1), (16, 0)])
def test_a_false_breakout_stays_beyond_for_1_to_15_closes(side: int, beyond: int, counted: int):
    away = np.r_[np.full(20, -1.0), np.full(beyond, 1.0), -1.0, -1.0]
    m = small_market(100 + side * away)
    back = 20 + beyond
    assert reference.false_breakouts(m, back) == counted
    assert reference.false_breakouts(m, back - 1) == 0
    assert reference.false_breakouts(m, back + 1) == 0


def test_a_return_to_the_level_itself_ends_a_breakout():
    m = small_market([99.0] * 17 + [101, 100])
    assert reference.false_breakouts(m, 18) == 1
    # From the level down and back to it: beyond on the other side.
    m = small_market([101.0] * 17 + [100, 99, 100])
    assert [reference.false_breakouts(m, t) for t in (17, 18, 19)] == [0, 0, 1]


def test_minutes_since_a_touch_are_of_the_clock_and_at_most_a_day():
    closes = np.full(1_500, 105.0)
    closes[40] = 100.0
    m = small_market(closes)
    assert reference.time_since_touch(m, 1_439) == 1_399.0
    assert reference.time_since_touch(m, 1_480) == 1_440.0
    m.minute = [minute + (30 if minute > 1_000 else 0) for minute in m.minute]
    assert reference.time_since_touch(m, 1_439) == 1_429.0
    m.minute = [minute + (3_000 if minute > 1_000 else 0) for minute in m.minute]
    assert reference.time_since_touch(m, 1_439) == 1_440.0
    closes[1_439] = 100.0
    assert reference.time_since_touch(small_market(closes), 1_439) == 0.0


# --- quantile lines --------------------------------------------------------------------------


def test_quantile_lines_that_are_not_unique_lie_farthest_out():
    # 10 points: 0.9 * 10 is an integer. Nine zeros and a one in the middle: every line that
    # has only that point above it costs the same; the highest end passes through it.
    closes = np.full(10, 100.0)
    closes[4] = 101.0
    upper, lower = reference.quantile_lines(closes)
    objectives = []
    for end in np.linspace(99.5, 102.5, 601):
        errors = closes[None, :] - (end + np.linspace(-1, 1, 2001)[:, None] * (np.arange(10) - 9))
        objectives.append(np.maximum(0.9 * errors, -0.1 * errors).sum(axis=1).min())
    objectives = np.array(objectives)
    best = np.linspace(99.5, 102.5, 601)[objectives <= objectives.min() + 1e-9]
    assert upper == pytest.approx(best.max(), abs=0.006)
    assert lower == 100.0


def test_quantile_lines_are_symmetric():
    m = market()
    for t in (500, 4_321, 8_888):
        closes = m.close[t - 179 : t + 1]
        upper, lower = reference.quantile_lines(closes)
        mirrored = reference.quantile_lines(4_000.0 - closes)
        np.testing.assert_allclose(mirrored, (4_000.0 - lower, 4_000.0 - upper), rtol=1e-13)


# --- clock and calendar ----------------------------------------------------------------------


def at(*stamps: str) -> reference.Market:
    index = pd.DatetimeIndex([pd.Timestamp(stamp, tz="UTC") for stamp in stamps])
    return reference.Market(synthetic.at_times(index))


def clock_value(name: str, stamp: str) -> float:
    return reference.value(at(stamp), name, 0)


@pytest.mark.parametrize(
    ("time", "to_open", "to_close"),
    [
        ("00:00", 0, 120),
        ("03:30", 210, 270),
        ("07:00", 0, 60),
        ("08:00", 60, 0),
        ("10:00", 180, 120),
        ("12:00", 60, 240),
        ("16:00", 180, 0),
        ("18:30", 330, 150),
        ("19:00", 300, 180),
        ("22:00", 120, 0),
        ("23:59", 1, 119),
        ("03:00", 180, 300),
    ],
)
def test_minutes_to_opens_and_closes(time: str, to_open: int, to_close: int):
    assert clock_value("mins_to_session_open", f"2024-05-06 {time}") == to_open
    assert clock_value("mins_to_session_close", f"2024-05-06 {time}") == to_close


@pytest.mark.parametrize(
    ("stamp", "minutes"),
    [
        ("2024-01-15 10:30", 0),
        ("2024-01-15 15:00", 0),
        ("2024-01-15 12:45", 135),
        ("2024-07-15 09:30", 0),
        ("2024-07-15 14:00", 0),
        ("2024-07-15 10:30", 60),
        # The United Kingdom changes on 31 March and 27 October, the United States on others.
        ("2024-03-11 15:00", 0),
        ("2024-03-29 15:00", 0),
        ("2024-04-01 14:00", 0),
        ("2024-10-25 14:00", 0),
        ("2024-10-28 15:00", 0),
        ("2024-01-15 00:45", 585),
        ("2024-01-15 23:00", 480),
    ],
)
def test_the_london_fix_follows_the_clock_of_london(stamp: str, minutes: int):
    assert clock_value("london_fix_proximity", stamp) == minutes


@pytest.mark.parametrize(
    ("date", "flag"),
    [
        ("2024-01-02", 0),
        ("2024-01-03", 1),
        ("2024-01-05", 1),
        ("2024-01-07", 1),
        ("2024-01-08", 0),
        # The first Friday is the 1st: Wednesday and Thursday before belong to February.
        ("2024-02-27", 0),
        ("2024-02-28", 1),
        ("2024-02-29", 1),
        ("2024-03-01", 1),
        ("2024-10-30", 1),
        ("2024-10-31", 1),
        ("2024-11-01", 1),
        ("2024-11-03", 1),
        ("2024-11-04", 0),
        # 2 August 2024 is a Friday.
        ("2024-07-30", 0),
        ("2024-07-31", 1),
        # The first Friday of 2027 is 1 January.
        ("2026-12-29", 0),
        ("2026-12-30", 1),
    ],
)
def test_the_week_of_the_payrolls(date: str, flag: int):
    assert clock_value("nfp_week_flag", f"{date} 12:00") == flag


def test_the_payrolls_week_by_the_days_around():
    days = pd.date_range("2019-12-01", "2025-02-28", freq="D", tz="UTC")
    found = reference.compute(synthetic.at_times(days), columns=["nfp_week_flag"])
    for day, flag in zip(days, found["nfp_week_flag"], strict=True):
        near = [day + pd.Timedelta(days=n) for n in range(-2, 3)]
        assert flag == any(date.day <= 7 and date.day_name() == "Friday" for date in near), day


def test_week_and_month_by_the_calendar_module():
    days = pd.date_range("2023-12-25", "2024-12-31", freq="D", tz="UTC")
    names = ["week_of_month", "month_of_quarter"]
    found = reference.compute(synthetic.at_times(days), columns=names)
    for day, (week, month) in zip(days, found.to_numpy(), strict=True):
        dates = calendar.Calendar().itermonthdates(day.year, day.month)
        alike = [date for date in dates if date.weekday() == day.weekday()]
        alike = [date for date in alike if date.month == day.month and date <= day.date()]
        assert week == len(alike), day
        first = day.tz_localize(None).to_period("Q").start_time.month
        assert month == day.month - first + 1, day


def test_sessions_are_half_open():
    m = at("2024-07-01 06:59", "2024-07-01 07:00", "2024-07-01 08:00", "2024-07-01 13:00",
           "2024-07-01 16:00", "2024-07-01 22:00")  # fmt: skip
    found = reference.compute(m, columns=[f"session_{name}" for name in reference.SESSIONS])
    assert found.to_numpy().tolist() == [
        [1, 0, 0, 0],
        [1, 1, 0, 0],
        [0, 1, 0, 0],
        [0, 1, 1, 1],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


def test_a_trading_day_runs_from_22_to_22_utc_and_the_first_one_does_not_count():
    stamps = ["2024-01-05 20:00", "2024-01-07 21:59", "2024-01-07 22:00", "2024-01-08 21:59",
              "2024-01-08 22:00", "2024-01-10 10:00", "2024-01-10 21:00"]  # fmt: skip
    data = synthetic.at_times(pd.DatetimeIndex([pd.Timestamp(s, tz="UTC") for s in stamps]))
    gold = data["XAUUSD"]
    gold["close"] = [2000.0, 2001, 2002, 2003, 2004, 2005, 2006]
    gold["high"], gold["low"] = gold["close"] + 1, gold["close"] - 2
    m = reference.Market(data)
    # Friday, then Sunday until 22:00, then Monday (two bars), Tuesday, Wednesday (two bars).
    assert [reference.trading_day(m, t) - reference.trading_day(m, 0) for t in range(7)] == [
        0, 2, 3, 3, 4, 5, 5,
    ]  # fmt: skip
    distances = reference.compute(m, columns=["prev_day_hl_dist", "pivot_point_dist"])
    assert distances.iloc[:2].isna().all(axis=None)
    # Monday 22:00: Sunday is not the first day. High 2002, low 1999, close 2001.
    pivot = (2002 + 1999 + 2001) / 3
    assert distances.iloc[2].tolist() == [0.0, pytest.approx((2002 - pivot) / pivot)]
    # Wednesday looks at Tuesday's single bar: high 2005, low 2002, close 2004, pivot 2003 2/3.
    pivot = 2003 + 2 / 3
    assert distances.iloc[5].tolist() == [0.0, pytest.approx((2005 - pivot) / pivot)]
    assert distances.iloc[6].tolist() == [
        pytest.approx(1 / 2006),
        pytest.approx((2006 - pivot) / pivot),
    ]


# --- degenerate windows ----------------------------------------------------------------------


def test_equal_tick_moves_are_no_variation():
    ticks = np.log(
        np.array([100.005, 100.010, 100.015, 100.020, 100.025])
        / np.array([100.0, 100.005, 100.010, 100.015, 100.020])
    )
    assert ticks.std() > 0
    assert reference.still(ticks)
    assert reference.beta(np.array([1e-4, -2e-4, 3e-4, 0, 1e-4]), ticks) == 0.0
    assert not reference.still(np.array([1e-4, 1e-4, 1e-4, 1e-4, 2e-4]))


def test_neutral_values_of_a_market_that_never_moves():
    m = reference.Market(synthetic.frozen(8_800))
    values_ = reference.compute(m, rows=[8_799]).iloc[0]
    neutral = {
        "level_rank": 1.0,
        "near_level_flag": 1.0,
        "channel_position": 0.5,
        "vol_session_ratio": 1.0,
        "tick_direction_ratio": 0.5,
        "tick_intensity": 7.0,
        "bar_tick_vol_ratio": 1.0,
        "rsi_14": 50.0,
        "hurst_60": 0.5,
        "regime_persistence": 1440.0,
        "fractal_dim_60": 1.0,
        "dfa_60": 0.5,
        "wavelet_energy_ratio": 0.5,
        "self_similarity_idx": 1.0,
    }
    price = m.close[0]
    here = {"channel_upper": price, "channel_lower": price, "vix_level": m.closes["VIX"][0]}
    here |= {"round_number_10": reference.to_round_number(m, 0)}
    clock = {name for name in reference.NAMES if name.startswith(("tod_", "session_", "mins_"))}
    clock |= {"london_fix_proximity", "week_of_month", "month_of_quarter", "nfp_week_flag"}
    for name in set(reference.NAMES) - clock:
        assert values_[name] == (neutral | here).get(name, 0.0), name


def test_values_begin_at_the_rows_of_the_table():
    m = market()
    for name, first in reference.first_rows(m).items():
        assert math.isfinite(first), name
        assert not math.isnan(reference.value(m, name, int(first))), name
        assert first == 0 or math.isnan(reference.value(m, name, int(first) - 1)), name
