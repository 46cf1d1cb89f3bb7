"""Registries: what may be registered, how it is found, and what the errors say."""

from __future__ import annotations

import importlib
import sys

import pytest

from hf_plugins.base import BaseFeature, Memory
from hf_plugins.errors import ConfigurationError, UnknownPluginError
from hf_plugins.registry import ALL, PluginRegistry, features


class Nothing(BaseFeature):
    """A feature that is only ever registered."""

    @property
    def outputs(self):
        return ("nothing",)

    @property
    def memory(self):
        return Memory.finite(1)

    def compute(self, data):
        return data


@pytest.fixture
def registry():
    return PluginRegistry("feature", BaseFeature, "hf_plugins.features")


def subclass() -> type[BaseFeature]:
    return type("Sub", (Nothing,), {})


def test_register_sets_the_key_and_returns_the_class(registry):
    cls = subclass()
    assert registry.register("vendor.category.name")(cls) is cls
    assert cls.key == "vendor.category.name"


def test_a_duplicate_key_names_both_classes(registry):
    registry.register("vendor.name")(subclass())
    with pytest.raises(ValueError, match=r"'vendor.name' is registered twice: by .*Sub and by .*"):
        registry.register("vendor.name")(subclass())


@pytest.mark.parametrize("wrong", [int, object, lambda: None, "text"])
def test_a_wrong_base_is_a_type_error(registry, wrong):
    with pytest.raises(TypeError, match=r"'vendor.name' must be a subclass of BaseFeature"):
        registry.register("vendor.name")(wrong)


@pytest.mark.parametrize("key", ["", "RSI", "a..b", ".a", "a.", "a b", "1a", "a/b", "a.1", "ä"])
def test_a_malformed_key(registry, key):
    with pytest.raises(ValueError, match="must be lower-case words joined by dots"):
        registry.register(key)(subclass())


def test_an_unknown_key_names_the_nearest():
    with pytest.raises(UnknownPluginError) as caught:
        features.get("technical.rsj")
    assert "unknown feature plugin 'technical.rsj'" in str(caught.value)
    assert "technical.atr" in str(caught.value)
    assert f"allowed: {len(features.keys())} names" in str(caught.value)
    assert str(caught.value).endswith("Did you mean 'technical.rsi'?")


def test_modules_are_discovered():
    expected = {
        "feature": {"technical.rsi", "technical.atr", "statistical.momentum"},
        "scorer": {"text.lexicon", "text.finbert"},
        "model": {"ml.random_forest", "ml.lightgbm"},
        "signal": {"signal.threshold"},
        "engine": {"core"},
    }
    for each in ALL:
        assert expected[each.kind] <= set(each.keys())
        assert each.keys() == sorted(each.keys())


def test_create_checks_parameters():
    assert features.create("technical.rsi", length=5).parameters() == {"length": 5}
    with pytest.raises(ConfigurationError, match=r"technical.rsi: unknown parameter 'window'"):
        features.create("technical.rsi", window=5)


THIRD_PARTY = """
from hf_plugins.base import BaseFeature, Memory
from hf_plugins.registry import features


@features.register("acme.range.high_low")
class HighLow(BaseFeature):
    '''High minus low.'''

    @property
    def reads(self):
        return ("high", "low")

    @property
    def outputs(self):
        return ("high_low",)

    @property
    def memory(self):
        return Memory.finite(1)

    def compute(self, data):
        return (data["high"] - data["low"]).to_frame("high_low")
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a distribution with an entry point; returns the registry, not yet discovered."""

    def installed(source: str) -> PluginRegistry[BaseFeature]:
        (tmp_path / "acme_features.py").write_text(source)
        info = tmp_path / "acme_features-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-features\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[hf_plugins.features]\nacme = acme_features\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(features, "_plugins", dict(features._plugins))
        monkeypatch.setattr(features, "_discovered", False)
        importlib.invalidate_caches()
        return features

    yield installed
    sys.modules.pop("acme_features", None)


def test_a_third_party_plugin_is_found_and_verified(install):
    features.discover()
    registry = install(THIRD_PARTY)
    assert "acme.range.high_low" in registry.keys()  # noqa: SIM118

    from hf_plugins.testing import verify_plugin

    report = verify_plugin("feature", "acme.range.high_low")
    assert report.ok, str(report)


def test_a_third_party_plugin_that_cannot_be_imported_is_named(install):
    features.discover()
    registry = install("import a_library_that_is_not_there\n")
    with pytest.raises(ConfigurationError) as caught:
        registry.keys()
    assert "entry point 'acme' (acme_features)" in str(caught.value)
    with pytest.raises(ConfigurationError, match="a_library_that_is_not_there"):
        registry.keys()  # a second look does not take a part for the whole
    assert "a_library_that_is_not_there" in str(caught.value)


def test_a_third_party_plugin_cannot_take_a_key_of_ours(install):
    features.discover()
    registry = install(THIRD_PARTY.replace("acme.range.high_low", "technical.rsi"))
    with pytest.raises(ValueError, match=r"'technical.rsi' is registered twice: by hf_plugins"):
        registry.keys()
