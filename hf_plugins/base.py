"""The contracts of the five kinds of plugin.

A plugin is a pure, deterministic function of data frames and typed parameters. It declares what it
reads, what it yields, how far it looks back and which libraries its numbers depend on; the platform
derives identity, caching, validation and documentation from those declarations. Computation itself
belongs in the plugins' own modules.

Frames at this border are pandas, indexed by the UTC open time of the bar (``DatetimeIndex`` named
``timestamp``, strictly increasing). Row *t* of a result may use only rows up to and including *t*.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, cast

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


AGE: Final = "age_days"


@dataclass(frozen=True)
class Side:
    """What a feature reads beside the bars of its own partition, in the same frame.

    Its columns arrive as ``{prefix}_{column}``. Other bars of the same close are joined ``inner``
    (only rows that both have are left) or ``asof`` (the last row that was known when the bar
    closed; null before the first). A row is known when its own bar has closed, ``lag_minutes``
    later where a source is late.

    The rows of a side table (news, filings, releases) are no bars: each is known from its time
    stamp on, and counts for a bar that closes later. They are joined ``asof``, or by what became
    known since the row before: ``count`` and ``sum`` of the values that are not null. With ``age``
    there is one column more, ``{prefix}_age_days``: how old the joined row was when the bar closed,
    in days.

    Attributes:
        prefix: of the columns; letters, digits and underscores.
        columns: to read.
        symbol: whose; None for the partition's own.
        timeframe: of the rows; None for the partition's own. A coarser one is joined ``asof``.
        feature: name of the feature, as in YAML, that is read; empty for enriched bars.
        table: name of the side table, as in YAML, that is read; empty for bars and features.
        join: ``inner``, ``asof``, or of a table ``sum`` or ``count``.
        lag_minutes: time after the close, or after its time stamp, at which a row can be had.
        made_by: key of the plugin that must have made the table; empty where any may have.
        age: whether its age comes with a row that is joined ``asof``.
    """

    prefix: str
    columns: tuple[str, ...]
    symbol: str | None = None
    timeframe: str | None = None
    feature: str = ""
    table: str = ""
    join: Literal["inner", "asof", "sum", "count"] = "asof"
    lag_minutes: int = 0
    made_by: str = ""
    age: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns are called in the frame of the feature."""
        names = tuple(f"{self.prefix}_{column}" for column in self.columns)
        return (*names, f"{self.prefix}_{AGE}") if self.age else names


class Plugin(ABC):  # noqa: B024  (its subclasses are the contracts)
    """What all kinds share: a key, typed parameters and declared libraries."""

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
        """Columns of the own bars that are read; nothing else is passed in, nothing else hashed."""
        return OHLCV

    @property
    def sides(self) -> tuple[Side, ...]:
        """What is read beside the own bars."""
        return ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of the frame that :meth:`compute` is given, in this order."""
        return (*self.reads, *(name for side in self.sides for name in side.names))

    @property
    @abstractmethod
    def outputs(self) -> tuple[str, ...]:
        """Columns that :meth:`compute` yields: a function of the parameters, never of the data."""

    @property
    @abstractmethod
    def memory(self) -> Memory:
        """How far a value looks back."""

    @property
    def context(self) -> int | None:
        """Rows before appended ones that :meth:`advance` needs beside its state.

        None: the plugin carries no state. Values of a finite memory need none: they are computed
        again from the rows that they look back on.
        """
        return None

    @abstractmethod
    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the feature.

        Args:
            data: shape (n_bars, len(columns)), float64 columns :attr:`columns`.

        Returns:
            shape (n_bars, len(outputs)), the index of ``data``; null where undefined.
        """

    def advance(
        self, data: pd.DataFrame, appended: int, state: Mapping[str, Any] | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Compute appended rows from what was left after the row before them.

        Only plugins with a :attr:`context` have this. Values are those of :meth:`compute` on the
        whole history, bit for bit, wherever it is cut.

        Args:
            data: as for :meth:`compute`; :attr:`context` rows (fewer where there are none before
                them), then the appended ones.
            appended: the last so many rows are new. With a ``state`` of None, all are.
            state: that of the row before the appended ones.

        Returns:
            The appended rows, and the state after the last of them: JSON values, floats finite or
            None.
        """
        raise NotImplementedError(f"{type(self).__name__} carries no state")


SENTIMENT: Final = ("positive", "negative", "neutral", "sentiment", "uncertainty")
"""What a scorer says of a text: three shares that add up to 1, ``sentiment`` = positive - negative
in [-1, 1], and ``uncertainty``, the entropy of the shares over its maximum ln 3, in [0, 1]."""


@dataclass(frozen=True)
class Material:
    """What a scorer needs beside its code: word lists, weights. The platform fetches it.

    Attributes:
        location: name of a model on the Hugging Face hub where there is a ``revision``, else a
            local file or folder, whose content is then part of the identity.
        revision: full commit of the hub's repository, so that the same name never means other
            weights; empty for what is local.
    """

    location: str
    revision: str = ""


class BaseScorer(Plugin):
    """What a text says, as numbers: each text by itself, so that none is ever scored twice."""

    @property
    def material(self) -> Material | None:
        """What :meth:`load` needs; None where the code is all."""
        return None

    def load(self, path: Path) -> None:
        """Get ready from the material's file or folder.

        Raises:
            DataError: it is not what this scorer can read.
        """
        raise NotImplementedError(f"{type(self).__name__} needs no material")

    @abstractmethod
    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Score texts.

        Args:
            texts: n_texts of any length, none of them blank. What is too long for the scorer is
                cut at its end.

        Returns:
            shape (n_texts, 5), float64 columns :data:`SENTIMENT`, one row for each text in order.
            A row depends on its own text alone, whatever the others are.
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
