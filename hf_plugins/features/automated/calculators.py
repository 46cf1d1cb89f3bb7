"""The calculators of tsfresh that are offered: their parameters, their settings, and the sets.

A table and its vocabulary; nothing is computed here, and the library is not imported, because what
a feature's columns are must be known without the six seconds that this takes. The tests hold every
line against the library: names, settings, what is excluded, and what can have no value.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hf_plugins.errors import ConfigurationError, listing, nearest, unknown

Setting = Mapping[str, Any]
"""Values of the parameters of a calculator, by name; a column each."""


@dataclass(frozen=True)
class Whole:
    """A whole number."""

    least: int = 1

    def __str__(self) -> str:
        return f"a whole number >= {self.least}"

    def allows(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, int) and not isinstance(value, bool) and value >= self.least


@dataclass(frozen=True)
class Number:
    """A number between two others, both included."""

    least: float = float("-inf")
    most: float = float("inf")

    def __str__(self) -> str:
        bounds = [f">= {self.least:g}"] * (self.least > float("-inf"))
        bounds += [f"<= {self.most:g}"] * (self.most < float("inf"))
        return " ".join(["a number", " and ".join(bounds)]).strip()

    def allows(self, value: Any) -> bool:
        """Whether it is one."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.least <= value <= self.most


@dataclass(frozen=True)
class Choice:
    """One of some words, or of true and false."""

    options: tuple[Any, ...]

    def __str__(self) -> str:
        return listing(str(option) for option in self.options)

    def allows(self, value: Any) -> bool:
        """Whether it is one."""
        return type(value) is type(self.options[0]) and value in self.options


@dataclass(frozen=True)
class Wholes:
    """A list of whole numbers above 0."""

    def __str__(self) -> str:
        return "a list of whole numbers >= 1"

    def allows(self, value: Any) -> bool:
        """Whether it is one."""
        return isinstance(value, Sequence) and len(value) > 0 and all(map(Whole().allows, value))


Parameter = Whole | Number | Choice | Wholes


@dataclass(frozen=True)
class Calculator:
    """One calculator.

    Attributes:
        parameters: by name; none where it has none.
        settings: those of the library's comprehensive set.
        valued: whether windows of so many rows can have values at a setting, and not all of them
            the same; and the rule in words.
    """

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ({},)
    valued: tuple[Callable[[Setting, int], bool], str] = (lambda setting, window: True, "")


def grid(**values: Sequence[Any]) -> tuple[Setting, ...]:
    """All combinations, the last parameter running fastest."""
    names = list(values)
    return tuple(
        dict(zip(names, each, strict=True)) for each in itertools.product(*values.values())
    )


_TENTHS: Final = (0.1, 0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 0.9)
_SIGMAS: Final = (0.5, 1, 1.5, 2, 2.5, 3, 5, 6, 7, 10)
_TREND: Final = ("pvalue", "rvalue", "intercept", "slope", "stderr")
_MOMENTS: Final = ("centroid", "variance", "skew", "kurtosis")
_FOURIER: Final = ("real", "imag", "abs", "angle")
_BINS: Final = (2, 3, 5, 10, 100)
_CORRIDORS: Final = tuple(
    (low, high) for low in (0.0, 0.2, 0.4, 0.6, 0.8) for high in (0.2, 0.4, 0.6, 0.8, 1.0)
)
_SHARE: Final = Number(0, 1)
_WIDTHS: Final = (2, 5, 10, 20)

_PLAIN: Final = (
    "variance_larger_than_standard_deviation",
    "has_duplicate_max",
    "has_duplicate_min",
    "has_duplicate",
    "sum_values",
    "abs_energy",
    "mean_abs_change",
    "mean_change",
    "mean_second_derivative_central",
    "median",
    "mean",
    "standard_deviation",
    "variation_coefficient",
    "variance",
    "skewness",
    "kurtosis",
    "root_mean_square",
    "absolute_sum_of_changes",
    "longest_strike_below_mean",
    "longest_strike_above_mean",
    "count_above_mean",
    "count_below_mean",
    "last_location_of_maximum",
    "first_location_of_maximum",
    "last_location_of_minimum",
    "first_location_of_minimum",
    "percentage_of_reoccurring_values_to_all_values",
    "percentage_of_reoccurring_datapoints_to_all_datapoints",
    "sum_of_reoccurring_values",
    "sum_of_reoccurring_data_points",
    "ratio_value_number_to_time_series_length",
    "sample_entropy",
    "maximum",
    "absolute_maximum",
    "minimum",
    "benford_correlation",
)

