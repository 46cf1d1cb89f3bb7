"""The 107 gold features, slowly: one value at a time, straight from their definitions.

This is the second opinion that the product is compared with. It shares no code with it, uses no
compiled loops and no running sums, and prefers the longest way that leaves no doubt. A function
takes the joined bars and a row and returns one float; it asks for its windows with :func:`tail`,
which raises :class:`TooShort` while the window does not exist, so that no warm-up is written down
anywhere: the rows from which a value exists are a result, to be compared with :data:`TABLE`.

Windows count joined bars and end at row t, t included. Log returns are logs of ratios. Whether a
window varies at all is decided before dividing: by :func:`flat` for levels (prices, volumes,
volatilities), by :func:`still` for returns.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

# name, first row with a value, look-back in joined bars, "=" for columns that agree exactly.
# "levels+k": k rows after the first row with levels; "day3": first row of the third trading day.
TABLE = """
accelz_60_30             119          120
volaccelz60_30           119          120
dist_ma120               119          120
resid_z60                59           60
resid_z60_dxy            59           60
resid_z60_nas100         59           60
er60                     60           61
tod_sin                  0            1
tod_cos                  0            1
leadcorr_nas100          60           61
ret_1m                   1            2
ret_5m                   5            6
ret_30m                  30           31
ret_60m                  60           61
ret_120m                 120          121
vol_30m                  30           31
dist_ma_15               14           15
dist_ma_30               29           30
dist_ma_290              289          290
corr_xau_xag_30          30           31
corr_xau_xag_60          60           61
corr_xau_xag_120         120          121
corr_xau_dxy_30          30           31
corr_xau_dxy_60          60           61
corr_xau_dxy_120         120          121
beta_xag_to_xau_5        5            6
beta_xag_to_xau_30       30           31
beta_xag_to_xau_60       60           61
beta_xag_to_xau_120      120          121
beta_xau_to_dxy_30       30           31
beta_xau_to_dxy_60       60           61
beta_xau_to_dxy_120      120          121
xaucore_5                5            6
xaucore_30               30           31
xaucore_60               60           61
xaucore_120              120          121
dist_nearest             levels+0     7259
dist_support             levels+0     7259
dist_resistance          levels+0     7259
dist_nearest_norm        levels+0     7259
dist_support_norm        levels+0     7259
dist_resistance_norm     levels+0     7259
level_rank               levels+0     7259  =
near_level_flag          levels+0     7259  =
touch_count_6h           levels+359   7618  =
bounce_count             levels+1439  8698  =
touch_velocity           levels+0     7259
false_breakout_count     levels+1439  8698  =
time_since_last_touch    levels+1439  8698  =
channel_upper            179          180
channel_lower            179          180
channel_width            179          180
channel_position         179          180
session_asian            0            1     =
session_london           0            1     =
session_ny               0            1     =
session_overlap          0            1     =
vol_session_ratio        7229         7230
vw_return_60             60           61
obv_slope_60             59           60
vol_surprise             59           60
pv_corr_60               59           60
tick_direction_ratio     60           61
tick_intensity           59           60
bar_tick_vol_ratio       60           61
rsi_14                   14           400
mom_divergence           60           61
mom_60                   60           61
hurst_60                 20           61
trend_mr_class           20           61    =
regime_persistence       1499         1500  =
regime_change_rate       180          181   =
parkinson_vol            59           60
gk_vol                   59           60
vol_of_vol               89           90
vol_autocorr_10          159          160
vol_breakout_flag        149          150   =
gold_equity_corr_regime  60           61    =
vix_level                0            1
vix_change               60           61
dxy_lag5_ret             6            7
nas_lag5_ret             6            7
xag_lag5_ret             6            7
body_range_ratio         0            1
upper_wick_ratio         0            1
lower_wick_ratio         0            1
mins_to_session_open     0            1     =
mins_to_session_close    0            1     =
london_fix_proximity     0            1     =
week_of_month            0            1     =
month_of_quarter         0            1     =
nfp_week_flag            0            1     =
round_number_10          0            1
prev_day_hl_dist         day3         2881
pivot_point_dist         day3         2881
fractal_dim_60           11           60
dfa_60                   16           61
wavelet_energy_ratio     0            61
multiscale_entropy       120          121
autocorr_lag1            121          122
autocorr_lag5            125          126
autocorr_lag15           135          136
autocorr_lag60           180          181
partial_autocorr         122          123
self_similarity_idx      1500         1501
alpha024                 199          200
alpha083                 65           66
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]
NAMES = [row[0] for row in ROWS]
FIRST_ROW = {row[0]: row[1] for row in ROWS}
LOOKBACK = {row[0]: int(row[2]) for row in ROWS}
EXACT = {row[0] for row in ROWS if row[-1] == "="}
INVERTED = ("tod_cos", "beta_xag_to_xau_30", "beta_xag_to_xau_60", "beta_xag_to_xau_120")
INSTRUMENTS = ("XAUUSD", "XAGUSD", "DXY", "NAS100", "US500", "VIX")
LONDON = ZoneInfo("Europe/London")


class TooShort(Exception):  # noqa: N818 - not an error: the history is too short for a value
    """The window does not exist yet."""


