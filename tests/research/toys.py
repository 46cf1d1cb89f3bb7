"""Tiny models for tests of what surrounds a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hf_plugins.base import BaseModel


class LeastSquares(BaseModel):
    """Ordinary least squares, with a little noise from the seed so that seeds can be seen."""

    def train(self, X: pd.DataFrame, y: pd.Series) -> None:
        assert not X.isna().any().any()
        assert not y.isna().any()
        self.rows = X.index
        design = np.column_stack([np.ones(len(X)), X.to_numpy()])
        self.weights = np.linalg.lstsq(design, y.to_numpy(), rcond=None)[0]
        self.weights[0] += self.seed * 1e-15

    def predict(self, X: pd.DataFrame) -> pd.Series:
        assert not X.isna().any().any()
        # Row by row, so that a prediction does not depend on how many rows are asked for.
        values = [self.weights[0] + float(np.sum(self.weights[1:] * row)) for row in X.to_numpy()]
        return pd.Series(values, index=X.index, dtype="float64")

    def save(self, path: Path) -> None:
        raise NotImplementedError

    def load(self, path: Path) -> None:
        raise NotImplementedError


class Nearest(LeastSquares):
    """The label of the training row whose first feature is nearest."""

    def train(self, X: pd.DataFrame, y: pd.Series) -> None:
        self.known, self.labels = X.iloc[:, 0].to_numpy(), y.to_numpy()

    def predict(self, X: pd.DataFrame) -> pd.Series:
        nearest = [int(np.abs(self.known - value).argmin()) for value in X.iloc[:, 0]]
        return pd.Series(self.labels[nearest], index=X.index)
