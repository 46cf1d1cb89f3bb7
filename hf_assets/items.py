"""What a user writes: one pydantic model per kind of YAML document.

Fields are flat, strict and documented here once; the components, the error messages, ``dg check``
and the docs all read these models. Nothing here computes or touches Dagster.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field

from hf_plugins.base import Params

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,63}$",
        description="Lower-case letters, digits and underscores; the last part of the asset key.",
    ),
]
Owner = Annotated[str, Field(description="An e-mail address, or team:NAME.")]
PARAMS = "Parameters of the plugin; see `hf plugins list`."
Description = Annotated[str, Field(description="Prose for people; changing it recomputes nothing.")]


DEFAULT_SOURCE = "bars"
"""Name of the market data document that serves every instrument that names no other."""


class Item(Params):
    """What every document has."""

    name: Name
    description: Description = ""
    owner: Owner = "team:research"


class MarketDataItem(Item):
    """Where bars come from: by default of all instruments, else of those that name it as source."""

    name: Name = DEFAULT_SOURCE
    source: Annotated[str, Field(description="Key of a market data source.")]
    params: dict[str, Any] = Field(default={}, description="Parameters of the source.")
    quality: dict[str, Any] = Field(
        default={},
        description="What each check of the bars leads to, and its thresholds; see the docs.",
    )
    metrics_from: str = Field(
        default="2000-01-01",
        pattern=r"^\d{4}-\d{2}-\d{2}$",
        description=(
            "First day of the daily quality metrics, as 'YYYY-MM-DD'; that of the document `bars` "
            "counts."
        ),
    )
    since: date | None = Field(
        default=None, description="First day of history; null takes all that the source has."
    )
    resample: dict[str, str] = Field(
        default={},
        description="Timeframes that are made of finer ones of the source, such as {4h: 1h}.",
    )
    resample_sparse: bool = Field(
        default=False,
        description="Whether the source gives no bar for a time without trades; else a bar made "
        "of finer ones is kept only when all of them are there.",
    )
    schedule: bool = Field(
        default=False, description="Fetch after each session, by one schedule per calendar."
    )
    lag: Annotated[
        int, Field(ge=0, le=1440, description="Minutes from the close to the scheduled fetch.")
    ] = 30
    watch: bool = Field(
        default=False, description="Fetch what is new whenever the source shows something new."
    )
    watch_seconds: Annotated[
        int, Field(ge=10, le=86_400, description="Least time between two looks at the source.")
    ] = 60
    watch_symbols: Annotated[
        int, Field(ge=1, le=10_000, description="Symbols per look, in turn.")
    ] = 100
    pool: Annotated[
        str | None,
        Field(
            pattern=r"^[A-Za-z0-9_/-]{1,64}$",
            description="Dagster pool that fetches keep to; null for one named after the source.",
        ),
    ] = None
    pool_limit: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            description="Symbols that are fetched at once in the pool; null leaves the limit to "
            "the Dagster instance.",
        ),
    ] = None


class SideDataItem(Item):
    """A side table: rows that are known from an instant on, such as news, filings and releases."""

    source: Annotated[str, Field(description="Key of a source of side tables.")]
    params: dict[str, Any] = Field(default={}, description="Parameters of the source.")
    scope: Annotated[
        Literal["symbol", "market"],
        Field(description="Whether each symbol has a table of its own, or all have one together."),
    ] = "symbol"
    symbols: list[str] | None = Field(
        default=None, min_length=1, description="Symbols that have a table; null takes all."
    )
    every_minutes: Annotated[
        int | None,
        Field(
            ge=1,
            le=10_080,
            description="Minutes between two scheduled fetches; null leaves out the schedule.",
        ),
    ] = None


class ScoresItem(Item):
    """What a scorer says of the texts of a side table, row by row."""

    of: Annotated[str, Field(description="Name of a side table with texts.")]
    plugin: Annotated[str, Field(description="Key of a scorer plugin.")]
    params: dict[str, Any] = Field(default={}, description=PARAMS)
    text: Annotated[
        list[str],
        Field(min_length=1, description="Columns of the table, joined by '. ' where not blank."),
    ]


class FeatureItem(Item):
    """One feature: a plugin with its parameters, for every symbol and timeframe or for some."""

    plugin: Annotated[str, Field(description="Key of a feature plugin.")]
    params: dict[str, Any] = Field(default={}, description=PARAMS)
    symbols: list[str] | None = Field(
        default=None, min_length=1, description="Symbols to compute it for; null takes all."
    )
    timeframes: list[str] | None = Field(
        default=None, min_length=1, description="Timeframes to compute it for; null takes all."
    )


class ModelItem(Item):
    """One model: features in, out-of-sample predictions and an artefact out."""

    plugin: Annotated[str, Field(description="Key of a model plugin.")]
    params: dict[str, Any] = Field(default={}, description=PARAMS)
    features: Annotated[list[str], Field(min_length=1, description="Names of features.")]
    label: Annotated[str, Field(description="What is predicted.")] = "forward_return"
    horizon: Annotated[int, Field(ge=1, description="Bars that the label covers: (t, t+horizon].")]
    scope: Annotated[
        Literal["symbol"], Field(description="One model per symbol and timeframe.")
    ] = "symbol"
    scheme: Annotated[
        Literal["expanding", "rolling"], Field(description="Training window of the walk-forward.")
    ] = "expanding"
    min_train: Annotated[int, Field(ge=2, description="Rows before the first prediction.")] = 120
    refit_every: Annotated[int, Field(ge=1, description="Rows predicted per fit.")] = 63
    train_window: Annotated[
        int | None, Field(ge=2, description="Rows of a rolling training window.")
    ] = None
    gap: Annotated[
        int | None,
        Field(ge=1, description="Rows between training and test; at least the horizon."),
    ] = None


class FeatureQualityItem(Item):
    """Quality control of features: what each says, when, and which of them a policy keeps."""

    features: Annotated[list[str], Field(min_length=1, description="Names of features.")]
    horizon: Annotated[int, Field(ge=1, description="Bars that the target covers.")] = 1
    policy: Annotated[
        Literal["honest", "seed"], Field(description="The policy whose choice counts.")
    ] = "honest"
    honest: dict[str, Any] = Field(
        default={}, description="Parameters of the honest policy, where not the defaults."
    )
    seed: dict[str, Any] = Field(
        default={}, description="Parameters of the seed policy, where not the defaults."
    )
    folds: dict[str, Any] = Field(
        default={}, description="Walk-forward folds, where not the defaults."
    )
    shuffles: Annotated[
        int, Field(ge=1, le=1000, description="Shuffled targets that show what luck looks like.")
    ] = 10
    period: Annotated[
        Literal["day", "week", "month", "quarter", "year"],
        Field(description="Calendar period of the stability."),
    ] = "month"
    max_null_share: Annotated[
        float, Field(ge=0, le=1, description="Of the rows after a feature's first value; a check.")
    ] = 0.05
    max_constant_share: Annotated[
        float, Field(ge=0, le=1, description="Of a feature's most common value; a check.")
    ] = 0.99


class SignalItem(Item):
    """One signal: target positions from a model's out-of-sample predictions."""

    plugin: Annotated[str, Field(description="Key of a signal plugin.")]
    params: dict[str, Any] = Field(default={}, description=PARAMS)
    model: Annotated[str, Field(description="Name of a model.")]


class StrategyItem(Item):
    """One strategy: a signal traded over a universe, backtested with costs."""

    universe: Annotated[list[str], Field(min_length=1, description="Symbols to trade.")]
    timeframe: Annotated[str, Field(description="Timeframe to trade.")]
    signal: Annotated[str, Field(description="Name of a signal.")]
    engine: Annotated[str, Field(description="Key of an engine plugin.")] = "core"
    capital: Annotated[float, Field(gt=0, description="Starting equity of each backtest.")] = (
        100_000.0
    )
    commission: Annotated[
        float, Field(ge=0, lt=1, description="Fraction of traded value; 0 means none.")
    ] = 0.0005
    slippage: Annotated[
        float, Field(ge=0, lt=1, description="Fraction of price lost on each fill; 0 means none.")
    ] = 0.0005
    engine_params: dict[str, Any] = Field(
        default={}, description="Further parameters of the engine plugin."
    )
