"""What each gold feature is, in a line: formula, look-back and unit, for people.

The precise words, with nulls and edge cases, stand with the kernel of each family; how the numbers
are made, too. Nothing here is computed with. The table in ``docs/gold.md`` is made of this:
``python -m hf_plugins.features.gold.catalogue``.

O, H, L, C, V are gold's bar at t; r its log return, r_X that of another instrument; v_n the
deviation of the last n returns; a subscript counts bars back. Means, deviations, correlations and
slopes are over the number of bars that is given.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hf_plugins.features.gold.families import FAMILIES


@dataclass(frozen=True)
class Entry:
    """A feature: formula, joined bars after which the past no longer counts, and unit."""

    formula: str
    lookback: int
    unit: str


_NONE, _PRICE, _RETURN, _COUNT, _FLAG, _MINUTES = "-", "price", "return", "count", "0, 1", "minutes"
_BETA = "slope"


def _entries() -> dict[str, Entry]:
    found: dict[str, tuple[str, int, str]] = {
        "accelz_60_30": ("z-score over 60 of m30/30 - m60/60, mk = C/C_k - 1", 120, _NONE),
        "volaccelz60_30": ("z-score over 60 of v30 - v60", 120, _NONE),
        "dist_ma120": ("C / mean of 120 closes - 1", 120, _NONE),
        "resid_z60": (
            "last residual of C on a line in time, over sqrt(SSE/59); 60 bars",
            60,
            _NONE,
        ),
        "resid_z60_dxy": ("the same on the closes of DXY", 60, _NONE),
        "resid_z60_nas100": ("the same on the closes of NAS100", 60, _NONE),
        "er60": ("|C - C_60| / sum of |C - C_1| over 60", 61, _NONE),
        "tod_sin": ("sin(2 pi m / 1440), m the minute of the UTC day", 1, _NONE),
        "tod_cos": ("-cos(2 pi m / 1440), inverted", 1, _NONE),
        "leadcorr_nas100": ("correlation of r and r_NAS over 60", 61, _NONE),
        "ret_1m": ("ln(C / C_1)", 2, _RETURN),
        "ret_5m": ("ln(C / C_5)", 6, _RETURN),
        "ret_30m": ("ln(C / C_30)", 31, _RETURN),
        "ret_60m": ("ln(C / C_60)", 61, _RETURN),
        "ret_120m": ("ln(C / C_120)", 121, _RETURN),
        "vol_30m": ("sample deviation of 30 r", 31, _RETURN),
        "dist_ma_15": ("C / mean of 15 closes - 1", 15, _NONE),
        "dist_ma_30": ("C / mean of 30 closes - 1", 30, _NONE),
        "dist_ma_290": ("C / mean of 290 closes - 1", 290, _NONE),
    }
    for other in ("xag", "dxy"):
        for bars in (30, 60, 120):
            name = f"corr_xau_{other}_{bars}"
            found[name] = (f"correlation of r and r_{other.upper()} over {bars}", bars + 1, _NONE)
    for bars in (5, 30, 60, 120):
        formula = f"slope of r on r_XAG over {bars}" + (", inverted" if bars > 5 else "")
        found[f"beta_xag_to_xau_{bars}"] = (formula, bars + 1, _BETA)
    for bars in (30, 60, 120):
        found[f"beta_xau_to_dxy_{bars}"] = (f"slope of r on r_DXY over {bars}", bars + 1, _BETA)
    for bars in (5, 30, 60, 120):
        formula = f"R - slope on r_DXY R_DXY - slope on r_NAS R_NAS, R = ln(C / C_{bars})"
        found[f"xaucore_{bars}"] = (formula, bars + 1, _RETURN)
    found |= {
        "dist_nearest": (
            "|C - v*|, v* the nearest of seven k-means levels of 7200 closes",
            7259,
            _PRICE,
        ),
        "dist_support": (
            "C less the highest level at or below; else the span of the levels",
            7259,
            _PRICE,
        ),
        "dist_resistance": ("the lowest level at or above less C; else the span", 7259, _PRICE),
        "dist_nearest_norm": ("dist_nearest / ATR of 14 (Wilder)", 7259, "ATR"),
        "dist_support_norm": ("dist_support / ATR", 7259, "ATR"),
        "dist_resistance_norm": ("dist_resistance / ATR", 7259, "ATR"),
        "level_rank": ("rank of v* from below", 7259, "1 ... 7"),
        "near_level_flag": ("dist_nearest <= ATR / 2", 7259, _FLAG),
        "touch_count_6h": ("levels newly touched, summed over 360", 7618, _COUNT),
        "bounce_count": ("levels left on the side they were reached from, over 1440", 8698, _COUNT),
        "touch_velocity": ("(|C_5 - v*| - |C - v*|) / 5", 7259, "price a bar"),
        "false_breakout_count": ("levels recrossed within 15 closes, over 1440", 8698, _COUNT),
        "time_since_last_touch": ("since a bar touched a level, at most 1440", 8698, _MINUTES),
        "channel_upper": ("0.9 quantile regression of 180 closes on time, at t", 180, _PRICE),
        "channel_lower": ("0.1 quantile regression of 180 closes on time, at t", 180, _PRICE),
        "channel_width": ("(upper - lower) / C, at least 0", 180, _NONE),
        "channel_position": ("(C - lower) / (upper - lower), within 0 and 1", 180, _NONE),
        "session_asian": ("00:00 to 08:00 UTC", 1, _FLAG),
        "session_london": ("07:00 to 16:00 UTC", 1, _FLAG),
        "session_ny": ("13:00 to 22:00 UTC", 1, _FLAG),
        "session_overlap": ("13:00 to 16:00 UTC", 1, _FLAG),
        "vol_session_ratio": ("v30 / its mean in the same sessions of the last 7200", 7230, _NONE),
        "vw_return_60": ("sum r V / sum V over 60", 61, _RETURN),
        "obv_slope_60": ("slope in time of on-balance volume, 60", 60, "volume a bar"),
        "vol_surprise": ("z-score of V over 60", 60, _NONE),
        "pv_corr_60": ("correlation of C and V over 60", 60, _NONE),
        "tick_direction_ratio": ("rises / (rises + falls) of 60 closes", 61, _NONE),
        "tick_intensity": ("mean of V over 60", 60, "volume"),
        "bar_tick_vol_ratio": ("v60 / parkinson_vol", 61, _NONE),
        "rsi_14": ("100 G / (G + L), Wilder's average gain and loss", 400, "0 ... 100"),
        "mom_divergence": ("m5 - m60, mk = C / C_k - 1", 61, _RETURN),
        "mom_60": ("C / C_60 - 1", 61, _RETURN),
        "hurst_60": ("slope of ln(R/S) on ln(n), 60 r in blocks of n", 61, _NONE),
        "trend_mr_class": ("hurst_60 > 0.5", 61, _FLAG),
        "regime_persistence": ("bars of the same class in a row, at most 1440", 1500, _COUNT),
        "regime_change_rate": ("changes of class over 120", 181, _COUNT),
        "parkinson_vol": ("sqrt(mean of ln(H/L)^2 / (4 ln 2)) over 60", 60, _RETURN),
        "gk_vol": ("sqrt(mean of ln(H/L)^2 / 2 - (2 ln 2 - 1) ln(C/O)^2) over 60", 60, _RETURN),
        "vol_of_vol": ("sample deviation of v30 over 60", 90, _RETURN),
        "vol_autocorr_10": ("correlation of v30 and v30_10 over 120", 160, _NONE),
        "vol_breakout_flag": ("v30 > its mean + 2 deviations over 120", 150, _FLAG),
        "gold_equity_corr_regime": (
            "sign of the correlation of r and r_US500 over 60",
            61,
            "-1, 0, 1",
        ),
        "vix_level": ("close of VIX", 1, "points"),
        "vix_change": ("VIX - VIX_60", 61, "points"),
        "dxy_lag5_ret": ("r_DXY five bars ago", 7, _RETURN),
        "nas_lag5_ret": ("r_NAS five bars ago", 7, _RETURN),
        "xag_lag5_ret": ("r_XAG five bars ago", 7, _RETURN),
        "body_range_ratio": ("|C - O| / (H - L)", 1, _NONE),
        "upper_wick_ratio": ("(H - max(O, C)) / (H - L)", 1, _NONE),
        "lower_wick_ratio": ("(min(O, C) - L) / (H - L)", 1, _NONE),
        "mins_to_session_open": (
            "round the clock to the nearest of 00:00, 07:00, 13:00 UTC",
            1,
            _MINUTES,
        ),
        "mins_to_session_close": ("to the nearest of 08:00, 16:00, 22:00 UTC", 1, _MINUTES),
        "london_fix_proximity": ("to the nearest of 10:30, 15:00 by London's clock", 1, _MINUTES),
        "week_of_month": ("(day - 1) // 7 + 1", 1, "1 ... 5"),
        "month_of_quarter": ("(month - 1) % 3 + 1", 1, "1, 2, 3"),
        "nfp_week_flag": ("within two days of a month's first Friday", 1, _FLAG),
        "round_number_10": ("|C - nearest multiple of 10|", 1, _PRICE),
        "prev_day_hl_dist": (
            "distance to yesterday's high or low, the nearer one, / C",
            2881,
            _NONE,
        ),
        "pivot_point_dist": (
            "C / P - 1, P the mean of yesterday's high, low and close",
            2881,
            _NONE,
        ),
        "fractal_dim_60": ("Higuchi's dimension of 60 closes", 60, "1 ... 2"),
        "dfa_60": ("exponent of detrended fluctuation of 60 r", 61, _NONE),
        "wavelet_energy_ratio": ("energy of the finest Haar band of 60 r / all energy", 61, _NONE),
        "multiscale_entropy": ("mean sample entropy of 120 r at scales 1, 2, 3", 121, "nats"),
    }
    for lag in (1, 5, 15, 60):
        found[f"autocorr_lag{lag}"] = (f"correlation of r and r_{lag} over 120", 121 + lag, _NONE)
    found |= {
        "partial_autocorr": ("correlation of r and r_2 given r_1 over 120", 123, _NONE),
        "self_similarity_idx": (
            "1 - Kolmogorov-Smirnov distance of 60 r to the 1440 before",
            1501,
            _NONE,
        ),
        "alpha024": (
            "least of 100 closes - C; C_3 - C where their mean rose by over 5 %",
            200,
            _PRICE,
        ),
        "alpha083": (
            "rank of H - L two bars ago, rank of V, typical price - C, over (H - L) / mean of 5 C",
            66,
            _PRICE,
        ),
    }
    return {name: Entry(*entry) for name, entry in found.items()}


CATALOGUE: Final = _entries()
"""By name, in the official order."""


def table() -> str:
    """All features as a Markdown table, one row each."""
    rows = [
        "| # | Feature | Family | Formula | Bars | Unit |",
        "| --: | --- | --- | --- | --: | --- |",
    ]
    number = 0
    for family, made in FAMILIES.items():
        for name in made.names:
            number += 1
            entry = CATALOGUE[name]
            formula = entry.formula.replace("|", "\\|").replace("*", "\\*")
            rows.append(
                f"| {number} | `{name}` | {family} | {formula} | {entry.lookback} | {entry.unit} |"
            )
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
