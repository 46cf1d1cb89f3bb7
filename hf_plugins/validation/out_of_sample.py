"""The refusal of in-sample backtests.

A model fitted to rows and then backtested on the same rows looks brilliant on pure noise. Signals
therefore carry the last bar that their model's training labels cover, and whoever backtests them
calls :func:`assert_out_of_sample` first.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, LookAheadError


def assert_out_of_sample(signals: pd.DataFrame) -> None:
    """Refuse signals whose model knew their bar.

    Args:
        signals: indexed by bar, columns ``target`` and ``train_end``, the last bar that any
            training label of the model behind the signal covers (null where there was no model).

    Raises:
        LookAheadError: a signal's bar is not after its ``train_end``, or a position other than 0 is
            wanted although ``train_end`` is null. The first such bar is named.
        DataError: a column is missing.
    """
    missing = [name for name in ("target", "train_end") if name not in signals]
    if missing:
        raise DataError(
            f"the signals lack {' and '.join(missing)}, so they cannot be shown to be out of sample"
        )
    bars = pd.Series(signals.index, index=signals.index)
    known = signals["train_end"]
    in_sample = (bars <= known).to_numpy(bool, na_value=False)
    # A null target is no position of 0: it counts as wanted, and engines refuse it in any case.
    wanted = ~(signals["target"] == 0).to_numpy(bool, na_value=False)
    unproven = known.isna().to_numpy(bool) & wanted
    offending = np.flatnonzero(in_sample | unproven)
    if not offending.size:
        return
    first = int(offending[0])
    cause = (
        f"its model was trained on labels up to {known.iloc[first]}"
        if in_sample[first]
        else "nothing says on what its model was trained"
    )
    raise LookAheadError(
        f"the signal at {signals.index[first]} is not out of sample: {cause} "
        f"({offending.size} of {len(signals)} signals). Backtest walk-forward predictions instead."
    )
