"""Calculators of tsfresh computed in another way, because the library's is slow or not right.

Values are those of the library bit for bit, as the tests show, but for one: where the model of
``ar_coefficient`` cannot be fitted, its last coefficient is null like the others, where the library
has a zero. Windows hold no nulls. Which windows there are is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from hf_plugins.features.automated.calculators import Setting

MANY: Final[Mapping[str, Callable[[np.ndarray], np.ndarray]]] = {
    "sum_values": lambda windows: np.sum(windows, axis=1),
    "median": lambda windows: np.median(windows, axis=1),
    "mean": lambda windows: np.mean(windows, axis=1),
    "standard_deviation": lambda windows: np.std(windows, axis=1),
    "variance": lambda windows: np.var(windows, axis=1),
    "root_mean_square": lambda windows: np.sqrt(np.mean(np.square(windows), axis=1)),
    "maximum": lambda windows: np.max(windows, axis=1),
    "absolute_maximum": lambda windows: np.max(np.abs(windows), axis=1),
    "minimum": lambda windows: np.min(windows, axis=1),
}
"""Of contiguous windows, shape (n_windows, window): n_windows values."""


def change_quantiles(window: np.ndarray, settings: Sequence[Setting]) -> list[float]:
    """Statistics of the changes from one row to the next that stay within a corridor.

    The library cuts the window into categories again for each setting; here each quantile and each
    corridor is computed once. A corridor without a change, or without a width, has 0, as there.
    """
    levels = sorted({level for each in settings for level in (each["ql"], each["qh"])})
    found = np.percentile(window, np.asarray(levels) * 100)
    bounds = dict(zip(levels, found, strict=True))
    changes = np.diff(window)
    inside: dict[tuple[float, float], np.ndarray] = {}
    values = []
    for each in settings:
        corridor = each["ql"], each["qh"]
        if corridor not in inside:
            low, high = (bounds[level] for level in corridor)
            within = (window >= low) & (window <= high)
            inside[corridor] = changes[within[1:] & within[:-1]]
        moves = inside[corridor]
        if not len(moves):
            values.append(0.0)
            continue
        aggregate: Callable[[np.ndarray], float] = getattr(np, each["f_agg"])
        values.append(aggregate(np.abs(moves) if each["isabs"] else moves))
    return values


def ar_coefficient(window: np.ndarray, settings: Sequence[Setting]) -> list[float]:
    """Coefficients of autoregressions, null where one cannot be fitted."""
    from tsfresh.feature_extraction import feature_calculators

    # The constant is asked for as well: it tells whether there was a fit.
    asked = [*settings, *({"coeff": 0, "k": each["k"]} for each in settings)]
    found = dict(feature_calculators.ar_coefficient(window, asked))

    def value(coefficient: int, each: Setting) -> float:
        return found[f"coeff_{coefficient}__k_{each['k']}"]

    return [np.nan if np.isnan(value(0, each)) else value(each["coeff"], each) for each in settings]


ONE: Final[Mapping[str, Callable[[np.ndarray, Sequence[Setting]], Sequence[Any]]]] = {
    "change_quantiles": change_quantiles,
    "ar_coefficient": ar_coefficient,
}
"""Of one window: a value for each setting."""
