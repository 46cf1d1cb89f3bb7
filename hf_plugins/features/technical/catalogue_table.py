"""The indicators of pandas-ta-classic that are offered: what each reads, yields and remembers.

A table and its vocabulary; nothing is computed here, and the library is not imported. Every line is
held against the library and against data by the tests: names, defaults, causality and memory.

*finite*: a value depends on so many rows, bit for bit. *fading*: exponential smoothing, or sums
that run along a window and keep the rounding of what has left it. *cumulative*: sums and levels
since the first row, and whatever forgets only when the price pleases (trailing stops, adaptive
averages).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Rows = Callable[[Mapping[str, Any]], int]
"""A number of rows, from the parameters."""


@dataclass(frozen=True)
class Whole:
    """A parameter that is a whole number, of bars as a rule."""

    default: int
    least: int = 1


@dataclass(frozen=True)
class Number:
    """A parameter that is a number above 0 and, if so declared, below another."""

    default: float
    below: float | None = None


@dataclass(frozen=True)
class Choice:
    """A parameter that is one of some words."""

    default: str
    options: tuple[str, ...]


AVERAGES: Final = ("dema", "ema", "hma", "rma", "sma", "tema", "wma")
"""Moving averages that may take the place of the usual one; none looks further back than 60 times
its length."""

Parameter = Whole | Number | Choice


@dataclass(frozen=True)
class Indicator:
    """One indicator.

    Attributes:
        reads: columns of the bars.
        components: what its columns are called, in the order of the library, before parameters.
        parameters: by the library's names.
        kind: of its memory.
        rows: rows that a value depends on, where the memory is finite; else rows that it takes
            until the memory has faded, if it does.
        warm_up: rows needed for the first value. The library yields zeros and flags before, which
            are no values.
    """

    reads: tuple[str, ...]
    components: tuple[str, ...]
    parameters: Mapping[str, Parameter]
    kind: Literal["finite", "fading", "cumulative"]
    rows: Rows
    warm_up: Rows


def window(more: int = 0, *, of: str = "length") -> Rows:
    """The rows of a window, and some more."""
    return lambda p: p[of] + more


def rows(number: int) -> Rows:
    """So many rows, whatever the parameters."""
    return lambda _: number


def finite(rows: Rows, reads: str, components: str, /, **parameters: Any) -> Indicator:
    """An indicator of exactly so many rows."""
    return _indicator("finite", reads, components, parameters, rows, rows)


def fading(
    reads: str,
    components: str,
    /,
    *,
    beside: int = 0,
    warm_up: Rows = rows(1),  # noqa: B008  (a constant)
    **parameters: Any,
) -> Indicator:
    """An indicator of smoothings and windows whose lengths are parameters, and ``beside`` them.

    Wilder's smoothing of length n, the slowest one, leaves 1e-24 of its start after 55 n rows.
    """
    typed = {name: _typed(name, value) for name, value in parameters.items()}
    lengths = [name for name, each in typed.items() if isinstance(each, Whole)]
    return _indicator(
        "fading",
        reads,
        components,
        parameters,
        lambda p: 100 + 60 * (beside + sum(p[name] for name in lengths)),
        warm_up,
    )


def cumulative(
    reads: str,
    components: str,
    /,
    *,
    warm_up: Rows = rows(1),  # noqa: B008  (a constant)
    **parameters: Any,
) -> Indicator:
    """An indicator that depends on all rows."""
    return _indicator("cumulative", reads, components, parameters, rows(0), warm_up)


def _indicator(
    kind: Literal["finite", "fading", "cumulative"],
    reads: str,
    components: str,
    parameters: Mapping[str, Any],
    rows: Rows,
    warm_up: Rows,
) -> Indicator:
    typed = {name: _typed(name, value) for name, value in parameters.items()}
    return Indicator(tuple(reads.split()), tuple(components.split()), typed, kind, rows, warm_up)


def _typed(name: str, value: Any) -> Parameter:
    """A parameter as the table writes it: an int, a float or an average stands for its default."""
    if isinstance(value, Whole | Number | Choice):
        return value
    if name == "mamode":
        return Choice(value, AVERAGES)
    return Whole(value) if isinstance(value, int) else Number(value)


def squeezed(p: Mapping[str, Any]) -> int:
    """Rows until bands, channel and smoothed momentum are all known."""
    return max(p["bb_length"], p["kc_length"] + 1, p["mom_length"] + p["mom_smooth"])


LOOK_AHEAD: Final = {
    "dpo": "its average is centred on a past bar, so half of it lies in the future of that bar",
    "ichimoku": "its lagging span is the close of a later bar",
    "tos_stdevall": "its line is fitted to the whole history",
    "vp": "its price ranges are those of the whole history",
}
"""What is refused because it looks into the future, and how it does."""

NOT_OFFERED: Final = {
    "avolume": "it annualises by 252 whatever the bars are; use 'hvol' with its annualization",
    "beta": "it needs a second series",
    "correl": "it needs a second series",
    "long_run": "it is a function of two other indicators",
    "ma": "it is a choice among other indicators; use the average itself",
    "mavp": "it needs a column of periods",
    "short_run": "it is a function of two other indicators",
    "tsignals": "it is a function of another indicator",
    "vfi": "its threshold is a fifth of the price, which no bar exceeds, so it is 0",
    "xsignals": "it is a function of another indicator",
}
"""What else the library has, and why it is not offered."""

PATTERNS: Final = tuple(
    """
    2crows 3blackcrows 3inside 3linestrike 3outside 3starsinsouth 3whitesoldiers
    abandonedbaby advanceblock belthold breakaway closingmarubozu concealbabyswall
    counterattack darkcloudcover doji dojistar dragonflydoji engulfing eveningdojistar
    eveningstar gapsidesidewhite gravestonedoji hammer hangingman harami haramicross
    highwave hikkake hikkakemod homingpigeon identical3crows inneck inside invertedhammer
    kicking kickingbylength ladderbottom longleggeddoji longline marubozu matchinglow
    mathold morningdojistar morningstar onneck piercing rickshawman risefall3methods
    separatinglines shootingstar shortline spinningtop stalledpattern sticksandwich takuri
    tasukigap thrusting tristar unique3river upsidegap2crows xsidegap3methods
    """.split()  # noqa: SIM905
)
"""Candlestick patterns, by the library's names."""

