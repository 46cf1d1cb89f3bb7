"""Leaks in formulas: what a feature makes of a frame that is right.

Each is what people do write; the honest twin, where it is short, is what they meant to write.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import cluster, linalg, ndimage, signal

from hf_plugins.base import Memory
from tests.leaks.bench import Leak, Values, mean, returns

CUMULATIVE = Memory.cumulative()
BUTTERWORTH: Any = signal.butter(2, 0.2)


def days(data: Any) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(data.index).floor("D")


def hours(data: Any) -> np.ndarray:
    return pd.DatetimeIndex(data.index).hour.to_numpy()


def z_score(data: Any) -> Any:
    return (data["close"] - data["close"].mean()) / data["close"].std()


def expanding_z_score(data: Any) -> Any:
    past = data["close"].expanding()
    return (data["close"] - past.mean()) / past.std()


def principal_component(data: Any) -> Any:
    values = np.log(data.to_numpy())
    values = values - values.mean(axis=0)
    _, vectors = np.linalg.eigh(values.T @ values)
    return values @ vectors[:, -1]


def hodrick_prescott(data: Any) -> Any:
    n = len(data)
    if n < 5:
        return np.full(n, np.nan)
    second = np.diff(np.eye(n), 2, axis=0)
    return linalg.solve(np.eye(n) + 100.0 * second.T @ second, data["close"], assume_a="pos")


def low_pass(data: Any) -> Any:
    spectrum = np.fft.rfft(data["close"].to_numpy())
    spectrum[len(spectrum) // 8 + 1 :] = 0.0
    return np.fft.irfft(spectrum, n=len(data))


def zero_phase(data: Any) -> Any:
    b, a = BUTTERWORTH
    padding = min(9, len(data) - 1)
    return signal.filtfilt(b, a, data["close"].to_numpy(), padlen=padding)


def one_way(data: Any) -> Any:
    b, a = BUTTERWORTH
    return signal.lfilter(b, a, data["close"].to_numpy())


def envelope(data: Any) -> Any:
    analytic: Any = signal.hilbert(data["close"].to_numpy())
    return np.abs(analytic)


def smooth_both_ways(data: Any) -> Any:
    forward = data["close"].ewm(alpha=0.2, adjust=False).mean()
    return forward[::-1].ewm(alpha=0.2, adjust=False).mean()[::-1]


def kernel_regression(data: Any) -> Any:
    at = np.arange(len(data), dtype=float)
    weights = np.exp(-0.5 * ((at[:, None] - at[None, :]) / 5.0) ** 2)
    return weights @ data["close"].to_numpy() / weights.sum(axis=1)


def polynomial(data: Any, window: int = 11) -> Any:
    if len(data) < window:
        return np.full(len(data), np.nan)
    return signal.savgol_filter(data["close"], window, 3)


def zigzag(data: Any) -> Any:
    """Direction to the turning point that comes next, once it has moved 2 per cent."""
    close = data["close"].to_numpy()
    found = np.zeros(len(close))
    for row in range(len(close)):
        moved = close[row + 1 :] / close[row] - 1.0
        hit = np.flatnonzero(np.abs(moved) > 0.02)
        found[row] = np.sign(moved[hit[0]]) if len(hit) else 0.0
    return found


def barriers(data: Any) -> Any:
    close = data["close"]
    high = close[::-1].rolling(12, min_periods=1).max()[::-1]
    return (high / close > 1.015).astype(float)


def k_means(data: Any) -> Any:
    values = np.column_stack([returns(data).fillna(0.0), np.log(data["volume"])])
    if len(values) < 4:
        return np.zeros(len(values))
    scaled = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-9)
    k_means_of: Any = cluster.vq.kmeans2
    _, labels = k_means_of(scaled, 3, seed=0, minit="++")
    return labels


def in_sample_forecast(data: Any) -> Any:
    x = returns(data).fillna(0.0).to_numpy()
    y = np.append(x[1:], 0.0)
    slope = (x @ y) / max(x @ x, 1e-12)
    return slope * x


def target_encoding(data: Any) -> Any:
    tomorrow = returns(data).shift(-1)
    return tomorrow.groupby(hours(data)).transform("mean")


def hour_means(data: Any) -> Any:
    return data["volume"] / data["volume"].groupby(hours(data)).transform("mean")


def expanding_hour_means(data: Any) -> Any:
    past = data["volume"].groupby(hours(data)).expanding().mean()
    return data["volume"] / past.droplevel(0).reindex(data.index)


def decomposition(data: Any) -> Any:
    trend = data["close"].rolling(24, center=True, min_periods=1).mean()
    seasonal = (data["close"] - trend).groupby(hours(data)).transform("mean")
    return data["close"] - trend - seasonal


def detrended(data: Any) -> Any:
    at = np.arange(len(data), dtype=float)
    if len(data) < 2:
        return np.zeros(len(data))
    return data["close"].to_numpy() - np.polyval(np.polyfit(at, data["close"], 1), at)


def best_lag(data: Any) -> Any:
    moves = returns(data)
    scores = {lag: abs(np.nan_to_num(moves.corr(moves.shift(lag)))) for lag in range(1, 11)}
    return moves.shift(max(scores, key=lambda lag: scores[lag]))


def until_gap(data: Any) -> Any:
    steps = np.diff(pd.DatetimeIndex(data.index).as_unit("ns").asi8)
    last = np.append(steps > 1.5 * 3.6e12, True)
    ends = np.flatnonzero(last)
    return ends[np.searchsorted(ends, np.arange(len(data)))] - np.arange(len(data))


def last_of_day(data: Any) -> Any:
    day = days(data)
    return np.append(day[1:] != day[:-1], True)


def until_crossing(data: Any) -> Any:
    above = (data["close"] > mean(data["close"], 20)).to_numpy()
    crossed = np.append(np.flatnonzero(np.diff(above.astype(int))), len(above))
    return crossed[np.searchsorted(crossed, np.arange(len(above)))] - np.arange(len(above))


def day_close(data: Any) -> Any:
    daily = data["close"].resample("1D", label="left").last()
    return daily.reindex(data.index, method="ffill")


def day_before(data: Any) -> Any:
    """The close of the last day that is over, of bars that lie wholly before the day begins."""
    daily = data["close"].resample("1D").last().ffill().shift(1)
    return daily.reindex(days(data)).to_numpy()


def week_range(data: Any) -> Any:
    weeks = pd.DatetimeIndex(data.index).tz_localize(None).to_period("W")
    found = data.groupby(weeks)
    return (found["high"].transform("max") - found["low"].transform("min")) / data["close"]


def regimes_as_columns(data: Any) -> Any:
    regime = np.sign(returns(data).fillna(0.0)) * (data["volume"] > data["volume"].median())
    found = pd.get_dummies(regime, prefix="regime", dtype=float)
    return found.set_axis([str(name) for name in found.columns], axis=1)


def squeezed(data: Any) -> Any:
    """Missing closes are left out, and the others put from the first row on."""
    there = data["close"].dropna().to_numpy()
    return np.append(there, np.full(len(data) - len(there), np.nan))


def close_ups(data: Any) -> Any:
    return data["close"].dropna().reset_index(drop=True).reindex(range(len(data)))


def noise_by_length(data: Any) -> Any:
    return np.random.default_rng(len(data)).normal(size=len(data))


def peeks(when: Any, *, ahead: int = 1) -> Values:
    """Trailing momentum, but for some rows, which have that of the future."""

    def values(data: Any) -> Any:
        close = data["close"]
        honest = close / close.shift(10) - 1.0
        future = close.shift(-ahead) / close - 1.0
        return honest.where(~np.asarray(when(data), dtype=bool) | future.isna(), future)

    return values


def momentum(data: Any) -> Any:
    return data["close"] / data["close"].shift(10) - 1.0


def month_end(data: Any) -> Any:
    """By the calendar alone, so that the rows themselves are known."""
    index = pd.DatetimeIndex(data.index)
    return ((index + pd.Timedelta(days=1)).month != index.month) & (index.hour == 23)


def week_end(data: Any) -> Any:
    return pd.DatetimeIndex(data.index).dayofweek == 4


def remembers_scale() -> Values:
    kept: dict[str, float] = {}

    def values(data: Any) -> Any:
        if "scale" not in kept:
            kept["scale"] = float(data["close"].std())
        return data["close"] / kept["scale"]

    return values


def remembers_peak() -> Values:
    kept = {"peak": 0.0}

    def values(data: Any) -> Any:
        kept["peak"] = max(kept["peak"], float(data["close"].max()))
        return data["close"] / kept["peak"]

    return values


def counts_calls() -> Values:
    kept = {"calls": 0}

    def values(data: Any) -> Any:
        kept["calls"] += 1
        seeded = np.random.default_rng(kept["calls"])
        return momentum(data) + 1e-6 * seeded.normal(size=len(data))

    return values


def hoards_rows() -> Values:
    kept: list[float] = []

    def values(data: Any) -> Any:
        kept.extend(data["close"].to_numpy())
        return data["close"] - np.quantile(kept, 0.5)

    return values


def answers_from_memory() -> Values:
    kept: dict[Any, float] = {}

    def values(data: Any) -> Any:
        ranks = data["close"].rank(pct=True)
        return [kept.setdefault(stamp, rank) for stamp, rank in ranks.items()]

    return values


def running_peak(data: Any) -> Any:
    return data["close"] / data["close"].cummax()


def running_sum(data: Any) -> Any:
    return data["close"].cumsum()


def smoothed(data: Any) -> Any:
    return data["close"].ewm(alpha=0.05, adjust=False).mean()


SHIFTS = [
    Leak(
        "next_return",
        "negative shift",
        "The return of the next bar, by `shift(-1)`.",
        lambda data: data["close"].shift(-1) / data["close"] - 1.0,
        returns,
    ),
    Leak(
        "backward_change",
        "negative shift",
        "`pct_change(-5)` is the change to a bar that is yet to come.",
        lambda data: data["close"].pct_change(-5),
        lambda data: data["close"].pct_change(5),
    ),
    Leak(
        "roll_around",
        "negative shift",
        "`np.roll` wraps around: the first rows hold the last ones of the sample.",
        lambda data: data["close"].to_numpy() / np.roll(data["close"].to_numpy(), 3),
        lambda data: data["close"] / data["close"].shift(3),
    ),
    Leak(
        "roll_forward",
        "negative shift",
        "`np.roll` in the wrong direction.",
        lambda data: np.roll(data["close"].to_numpy(), -2),
    ),
    Leak(
        "label_among_features",
        "negative shift",
        "The label, the mean of the next five closes, was left among the features.",
        lambda data: data["close"][::-1].rolling(5).mean()[::-1].shift(-1) / data["close"],
    ),
    Leak(
        "barrier_outcome",
        "negative shift",
        "Whether a profit target is hit within twelve bars.",
        barriers,
    ),
    Leak(
        "whisper",
        "negative shift",
        "A billionth of the next return, added to an honest momentum.",
        lambda data: momentum(data) + 1e-9 * (data["close"].shift(-1) / data["close"]).fillna(0.0),
        momentum,
    ),
]

CENTRED = [
    Leak(
        "centred_mean",
        "centred window",
        "`rolling(11, center=True)`: half of the window lies ahead.",
        lambda data: data["close"].rolling(11, center=True).mean(),
        lambda data: mean(data["close"], 11),
    ),
    Leak(
        "convolution",
        "centred window",
        '`np.convolve(..., mode="same")` centres its window.',
        lambda data: np.convolve(data["close"], np.ones(5) / 5.0, mode="same")[: len(data)],
    ),
    Leak(
        "pivots",
        "centred window",
        "A peak is marked at its own bar, and not when it is seen to have been one.",
        lambda data: data["high"] == data["high"].rolling(5, center=True).max(),
        lambda data: data["high"].shift(2) == data["high"].rolling(5).max(),
    ),
    Leak("median_filter", "centred window", "A median filter centres its window.",
         lambda data: ndimage.median_filter(data["close"].to_numpy(), 5)),
    Leak("gaussian_filter", "centred window", "A Gaussian filter looks to both sides.",
         lambda data: ndimage.gaussian_filter1d(data["close"].to_numpy(), 3.0)),
    Leak("savitzky_golay", "centred window", "A Savitzky-Golay filter fits to both sides.",
         polynomial),
    Leak("gradient", "centred window", "`np.gradient` is a central difference.",
         lambda data: np.gradient(data["close"]) if len(data) > 1 else [np.nan],
         lambda data: data["close"].diff()),
    Leak("zigzag", "centred window", "The direction to the turning point that comes next.", zigzag),
]  # fmt: skip

TWO_SIDED = [
    Leak("filtfilt", "two-sided filter", "`filtfilt` runs forwards and backwards.",
         zero_phase, one_way, CUMULATIVE),
    Leak("fourier", "two-sided filter", "A low pass by Fourier transform of the whole series.",
         low_pass, memory=CUMULATIVE),
    Leak("hodrick_prescott", "two-sided filter", "The trend of a Hodrick-Prescott filter.",
         hodrick_prescott, memory=CUMULATIVE),
    Leak("hilbert", "two-sided filter", "The envelope of a Hilbert transform.",
         envelope, memory=CUMULATIVE),
    Leak("smoother", "two-sided filter", "An exponential average, smoothed backwards as well.",
         smooth_both_ways, smoothed, CUMULATIVE),
    Leak("kernel_regression", "two-sided filter", "A kernel regression over all time.",
         kernel_regression, memory=CUMULATIVE),
]  # fmt: skip

SCALES = [
    Leak("z_score", "full-sample scaling", "Mean and deviation of the whole sample.",
         z_score, expanding_z_score, CUMULATIVE),
    Leak("declared_short", "full-sample scaling",
         "The same, in a feature that declares twenty bars of memory.", z_score),
    Leak("min_max", "full-sample scaling", "Scaled to the range of the whole sample.",
         lambda data: (data["close"] - data["close"].min())
         / (data["close"].max() - data["close"].min()),
         lambda data: (data["close"] - data["close"].cummin())
         / (data["close"].cummax() - data["close"].cummin()), CUMULATIVE),
    Leak("robust_scale", "full-sample scaling", "Median and quartiles of the whole sample.",
         lambda data: (data["close"] - data["close"].median())
         / (data["close"].quantile(0.75) - data["close"].quantile(0.25)), memory=CUMULATIVE),
    Leak("quantile_bins", "full-sample scaling", "Bins by quantiles of the whole sample.",
         lambda data: pd.qcut(data["close"], 10, labels=False, duplicates="drop"),
         memory=CUMULATIVE),
    Leak("winsorised", "full-sample scaling",
         "Returns cut off at quantiles of the whole sample: only outliers change.",
         lambda data: returns(data).clip(returns(data).quantile(0.01),
                                         returns(data).quantile(0.99)), memory=CUMULATIVE),
    Leak("principal_component", "full-sample scaling", "Loadings from all rows.",
         principal_component, memory=CUMULATIVE),
    Leak("by_last_row", "full-sample scaling", "Prices relative to the last one of the sample.",
         lambda data: data["close"] / data["close"].iloc[-1],
         lambda data: data["close"] / data["close"].iloc[0], CUMULATIVE),
    Leak("share_of_total", "full-sample scaling", "Volume as a share of that of all time.",
         lambda data: data["volume"] / data["volume"].sum(), memory=CUMULATIVE),
    Leak("demeaned", "full-sample scaling", "Returns less their mean over all time.",
         lambda data: returns(data) - returns(data).mean(), memory=CUMULATIVE),
]  # fmt: skip

RANKS = [
    Leak("rank_of_all_time", "rank over all time", "`rank(pct=True)` over the whole sample.",
         lambda data: data["close"].rank(pct=True),
         lambda data: data["close"].expanding().rank(pct=True), CUMULATIVE),
    Leak("volume_rank", "rank over all time", "The position in the sorted sample.",
         lambda data: np.searchsorted(np.sort(data["volume"]), data["volume"]),
         memory=CUMULATIVE),
    Leak("distance_to_peak", "rank over all time", "Bars to the highest close of the sample.",
         lambda data: np.arange(len(data)) - int(np.argmax(data["close"])), memory=CUMULATIVE),
    Leak("below_peak", "rank over all time", "Drawdown from the highest close of the sample.",
         lambda data: data["close"] / data["close"].max() - 1.0, running_peak, CUMULATIVE),
    Leak("is_the_top", "rank over all time", "A flag on the one bar that was the top.",
         lambda data: data["close"] == data["close"].max(), memory=CUMULATIVE),
]  # fmt: skip

FITTED = [
    Leak("k_means", "fitted on all rows", "Clusters of the whole sample.", k_means,
         memory=CUMULATIVE),
    Leak("two_regimes", "fitted on all rows", "Volatility above the median of the whole sample.",
         lambda data: returns(data).abs() > returns(data).abs().median(), memory=CUMULATIVE),
    Leak("in_sample_forecast", "fitted on all rows",
         "A regression on the next return, fitted on the rows that it is asked for.",
         in_sample_forecast, memory=CUMULATIVE),
    Leak("target_encoding", "fitted on all rows", "Mean of the next return by hour of the day.",
         target_encoding, memory=CUMULATIVE),
    Leak("label_encoding", "fitted on all rows",
         "Codes of price levels in the order of all levels that there will be.",
         lambda data: pd.factorize(data["close"].round(0), sort=True)[0], memory=CUMULATIVE),
    Leak("best_lag", "fitted on all rows", "The lag that explains the whole sample best.",
         best_lag, lambda data: returns(data).shift(3)),
]  # fmt: skip

SEASONS = [
    Leak("detrended", "detrending and seasons", "Less the line through the whole sample.",
         detrended, memory=CUMULATIVE),
    Leak("seasonally_adjusted", "detrending and seasons",
         "Volume relative to the mean of its hour over all time.",
         hour_means, expanding_hour_means, CUMULATIVE),
    Leak("decomposition", "detrending and seasons",
         "The rest after a centred trend and the seasons of the whole sample.",
         decomposition, memory=CUMULATIVE),
    Leak("profile", "detrending and seasons",
         "Cumulated deviations from the mean of the whole sample.",
         lambda data: (returns(data) - returns(data).mean()).cumsum(), memory=CUMULATIVE),
]  # fmt: skip

FILLS = [
    Leak("backward_fill", "backward fill", "A missing close is that of the next bar.",
         lambda data: mean(data["close"].bfill(), 5),
         lambda data: mean(data["close"].fillna(data["open"]), 5), world="gaps"),
    Leak("interpolated", "backward fill", "A missing close lies between its neighbours.",
         lambda data: data["close"].interpolate(), world="gaps"),
    Leak("mean_for_missing", "backward fill", "A missing close is the mean of all time.",
         lambda data: data["close"].fillna(data["close"].mean()), world="gaps"),
    Leak("nearest", "backward fill", "A missing close is the nearest one, before or after.",
         lambda data: data["close"].reset_index(drop=True).interpolate("nearest"), world="gaps"),
    Leak("first_value", "backward fill", "The warm-up is filled with the first value.",
         lambda data: mean(data["close"], 15).bfill(), lambda data: mean(data["close"], 15)),
]  # fmt: skip

GROUPS = [
    Leak("mean_of_the_day", "groups of bars", "The mean of the day, on each of its bars.",
         lambda data: data["close"].groupby(days(data)).transform("mean"),
         lambda data: data["close"].groupby(days(data)).expanding().mean().droplevel(0),
         Memory.finite(24)),
    Leak("high_of_the_day", "groups of bars", "The high of the day, known in the morning.",
         lambda data: data["high"].groupby(days(data)).transform("max"),
         lambda data: data["high"].groupby(days(data)).cummax(), Memory.finite(24)),
    Leak("last_of_session", "groups of bars", "The last close of the day, on each of its bars.",
         lambda data: data["close"].groupby(days(data)).transform("last"),
         memory=Memory.finite(24)),
    Leak("resampled_left", "groups of bars",
         "Days are labelled by their beginning and carried on from there.",
         day_close, day_before, Memory.finite(48)),
    Leak("week_range", "groups of bars", "The range of the week before the week is over.",
         week_range, memory=Memory.finite(200)),
    Leak("share_of_day", "groups of bars", "Volume as a share of that of the whole day.",
         lambda data: data["volume"] / data["volume"].groupby(days(data)).transform("sum"),
         memory=Memory.finite(24)),
]  # fmt: skip

CALENDARS = [
    Leak("until_gap", "calendar of the future", "Bars until the next gap in the index.",
         until_gap, world="gaps"),
    Leak("last_of_day", "calendar of the future",
         "Whether the next bar is of another day, told by the next bar.", last_of_day,
         lambda data: pd.DatetimeIndex(data.index).hour == 23, world="gaps"),
    Leak("until_crossing", "calendar of the future", "Bars until the average is crossed.",
         until_crossing),
]  # fmt: skip

LENGTHS = [
    Leak("window_by_length", "size of the sample", "The window is a tenth of the sample.",
         lambda data: mean(data["close"], max(1, len(data) // 10)),
         lambda data: mean(data["close"], 20)),
    Leak("noise_by_length", "size of the sample", "Noise that is seeded with the number of rows.",
         noise_by_length, lambda data: np.zeros(len(data))),
    Leak("progress", "size of the sample", "How far into the sample a row is.",
         lambda data: np.linspace(0.0, 1.0, len(data)), memory=CUMULATIVE),
    Leak("regimes_as_columns", "size of the sample",
         "One column for each regime that the sample happens to have.", regimes_as_columns,
         outputs=("regime_-1.0", "regime_0.0", "regime_1.0"), memory=CUMULATIVE),
    Leak("whole_windows", "size of the sample", "Blocks of 30 rows, counted from the end.",
         lambda data: data["close"].groupby((np.arange(len(data))[::-1]) // 30).transform("first"),
         lambda data: data["close"].groupby(np.arange(len(data)) // 30).transform("first"),
         CUMULATIVE),
]  # fmt: skip

REVERSED = [
    Leak("sum_from_the_end", "from the end", "Volume that is yet to be traded.",
         lambda data: data["volume"][::-1].cumsum()[::-1],
         lambda data: data["volume"].cumsum(), CUMULATIVE),
    Leak("future_peak", "from the end", "The highest close still to come, by reversing.",
         lambda data: data["close"][::-1].cummax()[::-1] / data["close"], running_peak, CUMULATIVE),
    Leak("reversed_average", "from the end", "An exponential average of a reversed series.",
         lambda data: data["close"][::-1].ewm(alpha=0.2, adjust=False).mean()[::-1], smoothed,
         CUMULATIVE),
    Leak("newest_first", "from the end", "The frame was sorted newest first on the way.",
         lambda data: data.sort_index(ascending=False)["close"].pct_change()[::-1].to_numpy(),
         returns),
]  # fmt: skip

ALIGNMENT = [
    Leak("dropped_nulls", "alignment", "Nulls are dropped and the rest counted from the top.",
         squeezed, lambda data: data["close"], CUMULATIVE, world="gaps"),
    Leak("dropped_at_the_end", "alignment", "The same by way of `reset_index`.",
         close_ups, memory=CUMULATIVE, world="gaps"),
    Leak("rows_without_null", "alignment",
         "Only rows whose next return is known: the last ones are missing.",
         lambda data: momentum(data).to_frame("value").loc[data["close"].shift(-1).notna()],
         lambda data: momentum(data)),
]  # fmt: skip

STATES = [
    Leak("first_call_scale", "hidden state", "The scale of the first sample is kept for good.",
         remembers_scale, memory=CUMULATIVE, state=True),
    Leak("peak_of_all_calls", "hidden state", "The highest price of any sample is kept.",
         remembers_peak, memory=CUMULATIVE, state=True),
    Leak("number_of_calls", "hidden state", "Noise that is seeded with the number of calls.",
         counts_calls, state=True),
    Leak("hoarded_rows", "hidden state", "Rows of earlier calls count for the median.",
         hoards_rows, memory=CUMULATIVE, state=True),
    Leak("answers_from_memory", "hidden state", "Answers of earlier calls are given again.",
         answers_from_memory, memory=CUMULATIVE, state=True),
]  # fmt: skip

RARE = [
    Leak("on_month_ends", "on rare rows", "Looks ahead on the last bar of a month only.",
         peeks(month_end), momentum),
    Leak("without_volume", "on rare rows", "Looks ahead where nothing was traded.",
         peeks(lambda data: data["volume"] == 0.0), momentum, world="gaps"),
    Leak("on_crossings", "on rare rows", "Looks ahead where the price crosses 100.",
         peeks(lambda data: (data["close"] > 100.0) != (data["close"].shift(1) > 100.0)),
         momentum),
    Leak("after_outliers", "on rare rows", "Looks ahead after the greatest moves.",
         peeks(lambda data: returns(data).abs() > 0.025), momentum),
    Leak("on_fridays", "on rare rows", "Knows on Friday how Monday opens.",
         lambda data: momentum(data).where(
             ~week_end(data), (data["open"].shift(-1) / data["close"] - 1.0).fillna(0.0)),
         momentum, world="sessions"),
    Leak("on_rallies", "on rare rows",
         "Stands aside before any fall of three per cent in the next 40 bars.",
         lambda data: momentum(data).where(
             data["low"][::-1].rolling(40, min_periods=1).min()[::-1].shift(-1)
             .fillna(np.inf) > 0.97 * data["close"], 0.0),
         momentum),
    Leak("highest_volume", "on rare rows", "Looks ahead on bars of the highest volume.",
         peeks(lambda data: data["volume"] > 3e4), momentum),
]  # fmt: skip

MEMORIES = [
    Leak("longer_window", "memory", "The mean of 30 bars, declared as 20.",
         lambda data: mean(data["close"], 30), lambda data: mean(data["close"], 20)),
    Leak("running_sum", "memory", "A sum from the first bar on, declared as 20 bars.",
         running_sum),
    Leak("slow_average", "memory", "A slow average, declared to fade within 20 bars.",
         smoothed, memory=Memory.fading(20)),
    Leak("row_numbers", "memory", "Every tenth row, counted from where the data begin.",
         lambda data: data["close"].where(np.arange(len(data)) % 10 == 0)),
]  # fmt: skip

LEAKS = [
    *SHIFTS,
    *CENTRED,
    *TWO_SIDED,
    *SCALES,
    *RANKS,
    *FITTED,
    *SEASONS,
    *FILLS,
    *GROUPS,
    *CALENDARS,
    *LENGTHS,
    *REVERSED,
    *ALIGNMENT,
    *STATES,
    *RARE,
    *MEMORIES,
]
