"""Labels: what a model is trained to predict, by name.

A label with horizon *h* at bar *t* covers the bars ``(t, t + h]`` and is null where these are not
all known. Everything about gaps, purging and embargo follows from that interval.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import pandas as pd

from hf_plugins.errors import ConfigurationError, unknown


class Label(Protocol):
    """A label as a function of the close and the horizon in bars."""

    def __call__(self, close: pd.Series, horizon: int) -> pd.Series:
        """Return float64 of shape (n_bars,), indexed like ``close``."""
        ...


def forward_return(close: pd.Series, horizon: int) -> pd.Series:
    """``close[t+h] / close[t] - 1``; the last ``horizon`` rows are null.

    Null, too, where one of the two closes is missing or not positive.
    """
    if horizon < 1:
        raise ConfigurationError(f"the horizon is {horizon} bars; allowed: 1 or more")
    values = close.astype("float64")
    positive = values.where(values > 0)
    return pd.Series(positive.shift(-horizon) / positive - 1.0, name="forward_return")


LABELS: Final[Mapping[str, Label]] = {"forward_return": forward_return}


def get_label(name: str) -> Label:
    """The label called ``name``.

    Raises:
        ConfigurationError: names the allowed labels and the nearest one.
    """
    try:
        return LABELS[name]
    except KeyError:
        raise ConfigurationError(unknown("label", name, LABELS)) from None