INDICATORS: Final[Mapping[str, Indicator]] = {
    "aberration": fading(
        "high low close",
        "aber_zg aber_sg aber_xg aber_atr",
        warm_up=lambda p: max(p["length"], p["atr_length"]),
        length=5,
        atr_length=15,
    ),
    "accbands": fading("high low close", "accbl accbm accbu", length=20, c=4.0, mamode="sma"),
    "ad": cumulative("high low close volume", "ado"),
    "adosc": fading("high low close volume", "adosc", fast=3, slow=10),
    "adx": fading("high low close", "adx dmp dmn", length=14, mamode="rma", drift=1),
    "adxr": fading("high low close", "adxr dmp dmn", length=14, drift=1),
    "alma": finite(window(), "close", "alma", length=10, sigma=6.0, distribution_offset=0.85),
    "amat": fading(
        "close",
        "amat_long amat_short",
        warm_up=lambda p: p["slow"] + p["lookback"],
        fast=8,
        slow=21,
        lookback=2,
        mamode="ema",
    ),
    "ao": fading("high low", "ao", fast=5, slow=34),
    "aobv": cumulative(
        "close volume",
        "obv obv_min obv_max obv_fast obv_slow aobv_long aobv_short",
        warm_up=lambda p: p["slow"] + 2,
        fast=4,
        slow=12,
        max_lookback=2,
        min_lookback=2,
        mamode="ema",
    ),
    "apo": fading("close", "apo", fast=12, slow=26, mamode="sma"),
    "aroon": finite(window(1), "high low", "aroond aroonu aroonosc", length=14),
    "atr": fading("high low close", "atr", length=14, mamode="rma", drift=1),
    "avgprice": finite(rows(1), "open high low close", "avgprice"),
    "bbands": fading(
        "close", "bbl bbm bbu bbb bbp", length=Whole(5, least=2), std=2.0, mamode="sma"
    ),
    "bias": fading("close", "bias", length=26, mamode="sma"),
    "bop": finite(rows(1), "open high low close", "bop"),
    "brar": fading("open high low close", "ar br", length=26, drift=1),
    "cci": fading("high low close", "cci", length=14, c=0.015),
    "cdl_doji": finite(window(1), "open high low close", "cdl_doji", length=10),
    "cdl_inside": finite(rows(2), "open high low close", "cdl_inside"),
    "cdl_pattern": fading(
        "open high low close", "cdl", warm_up=rows(15), name=Choice("doji", PATTERNS)
    ),
    "cdl_z": finite(
        window(), "open high low close", "open_z high_z low_z close_z", length=Whole(30, least=2)
    ),
    "ce": fading("high low close", "ce_l ce_s", length=22, multiplier=3.0),
    "cfo": finite(window(), "close", "cfo", length=9),
    "cg": fading("close", "cg", warm_up=window(1), length=10),
    "chop": finite(window(1), "high low close", "chop", length=14),
    "cksp": fading("high low close", "ckspl cksps", p=10),
    "cmf": fading("high low close volume", "cmf", length=20),
    "cmo": fading("close", "cmo", length=14, drift=1),
    "coppock": finite(
        lambda p: max(p["fast"], p["slow"]) + p["length"],
        "close",
        "copc",
        length=10,
        fast=11,
        slow=14,
    ),
    "cpr": finite(
        rows(2),
        "open high low close",
        "cpr_tc cpr_pivot cpr_bc cpr_r1 cpr_r2 cpr_s1 cpr_s2 "
        "cpr_width cpr_width_pct cpr_width_class cpr_position",
    ),
    "cti": finite(window(), "close", "cti", length=12),
    "cvi": fading("high low", "cvi", length=10),
    "decay": finite(window(), "close", "ldecay", length=5),
    "decreasing": finite(window(1), "close", "dec", length=1),
    "dema": fading("close", "dema", length=10),
    "dm": fading("high low", "dmp dmn", length=14, mamode="rma", drift=1),
    "donchian": finite(
        lambda p: max(p["lower_length"], p["upper_length"]),
        "high low",
        "dcl dcm dcu",
        lower_length=20,
        upper_length=20,
    ),
    "drawdown": cumulative("close", "dd dd_pct dd_log"),
    "dsp": fading("close", "dsp", length=14),
    "dx": fading("high low close", "dx", length=14, mamode="rma", drift=1),
    "ebsw": cumulative("close", "ebsw", length=Whole(40, least=39), bars=10),
    "edecay": fading("close", "edecay", warm_up=rows(5)),
    "efi": fading("close volume", "efi", length=13, mamode="ema", drift=1),
    "ema": fading("close", "ema", length=10),
    "emv": finite(window(1, of="drift"), "high low volume", "emv", drift=1),
    "entropy": finite(window(), "close", "entp", length=10, base=2.0),
    "eom": fading("high low close volume", "eom", length=14, drift=1),
    "er": fading("close", "er", length=10, drift=1),
    "eri": fading("high low close", "bullp bearp", length=13),
    "fisher": fading("high low", "fishert fisherts", length=9, signal=1),
    "fosc": finite(window(), "close", "fosc", length=14),
    "fwma": finite(window(1), "close", "fwma", length=10),  # one window alone is summed otherwise
    "ha": fading("open high low close", "ha_open ha_high ha_low ha_close"),
    "hilo": cumulative(
        "high low close", "hilo hilol hilos", high_length=13, low_length=21, mamode="sma"
    ),
    "hl2": finite(rows(1), "high low", "hl2"),
    "hlc3": finite(rows(1), "high low close", "hlc3"),
    "hma": finite(lambda p: p["length"] + math.isqrt(p["length"]) - 1, "close", "hma", length=10),
    "ht_dcperiod": cumulative("close", "ht_dcperiod"),
    "ht_dcphase": cumulative("close", "ht_dcphase"),
    "ht_phasor": cumulative("close", "ht_phasor_inphase ht_phasor_quad"),
    "ht_sine": cumulative("close", "ht_sine ht_leadsine"),
    "ht_trendline": cumulative("close", "ht_trendline"),
    "ht_trendmode": cumulative("close", "ht_trendmode", warm_up=rows(64)),
    "hvol": fading("close", "hvol", length=20, annualization=252.0),
    "hwc": cumulative("close", "hwm hwu hwl", na=0.2, nb=0.1, nc=0.1, nd=0.1),
    "hwma": cumulative(
        "close",
        "hwma",
        na=Number(0.2, below=1.0),
        nb=Number(0.1, below=1.0),
        nc=Number(0.1, below=1.0),
    ),
    "increasing": finite(window(1), "close", "inc", length=1),
    "inertia": fading("close", "inertia", length=20, rvi_length=14, mamode="ema"),
    "jma": cumulative("close", "jma"),
    "kama": cumulative(
        "close",
        "kama",
        warm_up=lambda p: max(p["length"], p["fast"], p["slow"]),
        length=10,
        fast=2,
        slow=30,
        drift=1,
    ),
    "kc": fading("high low close", "kcl kcb kcu", length=20, mamode="ema"),
    "kdj": fading("high low close", "k d j", length=9, signal=3),
    "kst": fading(
        "close",
        "kst ksts",
        roc1=10,
        roc2=15,
        roc3=20,
        roc4=30,
        sma1=10,
        sma2=10,
        sma3=10,
        sma4=15,
        signal=9,
    ),
    "kurtosis": finite(window(), "close", "kurt", length=30),
    "kvo": cumulative(
        "high low close volume",
        "kvo kvos",
        warm_up=lambda p: p["slow"] + p["signal"] - 1,
        fast=34,
        slow=55,
        signal=13,
        mamode="ema",
    ),
    "linreg": finite(window(), "close", "lr", length=14),
    "linregangle": finite(window(), "close", "lra", length=14),
    "linregintercept": finite(window(), "close", "lrb", length=14),
    "linregslope": finite(window(), "close", "lrm", length=14),
    "log_return": finite(window(1), "close", "logret", length=1),
    "lrsi": cumulative("close", "lrsi", warm_up=rows(14), gamma=Number(0.5, below=1.0)),
    "macd": fading("close", "macd macdh macds", fast=12, slow=26, signal=9),
    "macdext": fading(
        "close",
        "macdext macdexts macdexth",
        warm_up=lambda p: p["slow"] + p["signal"],
        fast=12,
        slow=26,
        signal=9,
    ),
    "macdfix": fading(
        "close", "macdfix macdfixh macdfixs", warm_up=window(26, of="signal"), beside=26, signal=9
    ),
    "mad": finite(window(), "close", "mad", length=30),
    "mama": cumulative("close", "mama fama", fastlimit=0.5, slowlimit=0.05),
    "marketfi": finite(rows(1), "high low volume", "marketfi"),
    "massi": fading("high low", "massi", fast=9, slow=25),
    "mcgd": cumulative("close", "mcgd", warm_up=window(), length=10),
    "md": finite(window(), "close", "md", length=30),
    "median": finite(window(), "close", "median", length=30),
    "medprice": finite(rows(1), "high low", "medprice"),
    "mfi": fading("high low close volume", "mfi", length=14, drift=1),
    "midpoint": finite(window(), "close", "midpoint", length=2),
    "midprice": finite(window(), "high low", "midprice", length=2),
    "minus_dm": fading("high low", "minus_dm", length=14, drift=1),
    "mmar": fading(
        "close",
        "mmar_1 mmar_2 mmar_3 mmar_4 mmar_5 mmar_6",
        warm_up=window(25),
        beside=25,
        length=10,
    ),
    "mom": finite(window(1), "close", "mom", length=10),
    "msw": finite(window(1, of="period"), "close", "msw_sine msw_lead", period=Whole(5, least=2)),
    "natr": fading("high low close", "natr", length=14, mamode="rma", drift=1),
    "nvi": cumulative("close volume", "nvi", length=1, initial=1000),
    "obv": cumulative("close volume", "obv"),
    "ohlc4": finite(rows(1), "open high low close", "ohlc4"),
    "pdist": finite(window(1, of="drift"), "open high low close", "pdist", drift=1),
    "percent_return": finite(window(1), "close", "pctret", length=1),
    "pgo": fading("high low close", "pgo", length=14),
    "plus_dm": fading("high low", "plus_dm", length=14, drift=1),
    "pmax": cumulative("high low close", "pmax", length=10, multiplier=3.0, mamode="ema"),
    "po": finite(window(), "close", "po", length=14),
    "ppo": fading("close", "ppo ppoh ppos", fast=12, slow=26, signal=9, mamode="sma"),
    "psar": cumulative(
        "high low close", "psarl psars psaraf psarr", warm_up=rows(2), af=0.02, max_af=0.2
    ),
    "psl": finite(window(1), "close", "psl", length=12),
    "pvi": cumulative("close volume", "pvi", length=1, initial=1000),
    "pvo": fading("volume", "pvo pvoh pvos", fast=12, slow=26, signal=9),
    "pvol": finite(rows(1), "close volume", "pvol"),
    "pvr": finite(rows(2), "close volume", "pvr"),
    "pvt": cumulative("close volume", "pvt", drift=1),
    "pwma": finite(window(1), "close", "pwma", length=10),  # one window alone is summed otherwise
    "qqe": cumulative(
        "close",
        "qqe qqe_rsima qqel qqes qqeb_l qqeb_s qqed",
        warm_up=lambda p: 5 * p["length"] + p["smooth"] + p["drift"] - 4,
        length=14,
        smooth=5,
        mamode="ema",
        drift=1,
    ),
    "qstick": fading("open close", "qs", length=10),
    "quantile": finite(window(), "close", "qtl", length=30, q=Number(0.5, below=1.0)),
    "rainbow": fading(
        "close",
        "rainbow_1 rainbow_2 rainbow_3 rainbow_4 rainbow_5 "
        "rainbow_6 rainbow_7 rainbow_8 rainbow_9 rainbow_10",
        warm_up=lambda p: 10 * p["length"],
        length=2,
    ),
    "rma": fading("close", "rma", length=10),
    "roc": finite(window(1), "close", "roc", length=10),
    "rocp": finite(window(1), "close", "rocp", length=10),
    "rocr": finite(window(1), "close", "rocr", length=10),
    "rocr100": finite(window(1), "close", "rocr100", length=10),
    "rsi": fading("close", "rsi", length=14, drift=1),
    "rsx": fading("close", "rsx", length=14),
    "rvgi": fading("open high low close", "rvgih rvgi rvgis", length=14, swma_length=4),
    "rvi": fading("close", "rvi", length=14, mamode="ema", drift=1),
    "sarext": cumulative("high low", "sarext"),
    "sinwma": finite(
        window(1), "close", "sinwma", length=14
    ),  # one window alone is summed otherwise
    "skew": finite(window(), "close", "skew", length=30),
    "slope": finite(window(1), "close", "slope", length=1),
    "sma": fading("close", "sma", length=10),
    "smc_sweep": finite(window(1), "open high low close", "smc_sweep", length=15, wick_mult=1.5),
    "smi": fading("close", "smi smis smio", fast=5, slow=20, signal=5),
    "squeeze": fading(
        "high low close",
        "sqz sqz_on sqz_off sqz_no",
        warm_up=squeezed,
        bb_length=20,
        bb_std=2.0,
        kc_length=20,
        kc_scalar=1.5,
        mom_length=12,
        mom_smooth=6,
        mamode="sma",
    ),
    "squeeze_pro": fading(
        "high low close",
        "sqzpro sqzpro_on_wide sqzpro_on_normal sqzpro_on_narrow sqzpro_off sqzpro_no",
        warm_up=squeezed,
        bb_length=20,
        bb_std=2.0,
        kc_length=20,
        kc_scalar_wide=2.0,
        kc_scalar_normal=1.5,
        kc_scalar_narrow=1.0,
        mom_length=12,
        mom_smooth=6,
        mamode="sma",
    ),
    "ssf": fading("close", "ssf", warm_up=window(), length=10),
    "stc": fading(
        "close",
        "stc stcmacd stcstoch",
        warm_up=lambda p: p["slow"] + 2 * (p["tclength"] - 1),
        tclength=10,
        fast=12,
        slow=26,
    ),
    "stderr": cumulative("close", "stderr", length=14),
    "stdev": finite(window(), "close", "stdev", length=Whole(30, least=2)),
    "stoch": fading(
        "high low close",
        "stochk stochd",
        warm_up=lambda p: p["k"] + p["d"] + p["smooth_k"] - 2,
        k=14,
        d=3,
        smooth_k=3,
        mamode="sma",
    ),
    "stochf": fading(
        "high low close",
        "stochfk stochfd",
        warm_up=lambda p: p["fastk"] + p["fastd"] - 1,
        fastk=5,
        fastd=3,
        mamode="sma",
    ),
    "stochrsi": fading(
        "close", "stochrsik stochrsid", length=14, rsi_length=14, k=3, d=3, mamode="sma"
    ),
    "supertrend": cumulative(
        "high low close",
        "supert supertd supertl superts",
        warm_up=window(1),
        length=7,
        multiplier=3.0,
    ),
    "swma": finite(window(), "close", "swma", length=10),
    "t3": fading("close", "t3", length=10, a=Number(0.7, below=1.0)),
    "td_seq": cumulative("close", "td_seq_upa td_seq_dna"),
    "tema": fading("close", "tema", length=10),
    "thermo": fading(
        "high low",
        "thermo thermoma thermol thermos",
        warm_up=lambda p: p["length"] + p["drift"],
        length=20,
        long=2.0,
        short=0.5,
        mamode="ema",
        drift=1,
    ),
    "trima": fading("close", "trima", length=10),
    "trix": fading("close", "trix trixs", length=30, signal=9, drift=1),
    "trixh": fading("close", "trix trixs trixh", length=18, signal=9, drift=1),
    "true_range": finite(window(1, of="drift"), "high low close", "truerange", drift=1),
    "tsf": finite(window(), "close", "tsf", length=14),
    "tsi": fading("close", "tsi tsis", fast=13, slow=25, signal=13, mamode="ema", drift=1),
    "ttm_trend": finite(window(), "high low close", "ttm_trnd", length=6),
    "typprice": finite(rows(1), "high low close", "typprice"),
    "ui": fading("close", "ui", length=14),
    "uo": fading(
        "high low close",
        "uo",
        fast=7,
        medium=14,
        slow=28,
        fast_w=4.0,
        medium_w=2.0,
        slow_w=1.0,
        drift=1,
    ),
    "variance": finite(window(), "close", "var", length=Whole(30, least=2)),
    "vhf": finite(lambda p: p["length"] + p["drift"], "close", "vhf", length=28, drift=1),
    "vidya": cumulative("close", "vidya", length=14, drift=1),
    "vortex": fading("high low close", "vtxp vtxm", length=14, drift=1),
    "vosc": fading("volume", "vosc", fast=14, slow=28),
    "vwap": cumulative("high low close volume", "vwap"),
    "vwma": fading("close volume", "vwma", length=10),
    "vwmacd": fading("close volume", "vwmacd vwmacdh vwmacds", fast=12, slow=26, signal=9),
    "wad": cumulative("high low close", "wad"),
    "wcp": finite(rows(1), "high low close", "wcp"),
    "willr": finite(window(), "high low close", "willr", length=14),
    "wma": finite(window(), "close", "wma", length=10),
    "zlma": fading("close", "zlma", length=10, mamode="ema"),
    "zscore": finite(window(), "close", "zs", length=Whole(30, least=2)),
}
"""The indicators, by the library's names."""
