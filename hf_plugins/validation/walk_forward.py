"""Walk-forward validation: predictions of every bar by a model that knew only earlier bars.

Rows are cut into consecutive test blocks of ``refit_every`` rows. The model of a block that starts
at row *i* is trained on rows *t* with ``t + gap < i``; the gap is never below the label's horizon,
so that every training label was known before the block began. Blocks are counted from the first row
that has enough training rows before it, which depends on the past alone: appended bars extend the
last block or add new ones, and earlier predictions stay the same bit for bit.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseModel, Params
from hf_plugins.errors import ConfigurationError, DataError


class WalkForwardParams(Params):
    """How training and test rows alternate."""

    scheme: Annotated[
        Literal["expanding", "rolling"],
        Field(description="Train on all rows known so far, or on the last train_window of them."),
    ] = "expanding"
    min_train: Annotated[
        int, Field(ge=2, description="Training rows before the first prediction.")
    ] = 120
    refit_every: Annotated[int, Field(ge=1, description="Rows predicted by one fit.")] = 63
    train_window: Annotated[
        int | None, Field(ge=2, description="Training rows of the rolling scheme.")
    ] = None
    gap: Annotated[
        int | None,
        Field(ge=0, description="Rows left out before a test block; at least the label's horizon."),
    ] = None


@dataclass(frozen=True)
class WalkForwardResult:
    """What a walk-forward run yields.

    ``predictions``: indexed like X. ``prediction`` float64, null where not predicted; ``label``
    float64, the realised one, null where not yet known; ``fold`` int64, -1 where not predicted;
    ``train_end``, the last bar that any training label of the fold's model covers, null where not
    predicted. ``folds``: one row per block: fold, train_start, train_end, test_start, test_end,
    n_train, n_test, ic, rmse, hit_rate (null where undefined). ``model`` is fitted on all labelled
    rows (the last ``train_window`` of them in the rolling scheme); its labels begin at
    ``train_start`` and cover bars up to ``train_end``.
    """

    predictions: pd.DataFrame
    folds: pd.DataFrame
    model: BaseModel
    train_start: pd.Timestamp
    train_end: pd.Timestamp


@dataclass(frozen=True)
class Fold:
    """One test block: row numbers ``test_start`` to ``test_stop`` (exclusive), training rows."""

    number: int
    train: np.ndarray
    test_start: int
    test_stop: int


def walk_forward(
    make_model: Callable[[int], BaseModel],
    X: pd.DataFrame,
    y: pd.Series,
    *,
    horizon: int,
    params: WalkForwardParams,
    seed: int,
) -> WalkForwardResult:
    """Predict out of sample, block by block, then fit the model to keep.

    Rows with a null feature are neither trained on nor predicted; rows with a null label are
    predicted, not trained on.

    Args:
        make_model: an unfitted model from a seed.
        X: shape (n_rows, n_features), one row per bar, in time order.
        y: labels, indexed like ``X``.
        horizon: bars that a label covers, ``(t, t + horizon]``.
        params: the scheme.
        seed: the seed of each fold is derived from it.

    Raises:
        ConfigurationError: the gap is below the horizon, or the windows contradict each other.
        DataError: indexes differ, or there are too few rows.
    """
    if not X.index.equals(y.index):
        raise DataError("the features and the labels are not indexed by the same bars")
    if not (X.index.is_monotonic_increasing and X.index.is_unique):
        raise DataError("the rows of the features must be in strictly increasing time order")
    if not X.columns.is_unique or not len(X.columns):
        raise DataError("the features need at least one column, and each name only once")
    features = X.astype("float64")
    labels = y.astype("float64")
    complete = np.asarray(np.isfinite(features.to_numpy()).all(axis=1))
    known = np.isfinite(labels.to_numpy())
    blocks = split(complete, known, horizon=horizon, params=params)

    index = pd.DatetimeIndex(X.index)
    last = len(index) - 1
    prediction = np.full(len(index), np.nan)
    fold_of = np.full(len(index), -1, dtype=np.int64)
    covered = np.full(len(index), -1, dtype=np.int64)
    rows: list[dict[str, Any]] = []
    for block in blocks:
        span = np.arange(block.test_start, block.test_stop)
        test = span[complete[span]]
        train_end = min(int(block.train[-1]) + horizon, last)
        if test.size:
            model = make_model(fold_seed(seed, block.number))
            model.train(features.iloc[block.train], labels.iloc[block.train])
            prediction[test] = _predicted(model, features.iloc[test])
            fold_of[test] = block.number
            covered[test] = train_end
        guess, truth = prediction[test], labels.to_numpy()[test]
        rows.append(
            {
                "fold": block.number,
                "train_start": index[block.train[0]],
                "train_end": index[train_end],
                "test_start": index[block.test_start],
                "test_end": index[block.test_stop - 1],
                "n_train": len(block.train),
                "n_test": len(test),
                "ic": rank_ic(guess, truth),
                "rmse": rmse(guess, truth),
                "hit_rate": hit_rate(guess, truth),
            }
        )
    folds = pd.DataFrame(rows).astype({"ic": "float64", "rmse": "float64", "hit_rate": "float64"})

    final = _window(np.flatnonzero(complete & known), params)
    model = make_model(fold_seed(seed, "final"))
    model.train(features.iloc[final], labels.iloc[final])
    predictions = pd.DataFrame(
        {
            "prediction": prediction,
            "label": labels.to_numpy(),
            "fold": fold_of,
            "train_end": pd.Series(index.take(covered), index=index).where(covered >= 0),
        },
        index=X.index,
    )
    return WalkForwardResult(
        predictions=predictions,
        folds=folds,
        model=model,
        train_start=cast(pd.Timestamp, index[int(final[0])]),
        train_end=cast(pd.Timestamp, index[min(int(final[-1]) + horizon, last)]),
    )


def split(
    complete: np.ndarray, known: np.ndarray, *, horizon: int, params: WalkForwardParams
) -> list[Fold]:
    """Training rows and test block of each fold.

    Args:
        complete: bool of shape (n_rows,), whether the row's features are all present.
        known: bool of shape (n_rows,), whether the row's label is known.
        horizon: bars that a label covers.
        params: the scheme.
    """
    gap = _checked_gap(horizon, params)
    n = len(complete)
    usable = np.flatnonzero(complete & known)
    enough = len(usable) >= params.min_train
    start = int(usable[params.min_train - 1]) + gap + 1 if enough else n
    if start >= n:
        valid = np.flatnonzero(complete)
        available = n - int(valid[0]) if valid.size else 0
        raise DataError(
            f"too few rows for a walk-forward: {available} rows available from the first one with "
            f"all features on ({len(usable)} of them complete and labelled), "
            f"{params.min_train + gap + 1} needed "
            f"(min_train {params.min_train} + gap {gap} + 1 to predict)"
        )
    folds = []
    for number, first in enumerate(range(start, n, params.refit_every)):
        train = usable[: np.searchsorted(usable, first - gap)]
        folds.append(
            Fold(number, _window(train, params), first, min(first + params.refit_every, n))
        )
    return folds


def fold_seed(seed: int, fold: int | str) -> int:
    """Seed of a fold, in [0, 2**31): a hash, so that folds share no random numbers."""
    return int(hashlib.sha256(f"{seed}:{fold}".encode()).hexdigest()[:8], 16) & 0x7FFFFFFF


def rank_ic(prediction: np.ndarray, label: np.ndarray) -> float | None:
    """Spearman rank correlation, ties at their mean rank, over rows where both are known.

    None for fewer than three rows, or where one side is constant.
    """
    guess, truth = _both(prediction, label)
    if guess.size < 3 or np.ptp(guess) == 0 or np.ptp(truth) == 0:
        return None
    ranks = [pd.Series(side).rank().to_numpy() for side in (guess, truth)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def hit_rate(prediction: np.ndarray, label: np.ndarray) -> float | None:
    """Share of rows whose prediction has the sign of the label, among rows where neither is 0."""
    guess, truth = _both(prediction, label)
    signed = (guess != 0) & (truth != 0)
    return float(np.mean((guess > 0)[signed] == (truth > 0)[signed])) if signed.any() else None


def rmse(prediction: np.ndarray, label: np.ndarray) -> float | None:
    """Root of the mean squared error over rows where both are known; None without such rows."""
    guess, truth = _both(prediction, label)
    return float(np.sqrt(np.mean((guess - truth) ** 2))) if guess.size else None


def prediction_report(predictions: pd.DataFrame, *, horizon: int) -> dict[str, float | int | None]:
    """How good the predictions are, against the naive one.

    The naive prediction of a bar is the mean of all labels that were known before it (``t +
    horizon`` earlier than the bar); both errors are taken over the same rows.

    Args:
        predictions: columns ``prediction`` and ``label``, of a :class:`WalkForwardResult`.
        horizon: bars that a label covers.

    Returns:
        n (rows with prediction and label), rank_ic, hit_rate, rmse, rmse_of_mean; None where
        undefined.
    """
    guess = predictions["prediction"].to_numpy(np.float64)
    truth = predictions["label"].to_numpy(np.float64)
    mean = predictions["label"].expanding().mean().shift(horizon + 1).to_numpy(np.float64)
    compared = np.where(np.isnan(mean), np.nan, guess)
    return {
        "n": int(_both(guess, truth)[0].size),
        "rank_ic": rank_ic(guess, truth),
        "hit_rate": hit_rate(guess, truth),
        "rmse": rmse(compared, truth),
        "rmse_of_mean": rmse(np.where(np.isnan(compared), np.nan, mean), truth),
    }


def _checked_gap(horizon: int, params: WalkForwardParams) -> int:
    if horizon < 1:
        raise ConfigurationError(f"the horizon is {horizon} bars; allowed: 1 or more")
    gap = horizon if params.gap is None else params.gap
    if gap < horizon:
        raise ConfigurationError(
            f"parameter 'gap' is {gap}, below the label's horizon of {horizon} bars: the last "
            f"training labels would cover test bars; allowed: {horizon} or more, or leave it out"
        )
    if params.scheme == "rolling":
        if params.train_window is None:
            raise ConfigurationError("parameter 'train_window' is required by scheme 'rolling'")
        if params.train_window < params.min_train:
            raise ConfigurationError(
                f"parameter 'train_window' is {params.train_window}; allowed: at least min_train "
                f"({params.min_train})"
            )
    elif params.train_window is not None:
        raise ConfigurationError(
            "parameter 'train_window' has no meaning in scheme 'expanding'; leave it out or set "
            "scheme: rolling"
        )
    return gap


def _window(rows: np.ndarray, params: WalkForwardParams) -> np.ndarray:
    return rows if params.train_window is None else rows[-params.train_window :]


def _predicted(model: BaseModel, X: pd.DataFrame) -> np.ndarray:
    result = model.predict(X)
    if not result.index.equals(X.index):
        raise DataError(f"model '{model.key}' returned predictions that are not indexed like X")
    return result.to_numpy(np.float64)


def _both(prediction: np.ndarray, label: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    known = np.isfinite(prediction) & np.isfinite(label)
    return prediction[known], label[known]
