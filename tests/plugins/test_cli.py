"""``hf plugins list`` and ``hf plugins verify``."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hf_assets.cli.plugins import plugins
from hf_plugins.base import BaseFeature, Memory
from hf_plugins.registry import ALL, features


@pytest.fixture
def invoke():
    def run(*arguments: str):
        return CliRunner(env={"COLUMNS": "200"}).invoke(plugins, arguments)

    return run


@pytest.fixture
def faulty(monkeypatch):
    """A plugin that looks ahead, registered for the time of the test."""
    features.discover()
    monkeypatch.setattr(features, "_plugins", dict(features._plugins))

    @features.register("acme.tomorrow")
    class Tomorrow(BaseFeature):
        """Tomorrow's close."""

        @property
        def reads(self):
            return ("close",)

        @property
        def outputs(self):
            return ("tomorrow",)

        @property
        def memory(self):
            return Memory.finite(1)

        def compute(self, data):
            return data["close"].shift(-1).to_frame("tomorrow")


def test_the_list_shows_every_plugin_with_its_defaults(invoke):
    result = invoke("list")
    assert result.exit_code == 0, result.output
    for registry in ALL:
        for key in registry.keys():  # noqa: SIM118
            assert key in result.output
    assert "length=14" in result.output
    assert "rsi_14" in result.output
    assert "21 bars" in result.output
    assert "Relative strength index of the close" in result.output


def test_the_list_of_a_family_and_of_a_key(invoke):
    result = invoke("list", "news", "technical.rsi")
    keys = [line.split()[0] for line in result.output.splitlines() if line[:1] not in " "]
    assert keys == [
        "news.finbert_sentiment",
        "news.sentiment",
        "news.sentiment_divergence",
        "news.sentiment_momentum",
        "technical.rsi",
        "5",
    ]
    assert "length=14  [int, >= 2 and <= 10000]  Bars of the smoothing." in result.output


def test_the_list_keeps_to_the_width_of_the_terminal(invoke):
    result = CliRunner(env={"COLUMNS": "60"}).invoke(plugins, ["list", "technical"])
    assert max(map(len, result.output.splitlines())) <= 60


def test_an_unknown_name_is_told_with_the_nearest_of_many(invoke):
    result = invoke("list", "tecnical.rsi")
    assert result.exit_code == 1
    assert "Did you mean 'technical.rsi'?" in result.output
    assert "names, of which the nearest are technical.rsi" in result.output
    assert len(result.output) < 500


def test_the_list_of_one_kind(invoke):
    result = invoke("list", "--kind", "feature")
    assert "technical.rsi" in result.output
    assert "ml.lightgbm" not in result.output


def test_the_list_as_json(invoke):
    rows = json.loads(invoke("list", "--json").output)
    momentum = next(row for row in rows if row["key"] == "statistical.momentum")
    assert momentum["kind"] == "feature"
    assert momentum["outputs"] == ["momentum_20"]
    assert momentum["memory"] == {"kind": "finite", "lookback": 21}
    assert momentum["parameters"][0]["name"] == "window"
    assert momentum["description"] == "Return of the close over a number of bars."


@pytest.mark.slow  # one by one, the plugins are verified in test_contract
def test_verify_all_passes(invoke):
    result = invoke("verify")
    assert result.exit_code == 0, result.output
    assert "ok   feature technical.rsi: 11 of 11 checks" in result.output
    assert "every plugin keeps the contract" in result.output


def test_verify_one_with_its_checks(invoke):
    result = invoke("verify", "technical.rsi", "--verbose")
    assert result.exit_code == 0, result.output
    assert "ok   causality" in result.output
    assert "technical.atr" not in result.output
    assert result.output.count("no look-ahead found") == 3
    assert "sample 'sessions'" in result.output


def test_verify_says_what_it_did_not_verify(invoke):
    result = invoke("verify", "text.lexicon", "text.finbert")
    assert "ok   scorer text.lexicon: 10 of 10 checks" in result.output
    assert "not verified: what it scores, which takes ProsusAI/finbert" in result.output


@pytest.mark.usefixtures("faulty")
def test_verify_fails_with_the_reason(invoke):
    result = invoke("verify", "acme.tomorrow", "technical.rsi")
    assert result.exit_code == 1
    assert "FAIL feature acme.tomorrow" in result.output
    assert "FAIL causality: looks into the future: tomorrow at row 0" in result.output
    assert "causality certified on 0 of 3 samples" in result.output
    assert "looks into the future: 'tomorrow' at 20" in result.output
    assert "ok   feature technical.rsi: 11 of 11 checks, causality certified on 3 of 3" in (
        result.output
    )
    assert "1 of 2 plugins break the contract" in result.output


def test_verify_an_unknown_key(invoke):
    result = invoke("verify", "technical.rsj")
    assert result.exit_code == 1
    assert "unknown plugin 'technical.rsj'" in result.output
    assert "Did you mean 'technical.rsi'?" in result.output
