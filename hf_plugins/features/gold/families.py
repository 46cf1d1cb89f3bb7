"""The official list of the gold features: families, names, order, and the kernel behind each name.

The order is that of the tables in "107 Features for Gold" and part of the identity of whatever is
computed from it. To add or to remove a feature, change its name here and its value in the kernel
of that line; nothing else knows how many there are.

A kernel says by the names of its parameters what it reads: series of the joined bars
(:mod:`~hf_plugins.features.gold.join`), or what other kernels write. Order of computation follows
from that.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from hf_plugins.base import Memory
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.features.gold.join import CLOCKS, SERIES
from hf_plugins.kernels.gold import (
    alpha101,
    autocorrelation,
    averages,
    calendar,
    candles,
    clustering,
    dfa,
    entropy,
    extended,
    higuchi,
    hurst,
    lead_lag,
    level_distances,
    level_events,
    level_fit,
    liquidity,
    momentum,
    original,
    price_volume,
    quantile_line,
    regime,
    return_moments,
    risk,
    self_similarity,
    series,
    sessions,
    support_resistance,
    tick_proxies,
    trading_day,
    volatility,
    wavelet,
)

GIVEN: Final = (*SERIES, *CLOCKS)
"""Series that come with the joined bars."""

# What a kernel is given besides series: the rows to fill, its state, and where to write.
_OWN: Final = ("start", "stop", "state", "out")


@dataclass(frozen=True, eq=False)
class Step:
    """A kernel and the rows that it writes.

    Args:
        kernel: ``kernel(start, stop, <series by name>, [state], out)``.
        writes: names of the rows of ``out``, in order.
        window: rows, the current one included, of what it reads that a row is made of; of one that
            ``fades``, the first row.
        block: name under which other kernels read all rows at once; "" for none.
        in_order: row ``start - 1`` of ``out`` is what the kernel continues from, so rows cannot be
            filled in chunks side by side. Where that row is null it begins anew, and has the same
            values once a window is over.
        fades: row ``start - 1`` of ``out`` stands for all bars before, and nothing makes up for it.
        state: size of the int64 array ``state`` that is carried along; 0 for none.
        of: the series that a kernel of one series is applied to; "" for the one it names.
    """

    kernel: Callable[..., None]
    writes: tuple[str, ...]
    window: int = 1
    block: str = ""
    in_order: bool = False
    fades: bool = False
    state: int = 0
    of: str = ""

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Names of the series that the kernel reads, in the order of its parameters."""
        function: Any = getattr(self.kernel, "py_func", self.kernel)
        parameters = inspect.signature(function).parameters
        return tuple(self.of or name for name in parameters if name not in _OWN)