CALCULATORS: Final[Mapping[str, Calculator]] = {
    **dict.fromkeys(_PLAIN, Calculator()),
    "time_reversal_asymmetry_statistic": Calculator(
        {"lag": Whole()},
        grid(lag=(1, 2, 3)),
        (lambda s, window: 2 * s["lag"] < window, "twice the lag must be less than the window"),
    ),
    "c3": Calculator(
        {"lag": Whole()},
        grid(lag=(1, 2, 3)),
        (lambda s, window: 2 * s["lag"] < window, "twice the lag must be less than the window"),
    ),
    "cid_ce": Calculator({"normalize": Choice((True, False))}, grid(normalize=(True, False))),
    "symmetry_looking": Calculator({"r": _SHARE}, grid(r=tuple(step * 0.05 for step in range(20)))),
    "large_standard_deviation": Calculator(
        {"r": Number(0)}, grid(r=tuple(step * 0.05 for step in range(1, 20)))
    ),
    "quantile": Calculator({"q": _SHARE}, grid(q=_TENTHS)),
    "autocorrelation": Calculator(
        {"lag": Whole(0)},
        grid(lag=range(10)),
        (lambda s, window: s["lag"] < window, "the lag must be less than the window"),
    ),
    "agg_autocorrelation": Calculator(
        {"f_agg": Choice(("mean", "median", "var")), "maxlag": Whole()},
        grid(f_agg=("mean", "median", "var"), maxlag=(40,)),
    ),
    "partial_autocorrelation": Calculator(
        {"lag": Whole(0)},
        grid(lag=range(10)),
        (
            lambda s, window: s["lag"] < window // 2,
            "the lag must be less than half of the window",
        ),
    ),
    "number_cwt_peaks": Calculator({"n": Whole()}, grid(n=(1, 5))),
    "number_peaks": Calculator(
        {"n": Whole()},
        grid(n=(1, 3, 5, 10, 50)),
        (lambda s, window: 2 * s["n"] < window, "twice n must be less than the window"),
    ),
    "binned_entropy": Calculator({"max_bins": Whole()}, grid(max_bins=(10,))),
    "index_mass_quantile": Calculator({"q": _SHARE}, grid(q=_TENTHS)),
    "cwt_coefficients": Calculator(
        {"widths": Wholes(), "coeff": Whole(0), "w": Whole()},
        grid(widths=(_WIDTHS,), coeff=range(15), w=_WIDTHS),
        (
            lambda s, window: s["w"] in s["widths"] and s["coeff"] < window,
            "w must be one of the widths, and coeff less than the window",
        ),
    ),
    "spkt_welch_density": Calculator(
        {"coeff": Whole(0)},
        grid(coeff=(2, 5, 8)),
        (
            lambda s, window: s["coeff"] <= min(window, 256) // 2,
            "coeff must not exceed half of the window, nor 128",
        ),
    ),
    "ar_coefficient": Calculator(
        {"coeff": Whole(0), "k": Whole()},
        grid(coeff=range(11), k=(10,)),
        (
            lambda s, window: s["coeff"] <= s["k"] and 2 * s["k"] + 2 < window,
            "coeff must not exceed k, and 2 k + 2 must be less than the window",
        ),
    ),
    "change_quantiles": Calculator(
        {
            "ql": _SHARE,
            "qh": _SHARE,
            "isabs": Choice((False, True)),
            "f_agg": Choice(("mean", "var", "std", "median")),
        },
        tuple(
            {"ql": low, "qh": high, **rest}
            for low, high in _CORRIDORS
            if low < high
            for rest in grid(isabs=(False, True), f_agg=("mean", "var"))
        ),
        (lambda s, window: s["ql"] < s["qh"], "ql must be less than qh"),
    ),
    "fft_coefficient": Calculator(
        {"attr": Choice(_FOURIER), "coeff": Whole(0)},
        grid(attr=_FOURIER, coeff=range(100)),
        (
            lambda s, window: s["coeff"] <= window // 2,
            "coeff must not exceed half of the window",
        ),
    ),
    "fft_aggregated": Calculator({"aggtype": Choice(_MOMENTS)}, grid(aggtype=_MOMENTS)),
    "value_count": Calculator({"value": Number()}, grid(value=(0, 1, -1))),
    "range_count": Calculator(
        {"min": Number(), "max": Number()},
        ({"min": -1, "max": 1}, {"min": -1e12, "max": 0}, {"min": 0, "max": 1e12}),
        (lambda s, window: s["min"] < s["max"], "min must be less than max"),
    ),
    "approximate_entropy": Calculator(
        {"m": Whole(), "r": Number(0)}, grid(m=(2,), r=(0.1, 0.3, 0.5, 0.7, 0.9))
    ),
    "friedrich_coefficients": Calculator(
        {"coeff": Whole(0), "m": Whole(), "r": Whole()},
        grid(coeff=range(4), m=(3,), r=(30,)),
        (lambda s, window: s["coeff"] <= s["m"], "coeff must not exceed m"),
    ),
    "max_langevin_fixed_point": Calculator({"m": Whole(), "r": Whole()}, grid(m=(3,), r=(30,))),
    "linear_trend": Calculator({"attr": Choice(_TREND)}, grid(attr=_TREND)),
    "agg_linear_trend": Calculator(
        {
            "attr": Choice(_TREND),
            "chunk_len": Whole(),
            "f_agg": Choice(("max", "min", "mean", "var", "median")),
        },
        grid(
            attr=("rvalue", "intercept", "slope", "stderr"),
            chunk_len=(5, 10, 50),
            f_agg=("max", "min", "mean", "var"),
        ),
        (
            lambda s, window: s["chunk_len"] < window,
            "chunk_len must be less than the window",
        ),
    ),
    "augmented_dickey_fuller": Calculator(
        {
            "attr": Choice(("teststat", "pvalue", "usedlag")),
            "autolag": Choice(("AIC", "BIC", "t-stat")),
        },
        grid(attr=("teststat", "pvalue", "usedlag"), autolag=("AIC",)),
    ),
    "number_crossing_m": Calculator({"m": Number()}, grid(m=(0, -1, 1))),
    "energy_ratio_by_chunks": Calculator(
        {"num_segments": Whole(), "segment_focus": Whole(0)},
        grid(num_segments=(10,), segment_focus=range(10)),
        (
            lambda s, window: s["segment_focus"] < s["num_segments"],
            "segment_focus must be less than num_segments",
        ),
    ),
    "ratio_beyond_r_sigma": Calculator({"r": Number(0)}, grid(r=_SIGMAS)),
    "linear_trend_timewise": Calculator({"attr": Choice(_TREND)}, grid(attr=_TREND)),
    "count_above": Calculator({"t": Number()}, grid(t=(0,))),
    "count_below": Calculator({"t": Number()}, grid(t=(0,))),
    "lempel_ziv_complexity": Calculator({"bins": Whole()}, grid(bins=_BINS)),
    "fourier_entropy": Calculator({"bins": Whole()}, grid(bins=_BINS)),
    "permutation_entropy": Calculator(
        {"tau": Whole(), "dimension": Whole(2)},
        grid(tau=(1,), dimension=(3, 4, 5, 6, 7)),
        (
            lambda s, window: s["tau"] * (s["dimension"] - 1) < window,
            "tau (dimension - 1) must be less than the window",
        ),
    ),
    "mean_n_absolute_max": Calculator(
        {"number_of_maxima": Whole()},
        grid(number_of_maxima=(7,)),
        (
            lambda s, window: s["number_of_maxima"] < window,
            "number_of_maxima must be less than the window",
        ),
    ),
}

