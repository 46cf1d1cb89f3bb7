"""Which gold features are turned round: a list, decided once and never estimated.

In a module of its own, so that whoever asks why features were computed again is told apart what
changed: this list, the list of features (``families``), or a formula (the kernel of its family).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

INVERTED: Final = ("tod_cos", "beta_xag_to_xau_30", "beta_xag_to_xau_60", "beta_xag_to_xau_120")
"""Features that are multiplied by -1 after everything else; no other feature sees that."""


def invert(values: np.ndarray, names: Iterable[str]) -> None:
    """Multiply the inverted features by -1, in place: rows of ``values``, called ``names``.

    A zero stays a plain zero: the lake knows no negative one.
    """
    for row, name in enumerate(names):
        if name in INVERTED:
            values[row] = 0.0 - values[row]
