"""Whether a feature says the same in every period.

A heat map of AUC by period is full of colour on pure noise, too; the summary therefore sets the
spread over the periods against the spread that chance alone produces.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.feature_quality.auc import Ranked, checked, same_bars

Period = Literal["day", "week", "month", "quarter", "year"]


@dataclass(frozen=True)
class Stability:
    """AUC by feature (rows) and period (columns), and the standard error of each under chance."""

    auc: pd.DataFrame
    null_standard_error: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """One row per feature, over the periods where it is known.

        Returns:
            ``periods``; ``mean`` weighted by precision; ``deviation`` (sample) of the periods and
            ``chance_deviation``, the root mean square of their standard errors under chance;
            ``same_side``, the share of periods on the side of 0.5 where the mean lies;
            ``heterogeneity_p``, of the chi-square test that all periods share one AUC (rows taken
            as independent). Null where undefined; a mean of 0.5 is on no side.
        """
        from scipy.special import chdtrc

        rows = []
        for name in self.auc.index:
            values = self.auc.loc[name].to_numpy(np.float64)
            errors = self.null_standard_error.loc[name].to_numpy(np.float64)
            known = ~np.isnan(values)
            values, errors = values[known], errors[known]
            several = values.size > 1
            weights = 1.0 / errors**2
            mean = float(np.average(values, weights=weights)) if values.size else np.nan
            side = np.sign(mean - 0.5)
            spread = float(np.sum(weights * (values - mean) ** 2))
            rows.append(
                {
                    "periods": values.size,
                    "mean": mean,
                    "deviation": float(np.std(values, ddof=1)) if several else np.nan,
                    "chance_deviation": float(np.sqrt(np.mean(errors**2))) if several else np.nan,
                    "same_side": float(np.mean(np.sign(values - 0.5) == side))
                    if values.size and side
                    else np.nan,
                    "heterogeneity_p": float(chdtrc(values.size - 1, spread))
                    if several
                    else np.nan,
                }
            )
        return pd.DataFrame(rows, index=self.auc.index)


def auc_by_period(
    features: pd.DataFrame, target: pd.Series, periods: pd.Series, *, min_rows: int = 100
) -> Stability:
    """AUC of every feature in every period.

    Args:
        features: shape (n_rows, n_features).
        target: 1, 0 or null, indexed like ``features``.
        periods: label of each row's period, indexed like ``features``; see
            :func:`calendar_periods` and :func:`equal_slices`.
        min_rows: below as many rows with feature and target the AUC of a period is null.

    Raises:
        DataError: the indexes differ; see :func:`~hf_plugins.feature_quality.auc.checked`.
    """
    if not same_bars(periods.index, features.index):
        raise DataError("the periods and the features are not indexed by the same bars")
    columns, y = checked(features, target)
    return stability_of(columns, y, features.columns, periods, min_rows=min_rows)


def stability_of(
    columns: Ranked, y: np.ndarray, names: pd.Index, periods: pd.Series, *, min_rows: int = 100
) -> Stability:
    """As :func:`auc_by_period`, of features that are sorted already.

    Args:
        columns: features in time order.
        y: shape (n_rows,), 1, 0 or null.
        names: of the features.
        periods: label of each row's period, shape (n_rows,).
        min_rows: see :func:`auc_by_period`.
    """
    codes, labels = pd.factorize(periods)
    auc = np.full((len(columns), len(labels)), np.nan)
    error = np.full_like(auc, np.nan)
    for j in range(len(labels)):
        rows = np.flatnonzero(codes == j)
        within = Ranked(columns.values[:, rows], columns.codes[:, rows], columns.levels)
        for i in range(len(columns)):
            result = within.score(i, y[rows])
            if result.rows >= min_rows:
                auc[i, j] = result.auc
                error[i, j] = result.null_standard_error
    shown: list[Hashable] = list(labels)
    return Stability(
        pd.DataFrame(auc, index=names, columns=shown),
        pd.DataFrame(error, index=names, columns=shown),
    )


def calendar_periods(index: pd.DatetimeIndex, unit: Period = "month") -> pd.Series:
    """Label of the calendar period (UTC) of each bar.

    Args:
        index: of the bars.
        unit: of the calendar.

    Raises:
        ConfigurationError: another unit.
    """
    letters = dict(zip(get_args(Period), "DWMQY", strict=True))
    if unit not in letters:
        raise ConfigurationError(f"the period is '{unit}'; allowed: {', '.join(letters)}")
    utc = index.tz_convert("UTC").tz_localize(None) if index.tz is not None else index
    return pd.Series(utc.to_period(letters[unit]).astype(str), index=index)


def equal_slices(index: pd.Index, count: int) -> pd.Series:
    """Number 1 .. ``count`` of the consecutive slice of (nearly) equal length of each row."""
    return pd.Series(np.arange(len(index)) * count // max(len(index), 1) + 1, index=index)
