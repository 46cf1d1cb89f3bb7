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
    Signal,
    Strategy,
)
from hf_assets.coverage import Coverage
from hf_assets.items import DEFAULT_SOURCE
from hf_assets.location import UNIVERSE_FILE
from hf_plugins import registry
from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.base import BaseBacktestEngine, BaseFeature, BaseSignalGenerator, Params, Plugin
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.feature_quality.policies import FoldParams, HonestPolicy, SeedPolicy
from hf_plugins.feature_quality.report import QualityParams
from hf_plugins.params import parse_params
from hf_plugins.registry import PluginRegistry
from hf_plugins.validation.labels import LABELS
from hf_plugins.validation.walk_forward import WalkForwardParams
from hf_resources.instruments import Universe, load_universe
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
    features = {
        name: (component, _plugin(component, registry.features, component.item.params))
        for name, component in _by_name(tree, Feature).items()
    }
    for name in features:
        _check_feature(name, features, universe)
    features = {name: features[name] for name in _parents_first(features)}
    for name, (component, _) in features.items():
        _not_empty(component, "symbols", coverage.of_features(universe, features, [name]))
    models = {
        name: (component, _model_scheme(component, features, universe))
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
            universe, features, models[component.item.model][0].item.features
        )
        for name, (component, _) in signals.items()
    }
    strategies = {
        name: (component, _engine(component, signals, universe, covered))
        for name, component in _by_name(tree, Strategy).items()
    }
    quality = {
        name: (component, _quality_params(component, features, universe))
        for name, component in _by_name(tree, FeatureQuality).items()
    }
    sources = _by_symbol(universe, {name: _source(each) for name, each in market_data.items()})
    policies = _by_symbol(universe, {name: _policy(each) for name, each in market_data.items()})
    return Project(
        universe, market_data, sources, policies, features, models, signals, strategies, quality
    )


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
    name: str, features: Mapping[str, tuple[Feature, BaseFeature]], universe: Universe
) -> None:
    """Whatever a feature reads beside its own bars is there, and has the columns."""
    component, plugin = features[name]
    _known(component, "symbols", "symbol", component.item.symbols or [], universe.symbols)
    _known(
        component, "timeframes", "timeframe", component.item.timeframes or [], universe.timeframes
    )
    for side in plugin.sides:
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
            "covers no symbol and timeframe: the features that it reads have none in common"
        )


def _model_scheme(
    component: Model, features: Mapping[str, tuple[Feature, BaseFeature]], universe: Universe
) -> WalkForwardParams:
    item = component.item
    _plugin(component, registry.models, item.params)
    _known(component, "features", "feature", item.features, features)
    _not_empty(component, "features", coverage.of_features(universe, features, item.features))
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
    universe: Universe,
) -> QualityParams:
    item = component.item
    _known(component, "features", "feature", item.features, features)
    _not_empty(component, "features", coverage.of_features(universe, features, item.features))
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
