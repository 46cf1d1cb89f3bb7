"""The columns of a score from its three shares. How a scorer comes to them is its own affair."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.base import SENTIMENT

SHARES: Final = ("positive", "negative", "neutral")
"""Order in which :func:`sentiment_of` takes the shares of a text."""


def sentiment_of(shares: Iterable[Sequence[float]]) -> pd.DataFrame:
    r"""The frame that a scorer yields.

    .. math::
        \text{sentiment} = p - n, \quad
        \text{uncertainty} = -\frac{p \ln p + n \ln n + u \ln u}{\ln 3}, \quad 0 \ln 0 = 0

    Args:
        shares: of each text positive p, negative n and neutral u: not negative, adding up to 1.

    Returns:
        shape (n_texts, 5), float64 columns :data:`~hf_plugins.base.SENTIMENT`.
    """
    # Row by row in plain floats: an array's logarithm may depend on where in it a number stands.
    rows = [(p, n, u, p - n, _uncertainty((p, n, u))) for p, n, u in shares]
    values = np.array(rows, dtype=np.float64).reshape(-1, len(SENTIMENT))
    return pd.DataFrame(values, columns=list(SENTIMENT))


def _uncertainty(shares: Sequence[float]) -> float:
    entropy = -math.fsum(share * math.log(share) for share in shares if share > 0.0)
    return min(1.0, max(0.0, entropy / math.log(3.0)))  # equal shares exceed 1 by a rounding