@dataclass(frozen=True)
class Family:
    """Kernels whose rows, one after the other, are the features of a family.

    ``memory``: in joined bars; windows are finite, Wilder's averages fade.
    """

    memory: Memory
    steps: tuple[Step, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in the official order."""
        return tuple(name for step in self.steps for name in step.writes)


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return tuple(f"{name}[{number}]" for number in range(count))


FAMILIES: Final[dict[str, Family]] = {
    "original": Family(
        Memory.finite(120),
        (
            Step(
                original.rows,
                (
                    "accelz_60_30",
                    "volaccelz60_30",
                    "dist_ma120",
                    "resid_z60",
                    "resid_z60_dxy",
                    "resid_z60_nas100",
                    "er60",
                    "tod_sin",
                    "tod_cos",
                    "leadcorr_nas100",
                ),
                window=120,
            ),
        ),
    ),
    "extended": Family(
        Memory.finite(290),
        (
            Step(
                extended.rows,
                (
                    "ret_1m",
                    "ret_5m",
                    "ret_30m",
                    "ret_60m",
                    "ret_120m",
                    "vol_30m",
                    "dist_ma_15",
                    "dist_ma_30",
                    "dist_ma_290",
                    "corr_xau_xag_30",
                    "corr_xau_xag_60",
                    "corr_xau_xag_120",
                    "corr_xau_dxy_30",
                    "corr_xau_dxy_60",
                    "corr_xau_dxy_120",
                    "beta_xag_to_xau_5",
                    "beta_xag_to_xau_30",
                    "beta_xag_to_xau_60",
                    "beta_xag_to_xau_120",
                    "beta_xau_to_dxy_30",
                    "beta_xau_to_dxy_60",
                    "beta_xau_to_dxy_120",
                    "xaucore_5",
                    "xaucore_30",
                    "xaucore_60",
                    "xaucore_120",
                ),
                window=290,
            ),
        ),
    ),
    "levels": Family(
        Memory.fading(8698),
        (
            Step(
                level_distances.rows,
                (
                    "dist_nearest",
                    "dist_support",
                    "dist_resistance",
                    "dist_nearest_norm",
                    "dist_support_norm",
                    "dist_resistance_norm",
                    "level_rank",
                    "near_level_flag",
                ),
            ),
            Step(
                level_events.rows,
                (
                    "touch_count_6h",
                    "bounce_count",
                    "touch_velocity",
                    "false_breakout_count",
                    "time_since_last_touch",
                ),
                window=level_events.BARS,
                in_order=True,
            ),
        ),
    ),
    "channels": Family(
        Memory.finite(180),
        (
            Step(
                quantile_line.rows,
                ("channel_upper", "channel_lower", "channel_width", "channel_position"),
                window=quantile_line.WINDOW,
                state=quantile_line.STATE_SIZE,
            ),
        ),
    ),
    "sessions": Family(
        Memory.finite(7230),
        (
            Step(
                sessions.rows,
                (
                    "session_asian",
                    "session_london",
                    "session_ny",
                    "session_overlap",
                    "vol_session_ratio",
                ),
                window=sessions.WINDOW + 1,
                state=sessions.STATE_SIZE,
            ),
        ),
    ),
    "price_volume": Family(
        Memory.finite(61),
        (
            Step(
                price_volume.rows,
                ("vw_return_60", "obv_slope_60", "vol_surprise", "pv_corr_60"),
                window=61,
            ),
        ),
    ),
    "tick_proxies": Family(
        Memory.finite(61),
        (
            Step(
                tick_proxies.rows,
                ("tick_direction_ratio", "tick_intensity", "bar_tick_vol_ratio"),
                window=61,
            ),
        ),
    ),
    "momentum": Family(
        Memory.fading(761),
        (Step(momentum.rows, ("rsi_14", "mom_divergence", "mom_60"), window=61),),
    ),
    "regime": Family(
        Memory.finite(1500),
        (
            Step(hurst.rows, ("hurst_60",), window=hurst.WINDOW),
            Step(
                regime.rows,
                ("trend_mr_class", "regime_persistence", "regime_change_rate"),
                window=regime.LONGEST,
            ),
        ),
    ),
    "volatility": Family(
        Memory.finite(90),
        (Step(volatility.rows, ("parkinson_vol", "gk_vol", "vol_of_vol"), window=60),),
    ),
    "clustering": Family(
        Memory.finite(160),
        (Step(clustering.rows, ("vol_autocorr_10", "vol_breakout_flag"), window=130),),
    ),
    "risk": Family(
        Memory.finite(61),
        (Step(risk.rows, ("gold_equity_corr_regime", "vix_level", "vix_change"), window=61),),
    ),
    "lead_lag": Family(
        Memory.finite(7),
        (Step(lead_lag.rows, ("dxy_lag5_ret", "nas_lag5_ret", "xag_lag5_ret"), window=6),),
    ),
    "candles": Family(
        Memory.finite(1),
        (Step(candles.rows, ("body_range_ratio", "upper_wick_ratio", "lower_wick_ratio")),),
    ),
    "liquidity": Family(
        Memory.finite(1),
        (
            Step(
                liquidity.rows,
                ("mins_to_session_open", "mins_to_session_close", "london_fix_proximity"),
            ),
        ),
    ),
    "calendar": Family(
        Memory.finite(1),
        (Step(calendar.rows, ("week_of_month", "month_of_quarter", "nfp_week_flag")),),
    ),
    "support_resistance": Family(
        Memory.finite(2881),
        (
            Step(
                support_resistance.rows,
                ("round_number_10", "prev_day_hl_dist", "pivot_point_dist"),
            ),
        ),
    ),
    "multi_scale": Family(
        Memory.finite(121),
        (
            Step(higuchi.rows, ("fractal_dim_60",), window=higuchi.WINDOW),
            Step(dfa.rows, ("dfa_60",), window=dfa.WINDOW),
            Step(wavelet.rows, ("wavelet_energy_ratio",), window=60),
            Step(entropy.rows, ("multiscale_entropy",), window=entropy.WINDOW),
        ),
    ),
    "self_similarity": Family(
        Memory.finite(1501),
        (
            Step(
                autocorrelation.rows,
                (
                    "autocorr_lag1",
                    "autocorr_lag5",
                    "autocorr_lag15",
                    "autocorr_lag60",
                    "partial_autocorr",
                ),
                window=180,
            ),
            Step(self_similarity.rows, ("self_similarity_idx",), window=1500),
        ),
    ),
    "alpha101": Family(
        Memory.finite(200), (Step(alpha101.rows, ("alpha024", "alpha083"), window=200),)
    ),
}
"""All families in the official order."""

SHARED: Final = (
    Step(series.returns, ("log_return",), window=2),
    Step(series.returns, ("xag_return",), window=2, of="xag_close"),
    Step(series.returns, ("dxy_return",), window=2, of="dxy_close"),
    Step(series.returns, ("nas_return",), window=2, of="nas_close"),
    Step(series.returns, ("us500_return",), window=2, of="us500_close"),
    Step(series.squares, ("squared_range", "squared_body")),
    Step(series.realised, ("volatility_30", "volatility_60"), window=60),
    Step(series.gaps, ("momentum_gap", "volatility_gap"), window=61),
    Step(averages.ranges, ("atr",), window=averages.LENGTH + 1, in_order=True, fades=True),
    Step(
        averages.changes,
        ("average_gain", "average_loss"),
        window=averages.LENGTH + 1,
        in_order=True,
        fades=True,
    ),
    Step(
        trading_day.rows,
        ("day_high", "day_low", "first_day", "previous_high", "previous_low", "previous_close"),
        window=2 * trading_day.DAY + 1,
        in_order=True,
    ),
    Step(alpha101.relative_ranges, ("relative_range", "rounded_range"), window=5),
    Step(
        level_fit.fits,
        _numbered("fitted_levels", level_fit.ROWS),
        window=level_fit.WINDOW,
        block="fitted_levels",
    ),
    Step(
        level_fit.in_force,
        _numbered("levels", level_fit.ROWS),
        window=60,
        block="levels",
        in_order=True,
    ),
    Step(
        level_events.events,
        _numbered("level_events", 4),
        window=level_events.MOST_BEYOND + 2,
        block="level_events",
    ),
    Step(
        return_moments.rows,
        _numbered("return_moments", 2),
        window=return_moments.WINDOW,
        block="return_moments",
    ),
    Step(
        hurst.range_rows,
        _numbered("rescaled_ranges", 6),
        window=hurst.WINDOW,
        block="rescaled_ranges",
    ),
    Step(dfa.box_rows, _numbered("box_residuals", 6), window=15, block="box_residuals"),
)
"""What several kernels read and no feature is."""

ALPHA101: Final = "alpha101"
"""The family that the Alpha101 toggle leaves out."""


def names(*, alpha101: bool = True) -> tuple[str, ...]:
    """All names in the official order: 107, or 105 without Alpha101."""
    return tuple(name for family in families(alpha101=alpha101) for name in FAMILIES[family].names)


def families(*, alpha101: bool = True) -> tuple[str, ...]:
    """All families in the official order, with or without Alpha101."""
    return tuple(family for family in FAMILIES if alpha101 or family != ALPHA101)


def memory(chosen: Iterable[str]) -> Memory:
    """How far some families look back together."""
    memories = [FAMILIES[family].memory for family in chosen]
    longest = max(each.lookback or 0 for each in memories)
    fades = any(each.kind == "fading" for each in memories)
    return Memory.fading(longest) if fades else Memory.finite(longest)


def plan(chosen: Iterable[str]) -> list[list[Step]]:
    """The steps that some families need, in stages: a step reads what earlier stages write.

    Raises:
        ConfigurationError: there is no such family.
    """
    writers = {name: step for step in _all_steps() for name in (*step.writes, step.block) if name}
    stages: dict[int, list[Step]] = {}
    depths: dict[Step, int] = {}

    def depth(step: Step) -> int:
        if step not in depths:
            sources = [writers[name] for name in step.reads if name not in GIVEN]
            depths[step] = 1 + max(map(depth, sources), default=0)
            stages.setdefault(depths[step], []).append(step)
        return depths[step]

    for family in chosen:
        if family not in FAMILIES:
            raise ConfigurationError(unknown("family of gold features", family, FAMILIES))
        for step in FAMILIES[family].steps:
            depth(step)
    # What cannot be cut into chunks starts first, so that the others fill the time beside it.
    return [sorted(stages[key], key=lambda step: not step.in_order) for key in sorted(stages)]


def reach(stages: Iterable[Iterable[Step]]) -> dict[str, int]:
    """How many rows before the first wanted one each series has to be known for, by its name.

    0 for features that nothing reads. A step that fades goes on from the row before these.
    """
    found: dict[str, int] = {}
    for step in reversed([step for stage in stages for step in stage]):
        rows = max(found.get(name, 0) for name in (*step.writes, step.block))
        found |= dict.fromkeys(step.writes, rows)
        for name in step.reads:
            found[name] = max(found.get(name, 0), rows + step.window - 1)
    return found


def _all_steps() -> list[Step]:
    return [*SHARED, *(step for family in FAMILIES.values() for step in family.steps)]