NOT_OFFERED: Final[Mapping[str, str]] = {
    "length": "the rows of a window are as many as the window has, so it says nothing",
    "query_similarity_count": "it counts a pattern that would have to be given, and is null "
    "without one",
    "matrix_profile": "it rests on the library matrixprofile, which is no longer maintained",
}
"""Calculators of tsfresh that no set has and no list may name, each with the reason."""

MINIMAL: Final = (
    "sum_values",
    "median",
    "mean",
    "standard_deviation",
    "variance",
    "root_mean_square",
    "maximum",
    "absolute_maximum",
    "minimum",
)
COSTLY: Final = ("sample_entropy", "approximate_entropy")
"""Those whose time grows with the square of the window: in the comprehensive set alone."""
SLOWEST: Final = (
    "friedrich_coefficients",
    "max_langevin_fixed_point",
    "agg_linear_trend",
    "augmented_dickey_fuller",
    "number_cwt_peaks",
    "fourier_entropy",
    "ar_coefficient",
    "change_quantiles",
    "cwt_coefficients",
)
"""Those that take nine tenths of the time of the efficient set, measured one by one on windows of
60 rows of a random walk (``benchmarks/tsfresh_growth.py --calculators``)."""

SETS: Final[Mapping[str, tuple[str, ...]]] = {
    "minimal": MINIMAL,
    "fast": tuple(name for name in CALCULATORS if name not in COSTLY + SLOWEST),
    "efficient": tuple(name for name in CALCULATORS if name not in COSTLY),
    "comprehensive": tuple(CALCULATORS),
}
"""Calculators by set; all but *fast* are the library's, less what is not offered."""

