"""Feature quality in the graph: what is published, what recomputes it, its checks, its errors."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from hf_assets.quality import Rated, coverage_result, luck_result, stability_result
from hf_plugins.errors import ConfigurationError
from tests.graph.lab import Lab, bars

KEY, PARTITION = "quality/daily", "AAA|1d"
YAML = """
type: hf_assets.Feature
attributes: {name: rsi_14, plugin: technical.rsi, params: {length: 14}}
---
type: hf_assets.Feature
attributes: {name: atr_14, plugin: technical.atr, params: {length: 14}}
---
type: hf_assets.FeatureQuality
attributes:
  name: daily
  features: [rsi_14, atr_14]
  shuffles: 3
  period: quarter
  honest: {replicates: 100, min_rows: 200}
  seed: {min_rows: 100}
  folds: {count: 2}
"""


@pytest.fixture
def quality_lab(make_lab: Callable[..., Lab]) -> Lab:
    lab = make_lab(symbols=("AAA",), yaml_text=YAML, rows=900)
    lab.run()
    return lab


def test_what_is_published(quality_lab: Lab) -> None:
    head = quality_lab.head(KEY, PARTITION)
    store = quality_lab.store
    table = pd.read_parquet(io.BytesIO(store.attachment(head, "features.parquet")))
    assert table.index.tolist() == ["rsi_14", "atr_14"]
    assert table.loc["rsi_14", "rows"] == 885  # 900 less the look-back and the last target
    frame = quality_lab.store.read(quality_lab.head("features/rsi_14", PARTITION), ["rsi_14"])
    close = store.read(quality_lab.head("market_data/enriched", PARTITION), ["close"])["close"]
    assert table.loc["rsi_14", "auc"] == pytest.approx(
        by_pairs(frame["rsi_14"].to_numpy(), close.to_numpy()), abs=1e-12
    )
    assert store.attachment(head, "stability.svg").startswith(b"<svg")
    page = store.attachment(head, "report.md").decode()
    assert "This is what luck looks like: on 3 shuffled targets" in page
    assert "| as given | seed |" in page
    assert "| shuffled target | honest |" in page
    assert head.summary["features_tested"] == 2
    assert head.summary["kept"] == []  # of a random walk


def by_pairs(x: np.ndarray, close: np.ndarray) -> float:
    """The AUC by its definition: pairs of a rise and a fall in which the rise has more."""
    up = np.append(close[1:] > close[:-1], False)
    known = np.append(~np.isnan(x[:-1]), False)
    rises, falls = x[known & up][:, None], x[known & ~up][None, :]
    return float(np.mean((rises > falls) + 0.5 * (rises == falls)))


@pytest.mark.slow
def test_what_recomputes_it(quality_lab: Lab) -> None:
    lab = quality_lab
    first = lab.head(KEY, PARTITION)
    assert lab.run([KEY])[KEY, PARTITION].cache == "hit"
    lab.edit_yaml("period: quarter", "period: quarter\n  max_null_share: 0.5")
    assert lab.run([KEY])[KEY, PARTITION].cache == "hit"  # a threshold of a check
    lab.edit_yaml("period: quarter", "period: year")
    event = lab.run([KEY])[KEY, PARTITION]
    assert (event.cache, "quarter" in event.reason) == ("miss", True)
    lab.edit_yaml("period: year", "period: quarter")
    event = lab.run([KEY])[KEY, PARTITION]
    assert (event.cache, event.version) == ("hit", first.version_hash)
    lab.write_bars("AAA", "1d", bars(901, seed=0))
    event = lab.run()[KEY, PARTITION]
    assert event.cache == "miss"
    forced = lab.run([KEY], force=True)[KEY, PARTITION]
    assert forced.metadata["generation"] == 1
    tables = [
        lab.store.attachment(dataset, "features.parquet")
        for dataset in lab.store.history(lab.head(KEY, PARTITION).ref)[:2]
    ]
    assert tables[0] == tables[1]


def test_it_covers_what_all_of_its_features_cover(make_lab: Callable[..., Lab]) -> None:
    old = "plugin: technical.atr, params: {length: 14}"
    lab = make_lab(
        symbols=("AAA", "BBB"),
        yaml_text=YAML.replace(old, f"{old}, symbols: [BBB]"),
        rows=900,
    )
    assert [partition for asset, partition in lab.run() if asset == KEY] == ["BBB|1d"]


def evaluations(lab: Lab) -> dict[str, Any]:
    job = lab.definitions().resolve_job_def("feature_quality_checks")
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    result = job.execute_in_process(instance=lab.instance, run_config=quiet)
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def test_checks_of_a_random_walk(quality_lab: Lab) -> None:
    found = evaluations(quality_lab)
    assert {name: each.passed for name, each in found.items()} == {
        "luck": True,
        "coverage": True,
        "stability": True,
    }
    quality_lab.edit_yaml("period: quarter", "period: quarter\n  policy: seed")
    quality_lab.run([KEY])
    luck = evaluations(quality_lab)["luck"]
    finds = quality_lab.head(KEY, PARTITION).summary["seed_noise_with_finds"]
    assert finds > 0
    assert not luck.passed
    assert luck.metadata["findings"].value == 1


def test_before_anything_is_rated(make_lab: Callable[..., Lab]) -> None:
    found = evaluations(make_lab(symbols=("AAA",), yaml_text=YAML, rows=900))
    assert {each.description for each in found.values()} == {"nothing is rated yet"}


def stored(features: dict[str, dict[str, float]], policy: str = "honest", finds: int = 0) -> Rated:
    """A partition with 20 shuffled targets; features by name, what differs from a good one."""
    good = {"null_share": 0.0, "top_share": 0.1, "adjusted_heterogeneity_p": 1.0}
    good |= {"auc": 0.52, "periods": 12, "same_side": 0.75}
    summary = {
        "policy": policy,
        "shuffles": 20,
        "false_discovery_rate": 0.1 if policy == "honest" else None,
        "heterogeneity_rate": 0.1,
        "kept": ["kept"],
        f"{policy}_noise_with_finds": finds,
        f"{policy}_kept_on_noise": finds / 20,
    }
    rows = [{"feature": name, **good, **changed} for name, changed in features.items()]
    return Rated(PARTITION, summary, rows)


@pytest.mark.parametrize(
    ("policy", "finds", "passed"),
    [
        ("honest", 0, True),
        ("honest", 6, True),  # P(X >= 6) of Binomial(20, 0.1) is 0.011
        ("honest", 7, False),  # P(X >= 7) is 0.002
        ("seed", 0, True),
        ("seed", 1, False),  # it states no rate
    ],
)
def test_luck_is_judged_by_the_stated_rate(policy: str, finds: int, passed: bool) -> None:
    assert luck_result([stored({}, policy, finds)]).passed is passed


def test_nulls_and_constants_are_named() -> None:
    def check(**features: dict[str, float]) -> dg.AssetCheckResult:
        return coverage_result([stored(features)], max_null_share=0.05, max_top_share=0.99)

    assert check(a={}, b={"null_share": 0.05, "top_share": 0.99}).passed
    sparse = check(a={}, b={"null_share": 0.06}, c={"top_share": 0.995})
    assert not sparse.passed
    assert sparse.severity is dg.AssetCheckSeverity.WARN
    assert "2 features are null" in (sparse.description or "")
    for dead in ({"top_share": 1.0}, {"null_share": 1.0, "top_share": float("nan")}):
        result = check(a={}, b=dead)
        assert not result.passed
        assert result.severity is dg.AssetCheckSeverity.ERROR
        assert "1 of them say nothing at all" in (result.description or "")


def test_instability_counts_where_a_feature_is_kept() -> None:
    unsteady = {"adjusted_heterogeneity_p": 0.01}
    assert stability_result([stored({"kept": {}, "other": {}})]).passed
    other = stability_result([stored({"kept": {}, "other": unsteady})])
    assert other.passed
    assert "so do 1 others" in (other.description or "")
    kept = stability_result([stored({"kept": unsteady, "other": {}})])
    assert not kept.passed
    assert kept.severity is dg.AssetCheckSeverity.WARN


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            "[rsi_14, atr_14]\n",
            "[rsi_14, atr_15]\n",
            r"field 'features': unknown feature 'atr_15'; allowed: .*\. Did you mean 'atr_14'\?",
        ),
        (
            "{replicates: 100,",
            "{replicate: 100,",
            r"field 'honest': honest: unknown parameter 'replicate'; .* mean 'replicates'\?",
        ),
        ("count: 2", "count: 0", r"field 'folds': folds: parameter 'count' is 0: .*default: 5"),
        ("period: quarter", "period: fortnight", r"attribute 'period' is 'fortnight'"),
        ("shuffles: 3", "policy: honst", r"attribute 'policy' is 'honst'.*Did you mean 'honest'"),
        (
            "plugin: technical.atr, params: {length: 14}",
            "plugin: technical.rsi, params: {length: 14}",
            r"'rsi_14' and 'atr_14' both yield column 'rsi_14'; drop one",
        ),
    ],
)
def test_mistakes_in_the_document(
    make_lab: Callable[..., Lab], old: str, new: str, sentence: str
) -> None:
    assert old in YAML
    lab = make_lab(symbols=("AAA",), yaml_text=YAML.replace(old, new), rows=10)
    with pytest.raises(ConfigurationError, match=sentence) as error:
        lab.definitions()
    assert "defs/all/defs.yaml:" in str(error.value)


def test_too_few_bars_fail_with_a_sentence(make_lab: Callable[..., Lab]) -> None:
    lab = make_lab(symbols=("AAA",), yaml_text=YAML, rows=3)
    with pytest.raises(Exception, match=r"quality/daily .*rows are too few for 2 test blocks"):
        lab.run()
