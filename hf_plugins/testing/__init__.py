"""The contract suite: what every plugin promises, checked on every plugin.

It runs on the platform's own plugins and on those of third parties alike:

    from hf_plugins.testing import verify_plugin

    report = verify_plugin("feature", "technical.rsi", length=21)
    assert report.ok, str(report)

or, check by check, on a class that is not registered:

    @pytest.mark.parametrize("check", contract_checks(MyFeature), ids=lambda check: check.name)
    def test_contract(check):
        assert check.passed, check.detail

Features are searched for look-ahead more thoroughly, and with all that they declare beside their
bars, by :func:`full_certificates`.

The checks need no test framework. A check that fails says in plain words at which row and timestamp
which values differ. What passes is not thereby right: formulas are tested with their own oracles.
"""

from __future__ import annotations

from typing import Any

from hf_plugins import registry
from hf_plugins.base import (
    BaseBacktestEngine,
    BaseFeature,
    BaseModel,
    BaseScorer,
    BaseSignalGenerator,
    Plugin,
)
from hf_plugins.errors import ConfigurationError, unknown
from hf_plugins.testing._engines import EngineCase, engine_checks
from hf_plugins.testing._features import FeatureCase, feature_checks
from hf_plugins.testing._models import ModelCase, model_checks
from hf_plugins.testing._report import Check, ContractReport
from hf_plugins.testing._samples import SampleKind, sample_bars
from hf_plugins.testing._scorers import ScorerCase, scorer_checks, unverified
from hf_plugins.testing._signals import SignalCase, signal_checks
from hf_plugins.testing._worlds import WorldKind, full_certificates, sample_inputs

__all__ = [
    "Check",
    "ContractReport",
    "SampleKind",
    "WorldKind",
    "contract_checks",
    "full_certificates",
    "sample_bars",
    "sample_inputs",
    "verify_plugin",
]


def verify_plugin(kind: str, key: str, /, **params: Any) -> ContractReport:
    """Run the contract suite on a registered plugin.

    Args:
        kind: feature, scorer, model, signal or engine.
        key: the plugin's key.
        **params: its parameters; defaults otherwise.

    Raises:
        ConfigurationError: there is no such kind or plugin, or its parameters are wrong.
    """
    registries = {each.kind: each for each in registry.ALL}
    if kind not in registries:
        raise ConfigurationError(unknown("kind of plugin", kind, registries))
    plugin = registries[kind].get(key)
    instance = plugin(**params)
    checks = tuple(contract_checks(plugin, **params))
    note = unverified(instance) if isinstance(instance, BaseScorer) else ""
    return ContractReport(kind, key, instance.parameters(), checks, note)


def contract_checks(plugin: type[Plugin], /, **params: Any) -> list[Check]:
    """Run the contract suite on a plugin class, registered or not."""
    plugin(**params)  # wrong parameters are the caller's mistake, not a finding
    if issubclass(plugin, BaseFeature):
        return feature_checks(FeatureCase(plugin, params))
    if issubclass(plugin, BaseScorer):
        return scorer_checks(ScorerCase(plugin, params))
    if issubclass(plugin, BaseModel):
        return model_checks(ModelCase(plugin, params))
    if issubclass(plugin, BaseSignalGenerator):
        return signal_checks(SignalCase(plugin, params))
    if issubclass(plugin, BaseBacktestEngine):
        return engine_checks(EngineCase(plugin, params))
    raise ConfigurationError(
        f"{plugin.__name__} is no plugin: it derives from none of BaseFeature, BaseScorer, "
        "BaseModel, BaseSignalGenerator, BaseBacktestEngine"
    )