Chosen = tuple[tuple[str, tuple[Setting, ...]], ...]
"""Calculators with their settings, in the order of the columns."""


def of_set(name: str, window: int) -> Chosen:
    """The calculators of a set, at the library's settings that say something on the window."""
    chosen = []
    for calculator in SETS[name]:
        line = CALCULATORS[calculator]
        settings = tuple(each for each in line.settings if line.valued[0](each, window))
        if settings:
            chosen.append((calculator, settings))
    return tuple(chosen)


def of_list(listed: Mapping[str, Sequence[Setting] | None], window: int) -> Chosen:
    """The calculators of a list, checked.

    Raises:
        ConfigurationError: a calculator, a parameter or a value that there is not; says which,
            what is allowed, and the nearest match.
    """
    chosen = []
    for calculator, settings in listed.items():
        if calculator in NOT_OFFERED:
            raise ConfigurationError(
                f"calculator '{calculator}' is not offered: {NOT_OFFERED[calculator]}"
            )
        if calculator not in CALCULATORS:
            raise ConfigurationError(unknown("calculator", calculator, CALCULATORS))
        checked = tuple(_checked(calculator, each, window) for each in settings or ({},))
        names = [column_name(calculator, each) for each in checked]
        if len(set(names)) < len(names):
            raise ConfigurationError(f"calculator '{calculator}' is given the same values twice")
        chosen.append((calculator, checked))
    return tuple(chosen)


def _checked(calculator: str, setting: Setting, window: int) -> Setting:
    line = CALCULATORS[calculator]
    for name in setting:
        if name not in line.parameters:
            raise ConfigurationError(
                f"calculator '{calculator}' has no parameter '{name}'; allowed: "
                f"{listing(line.parameters)}.{nearest(name, line.parameters)}"
            )
    for name, parameter in line.parameters.items():
        if name not in setting:
            raise ConfigurationError(
                f"calculator '{calculator}' needs the parameter '{name}': {parameter}"
            )
        if not parameter.allows(setting[name]):
            raise ConfigurationError(
                f"'{name}' of calculator '{calculator}' is {setting[name]!r}; allowed: {parameter}"
            )
    valued, rule = line.valued
    if not valued(setting, window):
        raise ConfigurationError(
            f"calculator '{calculator}' says nothing at {dict(setting)} on a window of {window} "
            f"rows: {rule}"
        )
    return setting


def column_name(calculator: str, setting: Setting) -> str:
    """Name of a column after its prefix: the library's, in characters that models take as a name.

    The library writes ``fft_coefficient__attr_"abs"__coeff_3``; here it has no quotes, no brackets
    and no blanks, and numbers have 15 digits.
    """
    parts = [f"{name}_{_written(setting[name])}" for name in sorted(setting)]
    return "__".join([calculator, *parts])


def _written(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "_".join(map(_written, value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)
