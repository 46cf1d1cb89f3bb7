"""All documents together: references resolved, plugins instantiated, contradictions found.

Whatever a single document cannot know about itself is checked here, once, before any asset exists.
Each error is one sentence that names file and line, item, field, what is allowed and the nearest
match.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import dagster as dg

from hf_assets import coverage
from hf_assets.components import (
    Feature,
    FeatureQuality,
    ItemComponent,
    MarketData,
    Model,
    Scores,
    SideData,
    Signal,
    Strategy,
)
from hf_assets.coverage import Coverage
from hf_assets.items import DEFAULT_SOURCE
from hf_assets.location import UNIVERSE_FILE
from hf_assets.side_tables import SideTable
from hf_plugins import registry
from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.base import (
    SENTIMENT,
    BaseBacktestEngine,
    BaseFeature,
    BaseSignalGenerator,
    Params,
    Plugin,
    Side,
)
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.feature_quality.policies import FoldParams, HonestPolicy, SeedPolicy
from hf_plugins.feature_quality.report import QualityParams
from hf_plugins.params import parse_params
from hf_plugins.registry import PluginRegistry
from hf_plugins.validation.labels import LABELS
from hf_plugins.validation.walk_forward import WalkForwardParams
from hf_resources.instruments import Universe, load_universe
from hf_resources.side_sources import get_side_source
from hf_resources.side_sources.base import Kind
from hf_resources.sources.base import Source, get_source, source_keys
from hf_resources.sources.resampled import Resampled
from hf_resources.sources.views import Since

T = TypeVar("T")
C = TypeVar("C", bound=ItemComponent)
P = TypeVar("P", bound=Plugin)
V = TypeVar("V", bound=Params)


@dataclass(frozen=True)
class Project:
    """The declared items, each with the plugin instance that its parameters make."""

    universe: Universe
    market_data: Mapping[str, MarketData]
    sources: Mapping[str, Source]
    policies: Mapping[str, QualityPolicy]
    tables: Mapping[str, SideTable]
    features: Mapping[str, tuple[Feature, BaseFeature]]
    models: Mapping[str, tuple[Model, WalkForwardParams]]
    signals: Mapping[str, tuple[Signal, BaseSignalGenerator]]
    strategies: Mapping[str, tuple[Strategy, BaseBacktestEngine]]
    quality: Mapping[str, tuple[FeatureQuality, QualityParams]]


def load_project(tree: dg.ComponentTree) -> Project:
    """Collect and cross-check all items of a component tree.

    Raises:
        ConfigurationError: the first contradiction found.
    """
    market_data = _by_name(tree, MarketData)
    if DEFAULT_SOURCE not in market_data:
        raise ConfigurationError(
            "no market data is declared: add one document of `type: hf_assets.MarketData` with "
            f"`source` and no name; allowed sources: {', '.join(source_keys())}"
        )
    universe = load_universe(
        Path(tree.defs_module_path) / UNIVERSE_FILE, sources=sorted(market_data)
    )
    tables = _tables(tree, universe)
    features = {
        name: (component, _plugin(component, registry.features, component.item.params))
        for name, component in _by_name(tree, Feature).items()
    }
    for name in features:
        _check_feature(name, features, tables, universe)
    features = {name: features[name] for name in _parents_first(features)}
    for name, (component, _) in features.items():
        covers = coverage.of_features(universe, tables, features, [name])
        _not_empty(component, "symbols", covers)
    models = {
        name: (component, _model_scheme(component, features, tables, universe))
        for name, component in _by_name(tree, Model).items()
    }
    signals = {
        name: (component, _plugin(component, registry.signals, component.item.params))
        for name, component in _by_name(tree, Signal).items()
    }
    for component, _ in signals.values():
        _known(component, "model", "model", [component.item.model], models)
    covered = {
        name: coverage.of_features(
            universe, tables, features, models[component.item.model][0].item.features
        )
        for name, (component, _) in signals.items()
    }
    strategies = {
        name: (component, _engine(component, signals, universe, covered))
        for name, component in _by_name(tree, Strategy).items()
    }
    quality = {
        name: (component, _quality_params(component, features, tables, universe))
        for name, component in _by_name(tree, FeatureQuality).items()
    }
    sources = _by_symbol(universe, {name: _source(each) for name, each in market_data.items()})
    policies = _by_symbol(universe, {name: _policy(each) for name, each in market_data.items()})
    return Project(
        universe,
        market_data,
        sources,
        policies,
        tables,
        features,
        models,
        signals,
        strategies,
        quality,
    )


def _tables(tree: dg.ComponentTree, universe: Universe) -> dict[str, SideTable]:
    """Side tables, those that are made of others after these."""
    found: dict[str, SideTable] = {}
    for name, component in _by_name(tree, SideData).items():
        item = component.item
        cls = _told(component, "source", lambda item=item: get_side_source(item.source))
        source = _told(component, "params", lambda cls=cls, item=item: cls(**item.params))
        _told(component, "scope", lambda source=source, item=item: source.check_scope(item.scope))
        _known(component, "symbols", "symbol", item.symbols or [], universe.symbols)
        if item.symbols and item.scope == "market":
            raise ConfigurationError(
                f"{component.origin.at('symbols')}: SideData '{name}' is one table of the market; "
                "leave out symbols, or declare scope: symbol"
            )
        symbols = tuple(item.symbols) if item.symbols else None
        found[name] = SideTable(component, source, item.scope, symbols, source.columns)
    with_texts = {name: table for name, table in found.items() if table.texts}
    for name, component in _by_name(tree, Scores).items():
        item = component.item
        if name in found:
            raise ConfigurationError(
                f"{component.origin.at('name')}: Scores '{name}' is called as the side table at "
                f"{found[name].component.origin.at('name')}; each needs a name of its own"
            )
        scorer = _plugin(component, registry.scorers, item.params)
        _known(component, "of", "side table with texts", [item.of], with_texts)
        of = with_texts[item.of]
        _known(component, "text", f"column of text in {item.of}", item.text, of.texts)
        columns: dict[str, Kind] = dict.fromkeys(SENTIMENT, "number")
        found[name] = SideTable(component, scorer, of.scope, of.symbols, columns)
    return found


def _by_symbol(universe: Universe, made: Mapping[str, T]) -> dict[str, T]:
    """What each symbol has: that of the default document, unless the instrument names another."""
    return {
        instrument.symbol: made[instrument.source or DEFAULT_SOURCE]
        for instrument in universe.instruments
    }


def _source(component: MarketData) -> Source:
    item = component.item
    cls = _told(component, "source", lambda: get_source(item.source))
    source: Source = _told(component, "params", lambda: cls(**item.params))
    if item.resample:
        source = _told(
            component,
            "resample",
            lambda: Resampled(source, item.resample, sparse=item.resample_sparse),
        )
    return source if item.since is None else Since(source, item.since)


def _policy(component: MarketData) -> QualityPolicy:
    return _told(
        component,
        "quality",
        lambda: parse_params("quality", QualityPolicy, component.item.quality),
    )


def _by_name(tree: dg.ComponentTree, kind: type[C]) -> dict[str, C]:
    found: dict[str, C] = {}
    for component in tree.get_all_components(kind):
        twin = found.get(component.item.name)
        if twin is not None:
            raise ConfigurationError(
                f"{component.origin.at('name')}: {kind.__name__} '{component.item.name}' is "
                f"declared twice; the other one is at {twin.origin.at('name')}"
            )
        found[component.item.name] = component
    return dict(sorted(found.items()))


def _plugin(component: Any, plugins: PluginRegistry[P], params: Mapping[str, Any]) -> P:
    cls = _told(component, "plugin", lambda: plugins.get(component.item.plugin))
    return _told(component, "params", lambda: cls(**params))


def _told(component: ItemComponent, field: str, make: Any) -> Any:
    """Run ``make``; put file, line and item before the sentence of an error."""
    try:
        return make()
    except ConfigurationError as error:
        kind, name = type(component).__name__, component.item.name
        where = component.origin.at(field)
        raise ConfigurationError(f"{where}: {kind} '{name}', field '{field}': {error}") from None


def _known(
    component: ItemComponent, field: str, kind: str, names: list[str], allowed: Iterable[str]
) -> None:
    def check() -> None:
        for name in names:
            if name not in allowed:
                raise ConfigurationError(unknown(kind, name, allowed))
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ConfigurationError(f"'{min(repeated)}' is listed more than once")

    _told(component, field, check)


def _check_feature(
    name: str,
    features: Mapping[str, tuple[Feature, BaseFeature]],
    tables: Mapping[str, SideTable],
    universe: Universe,
) -> None:
    """Whatever a feature reads beside its own bars is there, and has the columns."""
    component, plugin = features[name]
    _known(component, "symbols", "symbol", component.item.symbols or [], universe.symbols)
    _known(
        component, "timeframes", "timeframe", component.item.timeframes or [], universe.timeframes
    )
    for side in plugin.sides:
        if side.table:
            _check_table(component, side, tables)
        if side.symbol is not None:
            _known(component, "params", "symbol", [side.symbol], universe.symbols)
        if side.timeframe is not None:
            _known(component, "params", "timeframe", [side.timeframe], universe.timeframes)
        if side.feature:
            _known(component, "params", "feature", [side.feature], features)
            outputs = features[side.feature][1].outputs
            for column in side.columns:
                _known(component, "params", f"column of {side.feature}", [column], outputs)
    repeated = [each for each in plugin.columns if plugin.columns.count(each) > 1]
    if repeated:
        raise ConfigurationError(
            f"{component.origin.at('params')}: Feature '{name}' reads two columns that are both "
            f"called '{repeated[0]}' in its frame"
        )


def _check_table(component: Feature, side: Side, tables: Mapping[str, SideTable]) -> None:
    """A side table that a feature reads is there, is joined as one, and has the columns."""
    _known(component, "params", "side table", [side.table], tables)
    table = tables[side.table]
    problem = ""
    if side.made_by and table.maker.key != side.made_by:
        problem = f"is made by {table.maker.key}; it must be made by {side.made_by}"
    elif side.join == "inner":
        problem = "is joined inner, as bars of the same close are; allowed: asof, count, sum"
    elif side.timeframe is not None or side.feature:
        problem = "is read as bars or as a feature, too; leave out timeframe and feature"
    elif side.symbol is not None and table.scope == "market":
        problem = f"has no symbols, and that of {side.symbol} is asked for"
    elif side.symbol is not None and side.symbol not in (table.symbols or (side.symbol,)):
        problem = f"is one of {', '.join(table.symbols or ())}; that of {side.symbol} is asked for"
    if problem:
        raise ConfigurationError(
            f"{component.origin.at('params')}: Feature '{component.item.name}', field 'params': "
            f"the side table '{side.table}' {problem}"
        )
    columns = table.numbers
    for column in side.columns:
        if column in table.texts:
            raise ConfigurationError(
                f"{component.origin.at('params')}: Feature '{component.item.name}', field "
                f"'params': column '{column}' of {side.table} is text, and a feature reads numbers "
                f"({', '.join(columns) or 'it has none'}); declare Scores of it"
            )
        _known(component, "params", f"column of {side.table}", [column], columns)


def _parents_first(features: Mapping[str, tuple[Feature, BaseFeature]]) -> list[str]:
    """Names of features, each after those that it reads."""
    done: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        component, plugin = features[name]
        if name in path:
            circle = " reads ".join((*path[path.index(name) :], name))
            raise ConfigurationError(
                f"{component.origin.at('params')}: features read each other in a circle: {circle}"
            )
        if name not in done:
            for side in plugin.sides:
                if side.feature:
                    visit(side.feature, (*path, name))
            done.append(name)

    for name in features:
        visit(name, ())
    return done


def _not_empty(component: ItemComponent, field: str, covered: Coverage) -> None:
    if covered.empty:
        raise ConfigurationError(
            f"{component.origin.at(field)}: {type(component).__name__} '{component.item.name}' "
            "covers no symbol and timeframe: what it reads has none in common"
        )


def _model_scheme(
    component: Model,
    features: Mapping[str, tuple[Feature, BaseFeature]],
    tables: Mapping[str, SideTable],
    universe: Universe,
) -> WalkForwardParams:
    item = component.item
    _plugin(component, registry.models, item.params)
    _known(component, "features", "feature", item.features, features)
    covers = coverage.of_features(universe, tables, features, item.features)
    _not_empty(component, "features", covers)
    _known(component, "label", "label", [item.label], LABELS)
    _distinct_columns(component, item.features, features)
    chosen = {
        "scheme": item.scheme,
        "min_train": item.min_train,
        "refit_every": item.refit_every,
        "train_window": item.train_window,
        "gap": item.gap if item.gap is not None else item.horizon,
    }
    if chosen["gap"] < item.horizon:
        raise ConfigurationError(
            f"{component.origin.at('gap')}: Model '{item.name}', field 'gap' is {item.gap}; it "
            f"must be at least the label horizon of {item.horizon}, or training labels would reach "
            "into the test rows"
        )
    return _told(component, "scheme", lambda: WalkForwardParams(**chosen))


def _distinct_columns(
    component: ItemComponent,
    names: Iterable[str],
    features: Mapping[str, tuple[Feature, BaseFeature]],
) -> None:
    owners: dict[str, str] = {}
    for name in names:
        for column in features[name][1].outputs:
            if column in owners:
                kind, item = type(component).__name__, component.item.name
                raise ConfigurationError(
                    f"{component.origin.at('features')}: {kind} '{item}', field 'features': "
                    f"'{owners[column]}' and '{name}' both yield column '{column}'; drop one"
                )
            owners[column] = name


def _quality_params(
    component: FeatureQuality,
    features: Mapping[str, tuple[Feature, BaseFeature]],
    tables: Mapping[str, SideTable],
    universe: Universe,
) -> QualityParams:
    item = component.item
    _known(component, "features", "feature", item.features, features)
    covers = coverage.of_features(universe, tables, features, item.features)
    _not_empty(component, "features", covers)
    _distinct_columns(component, item.features, features)

    def parsed(field: str, model: type[V]) -> V:
        return _told(component, field, lambda: parse_params(field, model, getattr(item, field)))

    return QualityParams(
        seed_policy=parsed("seed", SeedPolicy),
        honest_policy=parsed("honest", HonestPolicy),
        folds=parsed("folds", FoldParams),
        horizon=item.horizon,
        shuffles=item.shuffles,
        period=item.period,
    )


def _engine(
    component: Strategy,
    signals: Mapping[str, tuple[Signal, BaseSignalGenerator]],
    universe: Universe,
    covered: Mapping[str, Coverage],
) -> BaseBacktestEngine:
    item = component.item
    _known(component, "signal", "signal", [item.signal], signals)
    _known(component, "universe", "symbol", item.universe, universe.symbols)
    _known(component, "timeframe", "timeframe", [item.timeframe], universe.timeframes)
    traded = covered[item.signal]
    _known(component, "universe", "symbol of its signal", item.universe, traded.symbols)
    _known(component, "timeframe", "timeframe of its signal", [item.timeframe], traded.timeframes)
    engine = _told(component, "engine", lambda: registry.engines.get(item.engine))
    params = {
        "capital": item.capital,
        "commission": item.commission,
        "slippage": item.slippage,
        **item.engine_params,
    }
    return _told(component, "engine_params", lambda: engine(**params))
