"""The report with both policies, stability over time, and its picture."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.feature_quality.inputs import joined
from hf_plugins.feature_quality.pages import luck_sentence, quality_page
from hf_plugins.feature_quality.plots import stability_heat_map
from hf_plugins.feature_quality.policies import FoldParams, HonestPolicy
from hf_plugins.feature_quality.report import QualityParams, QualityReport, quality_report
from hf_plugins.feature_quality.stability import auc_by_period, calendar_periods, equal_slices
from tests.plugins.feature_quality.worlds import world

PARAMS = QualityParams(
    honest_policy=HonestPolicy(replicates=200),
    folds=FoldParams(count=2, first_train_share=0.6),
    shuffles=4,
    period="day",
)


@pytest.fixture(scope="module")
def data() -> tuple[pd.DataFrame, pd.Series]:
    features, target = world(12_000, 30, planted={0: 0.15, 1: -0.15}, seed=2)
    target.iloc[-1] = np.nan
    return features, target


@pytest.fixture
def features(data: tuple[pd.DataFrame, pd.Series]) -> pd.DataFrame:
    return data[0]


@pytest.fixture
def target(data: tuple[pd.DataFrame, pd.Series]) -> pd.Series:
    return data[1]


@pytest.fixture(scope="module")
def report(data: tuple[pd.DataFrame, pd.Series]) -> QualityReport:
    features, target = data
    families = {name: "planted" if i < 2 else "noise" for i, name in enumerate(features)}
    return quality_report(features, target, families=families, params=PARAMS, seed=11)


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


def test_families_are_worth_what_their_features_are_together(report: QualityReport) -> None:
    table = report.families
    assert table["features"].to_dict() == {"planted": 2, "noise": 28}
    assert table["honest_kept"].to_dict() == {"planted": 2, "noise": 0}
    planted, noise = (table.loc[name] for name in ("planted", "noise"))
    # Two independent features of one strength together say more than one of them.
    assert planted["out_of_fold_auc"] > report.features["out_of_fold_auc"].iloc[:2].max() + 0.02
    assert planted["low"] > 0.55
    assert planted["p_value"] < 1e-6
    assert noise["low"] < 0.5 < noise["high"]


def test_features_that_share_no_rows_still_make_a_family(
    features: pd.DataFrame, target: pd.Series
) -> None:
    halves = features.iloc[:, :4].copy()
    odd = np.arange(len(halves)) % 2 == 1
    halves.loc[odd, "x000"] = np.nan
    halves.loc[~odd, "x001"] = np.nan
    families = {name: "noise" if i > 1 else "apart" for i, name in enumerate(halves.columns)}
    found = quality_report(halves, target, families=families, params=PARAMS, seed=1)
    # Each speaks for its half of the rows, and there it is worth what it is worth alone.
    apart, alone = found.families.loc["apart", "out_of_fold_auc"], found.features["out_of_fold_auc"]
    assert apart == pytest.approx(alone.to_numpy()[:2].mean(), abs=0.01)
    with pytest.raises(ConfigurationError, match="no family is given for x002, x003"):
        quality_report(
            halves, target, families=dict.fromkeys(["x000", "x001"], "a"), params=PARAMS, seed=1
        )


def test_luck_is_drawn_several_times(report: QualityReport) -> None:
    luck = report.luck
    assert luck["policy"].tolist() == ["seed", "honest"] * 4
    seed = luck.loc[luck["policy"] == "seed", "kept"].to_numpy()
    first = report.policies.set_index(["data", "policy"]).loc[("shuffled target", "seed")]
    assert seed[0] == first["kept"]
    assert len(set(seed)) > 1
    assert luck.loc[luck["policy"] == "honest", "kept"].sum() == 0


def test_nulls_and_constants_are_measured(features: pd.DataFrame, target: pd.Series) -> None:
    some = features.iloc[:, :4].copy()
    some.iloc[:1200, 0] = np.nan  # before its first value
    some.iloc[-600:, 1] = np.nan
    some["x002"] = np.where(np.arange(len(some)) < 9000, 1.0, 2.0)
    some["x003"] = np.nan
    table = quality_report(some, target, params=PARAMS, seed=1).features
    assert table["null_share"].tolist() == [0.0, 0.05, 0.0, 1.0]
    assert table["top_share"].tolist()[2] == 0.75
    assert np.isnan(table["top_share"].tolist()[3])
    assert table["rows"].tolist() == [10_799, 11_400, 11_999, 0]


def test_a_page_says_what_the_report_says(report: QualityReport) -> None:
    page = quality_page("Some <features>", report, chosen="honest", false_discovery_rate=0.1)
    assert luck_sentence(report, 0.1) in page
    mean = report.luck.loc[report.luck["policy"] == "seed", "kept"].mean()
    assert f"is to be found, the seed policy kept {mean:.1f} of 30 features" in page
    assert (
        "the honest policy kept something on 0, with a stated false discovery rate of 0.1" in page
    )
    assert "**honest** (2): `x000`, `x001`" in page
    row = report.features.loc["x001"]
    assert f"| `x001` | 11,999 | {row['auc']:.4f} ({row['low']:.4f} to {row['high']:.4f}) |" in page
    assert page.count("\n| `x") == 30
    assert "| planted | 2 | 2 | 2 |" in page
    assert "nan" not in page


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
    idle = auc_by_period(features * 0.0, target, equal_slices(features.index, 8)).summary()
    assert np.isnan(idle["same_side"].to_numpy()).all()  # 0.5 is no side
    assert float(summary["heterogeneity_p"].to_numpy()[1]) < 1e-9
    assert float(summary["heterogeneity_p"].to_numpy()[[0, 2]].min()) > 1e-3
    noise = summary.loc["x002"]
    assert noise["deviation"] == pytest.approx(noise["chance_deviation"], rel=0.6)


def test_the_report_has_the_stability(report: QualityReport, features: pd.DataFrame) -> None:
    assert list(report.stability.auc.columns) == [f"2024-01-0{day}" for day in range(1, 10)]
    summary = report.stability.summary()
    np.testing.assert_array_equal(report.features["same_side"], summary["same_side"])
    p, adjusted = (
        report.features[f"{kind}heterogeneity_p"].to_numpy() for kind in ("", "adjusted_")
    )
    assert np.all(adjusted >= p)
    assert np.min(adjusted) > 0.01  # every feature says the same on all days


def test_features_must_be_indexed_by_time(features: pd.DataFrame, target: pd.Series) -> None:
    with pytest.raises(DataError, match="must be indexed by time"):
        quality_report(features.reset_index(drop=True), target.reset_index(drop=True), seed=0)


def test_features_of_several_origins_are_joined_on_common_rows() -> None:
    index = pd.date_range("2024-01-01", periods=6, freq="min", tz="UTC", name="timestamp")
    close = pd.Series([1.0, 2.0, 3.0, 2.5, 2.0, 4.0], index)
    one = pd.DataFrame({"a": np.arange(5.0)}, index[:5])
    two = pd.DataFrame({"b": [7.0, 8.0, 9.0]}, index[[0, 2, 4]])
    values, target, origins = joined({"one": one, "two": two}, close, horizon=1)
    assert values.to_dict("list") == {"a": [0.0, 2.0, 4.0], "b": [7.0, 8.0, 9.0]}
    # The next close is that of the next common row: 1 -> 3, 3 -> 2.
    np.testing.assert_array_equal(target, [1.0, 0.0, np.nan])
    assert origins == {"a": "one", "b": "two"}
    with pytest.raises(DataError, match="'one' and 'again' both have a column 'a'; drop one"):
        joined({"one": one, "again": one}, close, horizon=1)
    with pytest.raises(DataError, match="one, two and the bars have no row in common"):
        joined({"one": one.iloc[1:2], "two": two}, close, horizon=1)


def test_periods() -> None:
    index = pd.DatetimeIndex(["2024-01-31 23:30", "2024-02-01 00:30"], tz="Europe/Paris")
    assert calendar_periods(index).tolist() == ["2024-01", "2024-01"]  # UTC
    assert equal_slices(pd.RangeIndex(5), 2).tolist() == [1, 1, 1, 2, 2]
    with pytest.raises(ConfigurationError, match="the period is 'fortnight'; allowed: day"):
        calendar_periods(index, "fortnight")  # pyright: ignore[reportArgumentType]
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
