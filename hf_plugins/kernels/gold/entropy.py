r"""Multiscale entropy [1]_ of the last 120 log returns: ``multiscale_entropy``.

At scale tau the returns are averaged over adjacent blocks of tau, the first of which starts at the
oldest return: 120, 60 and 40 values at scales 1, 2 and 3. Of n values, the sample entropy [2]_
compares the n - 2 templates that start at the first n - 2 values: B pairs agree over 2 values, A of
them over 3, where two values agree if they differ by at most a tolerance; no template is compared
with itself. Then

.. math:: \text{SampEn} = -\ln \frac{A}{B},

and :math:`\ln((n-2)(n-3)/2)`, the greatest value that n could give, where A = 0. The tolerance is
0.2 of the standard deviation (ddof 0) of the 120 returns, the same at every scale. The feature is
the mean over the scales: small for regular or strongly clustered returns, large for noise.

Templates are compared by lag, around the end of the window: the lags d and n - d in one go, so that
each pair is met once by lags up to n/2. The agreement of x[i] and x[i + d] for 64 consecutive i is
one word, a bit each; intersected with itself shifted by one and by two bits it holds the agreements
over 2 and 3 values, of which a population count gives the number. A mask leaves out what is no
template.

Look-back: 120 returns (121 bars). NaN until they are there. 0 where the returns do not vary.

.. [1] M. Costa, A. L. Goldberger and C.-K. Peng, "Multiscale entropy analysis of complex
   physiologic time series", Physical Review Letters 89, 2002.
.. [2] J. S. Richman and J. R. Moorman, "Physiological time-series analysis using approximate
   entropy and sample entropy", American Journal of Physiology 278, 2000.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit

from hf_plugins.kernels.gold.return_moments import WINDOW

TOLERANCE: Final = 0.2
COUNTS: Final = (WINDOW, WINDOW // 2, WINDOW // 3)
"""Values at scale 1, 2 and 3."""
WORD: Final = 64
TEMPLATES: Final = WORD - 2
"""Templates that one word compares: those whose two later values also lie in it."""
BITS: Final = np.left_shift(np.uint64(1), np.arange(WORD, dtype=np.uint64))


def _masks(count: int) -> np.ndarray:
    """Which bits of the words of agreements compare two templates of ``count`` values.

    Returns:
        Shape (count // 2, words), uint64: row lag - 1, column i // TEMPLATES, bit i % TEMPLATES is
        set if the first values of two templates are i and i + lag, modulo ``count``.
    """
    templates = count - 2
    masks = np.zeros((count // 2, -(-templates // TEMPLATES)), np.uint64)
    for lag in range(1, count // 2 + 1):
        # Half way round, i and i + lag change places after lag steps.
        once = lag if 2 * lag == count else count
        for i in range(min(templates, once)):
            if (i + lag) % count < templates:
                masks[lag - 1, i // TEMPLATES] |= BITS[i % TEMPLATES]
    return masks


MASKS: Final = tuple(_masks(count) for count in COUNTS)


@njit(cache=True, nogil=True)
def _population(word: np.uint64) -> np.int64:
    """Number of bits that are set, by sums of neighbouring fields."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@njit(cache=True, nogil=True)
def _agreements(values: np.ndarray, first: int, lag: int, tolerance: float) -> np.uint64:
    """Bit i: whether values[first + i] and values[first + i + lag] agree."""
    newer = values[first + lag : first + lag + WORD]
    older = values[first : first + WORD]
    word = np.uint64(0)
    for i in range(WORD):
        word |= BITS[i] if abs(newer[i] - older[i]) <= tolerance else np.uint64(0)
    return word


@njit(cache=True, nogil=True)
def sample_entropy(values: np.ndarray, count: int, masks: np.ndarray, tolerance: float) -> float:
    """Sample entropy of ``count`` values.

    Args:
        values: shape (2 * WINDOW,): the values, then the same again; the rest does not matter.
        count: how many there are; an entry of :data:`COUNTS`.
        masks: the entry of :data:`MASKS` that belongs to it.
        tolerance: up to which two values agree.
    """
    pairs_of_2 = 0
    pairs_of_3 = 0
    for lag in range(1, masks.shape[0] + 1):
        for word in range(masks.shape[1]):
            agreements = _agreements(values, word * TEMPLATES, lag, tolerance)
            over_2 = agreements & (agreements >> np.uint64(1)) & masks[lag - 1, word]
            pairs_of_2 += _population(over_2)
            pairs_of_3 += _population(over_2 & (agreements >> np.uint64(2)))
    if pairs_of_3 == 0:
        return np.log((count - 2) * (count - 3) / 2)
    return -np.log(pairs_of_3 / pairs_of_2)


@njit(cache=True, nogil=True)
def row(
    t: int, log_return: np.ndarray, return_moments: np.ndarray, values: np.ndarray, out: np.ndarray
) -> None:
    """Write ``out[0, t]``: see :func:`rows`. ``values`` is scratch space of shape (2 * WINDOW,)."""
    if t < WINDOW:
        return
    variation = return_moments[1, t]
    if variation == 0.0:
        out[0, t] = 0.0
        return
    tolerance = TOLERANCE * np.sqrt(variation / WINDOW)
    window = log_return[t - WINDOW + 1 : t + 1]
    total = 0.0
    for k in range(len(COUNTS)):
        count = COUNTS[k]
        for i in range(count):
            value = window[i * (k + 1)]
            for j in range(1, k + 1):
                value += window[i * (k + 1) + j]
            values[i] = value / (k + 1)
            values[count + i] = values[i]
        total += sample_entropy(values, count, MASKS[k], tolerance)
    out[0, t] = total / len(COUNTS)


@njit(cache=True, nogil=True)
def rows(
    start: int, stop: int, log_return: np.ndarray, return_moments: np.ndarray, out: np.ndarray
) -> None:
    """Fill rows ``start <= t < stop``.

    Args:
        start: first row to fill.
        stop: row after the last.
        log_return: shape (capacity,), of the closes; row 0 is not read.
        return_moments: shape (2, capacity), from :mod:`~hf_plugins.kernels.gold.return_moments`.
        out: shape (1, capacity).
    """
    values = np.zeros(2 * WINDOW)
    for t in range(start, stop):
        row(t, log_return, return_moments, values, out)
