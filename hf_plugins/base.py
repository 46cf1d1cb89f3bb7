"""The contracts of the four kinds of plugin.

A plugin is a pure, deterministic function of data frames and typed parameters. It declares what it
reads, what it yields, how far it looks back and which libraries its numbers depend on; the platform
derives identity, caching, validation and documentation from those declarations. Computation itself
belongs in the plugins' own modules.

Frames at this border are pandas, indexed by the UTC open time of the bar (``DatetimeIndex`` named
``timestamp``, strictly increasing). Row *t* of a result may use only rows up to and including *t*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, cast

import pandas as pd
from pydantic import BaseModel as PydanticModel
from pydantic import ConfigDict, Field

from hf_plugins.params import parse_params

OHLCV = ("open", "high", "low", "close", "volume")


class Params(PydanticModel):
    """Parameters of a plugin: typed, with defaults, ranges and descriptions; unknown ones fail."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@dataclass(frozen=True)
class Memory:
    """How far back a value depends on its inputs.

    ``finite``: exactly the last ``lookback`` rows, the current one included. ``fading``: recursive;
    after ``lookback`` rows an error in the start state has shrunk below 1e-12 relative.
    ``cumulative``: the whole history (``lookback`` is None).
    """

    kind: Literal["finite", "fading", "cumulative"]
    lookback: int | None

    @classmethod
    def finite(cls, lookback: int) -> Memory:
        """Depend on the last ``lookback`` rows, the current one included."""
        return cls("finite", lookback)

    @classmethod
    def fading(cls, lookback: int) -> Memory:
        """Depend on all rows, with an influence below 1e-12 beyond ``lookback``."""
        return cls("fading", lookback)

    @classmethod
    def cumulative(cls) -> Memory:
        """Depend on the whole history."""
        return cls("cumulative", None)


class Plugin(ABC):  # noqa: B024  (its subclasses are the contracts)
    """What all four kinds share: a key, typed parameters and declared libraries."""

    key: ClassVar[str] = ""
    """Set by the registry at registration."""
    Params: ClassVar[type[Params]] = Params
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "pandas")
    """Distributions whose version is part of the code version."""
    schema_version: ClassVar[int] = 1
    """Raise it when the meaning or type of an output column changes without a formula changing."""

    def __init__(self, **params: Any) -> None:
        self.params = parse_params(self.key or type(self).__name__, self.Params, params)

    def parameters(self) -> dict[str, Any]:
        """All parameters after defaults, as JSON-ready values."""
        return self.params.model_dump(mode="json")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.parameters().items())
        return f"{type(self).__name__}({shown})"


class BaseFeature(Plugin):
    """Columns computed from bars (and from whatever else the plugin declares that it reads)."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns that :meth:`compute` reads; nothing else is passed in, nothing else is hashed."""
        return OHLCV

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Columns that :meth:`compute` yields: a function of the parameters, never of the data."""

    @property
    @abstractmethod
    def memory(self) -> Memory:
        """How far a value looks back."""

    @abstractmethod
    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the feature.

        Args:
            data: shape (n_bars, len(reads)), float64 columns :attr:`reads`.

        Returns:
            shape (n_bars, len(outputs)), the index of ``data``; null where undefined.
        """


class BaseModel(Plugin):
    """A trainable model. The column order of ``X`` is fixed by the caller at training time."""

    suffix: ClassVar[str] = ".bin"
    """File suffix of the library's native, code-free format."""

    def __init__(self, *, seed: int = 0, **params: Any) -> None:
        super().__init__(**params)
        self.seed = seed

    @abstractmethod
    def train(self, X: pd.DataFrame, y: pd.Series) -> None:
        """Fit to ``X`` of shape (n_rows, n_features) and ``y`` of shape (n_rows,); no nulls."""

    @abstractmethod
    def predict(self, X: pd.DataFrame) -> pd.Series:
        """Predict float64 of shape (n_rows,), indexed like ``X``.

        Raises:
            RuntimeError: the model is not fitted.
        """

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the fitted state to ``path`` in a format that cannot execute code (no pickle)."""

    @abstractmethod
    def load(self, path: Path) -> None:
        """Read what :meth:`save` wrote; predictions are equal bit for bit."""

    def feature_importance(self) -> pd.Series | None:
        """Importance by feature name, where the model has such a notion."""
        return None


class BaseSignalGenerator(Plugin):
    """Target positions from predictions."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the predictions that :meth:`generate` reads."""
        return ("prediction",)

    @property
    @abstractmethod
    def memory(self) -> Memory:
        """How far a value looks back."""

    @abstractmethod
    def generate(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Turn predictions into positions.

        Args:
            predictions: shape (n_bars, n_columns), out-of-sample predictions in time order.

        Returns:
            Column ``target``: float64 in [-1, 1], the fraction of equity to hold from the next
            bar's open on, never null; the index of ``predictions``.
        """


class EngineParams(Params):
    """What every engine understands."""

    capital: Annotated[float, Field(gt=0, description="Starting equity, in quote currency.")] = (
        100_000.0
    )
    commission: Annotated[
        float, Field(ge=0, lt=1, description="Fraction of traded value; 0 means none.")
    ] = 0.0
    slippage: Annotated[
        float, Field(ge=0, lt=1, description="Fraction of price lost on each fill; 0 means none.")
    ] = 0.0


@dataclass(frozen=True)
class BacktestResult:
    """What an engine yields.

    ``equity``: indexed like the prices, columns ``equity`` (value at the bar's close, after costs),
    ``position`` (fraction of equity held at the close), ``returns`` (of equity, first bar against
    the capital). ``trades``: one row per round trip. ``rejected``: orders that could not be filled,
    with ``reason``. ``metrics``: numbers, or None where a metric is undefined.
    """

    equity: pd.DataFrame
    trades: pd.DataFrame
    metrics: dict[str, float | int | None]
    rejected: pd.DataFrame = field(default_factory=pd.DataFrame)


class BaseBacktestEngine(Plugin):
    """Simulates target positions: the target of bar t is executed at the open of bar t+1."""

    Params: ClassVar[type[Params]] = EngineParams

    @property
    def costs(self) -> EngineParams:
        """The common parameters, typed."""
        return cast(EngineParams, self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """Price columns that :meth:`run` reads; nothing else is passed in or hashed."""
        return OHLCV

    @abstractmethod
    def run(
        self, prices: pd.DataFrame, signals: pd.DataFrame, *, bars_per_year: float
    ) -> BacktestResult:
        """Simulate.

        Args:
            prices: the columns :attr:`reads`.
            signals: column ``target``, a fraction of equity in [-1, 1]; its index lies in that of
                ``prices``.
            bars_per_year: for annualisation, from the instrument's calendar and timeframe.
        """
