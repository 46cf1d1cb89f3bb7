"""What is rated: features of several origins on common rows, and the target of each row."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from hf_plugins.errors import DataError
from hf_plugins.feature_quality.auc import next_close_above


def joined(
    features: Mapping[str, pd.DataFrame], close: pd.Series, *, horizon: int
) -> tuple[pd.DataFrame, pd.Series, dict[str, str]]:
    """Features side by side on the rows that all of them and the close have.

    A feature of several instruments has a row only where all of these have a bar; the next close is
    then that of the next such row, as it is for windows. Nothing is filled.

    Args:
        features: frames by the name of their origin; no column name occurs in two of them.
        close: of the bars.
        horizon: rows that the target covers.

    Returns:
        The features, shape (n_rows, n_features); the target, see
        :func:`~hf_plugins.feature_quality.auc.next_close_above`; the origin of each column.

    Raises:
        DataError: two origins have a column of one name, or there is no common row.
    """
    origins: dict[str, str] = {}
    index = close.index
    for origin, frame in features.items():
        for column in map(str, frame.columns):
            if column in origins:
                raise DataError(
                    f"'{origins[column]}' and '{origin}' both have a column '{column}'; drop one"
                )
            origins[column] = origin
        index = index.intersection(frame.index)
    if not len(index):
        raise DataError(f"{', '.join(features)} and the bars have no row in common")
    index = index.sort_values()
    together = pd.concat([frame.loc[index] for frame in features.values()], axis=1)
    return together, next_close_above(close.loc[index], horizon), origins