class Market:
    """The joined bars, and a memory for values that many windows share."""

    def __init__(self, frames: dict[str, pd.DataFrame]) -> None:
        joined = join(frames)
        gold = joined["XAUUSD"]
        self.time = gold.index
        self.stamps = list(pd.DatetimeIndex(gold.index).to_pydatetime())
        self.minute = [int(stamp.timestamp()) // 60 for stamp in self.stamps]
        self.open, self.high, self.low, self.close = (
            gold[name].to_numpy() for name in ("open", "high", "low", "close")
        )
        volume = gold["volume"].to_numpy()
        self.volume = np.where(np.isnan(volume), 0.0, volume)
        self.closes = {name: frame["close"].to_numpy() for name, frame in joined.items()}
        self.returns = {name: log_returns(close) for name, close in self.closes.items()}
        self.memory: dict[tuple[Any, ...], Any] = {}

    def __len__(self) -> int:
        return len(self.time)


def join(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Bars of the minutes in which all six instruments have a valid one."""
    valid = {}
    for name in INSTRUMENTS:
        frame = frames[name]
        frame = frame.set_axis(pd.DatetimeIndex(frame.index).tz_convert("UTC"))
        prices = frame[["open", "high", "low", "close"]]
        frame = frame[(np.isfinite(prices) & (prices > 0)).all(axis=1)]
        valid[name] = frame[~frame.index.duplicated(keep="last")]
    stamps = sorted(set.intersection(*(set(frame.index) for frame in valid.values())))
    return {name: frame.loc[stamps].astype("float64") for name, frame in valid.items()}


def log_returns(close: np.ndarray) -> np.ndarray:
    return np.array([math.nan, *(math.log(b / a) for a, b in pairwise(close))])


# --- windows and statistics of one window ----------------------------------------------------


def tail(values: np.ndarray, t: int, length: int) -> np.ndarray:
    """The last ``length`` values up to row t, t included."""
    if t - length + 1 < 0:
        raise TooShort
    window = values[t - length + 1 : t + 1]
    if np.isnan(window).any():
        raise TooShort
    return window


def at(values: np.ndarray, t: int) -> float:
    return float(tail(values, t, 1)[0])


def remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute once per market: windows of derived series overlap."""

    def value(market: Market, *arguments: Any) -> Any:
        key = (function.__name__, *arguments)
        if key not in market.memory:
            market.memory[key] = function(market, *arguments)
        return market.memory[key]

    return value


def history(
    function: Callable[[Market, int], float], market: Market, t: int, length: int
) -> np.ndarray:
    """The last ``length`` values of a derived series up to row t."""
    if t - length + 1 < 0:
        raise TooShort
    function(market, t - length + 1)  # the oldest one is missing first
    return np.array([function(market, s) for s in range(t - length + 1, t + 1)])


def mean(x: Iterable[float]) -> float:
    values = x.tolist() if isinstance(x, np.ndarray) else list(x)
    return math.fsum(values) / len(values)


def deviations(x: np.ndarray) -> np.ndarray:
    return x - mean(x)


def dot(a: np.ndarray, b: np.ndarray) -> float:
    return math.fsum((a * b).tolist())


def squares(x: np.ndarray) -> float:
    """Sum of squared deviations from the mean."""
    apart = deviations(x)
    return dot(apart, apart)


def flat(x: np.ndarray) -> bool:
    return bool(x.max() - x.min() <= 1e-12 * max(1.0, np.abs(x).max()))


def still(x: np.ndarray) -> bool:
    return squares(x) <= 1e-6 * dot(x, x)


def spread(x: np.ndarray) -> float:
    """Sample standard deviation, whatever the window."""
    return math.sqrt(squares(x) / (len(x) - 1))


def level_sd(x: np.ndarray) -> float:
    return 0.0 if flat(x) else spread(x)


def return_sd(x: np.ndarray) -> float:
    return 0.0 if still(x) else spread(x)


def z_score(x: np.ndarray) -> float:
    sd = level_sd(x)
    return 0.0 if sd == 0.0 else float(x[-1] - mean(x)) / sd


def correlation(
    y: np.ndarray, x: np.ndarray, lifeless: Callable[[np.ndarray], bool] = still
) -> float:
    if lifeless(y) or lifeless(x):
        return 0.0
    a, b = deviations(y), deviations(x)
    return clip(dot(a, b) / math.sqrt(dot(a, a) * dot(b, b)), -1.0, 1.0)


def beta(y: np.ndarray, x: np.ndarray) -> float:
    return 0.0 if still(x) else slope(y, x)


def slope(y: np.ndarray, x: np.ndarray) -> float:
    a = deviations(x)
    return dot(a, deviations(y)) / dot(a, a)


def clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def percentile_rank(window: np.ndarray) -> float:
    last = window[-1]
    return float((window < last).sum() + ((window == last).sum() + 1) / 2) / len(window)


# --- returns, averages, residuals ------------------------------------------------------------


def momentum(m: Market, t: int, bars: int) -> float:
    return at(m.close, t) / at(m.close, t - bars) - 1.0


@remembered
def acceleration(m: Market, t: int) -> float:
    return momentum(m, t, 30) / 30 - momentum(m, t, 60) / 60


@remembered
def volatility(m: Market, t: int, bars: int) -> float:
    return return_sd(tail(m.returns["XAUUSD"], t, bars))


def v30(m: Market, t: int) -> float:
    return volatility(m, t, 30)


def volatility_gap(m: Market, t: int) -> float:
    return volatility(m, t, 30) - volatility(m, t, 60)


def log_return(m: Market, t: int, bars: int, name: str = "XAUUSD") -> float:
    return math.log(at(m.closes[name], t) / at(m.closes[name], t - bars))


def lagged_return(m: Market, t: int, name: str) -> float:
    return at(m.returns[name], t - 5)


def distance_to_average(m: Market, t: int, bars: int) -> float:
    average = mean(tail(m.close, t, bars))
    return (float(m.close[t]) - average) / average


def residual_z(y: np.ndarray, x: np.ndarray) -> float:
    steepness = 0.0 if flat(x) else slope(y, x)
    residuals = deviations(y) - steepness * deviations(x)
    sd = math.sqrt(dot(residuals, residuals) / (len(y) - 1))
    return 0.0 if sd <= 1e-10 * abs(mean(y)) else float(residuals[-1]) / sd


def residual_on_time(m: Market, t: int) -> float:
    return residual_z(tail(m.close, t, 60), np.arange(60.0))


def residual_on(m: Market, t: int, name: str) -> float:
    return residual_z(tail(m.close, t, 60), tail(m.closes[name], t, 60))


def efficiency_ratio(m: Market, t: int) -> float:
    closes = tail(m.close, t, 61)
    path = math.fsum(np.abs(np.diff(closes)))
    return 0.0 if path == 0.0 else float(abs(closes[-1] - closes[0])) / path


# --- other instruments -----------------------------------------------------------------------


def correlation_with(m: Market, t: int, name: str, bars: int) -> float:
    return correlation(tail(m.returns["XAUUSD"], t, bars), tail(m.returns[name], t, bars))


def beta_to(m: Market, t: int, name: str, bars: int) -> float:
    return beta(tail(m.returns["XAUUSD"], t, bars), tail(m.returns[name], t, bars))


def core_return(m: Market, t: int, bars: int) -> float:
    explained = math.fsum(
        beta_to(m, t, name, bars) * log_return(m, t, bars, name) for name in ("DXY", "NAS100")
    )
    return log_return(m, t, bars) - explained


def equity_regime(m: Market, t: int) -> float:
    return float(np.sign(correlation_with(m, t, "US500", 60)))


def vix_change(m: Market, t: int) -> float:
    return at(m.closes["VIX"], t) - at(m.closes["VIX"], t - 60)


# --- levels ----------------------------------------------------------------------------------

FIT_BARS = 7200
CLUSTERS = 7


def optimal_levels(closes: Sequence[float] | np.ndarray, clusters: int = CLUSTERS) -> list[float]:
    """Means of the partition into ``clusters`` intervals with the least sum of squares."""
    q = np.rint(np.asarray(closes) * 1e5).astype(np.int64)
    values, counts = np.unique(q, return_counts=True)
    edges = optimal_edges(values, counts, min(clusters, len(values)))
    return [
        (int((values[a:b] * counts[a:b]).sum()) / int(counts[a:b].sum())) / 1e5
        for a, b in pairwise(edges)
    ]


def optimal_edges(values: np.ndarray, counts: np.ndarray, clusters: int) -> list[int]:
    """Where the clusters of the sorted ``values`` begin, and the end: the plain O(K m^2) programme.

    The sum of squares is least where the sum of S^2 / W over the clusters is largest (S the sum of
    the values above the smallest one, W their count). Integers up to the division.
    """
    size = len(values)
    weight = np.r_[0, np.cumsum(counts)]
    total = np.r_[0, np.cumsum((values - values[0]) * counts)].astype(np.float64)
    best = np.full((clusters + 1, size + 1), -np.inf)
    best[0, 0] = 0.0
    origin = np.zeros((clusters + 1, size + 1), dtype=np.int64)
    for end in range(1, size + 1):
        gain = (total[end] - total[:end]) ** 2 / (weight[end] - weight[:end])
        for k in range(1, min(clusters, end) + 1):
            candidates = best[k - 1, :end] + gain
            origin[k, end] = candidates.argmax()
            best[k, end] = candidates[origin[k, end]]
    edges = [size]
    for k in range(clusters, 0, -1):
        edges.append(int(origin[k, edges[-1]]))
    return edges[::-1]


@remembered
def fitted_at(m: Market, refit: int) -> list[float]:
    return optimal_levels(tail(m.close, refit, FIT_BARS))


@remembered
def levels(m: Market, t: int) -> list[float]:
    """Levels in force at row t: fitted at the first joined bar of the hour."""
    for s in range(t, FIT_BARS - 2, -1):
        if m.minute[s] // 60 != m.minute[s - 1] // 60:
            return fitted_at(m, s)
    raise TooShort


@remembered
def average_true_range(m: Market, t: int) -> float:
    """Wilder, 14 bars, not below a millionth of the price."""
    return max(wilder_series(m, "range")[t], 1e-6 * float(m.close[t]))


@remembered
def wilder_series(m: Market, what: str) -> list[float]:
    """Wilder's averages of 14 values, of every row: they remember all that was."""
    close = m.close
    if what == "range":
        values = [
            max(m.high[t] - m.low[t], abs(m.high[t] - close[t - 1]), abs(m.low[t] - close[t - 1]))
            for t in range(1, len(m))
        ]
    elif what == "gain":
        values = [max(b - a, 0.0) for a, b in pairwise(close)]
    else:
        values = [max(a - b, 0.0) for a, b in pairwise(close)]
    averages = [math.nan] * min(14, len(m))
    if len(values) >= 14:
        averages.append(mean(values[:14]))
        for value in values[14:]:
            averages.append((averages[-1] * 13 + value) / 14)
    return [float(average) for average in averages]


def nearest_level(m: Market, t: int) -> tuple[float, int]:
    """The nearest level and its rank from 1; the lower one of two."""
    distances = [abs(float(m.close[t]) - level) for level in levels(m, t)]
    position = distances.index(min(distances))
    return levels(m, t)[position], position + 1


def distance_nearest(m: Market, t: int) -> float:
    return abs(float(m.close[t]) - nearest_level(m, t)[0])


def distance_support(m: Market, t: int) -> float:
    below = [level for level in levels(m, t) if level <= m.close[t]]
    return float(m.close[t]) - max(below) if below else levels(m, t)[-1] - levels(m, t)[0]


def distance_resistance(m: Market, t: int) -> float:
    above = [level for level in levels(m, t) if level >= m.close[t]]
    return min(above) - float(m.close[t]) if above else levels(m, t)[-1] - levels(m, t)[0]


def in_true_ranges(m: Market, t: int, distance: Callable[[Market, int], float]) -> float:
    return distance(m, t) / average_true_range(m, t)


def level_rank(m: Market, t: int) -> float:
    return nearest_level(m, t)[1]


def near_level(m: Market, t: int) -> float:
    return float(distance_nearest(m, t) <= 0.5 * average_true_range(m, t))


def touch_velocity(m: Market, t: int) -> float:
    level = nearest_level(m, t)[0]
    return float(abs(m.close[t - 5] - level) - abs(m.close[t] - level)) / 5


def contact(m: Market, i: int, level: float) -> bool:
    return bool(m.low[i] <= level <= m.high[i])


@remembered
def touches(m: Market, t: int) -> int:
    return sum(contact(m, t, level) and not contact(m, t - 1, level) for level in levels(m, t))


def bounced(m: Market, t: int, level: float) -> bool:
    """Touched within five bars, never closed at or through it, now out of the near zone."""
    before, closes = m.close[t - 5], m.close[t - 4 : t + 1]
    zone = 0.5 * average_true_range(m, t)
    if before > level:
        touched = m.low[t - 4 : t + 1].min() <= level
        return bool(touched and closes.min() > level and closes[-1] - level > zone)
    if before < level:
        touched = m.high[t - 4 : t + 1].max() >= level
        return bool(touched and closes.max() < level and level - closes[-1] > zone)
    return False


@remembered
def bounces(m: Market, t: int) -> int:
    return sum(bounced(m, t, v) and not bounced(m, t - 1, v) for v in levels(m, t))


@remembered
def false_breakouts(m: Market, t: int) -> int:
    count = 0
    for level in levels(m, t):
        for sign in (1.0, -1.0):
            beyond = [sign * (m.close[s] - level) > 0 for s in range(t, t - 17, -1)]
            # Newest first: back on the old side now, 1 to 15 closes beyond, on the old side before.
            outside = next((n for n, out in enumerate(beyond[1:]) if not out), 16)
            count += not beyond[0] and 1 <= outside <= 15
    return count


def level_events(m: Market, t: int, event: Callable[[Market, int], int], bars: int) -> float:
    return float(history(event, m, t, bars).sum())


def time_since_touch(m: Market, t: int) -> float:
    if t < 1439:
        raise TooShort
    levels(m, t - 1439)
    for s in range(t, t - 1440, -1):
        if any(contact(m, s, level) for level in levels(m, s)):
            return float(min(m.minute[t] - m.minute[s], 1440))
    return 1440.0


# --- channel ---------------------------------------------------------------------------------

CHANNEL_BARS = 180


def quantile_lines(closes: np.ndarray) -> tuple[float, float]:
    """End values of the 0.9 and the 0.1 quantile line: the best of all lines through two points.

    Some best line passes through two data points. Lines whose objective equals the least one up to
    rounding are equally good: then the highest end value above, the lowest one below.
    """
    if flat(closes):
        return float(closes[-1]), float(closes[-1])
    n = len(closes)
    y = closes - closes[-1]
    u = np.arange(n) - (n - 1.0)
    ends, over, under = [], [], []
    for i in range(n - 1):
        slopes = (y[i + 1 :] - y[i]) / (u[i + 1 :] - u[i])
        errors = (y - y[i]) - slopes[:, None] * (u - u[i])
        ends.append(y[i] - slopes * u[i])
        balance, distance = errors.sum(axis=1), np.abs(errors).sum(axis=1)
        over.append((distance + balance) / 2)
        under.append((distance - balance) / 2)
    end, above, below = (np.concatenate(part) for part in (ends, over, under))
    tolerance = 1e-12 * n * (np.ptp(y) + np.abs(y).max())
    values = []
    for tau, choose in ((0.9, np.max), (0.1, np.min)):
        objective = tau * above + (1.0 - tau) * below
        values.append(float(choose(end[objective <= objective.min() + tolerance]) + closes[-1]))
    return values[0], values[1]


@remembered
def channel(m: Market, t: int) -> tuple[float, float]:
    return quantile_lines(tail(m.close, t, CHANNEL_BARS))


def channel_upper(m: Market, t: int) -> float:
    return channel(m, t)[0]


def channel_lower(m: Market, t: int) -> float:
    return channel(m, t)[1]


def channel_width(m: Market, t: int) -> float:
    upper, lower = channel(m, t)
    return max(upper - lower, 0.0) / float(m.close[t])


def channel_position(m: Market, t: int) -> float:
    upper, lower = channel(m, t)
    close = float(m.close[t])
    if upper - lower <= 1e-9 * close:
        return 0.5
    return clip((close - lower) / (upper - lower), 0.0, 1.0)


# --- clock and calendar ----------------------------------------------------------------------

SESSIONS = {"asian": (0, 8), "london": (7, 16), "ny": (13, 22), "overlap": (13, 16)}


def clock(m: Market, t: int) -> int:
    """Minute of the UTC day."""
    return m.stamps[t].hour * 60 + m.stamps[t].minute


def day_wave(m: Market, t: int, wave: Callable[[float], float]) -> float:
    return wave(2 * math.pi * clock(m, t) / 1440)


def in_session(m: Market, t: int, name: str) -> float:
    first, end = SESSIONS[name]
    return float(60 * first <= clock(m, t) < 60 * end)


@remembered
def open_sessions(m: Market, t: int) -> tuple[float, ...]:
    return tuple(in_session(m, t, name) for name in ("asian", "london", "ny"))


def volatility_by_session(m: Market, t: int) -> float:
    v30(m, t - 7199)  # the oldest one of the window must be there
    label = open_sessions(m, t)
    alike = [s for s in range(t - 7199, t + 1) if open_sessions(m, s) == label]
    average = mean(v30(m, s) for s in alike)
    return 1.0 if average <= 1e-12 else v30(m, t) / average


def minutes_to(minute: int, moments: Sequence[int]) -> float:
    """Distance to the nearest moment on a clock face of 1440 minutes."""
    apart = [abs(minute - moment) for moment in moments]
    return float(min(min(gap, 1440 - gap) for gap in apart))


def minutes_to_session(m: Market, t: int, moments: Sequence[int]) -> float:
    return minutes_to(clock(m, t), moments)


def minutes_to_fix(m: Market, t: int) -> float:
    local = m.stamps[t].astimezone(LONDON)
    return minutes_to(local.hour * 60 + local.minute, (10 * 60 + 30, 15 * 60))


def week_of_month(m: Market, t: int) -> float:
    return float((m.stamps[t].day - 1) // 7 + 1)


def month_of_quarter(m: Market, t: int) -> float:
    return float((m.stamps[t].month - 1) % 3 + 1)


def first_friday(year: int, month: int) -> dt.date:
    return next(
        day for n in range(1, 8) if (day := dt.date(year, month, n)).strftime("%A") == "Friday"
    )


def payrolls_week(m: Market, t: int) -> float:
    today = m.stamps[t].date()
    following = (today.year + today.month // 12, today.month % 12 + 1)
    fridays = first_friday(today.year, today.month), first_friday(*following)
    return float(any(abs((today - friday).days) <= 2 for friday in fridays))


# --- volume and ticks ------------------------------------------------------------------------


def volume_weighted_return(m: Market, t: int) -> float:
    returns, volumes = tail(m.returns["XAUUSD"], t, 60), tail(m.volume, t, 60)
    total = math.fsum(volumes)
    return 0.0 if total == 0.0 else dot(returns, volumes) / total


def balance_slope(m: Market, t: int) -> float:
    signs, volumes = np.sign(np.diff(tail(m.close, t, 60))), tail(m.volume, t, 60)
    return slope(np.r_[0.0, np.cumsum(signs * volumes[1:])], np.arange(60.0))


def volume_surprise(m: Market, t: int) -> float:
    return z_score(tail(m.volume, t, 60))


def price_volume_correlation(m: Market, t: int) -> float:
    return correlation(tail(m.close, t, 60), tail(m.volume, t, 60), flat)


def share_of_rises(m: Market, t: int) -> float:
    changes = np.diff(tail(m.close, t, 61))
    up, down = int((changes > 0).sum()), int((changes < 0).sum())
    return 0.5 if up + down == 0 else up / (up + down)


def average_volume(m: Market, t: int) -> float:
    return mean(tail(m.volume, t, 60))


def close_to_range_volatility(m: Market, t: int) -> float:
    by_range = parkinson(m, t)
    return 1.0 if by_range <= 1e-12 else volatility(m, t, 60) / by_range


# --- momentum --------------------------------------------------------------------------------


def rsi(m: Market, t: int) -> float:
    gain, loss = wilder_series(m, "gain")[t], wilder_series(m, "loss")[t]
    if math.isnan(gain):
        raise TooShort
    return 50.0 if gain + loss == 0.0 else 100.0 * gain / (gain + loss)


def momentum_divergence(m: Market, t: int) -> float:
    return momentum(m, t, 5) - momentum(m, t, 60)


# --- volatility ------------------------------------------------------------------------------


def parkinson(m: Market, t: int) -> float:
    ranges = [
        math.log(h / low) ** 2
        for h, low in zip(tail(m.high, t, 60), tail(m.low, t, 60), strict=True)
    ]
    return math.sqrt(math.fsum(ranges) / (4 * 60 * math.log(2)))


def garman_klass(m: Market, t: int) -> float:
    bars = zip(*(tail(x, t, 60) for x in (m.open, m.high, m.low, m.close)), strict=True)
    terms = [
        0.5 * math.log(h / low) ** 2 - (2 * math.log(2) - 1) * math.log(c / o) ** 2
        for o, h, low, c in bars
    ]
    return math.sqrt(max(0.0, mean(terms)))


def volatility_of_volatility(m: Market, t: int) -> float:
    return level_sd(history(v30, m, t, 60))


def volatility_autocorrelation(m: Market, t: int) -> float:
    return correlation(history(v30, m, t, 120), history(v30, m, t - 10, 120), flat)


def volatility_breakout(m: Market, t: int) -> float:
    window = history(v30, m, t, 120)
    return 0.0 if flat(window) else float(window[-1] > mean(window) + 2 * spread(window))


# --- candles, round numbers, the day before --------------------------------------------------


def part_of_range(m: Market, t: int, part: Callable[..., float]) -> float:
    o, h, low, c = (float(x[t]) for x in (m.open, m.high, m.low, m.close))
    return 0.0 if h == low else clip(part(o, h, low, c) / (h - low), 0.0, 1.0)


def to_round_number(m: Market, t: int) -> float:
    close = float(m.close[t])
    return abs(close - 10 * float(np.rint(close / 10)))


def day_before(m: Market, t: int) -> tuple[float, float, float]:
    """High, low and close of the latest earlier trading day (22:00 to 22:00 UTC)."""
    last = next((s for s in range(t, -1, -1) if trading_day(m, s) < trading_day(m, t)), None)
    if last is None or trading_day(m, last) == trading_day(m, 0):
        raise TooShort  # the first day of the data may be cut off
    oldest = max(last - 1439, 0)
    rows = [s for s in range(oldest, last + 1) if trading_day(m, s) == trading_day(m, last)]
    return float(m.high[rows].max()), float(m.low[rows].min()), float(m.close[last])


def trading_day(m: Market, t: int) -> int:
    return (m.minute[t] + 120) // 1440


def distance_to_day_before(m: Market, t: int) -> float:
    high, low, _ = day_before(m, t)
    close = float(m.close[t])
    return min(abs(close - high), abs(close - low)) / close


def distance_to_pivot(m: Market, t: int) -> float:
    pivot = math.fsum(day_before(m, t)) / 3
    return (float(m.close[t]) - pivot) / pivot


# --- complexity ------------------------------------------------------------------------------


def newest_returns(m: Market, t: int, most: int, least: int) -> np.ndarray:
    """As many returns as there are, at most ``most``."""
    if t < least:
        raise TooShort
    return tail(m.returns["XAUUSD"], t, min(t, most))


@remembered
def hurst(m: Market, t: int) -> float:
    return rescaled_range_exponent(newest_returns(m, t, 60, 20))


def rescaled_range_exponent(x: np.ndarray) -> float:
    sizes, ratios = [], []
    for size in (10, 12, 15, 20, 30, 60):
        if size > len(x):
            continue
        found = []
        for block in newest_blocks(x, size):
            if not still(block):
                path = np.cumsum(deviations(block))
                found.append((path.max() - path.min()) / math.sqrt(squares(block) / size))
        if found:
            sizes.append(math.log(size))
            ratios.append(math.log(mean(found)))
    if len(sizes) < 2:
        return 0.5
    return clip(slope(np.array(ratios), np.array(sizes)), 0.0, 1.0)


def newest_blocks(x: np.ndarray, size: int) -> np.ndarray:
    count = len(x) // size
    return x[len(x) - count * size :].reshape(count, size)


def trends(m: Market, t: int) -> float:
    return float(hurst(m, t) > 0.5)


def full_class(m: Market, t: int) -> float:
    """The class from a full window of returns only."""
    if t < 60:
        raise TooShort
    return trends(m, t)


def persistence(m: Market, t: int) -> float:
    full_class(m, t - 1439)  # the oldest bar that may count must be there
    last = full_class(m, t)
    return float(next((n for n in range(1440) if full_class(m, t - n) != last), 1440))


def change_rate(m: Market, t: int) -> float:
    return float((np.diff(history(full_class, m, t, 121)) != 0).sum())


def fractal_dimension(m: Market, t: int) -> float:
    if t < 11:
        raise TooShort
    return higuchi(tail(m.close, t, min(t + 1, 60)))


def higuchi(x: np.ndarray) -> float:
    n = len(x)
    logs, lengths = [], []
    for k in range(1, min(10, max(2, n // 6)) + 1):
        curves = []
        for first in range(1, k + 1):
            steps = (n - first) // k
            points = x[first - 1 : first + steps * k : k]
            curves.append(math.fsum(np.abs(np.diff(points))) * (n - 1) / (steps * k) / k)
        if mean(curves) > 1e-9 * np.abs(x).max():
            logs.append(math.log(1 / k))
            lengths.append(math.log(mean(curves)))
    if len(logs) < 2:
        return 1.0
    return clip(slope(np.array(lengths), np.array(logs)), 1.0, 2.0)


def fluctuation(m: Market, t: int) -> float:
    return detrended_exponent(newest_returns(m, t, 60, 16))


def detrended_exponent(x: np.ndarray) -> float:
    if still(x):
        return 0.5
    profile = np.cumsum(deviations(x))
    sizes, sizes_of_error = [], []
    for size in (4, 5, 6, 10, 12, 15):
        if size > len(x) / 2:
            continue
        errors = []
        for box in newest_blocks(profile, size):
            u = np.arange(float(size))
            residuals = deviations(box) - slope(box, u) * deviations(u)
            errors.append(dot(residuals, residuals) / size)
        error = math.sqrt(mean(errors))
        if error > 1e-15:
            sizes.append(math.log(size))
            sizes_of_error.append(math.log(error))
    if len(sizes) < 2:
        return 0.5
    return clip(slope(np.array(sizes_of_error), np.array(sizes)), 0.0, 2.0)


def finest_band(m: Market, t: int) -> float:
    if t < 2:
        return 0.5
    pairs = newest_blocks(newest_returns(m, t, 60, 2), 2)
    energy = math.fsum((pairs**2).ravel())
    detail = math.fsum((a - b) ** 2 / 2 for a, b in pairs)
    return 0.5 if energy <= 1e-24 else detail / energy


def entropy(m: Market, t: int) -> float:
    return multiscale(tail(m.returns["XAUUSD"], t, 120))


def multiscale(x: np.ndarray) -> float:
    if still(x):
        return 0.0
    radius = 0.2 * math.sqrt(squares(x) / len(x))
    return mean(
        sample_entropy(x.reshape(-1, scale).sum(axis=1) / scale, radius) for scale in (1, 2, 3)
    )


def sample_entropy(x: np.ndarray, radius: float) -> float:
    count = len(x) - 2
    near = np.abs(x[:, None] - x[None, :]) <= radius
    pairs = np.triu(near[:count, :count] & near[1 : count + 1, 1 : count + 1], 1)
    longer = pairs & near[2:, 2:]
    if longer.sum() == 0:
        return math.log(count * (count - 1) / 2)
    return -math.log(longer.sum() / pairs.sum())


def autocorrelation(m: Market, t: int, lag: int) -> float:
    returns = m.returns["XAUUSD"]
    return correlation(tail(returns, t, 120), tail(returns, t - lag, 120))


def partial_autocorrelation(m: Market, t: int) -> float:
    now, before, first = (tail(m.returns["XAUUSD"], t - lag, 120) for lag in (0, 1, 2))
    r01, r12, r02 = correlation(now, before), correlation(before, first), correlation(now, first)
    rest = (1 - r01**2) * (1 - r12**2)
    return 0.0 if rest <= 1e-12 else clip((r02 - r01 * r12) / math.sqrt(rest), -1.0, 1.0)


def self_similarity(m: Market, t: int) -> float:
    returns = m.returns["XAUUSD"]
    recent, older = np.sort(tail(returns, t, 60)), np.sort(tail(returns, t - 60, 1440))
    points = np.concatenate([recent, older])
    gaps = 24 * np.searchsorted(recent, points, "right") - np.searchsorted(older, points, "right")
    return 1.0 - int(np.abs(gaps).max()) / 1440


# --- alphas ----------------------------------------------------------------------------------


def alpha024(m: Market, t: int) -> float:
    now, before = mean(tail(m.close, t, 100)), mean(tail(m.close, t - 100, 100))
    if (now - before) / float(m.close[t - 100]) <= 0.05:
        return -float(m.close[t] - tail(m.close, t, 100).min())
    return -float(m.close[t] - m.close[t - 3])


def relative_range(m: Market, t: int) -> float:
    return float(m.high[t] - m.low[t]) / mean(tail(m.close, t, 5))


def rounded_range(m: Market, t: int) -> float:
    return round(relative_range(m, t), 12)


def alpha083(m: Market, t: int) -> float:
    ranges = percentile_rank(history(rounded_range, m, t - 2, 60))
    volumes = percentile_rank(tail(m.volume, t, 60))
    if m.high[t] == m.low[t]:
        return 0.0
    typical = float(m.high[t] + m.low[t] + m.close[t]) / 3
    return ranges * volumes * (typical - float(m.close[t])) / relative_range(m, t)


# --- all of them -----------------------------------------------------------------------------

FEATURES: dict[str, Callable[[Market, int], float]] = {
    "accelz_60_30": lambda m, t: z_score(history(acceleration, m, t, 60)),
    "volaccelz60_30": lambda m, t: z_score(history(volatility_gap, m, t, 60)),
    "dist_ma120": partial(distance_to_average, bars=120),
    "resid_z60": residual_on_time,
    "resid_z60_dxy": partial(residual_on, name="DXY"),
    "resid_z60_nas100": partial(residual_on, name="NAS100"),
    "er60": efficiency_ratio,
    "tod_sin": partial(day_wave, wave=math.sin),
    "tod_cos": partial(day_wave, wave=math.cos),
    "leadcorr_nas100": partial(correlation_with, name="NAS100", bars=60),
    **{f"ret_{n}m": partial(log_return, bars=n) for n in (1, 5, 30, 60, 120)},
    "vol_30m": v30,
    **{f"dist_ma_{n}": partial(distance_to_average, bars=n) for n in (15, 30, 290)},
    **{
        f"corr_xau_xag_{n}": partial(correlation_with, name="XAGUSD", bars=n) for n in (30, 60, 120)
    },
    **{f"corr_xau_dxy_{n}": partial(correlation_with, name="DXY", bars=n) for n in (30, 60, 120)},
    **{f"beta_xag_to_xau_{n}": partial(beta_to, name="XAGUSD", bars=n) for n in (5, 30, 60, 120)},
    **{f"beta_xau_to_dxy_{n}": partial(beta_to, name="DXY", bars=n) for n in (30, 60, 120)},
    **{f"xaucore_{n}": partial(core_return, bars=n) for n in (5, 30, 60, 120)},
    "dist_nearest": distance_nearest,
    "dist_support": distance_support,
    "dist_resistance": distance_resistance,
    "dist_nearest_norm": partial(in_true_ranges, distance=distance_nearest),
    "dist_support_norm": partial(in_true_ranges, distance=distance_support),
    "dist_resistance_norm": partial(in_true_ranges, distance=distance_resistance),
    "level_rank": level_rank,
    "near_level_flag": near_level,
    "touch_count_6h": partial(level_events, event=touches, bars=360),
    "bounce_count": partial(level_events, event=bounces, bars=1440),
    "touch_velocity": touch_velocity,
    "false_breakout_count": partial(level_events, event=false_breakouts, bars=1440),
    "time_since_last_touch": time_since_touch,
    "channel_upper": channel_upper,
    "channel_lower": channel_lower,
    "channel_width": channel_width,
    "channel_position": channel_position,
    **{f"session_{name}": partial(in_session, name=name) for name in SESSIONS},
    "vol_session_ratio": volatility_by_session,
    "vw_return_60": volume_weighted_return,
    "obv_slope_60": balance_slope,
    "vol_surprise": volume_surprise,
    "pv_corr_60": price_volume_correlation,
    "tick_direction_ratio": share_of_rises,
    "tick_intensity": average_volume,
    "bar_tick_vol_ratio": close_to_range_volatility,
    "rsi_14": rsi,
    "mom_divergence": momentum_divergence,
    "mom_60": partial(momentum, bars=60),
    "hurst_60": hurst,
    "trend_mr_class": trends,
    "regime_persistence": persistence,
    "regime_change_rate": change_rate,
    "parkinson_vol": parkinson,
    "gk_vol": garman_klass,
    "vol_of_vol": volatility_of_volatility,
    "vol_autocorr_10": volatility_autocorrelation,
    "vol_breakout_flag": volatility_breakout,
    "gold_equity_corr_regime": equity_regime,
    "vix_level": lambda m, t: at(m.closes["VIX"], t),
    "vix_change": vix_change,
    "dxy_lag5_ret": partial(lagged_return, name="DXY"),
    "nas_lag5_ret": partial(lagged_return, name="NAS100"),
    "xag_lag5_ret": partial(lagged_return, name="XAGUSD"),
    "body_range_ratio": partial(part_of_range, part=lambda o, h, low, c: abs(c - o)),
    "upper_wick_ratio": partial(part_of_range, part=lambda o, h, low, c: h - max(o, c)),
    "lower_wick_ratio": partial(part_of_range, part=lambda o, h, low, c: min(o, c) - low),
    "mins_to_session_open": partial(minutes_to_session, moments=(0, 7 * 60, 13 * 60)),
    "mins_to_session_close": partial(minutes_to_session, moments=(8 * 60, 16 * 60, 22 * 60)),
    "london_fix_proximity": minutes_to_fix,
    "week_of_month": week_of_month,
    "month_of_quarter": month_of_quarter,
    "nfp_week_flag": payrolls_week,
    "round_number_10": to_round_number,
    "prev_day_hl_dist": distance_to_day_before,
    "pivot_point_dist": distance_to_pivot,
    "fractal_dim_60": fractal_dimension,
    "dfa_60": fluctuation,
    "wavelet_energy_ratio": finest_band,
    "multiscale_entropy": entropy,
    **{f"autocorr_lag{lag}": partial(autocorrelation, lag=lag) for lag in (1, 5, 15, 60)},
    "partial_autocorr": partial_autocorrelation,
    "self_similarity_idx": self_similarity,
    "alpha024": alpha024,
    "alpha083": alpha083,
}


def value(market: Market, name: str, t: int) -> float:
    """One value, oriented as the product has it; NaN while there is not enough history."""
    try:
        found = float(FEATURES[name](market, t))
    except TooShort:
        return math.nan
    return -found if name in INVERTED else found


def compute(
    frames: dict[str, pd.DataFrame] | Market,
    rows: Iterable[int] | None = None,
    columns: Sequence[str] = NAMES,
) -> pd.DataFrame:
    """Values of ``columns`` at the joined ``rows`` (positions; all of them by default)."""
    market = frames if isinstance(frames, Market) else Market(frames)
    positions = list(range(len(market)) if rows is None else rows)
    data = {name: [value(market, name, t) for t in positions] for name in columns}
    return pd.DataFrame(data, index=market.time[positions].rename("timestamp"))


def first_rows(market: Market) -> dict[str, float]:
    """First row with a value of each column by :data:`TABLE`; infinite where the data are short."""
    fits = (
        t
        for t in range(FIT_BARS - 1, len(market))
        if market.minute[t] // 60 != market.minute[t - 1] // 60
    )
    with_levels = next(fits, math.inf)
    days = sorted({trading_day(market, t) for t in range(len(market))})
    third = days[2] if len(days) > 2 else math.inf
    day3 = next((t for t in range(len(market)) if trading_day(market, t) >= third), math.inf)

    def row(rule: str) -> float:
        if rule == "day3":
            return day3
        return with_levels + int(rule[7:]) if rule.startswith("levels+") else int(rule)

    return {name: row(rule) for name, rule in FIRST_ROW.items()}
