r"""Rescaled range analysis of a moving window, calibrated on independent values.

Of a block of n values, let :math:`Z_k` be the sum of the first k deviations from the mean of the
block, and S its standard deviation (of the population). Then [1]_

.. math:: R/S = \frac{\max_k Z_k - \min_k Z_k}{S}, \quad k = 1 \dots n

and for independent normal values [2]_

.. math::
    E_n = \frac{\Gamma(\frac{n-1}{2})}{\sqrt{\pi}\, \Gamma(\frac{n}{2})}
          \sum_{i=1}^{n-1} \sqrt{\frac{n - i}{i}}

R/S of persistent values grows with n as :math:`n^H`; of short blocks it grows faster than that even
where there is no persistence, which is why its plain slope says 0.57 or more of noise. The exponent
here is one half plus the slope of :math:`\ln (\overline{R/S} / E_n)` on :math:`\ln n` [3]_, which
takes that bias out where H is one half, and pulls other values of H towards one half where blocks
are short.

NaN handling: a window with a value that is not finite is NaN. A block whose deviation is at most
:data:`STILL` does not vary and is left out; where a size has no other block, the window is NaN.

.. [1] B. B. Mandelbrot and J. R. Wallis, "Robustness of the rescaled range R/S in the measurement
   of noncyclic long run statistical dependence", Water Resources Research 5, 1969.
.. [2] A. A. Anis and E. H. Lloyd, "The expected value of the adjusted rescaled Hurst range of
   independent normal summands", Biometrika 63, 1976.
.. [3] R. Weron, "Estimating long-range dependence: finite sample properties and confidence
   intervals", Physica A 312, 2002.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numba import njit

SHORTEST: Final = 8
"""Values in the shortest block."""
STILL: Final = 1e-12
"""Standard deviation of log returns at or below which a block does not vary: rounding."""


def block_sizes(window: int) -> np.ndarray:
    """:data:`SHORTEST` and its doubles, up to half the window: int64 of shape (n_sizes,)."""
    doublings = int(math.log2(window // (2 * SHORTEST)))
    return SHORTEST * 2 ** np.arange(doublings + 1)


def expected_range(size: int) -> float:
    """Expectation of R/S of a block of so many independent normal values."""
    ranks = np.arange(1, size)
    ratio = math.exp(math.lgamma((size - 1) / 2) - math.lgamma(size / 2)) / math.sqrt(math.pi)
    return ratio * float(np.sqrt((size - ranks) / ranks).sum())


@njit(cache=True)
def _block_range(values: np.ndarray, first: int, size: int) -> float:
    """R/S of the block that starts at ``first``; NaN if it does not vary or is not known."""
    total = 0.0
    for each in range(first, first + size):
        total += values[each]
    mean = total / size
    squares, reached, highest, lowest = 0.0, 0.0, -np.inf, np.inf
    for each in range(first, first + size):
        distance = values[each] - mean
        squares += distance * distance
        reached += distance
        highest, lowest = max(highest, reached), min(lowest, reached)
    deviation = np.sqrt(squares / size)
    return (highest - lowest) / deviation if deviation > STILL else np.nan


@njit(cache=True)
def exponents(
    values: np.ndarray, window: int, sizes: np.ndarray, expected: np.ndarray
) -> np.ndarray:
    """Hurst exponent of the last ``window`` values at each row: shape (n_rows,), no unit.

    R/S is averaged over all blocks of a size that lie within the window, overlapping ones too: they
    say more than adjacent ones. A block has its value once, whatever window it is seen in.

    Args:
        values: shape (n_rows,), float64, the increments of the series.
        window: values in a window.
        sizes: int64 of shape (n_sizes,), from :func:`block_sizes`; at least two.
        expected: :func:`expected_range` of each size.
    """
    rows = values.shape[0]
    count = sizes.shape[0]
    ranges = np.full((count, rows), np.nan)
    for k in range(count):
        for last in range(sizes[k] - 1, rows):
            ranges[k, last] = _block_range(values, last - sizes[k] + 1, sizes[k])
    scale = np.log(sizes.astype(np.float64))
    centred = scale - scale.mean()
    variation = (centred * centred).sum()
    result = np.full(rows, np.nan)
    for row in range(window - 1, rows):
        slope = 0.0
        for each in range(row - window + 1, row + 1):
            if not np.isfinite(values[each]):
                slope = np.nan
        for k in range(count):
            total, blocks = 0.0, 0
            for last in range(row - window + sizes[k], row + 1):
                if not np.isnan(ranges[k, last]):
                    total += ranges[k, last]
                    blocks += 1
            slope += centred[k] * np.log(total / blocks / expected[k]) if blocks else np.nan
        result[row] = 0.5 + slope / variation
    return result
