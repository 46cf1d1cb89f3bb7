"""From six frames to the matrix of gold features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from hf_plugins.features.gold.families import families
from hf_plugins.features.gold.inversion import invert
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


def compute_bars(bars: Bars, chosen: Iterable[str], *, inverted: bool = True) -> pd.DataFrame:
    """The features of some families, from joined bars.

    Args:
        bars: the input.
        chosen: families, in the order of the columns.
        inverted: multiply the inverted features by -1.
    """
    tape = Tape(chosen, len(bars))
    tape.put(bars)
    tape.fill(0, len(bars))
    if inverted:
        invert(tape.features, tape.names)
    # Features by row are what pandas keeps of columns of one type, so nothing is copied.
    return pd.DataFrame(tape.features.T, index=bars.index, columns=list(tape.names), copy=False)
