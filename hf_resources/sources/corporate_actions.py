"""Splits and dividends, laid on the bars that they take effect with.

Which events there are is the vendor's to say; what they do to prices belongs to
:mod:`hf_plugins.market_data`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
import pandas as pd

from hf_resources.sources.paging import instant


class Event(NamedTuple):
    """A split factor or a dividend per share, in effect from ``at`` on."""

    at: datetime
    value: float


def per_bar(
    opens: pd.DatetimeIndex,
    events: Sequence[Event],
    after: datetime | None,
    neutral: float,
    combine: Callable[[float, float], float],
) -> np.ndarray:
    """The events of each bar: those since the bar before, or the neutral value.

    An event belongs to the first bar that opens at its instant or later, so that one on a day
    without bars is not lost. Several on one bar are combined.

    Args:
        opens: open times of consecutive bars, ascending.
        events: in any order.
        after: open time of the last bar before these, whose events are told already; None if there
            is none, which drops the events before the first bar: nobody held it then.
        neutral: what a bar without events has.
        combine: how several events of one bar become one.

    Returns:
        shape (len(opens),), float64.
    """
    values = np.full(len(opens), neutral)
    for event in events:
        told = event.at < instant(opens[0]) if after is None else event.at <= after
        row = int(np.count_nonzero(np.asarray(opens < event.at)))
        if not told and row < len(opens):
            values[row] = combine(float(values[row]), event.value)
    return values
