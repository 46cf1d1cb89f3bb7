r"""The steps that choose features: pipeline AUC, forward selection, control of false discoveries.

A pipeline is a logistic regression of several features together. With :math:`y_i` of 0 or 1 and
:math:`\eta_i = b + w^\top z_i` of the standardised features :math:`z_i`, it minimises

.. math:: \tfrac12 \lVert w \rVert^2 + \sum_i \left[ \log(1 + e^{\eta_i}) - y_i \eta_i \right]

Forward selection fits hundreds of them, each with one feature more or another one than the last.
So each starts at the last solution, and is solved with a matrix that all share: one quarter of the
cross products of the features. It bounds the Hessian from above, so that every step descends [1]_,
and for features that say little it is nearly the Hessian itself. Where steps get slow, Newton's
method takes over.

.. [1] D. Böhning, B. Lindsay, "Monotonicity of Quadratic-Approximation Algorithms", Annals of the
   Institute of Statistical Mathematics 40, 1988.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal

import numpy as np

from hf_plugins.errors import DataError
from hf_plugins.feature_quality.auc import Placements, place

FalseDiscoveryMethod = Literal["benjamini_hochberg", "benjamini_yekutieli"]

TOLERANCE: Final = 1e-11
"""Largest entry of the gradient, per row, at a solution."""
SLOW: Final = 0.3
"""Part of a gradient that a step may leave before Newton's method takes over."""
MAX_STEPS: Final = 200


def adjusted_p_values(p_values: np.ndarray, method: FalseDiscoveryMethod) -> np.ndarray:
    """P-values that may be compared with a false-discovery rate; null stays null and is no test.

    Keeping what is at most q bounds the expected share of false discoveries by q: for independent
    (or positively dependent) tests by Benjamini and Hochberg (1995), under any dependence by
    Benjamini and Yekutieli (2001).
    """
    from scipy.stats import false_discovery_control

    adjusted = np.full(len(p_values), np.nan)
    tested = ~np.isnan(p_values)
    if tested.any():
        kind = "bh" if method == "benjamini_hochberg" else "by"
        adjusted[tested] = false_discovery_control(p_values[tested], method=kind)
    return adjusted


class Pipelines:
    """Logistic regressions on sets of features, all fitted on the same rows and scored on others.

    Features are standardised with the training rows. A null says nothing and counts as the mean of
    these, 0; so does a feature that is constant there.

    Args:
        train_x: shape (n_features, n_train).
        train_y: shape (n_train,), 0 or 1, both present.
        test_x: shape (n_features, n_test).
        test_y: shape (n_test,), 0 or 1.
    """

    def __init__(
        self, train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
    ) -> None:
        known = np.maximum(np.count_nonzero(~np.isnan(train_x), axis=1, keepdims=True), 1)
        centre = np.nansum(train_x, axis=1, keepdims=True) / known
        centred = np.nan_to_num(train_x - centre, copy=False)
        # Some formulas yield values whose square is beyond the largest number.
        reach = np.max(np.abs(centred), axis=1, keepdims=True)
        reach = np.where(reach > 0.0, reach, 1.0)
        spread = reach * np.sqrt(np.sum((centred / reach) ** 2, axis=1, keepdims=True) / known)
        scale = np.where(spread > 0.0, spread, np.inf)
        self._train = np.concatenate((np.ones((1, len(train_y))), centred / scale))
        self._test = np.nan_to_num(test_x - centre, copy=False) / scale
        self._train_y, self._test_y = train_y, test_y
        self._bound = 0.25 * (self._train @ self._train.T)
        share = float(train_y.mean())
        self._last = np.zeros(len(self._train))
        self._last[0] = np.log(share / (1.0 - share))
        # The rows in use, side by side: from fit to fit, few of them change.
        self._side_by_side = np.empty_like(self._train)
        self._held = np.full(len(self._train), -1)

    def placements(self, chosen: Sequence[int]) -> Placements:
        """Placements of the test rows by a regression of the chosen features."""
        weights = np.zeros(len(self._test))
        weights[list(chosen)] = self.fit(chosen)[1:]
        return place(weights @ self._test, self._test_y)

    def fit(self, chosen: Sequence[int]) -> np.ndarray:
        """Intercept and weights of a regression of the chosen features, in their order.

        Raises:
            DataError: it does not converge.
        """
        used = np.array([0, *(i + 1 for i in chosen)])
        for place_of in np.flatnonzero(self._held[: len(used)] != used):
            self._side_by_side[place_of] = self._train[used[place_of]]
            self._held[place_of] = used[place_of]
        found = _logistic(
            self._side_by_side[: len(used)],
            self._train_y,
            self._last[used],
            self._bound[np.ix_(used, used)],
        )
        self._last[used] = found
        return found


def _logistic(
    columns: np.ndarray, y: np.ndarray, weights: np.ndarray, bound: np.ndarray
) -> np.ndarray:
    """Weights at the minimum; see the module. The first column is that of the intercept."""
    from scipy.linalg import cho_factor, cho_solve
    from scipy.special import expit

    penalty = np.ones(len(columns))
    penalty[0] = 0.0

    def loss(at: np.ndarray) -> float:
        eta = at @ columns
        return float(np.logaddexp(0.0, eta).sum() - y @ eta + 0.5 * (penalty * at) @ at)

    shared = cho_factor(bound + np.diag(penalty))
    before = np.inf
    newton = False
    for _ in range(MAX_STEPS):
        share = expit(weights @ columns)
        gradient = columns @ (share - y) + penalty * weights
        size = float(np.max(np.abs(gradient))) / len(y)
        if size <= TOLERANCE:
            return weights
        newton = newton or size > SLOW * before
        before = size
        if not newton:
            weights = weights - cho_solve(shared, gradient)
            continue
        hessian = (columns * (share * (1.0 - share))) @ columns.T + np.diag(penalty)
        step = cho_solve(cho_factor(hessian), gradient)
        # Halved where it overshoots; near the solution losses differ by their rounding only.
        allowed, scale = loss(weights) * (1.0 + TOLERANCE), 1.0
        while loss(weights - scale * step) > allowed and scale > TOLERANCE:
            scale *= 0.5
        weights = weights - scale * step
    raise DataError(f"a logistic regression of {len(columns) - 1} features does not converge")


def forward_selection(
    start: Sequence[int],
    candidates: Sequence[int],
    score: Callable[[Sequence[int]], float],
    min_gain: float,
) -> tuple[list[int], float]:
    """Add candidates one by one, in their order, where they raise the score.

    Args:
        start: columns to begin with.
        candidates: columns to try.
        score: AUC of a set of columns; not asked about an empty set, whose AUC is 0.5.
        min_gain: smallest rise that keeps a candidate.

    Returns:
        The columns kept and their score.
    """
    kept = list(start)
    best = score(kept) if kept else 0.5
    for candidate in candidates:
        gained = score([*kept, candidate])
        if gained - best >= min_gain:
            kept.append(candidate)
            best = gained
    return kept, best
