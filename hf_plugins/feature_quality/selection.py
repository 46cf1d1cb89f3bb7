"""The steps that choose features: pipeline AUC, forward selection, control of false discoveries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from hf_plugins.feature_quality.auc import Placements, place

FalseDiscoveryMethod = Literal["benjamini_hochberg", "benjamini_yekutieli"]


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


def pipeline_placements(
    train_x: np.ndarray, train_y: np.ndarray, test_x: np.ndarray, test_y: np.ndarray
) -> Placements:
    """Placements of the test rows by a logistic regression of all features together.

    L2-regularised (C = 1) on columns standardised with the training rows; a column that is constant
    there carries nothing and counts as 0.

    Args:
        train_x: shape (n_train, n_features), no null.
        train_y: shape (n_train,), 0 or 1, both present.
        test_x: shape (n_test, n_features), no null.
        test_y: shape (n_test,), 0 or 1.
    """
    from sklearn.linear_model import LogisticRegression

    centre = train_x.mean(axis=0)
    spread = train_x.std(axis=0)
    scale = np.where(spread > 0.0, spread, np.inf)
    # Newton's method: exact to the last digits in a few steps, where rows outnumber columns.
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-8)
    model.fit((train_x - centre) / scale, train_y)
    return place(model.decision_function((test_x - centre) / scale), test_y)


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
