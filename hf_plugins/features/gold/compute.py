"""From six frames to the matrix of gold features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from hf_plugins.features.gold.families import INVERTED, families
from hf_plugins.features.gold.join import Bars, join
from hf_plugins.features.gold.tape import Tape


def compute(frames: Mapping[str, pd.DataFrame], *, alpha101: bool = True) -> pd.DataFrame:
    """All gold features of six instruments.

    Args:
        frames: one-minute bars by instrument: XAUUSD, XAGUSD, DXY, NAS100, US500, VIX; see
            :func:`hf_plugins.features.gold.join.join`.
        alpha101: with the two features of the family alpha101.

    Returns:
        shape (n_joined_bars, 107 or 105), float64, columns in the official order, indexed by the
        UTC open time ``timestamp``. Row t uses bars up to and including t and is known when bar t
        has closed, one minute after its time stamp. NaN while a window is not there yet, later
        never; no infinities.

    Raises:
        DataError: the input breaks the rules of the join.
    """
    return compute_bars(join(frames), families(alpha101=alpha101))


def compute_bars(bars: Bars, chosen: Iterable[str], *, invert: bool = True) -> pd.DataFrame:
    """The features of some families, from joined bars.

    Args:
        bars: the input.
        chosen: families, in the order of the columns.
        invert: multiply the inverted features by -1.
    """
    tape = Tape(chosen, len(bars))
    tape.put(bars)
    tape.fill(0, len(bars))
    if invert:
        turn(tape.features, tape.names)
    # Features by row are what pandas keeps of columns of one type, so nothing is copied.
    return pd.DataFrame(tape.features.T, index=bars.index, columns=list(tape.names), copy=False)


def turn(values: np.ndarray, names: Iterable[str]) -> None:
    """Multiply the inverted features by -1: rows of ``values``, called ``names``."""
    for row, name in enumerate(names):
        if name in INVERTED:
            values[row] *= -1.0
