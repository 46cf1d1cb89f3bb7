"""The report with both policies, stability over time, and its picture."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.feature_quality.plots import stability_heat_map
from hf_plugins.feature_quality.policies import FoldParams, HonestPolicy
from hf_plugins.feature_quality.report import QualityParams, QualityReport, quality_report
from hf_plugins.feature_quality.stability import auc_by_period, calendar_periods, equal_slices
from tests.plugins.feature_quality.worlds import world

PARAMS = QualityParams(
    honest_policy=HonestPolicy(replicates=200), folds=FoldParams(count=2, first_train_share=0.6)
)


@pytest.fixture(scope="module")
def report() -> QualityReport:
    features, target = world(12_000, 30, planted={0: 0.15, 1: -0.15}, seed=2)
    target.iloc[-1] = np.nan
    return quality_report(features, target, params=PARAMS, seed=11)


def test_luck_is_visible_side_by_side(report: QualityReport) -> None:
    policies = report.policies.set_index(["data", "policy"])
    assert report.honest_kept == ("x000", "x001")
    assert {"x000", "x001"} < set(report.seed_kept)
    assert set(policies["tests"]) == {30}
    assert policies.loc[("shuffled target", "honest"), "kept"] == 0
    assert policies.loc[("shuffled target", "seed"), "kept"] > 5
    # What the bands keep on a shuffled target is worth nothing.
    luck = policies.loc[("shuffled target", "seed")]
    assert luck["low"] < 0.5 < luck["high"]
    real = policies.loc[("as given", "honest")]
    assert real["low"] > 0.53
    assert np.isnan(policies.loc[("shuffled target", "honest"), "out_of_fold_auc"])


def test_one_row_per_feature(report: QualityReport) -> None:
    table = report.features
    assert list(table.index) == [f"x{i:03d}" for i in range(30)]
    assert table.loc["x001", ["honest_inverted", "seed_inverted"]].all()
    assert table.loc["x001", "auc"] < 0.45 < 0.55 < table.loc["x001", "out_of_fold_auc"]
    low, auc, high = (table[name].to_numpy() for name in ("low", "auc", "high"))
    assert np.all((low <= auc) & (auc <= high))
    np.testing.assert_array_equal(table["validation_flipped_auc"], 1 - table["validation_auc"])
    expected = np.sqrt((1 / 1200 + 1 / 1200) / 12)
    np.testing.assert_allclose(table["validation_null_standard_error"], expected, rtol=0.01)
    assert table["honest_folds_kept"].iloc[:2].tolist() == [2, 2]
    # Of features that say nothing the sign learned before is a coin toss afterwards.
    assert abs(table["out_of_fold_auc"].iloc[2:].mean() - 0.5) < 0.006


def test_by_family(report: QualityReport) -> None:
    families = {
        name: "planted" if i < 2 else "noise" for i, name in enumerate(report.features.index)
    }
    table = report.by_family(families)
    assert table["features"].to_dict() == {"planted": 2, "noise": 28}
    assert table["honest_kept"].to_dict() == {"planted": 2, "noise": 0}
    with pytest.raises(ConfigurationError, match="no family is given for x000, x001"):
        report.by_family(dict.fromkeys(list(families)[2:], "noise"))


def test_the_report_is_deterministic() -> None:
    features, target = world(6000, 5, planted={0: 0.1}, seed=5)
    first, again = (quality_report(features, target, params=PARAMS, seed=3) for _ in range(2))
    pd.testing.assert_frame_equal(first.features, again.features)
    pd.testing.assert_frame_equal(first.policies, again.policies)
    other = quality_report(features, target, params=PARAMS, seed=4)
    assert not first.features["standard_error"].equals(other.features["standard_error"])


def test_stability_tells_a_feature_that_turns_round() -> None:
    features, target = world(8000, 3, phi=0.0, seed=6)
    lean = 0.3 * (2 * target - 1)
    features["x000"] += lean
    features["x001"] += lean * np.where(np.arange(8000) < 4000, 1, -1)
    stability = auc_by_period(features, target, equal_slices(features.index, 8))
    assert stability.auc.shape == (3, 8)
    summary = stability.summary()
    assert summary.loc["x000", "same_side"] == 1.0
    assert float(summary["heterogeneity_p"].to_numpy()[1]) < 1e-9
    assert float(summary["heterogeneity_p"].to_numpy()[[0, 2]].min()) > 1e-3
    noise = summary.loc["x002"]
    assert noise["deviation"] == pytest.approx(noise["chance_deviation"], rel=0.6)


def test_periods() -> None:
    index = pd.DatetimeIndex(["2024-01-31 23:30", "2024-02-01 00:30"], tz="Europe/Paris")
    assert calendar_periods(index).tolist() == ["2024-01", "2024-01"]  # UTC
    assert equal_slices(pd.RangeIndex(5), 2).tolist() == [1, 1, 1, 2, 2]
    with pytest.raises(ConfigurationError, match="the period is 'fortnight'; allowed: day"):
        calendar_periods(index, "fortnight")
    features, target = world(300, 1)
    with pytest.raises(DataError, match="the periods and the features"):
        auc_by_period(features, target, equal_slices(features.index[1:], 2))
    few = auc_by_period(features, target, equal_slices(features.index, 4), min_rows=100)
    assert few.auc.isna().all(axis=None)


def test_heat_map_shows_every_value() -> None:
    table = pd.DataFrame({"2024-01": [0.5, 0.53], "<b>": [0.485, np.nan]}, index=["rsi & co", "b"])
    svg = stability_heat_map(table)
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    cells = root.findall(f"{space}rect")
    assert [cell.attrib["fill"] for cell in cells] == ["#ffffff", "#7f7fff", "#ff0000", "#dddddd"]
    titles = [cell.findtext(f"{space}title") for cell in cells]
    assert titles[1] == "rsi & co, <b>: 0.4850"
    assert titles[3] == "b, <b>: no value"
    assert stability_heat_map(table) == svg
