"""Ensembles of regression trees: random forest and gradient boosting.

Both are deterministic: one thread, a given seed. Their libraries are imported when a model is
trained or loaded, not before.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseModel, Params
from hf_plugins.errors import DataError
from hf_plugins.registry import models
from hf_plugins.versioning import canonical_json

# skops does not trust the node table of a tree, because an out-of-range node index in a forged file
# could crash the process. Artefacts are loaded only after their digest was verified.
_TRUSTED_BY_US: Final = ("sklearn.tree._tree.Tree",)
_PLAIN_NAME: Final = re.compile(r'[^\s,:"\[\]{}]+')
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)


class RandomForestParams(Params):
    """Parameters of ``ml.random_forest``."""

    n_estimators: Annotated[int, Field(ge=1, description="Trees.")] = 200
    max_depth: Annotated[
        int | None, Field(ge=1, description="Deepest level of a tree; null for no limit.")
    ] = None
    min_samples_leaf: Annotated[int, Field(ge=1, description="Fewest rows in a leaf.")] = 5
    max_features: Annotated[
        Annotated[float, Field(gt=0, le=1)] | Literal["sqrt", "log2"],
        Field(description="Features tried at a split: a fraction of them, sqrt or log2."),
    ] = 1.0


@models.register("ml.random_forest")
class RandomForest(BaseModel):
    """Mean of regression trees grown on bootstrap samples.

    Source: Breiman, "Random Forests", Machine Learning 45 (2001); scikit-learn's
    ``RandomForestRegressor``. Saved by skops, which stores no code.
    """

    Params = RandomForestParams
    libraries = ("numpy", "pandas", "scikit-learn", "skops")
    suffix = ".skops"

    def __init__(self, *, seed: int = 0, **params: Any) -> None:
        super().__init__(seed=seed, **params)
        self._columns: list[str] = []
        self._forest: Any = None

    def train(self, X: pd.DataFrame, y: pd.Series) -> None:
        """Grow the forest."""
        from sklearn.ensemble import RandomForestRegressor

        params = cast(RandomForestParams, self.params)
        self._columns = _column_names(X)
        self._forest = RandomForestRegressor(
            n_estimators=params.n_estimators,
            max_depth=params.max_depth,
            min_samples_leaf=params.min_samples_leaf,
            max_features=cast(Any, params.max_features),  # the stubs know floats only
            n_jobs=1,
            random_state=self.seed,
        ).fit(X.astype("float64"), y.to_numpy(np.float64))

    def predict(self, X: pd.DataFrame) -> pd.Series:
        """Mean prediction of the trees."""
        _require_fit(self, self._forest)
        values = self._forest.predict(_in_order(self, X, self._columns))
        return pd.Series(values, index=X.index, dtype="float64", name="prediction")

    def save(self, path: Path) -> None:
        """Write the forest with skops; the bytes depend on the forest alone."""
        import skops.io

        _require_fit(self, self._forest)
        path.write_bytes(_canonical(skops.io.dumps(self._forest)))

    def load(self, path: Path) -> None:
        """Read a forest, trusting only the types that a forest consists of."""
        import skops.io

        unexpected = set(skops.io.get_untrusted_types(file=path)) - set(_TRUSTED_BY_US)
        if unexpected:
            raise DataError(
                f"{self.key}: the file holds types that a forest has not: "
                f"{', '.join(sorted(unexpected))}"
            )
        self._forest = skops.io.load(path, trusted=list(_TRUSTED_BY_US))
        self._columns = [str(name) for name in self._forest.feature_names_in_]

    def feature_importance(self) -> pd.Series | None:
        """Mean decrease of impurity by feature; the sum is 1 (0 where no tree has a split)."""
        _require_fit(self, self._forest)
        return pd.Series(
            self._forest.feature_importances_,
            index=self._columns,
            dtype="float64",
            name="importance",
        )


class LightGbmParams(Params):
    """Parameters of ``ml.lightgbm``."""

    num_leaves: Annotated[int, Field(ge=2, le=131_072, description="Leaves of a tree.")] = 31
    learning_rate: Annotated[float, Field(gt=0, le=1, description="Shrinkage of a tree.")] = 0.05
    n_estimators: Annotated[int, Field(ge=1, description="Trees.")] = 200
    min_child_samples: Annotated[int, Field(ge=1, description="Fewest rows in a leaf.")] = 20
    subsample: Annotated[
        float, Field(gt=0, le=1, description="Share of the rows drawn for each tree.")
    ] = 1.0
    colsample_bytree: Annotated[
        float, Field(gt=0, le=1, description="Share of the features drawn for each tree.")
    ] = 1.0
    reg_lambda: Annotated[float, Field(ge=0, description="L2 penalty on leaf values.")] = 0.0


@models.register("ml.lightgbm")
class LightGbm(BaseModel):
    """Gradient boosting of regression trees with squared loss.

    Source: Ke et al., "LightGBM: A Highly Efficient Gradient Boosting Decision Tree", NIPS (2017).
    Saved in LightGBM's text format.
    """

    Params = LightGbmParams
    libraries = ("lightgbm", "numpy", "pandas")
    suffix = ".txt"

    def __init__(self, *, seed: int = 0, **params: Any) -> None:
        super().__init__(seed=seed, **params)
        self._columns: list[str] = []
        self._booster: Any = None

    def train(self, X: pd.DataFrame, y: pd.Series) -> None:
        """Boost."""
        import lightgbm

        params = cast(LightGbmParams, self.params)
        self._columns = _column_names(X)
        self._booster = lightgbm.train(
            {
                "objective": "regression",
                "num_leaves": params.num_leaves,
                "learning_rate": params.learning_rate,
                "min_child_samples": params.min_child_samples,
                "bagging_fraction": params.subsample,
                # Without a frequency LightGBM ignores the fraction.
                "bagging_freq": 1 if params.subsample < 1 else 0,
                "feature_fraction": params.colsample_bytree,
                "lambda_l2": params.reg_lambda,
                "seed": self.seed,
                "deterministic": True,
                "force_row_wise": True,
                "num_threads": 1,
                "verbosity": -1,
            },
            lightgbm.Dataset(
                np.ascontiguousarray(X.to_numpy(np.float64)),
                label=y.to_numpy(np.float64),
                feature_name=self._columns,
            ),
            num_boost_round=params.n_estimators,
        )

    def predict(self, X: pd.DataFrame) -> pd.Series:
        """Sum of the trees."""
        _require_fit(self, self._booster)
        ordered = _in_order(self, X, self._columns)
        values = self._booster.predict(ordered.to_numpy(), num_threads=1)
        return pd.Series(values, index=X.index, dtype="float64", name="prediction")

    def save(self, path: Path) -> None:
        """Write the booster as text."""
        _require_fit(self, self._booster)
        path.write_text(self._booster.model_to_string(num_iteration=-1), encoding="utf-8")

    def load(self, path: Path) -> None:
        """Read a booster from text."""
        import lightgbm

        self._booster = lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))
        self._columns = self._booster.feature_name()

    def feature_importance(self) -> pd.Series | None:
        """Gain of the splits by feature, as shares of the total (all 0 without a split)."""
        _require_fit(self, self._booster)
        gain = np.asarray(self._booster.feature_importance("gain"), dtype=np.float64)
        shares = gain / gain.sum() if gain.sum() > 0 else gain
        return pd.Series(shares, index=self._columns, name="importance")


def _require_fit(model: BaseModel, fitted: Any) -> None:
    if fitted is None:
        raise RuntimeError(f"model '{model.key}' is not fitted")


def _column_names(X: pd.DataFrame) -> list[str]:
    names = list(X.columns)
    wrong = [name for name in names if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name)]
    if wrong or len(set(names)) != len(names):
        raise DataError(
            'feature columns must have distinct text names without blanks or any of , : " [ ] { }'
            + (f"; wrong: {wrong}" if wrong else "")
        )
    return names


def _in_order(model: BaseModel, X: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """The trained columns in the trained order: a tree knows its features by position."""
    missing = [name for name in columns if name not in X.columns]
    if missing:
        raise DataError(f"model '{model.key}' needs the missing columns {', '.join(missing)}")
    return X.loc[:, columns].astype("float64")


def _canonical(archive: bytes) -> bytes:
    """The same skops archive without the moment and the memory that it was written from.

    skops numbers objects, and names the files of arrays, by memory address; zip records the time.
    Numbers in the order of appearance and a fixed time make equal forests equal bytes.
    """
    numbers: dict[int, int] = {}
    files: dict[str, str] = {}

    def renumber(node: Any) -> Any:
        if isinstance(node, list):
            return [renumber(item) for item in node]
        if not isinstance(node, dict):
            return node
        renumbered = {name: renumber(value) for name, value in node.items()}
        if "__id__" in node:
            renumbered["__id__"] = numbers.setdefault(node["__id__"], len(numbers))
        if isinstance(node.get("file"), str):
            renumbered["file"] = files.setdefault(node["file"], f"{len(files)}.npy")
        return renumbered

    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(buffer, "w") as new:
        schema = renumber(json.loads(old.read("schema.json")))
        new.writestr(zipfile.ZipInfo("schema.json", _EPOCH), canonical_json(schema))
        for before, after in files.items():
            new.writestr(zipfile.ZipInfo(after, _EPOCH), old.read(before))
    return buffer.getvalue()
