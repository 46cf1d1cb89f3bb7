"""Features of tsfresh: the library's own numbers, on a fixed schema, from windows alone."""

from __future__ import annotations

import inspect
import itertools
import re
import subprocess
import sys
import warnings
from importlib.metadata import version
from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError
from hf_plugins.features.automated import calculators, equivalents
from hf_plugins.features.automated.extraction import Tsfresh
from hf_plugins.registry import features
from hf_plugins.testing import sample_bars, verify_plugin
from hf_plugins.testing._samples import SampleKind
from hf_plugins.versioning import implementation_of

SKEWNESS = {"feature_set": "listed", "calculators": {"skewness": None}}


@pytest.fixture(scope="module")
def library():
    from tsfresh.feature_extraction import feature_calculators

    return feature_calculators


def create(**params) -> Tsfresh:
    plugin = features.create("automated.tsfresh", **params)
    assert isinstance(plugin, Tsfresh)
    return plugin


def closes(values, freq="1h", start="2024-01-01") -> pd.DataFrame:
    index = pd.date_range(start, periods=len(values), freq=freq, tz="UTC", name="timestamp")
    return pd.DataFrame({"close": np.asarray(values, dtype=float)}, index=index)


# ------------------------------------------------------------------------------------- the table


def test_the_table_is_the_librarys():
    from tsfresh.feature_extraction.settings import (
        ComprehensiveFCParameters,
        EfficientFCParameters,
        MinimalFCParameters,
    )

    offered = set(calculators.CALCULATORS)
    theirs = dict(ComprehensiveFCParameters())
    assert offered.isdisjoint(calculators.NOT_OFFERED)
    # Of the calculators that take an optional library there is only one.
    assert offered | set(calculators.NOT_OFFERED) == set(theirs) | {"matrix_profile"}
    assert set(calculators.SETS["comprehensive"]) == offered
    assert set(calculators.SETS["efficient"]) == offered & set(EfficientFCParameters())
    assert set(calculators.SETS["minimal"]) == offered & set(MinimalFCParameters())
    assert len(calculators.SETS["efficient"]) == len(calculators.SETS["fast"]) + 9
    for name, calculator in calculators.CALCULATORS.items():
        settings_of = [
            {**each, "autolag": "AIC"} if name == "augmented_dickey_fuller" else each
            for each in theirs[name] or [{}]
        ]
        assert list(calculator.settings) == settings_of, name
        for setting in calculator.settings:
            assert set(setting) == set(calculator.parameters)
            for parameter, value in setting.items():
                assert calculator.parameters[parameter].allows(value), (name, parameter, value)


def test_parameters_are_those_of_the_functions(library):
    for name, calculator in calculators.CALCULATORS.items():
        function = getattr(library, name)
        if function.fctype == "simple":
            assert set(inspect.signature(function).parameters) == {"x", *calculator.parameters}


@pytest.mark.parametrize("feature_set", calculators.SETS)
@pytest.mark.parametrize("window", [5, 20, 60, 250])
def test_columns_are_plain_distinct_names(feature_set, window):
    outputs = create(feature_set=feature_set, window=window).outputs
    assert len(set(outputs)) == len(outputs)
    assert all(re.fullmatch(r"[A-Za-z0-9_.\-+]+", name) for name in outputs)
    assert all(name.startswith(f"tsfresh_close_{window}__") for name in outputs)


def test_names_of_columns():
    listed = {
        "cwt_coefficients": [{"widths": [2, 5], "coeff": 0, "w": 5}],
        "large_standard_deviation": [{"r": 3 * 0.05}],
        "fft_coefficient": [{"attr": "abs", "coeff": 3}],
        "cid_ce": [{"normalize": True}],
        "mean": None,
    }
    plugin = create(feature_set="listed", calculators=listed, window=20, column="volume")
    assert plugin.outputs == (
        "tsfresh_volume_20__cwt_coefficients__coeff_0__w_5__widths_2_5",
        "tsfresh_volume_20__large_standard_deviation__r_0.15",
        "tsfresh_volume_20__fft_coefficient__attr_abs__coeff_3",
        "tsfresh_volume_20__cid_ce__normalize_True",
        "tsfresh_volume_20__mean",
    )
    assert plugin.reads == ("volume",)


def test_declarations_do_not_import_the_library():
    script = (
        "import sys\n"
        "from hf_plugins.registry import features\n"
        "len(features.create('automated.tsfresh', feature_set='comprehensive').outputs)\n"
        "print(sorted({'tsfresh', 'statsmodels', 'stumpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_two_keys_one_plugin():
    assert {"automated.tsfresh", "statistical.tsfresh"} <= set(features.keys())
    data = closes(sample_bars(n=60)["close"])
    one, other = create(), features.create("statistical.tsfresh")
    assert (one.key, other.key) == ("automated.tsfresh", "statistical.tsfresh")
    assert other.outputs == one.outputs
    pd.testing.assert_frame_equal(one.compute(data), other.compute(data), check_exact=True)


@pytest.mark.parametrize("key", ["automated.tsfresh", "statistical.tsfresh"])
def test_the_code_version_has_the_librarys(key):
    implementation = implementation_of(features.get(key))
    assert implementation.libraries["tsfresh"] == version("tsfresh")
    assert {
        "hf_plugins.features.automated.calculators",
        "hf_plugins.features.automated.equivalents",
    } <= set(implementation.modules)


# ------------------------------------------------------------------------------------ the numbers


def extracted(data: pd.DataFrame, window: int, **options) -> pd.DataFrame:
    """What the library makes of the same windows, a row each; infinities are null."""
    from tsfresh import extract_features

    parts = [
        data.iloc[start : start + window].rename(columns={"close": "value"}).assign(id=start)
        for start in range(len(data) - window + 1)
    ]
    long = pd.concat(parts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = extract_features(
            long, column_id="id", n_jobs=0, disable_progressbar=True, show_warnings=False, **options
        )
    return pd.DataFrame(found).astype(float).replace([np.inf, -np.inf], np.nan)


def their_name(calculator, setting) -> str:
    from tsfresh.utilities.string_manipulation import convert_to_output_format

    values = {
        name: tuple(value) if isinstance(value, list | tuple) else value
        for name, value in setting.items()
    }
    return "__".join(["value", calculator, *([convert_to_output_format(values)] * bool(values))])


def sample(kind: SampleKind | Literal["ties"], rows: int) -> pd.DataFrame:
    """Closes without nulls; ``ties``: of few distinct values, zero among them."""
    if kind == "ties":
        return closes(np.random.default_rng(5).integers(-1, 2, rows))
    return sample_bars(kind, rows).loc[:, ["close"]].ffill().bfill()


def compare_with_the_library(kind: SampleKind | Literal["ties"], window: int, windows: int) -> None:
    from tsfresh.feature_extraction.settings import ComprehensiveFCParameters

    data = sample(kind, window + windows - 1)
    plugin = create(feature_set="comprehensive", window=window)
    ours = plugin.compute(data).iloc[window - 1 :]
    theirs = extracted(data, window, default_fc_parameters=ComprehensiveFCParameters())
    columns = []
    for calculator, chosen in calculators.of_set("comprehensive", window):
        for setting in chosen:
            column, expected = plugin.outputs[len(columns)], their_name(calculator, setting)
            columns.append(expected)
            np.testing.assert_array_equal(ours[column], theirs[expected], err_msg=expected)
    # What has no column has no value, or the same one on every window of this length.
    without = theirs.drop(columns=columns)
    varied = without.max() > without.min()
    assert not varied.any(), list(without.columns[varied])
    constant = without.loc[:, without.notna().any()].iloc[0]
    assert {name.split("__")[1] for name in constant.index} <= {
        "length",
        "number_peaks",  # 0: so many rows on both sides of a peak are more than there are
        "time_reversal_asymmetry_statistic",
        "c3",
        "ar_coefficient",  # 0 for the last coefficient of a model that was not fitted
    }


@pytest.mark.parametrize(("kind", "window"), [("random_walk", 60), ("gaps", 20), ("ties", 33)])
def test_every_calculator_has_the_librarys_bits(kind, window):
    compare_with_the_library(kind, window, windows=3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random_walk", "flat", "gaps", "ties"])
@pytest.mark.parametrize("window", [8, 23, 50, 250])
def test_every_calculator_has_the_librarys_bits_on_more_windows(kind, window):
    compare_with_the_library(kind, window, windows=12)


def test_known_answers():
    listed = {
        "quantile": [{"q": 0.5}],
        "skewness": None,
        "linear_trend": [{"attr": "slope"}],
        "count_above_mean": None,
    }
    plugin = create(feature_set="listed", calculators=listed, window=5)
    found = plugin.compute(closes([9, 1, 2, 3, 4, 5, 105])).to_numpy()
    assert np.isnan(found[:4]).all()
    assert found[5].tolist() == [3.0, 0.0, 1.0, 2.0]
    assert found[6, 0] == 4.0
    assert found[6, 3] == 1.0


def test_the_minimal_set_by_hand():
    found = create(window=5).compute(closes([0, -6, 1, 2, 3, 5])).iloc[5]
    found.index = found.index.str.removeprefix("tsfresh_close_5__")
    assert found["sum_values"] == 5.0
    assert found["median"] == 2.0
    assert found["mean"] == 1.0
    assert found["variance"] == 14.0  # of the population: (49 + 0 + 1 + 4 + 16) / 5
    assert found["standard_deviation"] == np.sqrt(14.0)
    assert found["root_mean_square"] == np.sqrt(15.0)
    assert (found["maximum"], found["absolute_maximum"], found["minimum"]) == (5.0, 6.0, -6.0)


def test_the_minimal_set_does_not_depend_on_how_many_windows_there_are(monkeypatch):
    data = sample("random_walk", 700)
    plugin = create(window=37)
    whole = plugin.compute(data)
    for start in (0, 100, 663):
        part = plugin.compute(data.iloc[start:])
        pd.testing.assert_frame_equal(part.iloc[36:], whole.iloc[start + 36 :], check_exact=True)
    monkeypatch.setattr("hf_plugins.features.automated.extraction._BLOCK", 37 * 10)
    pd.testing.assert_frame_equal(plugin.compute(data), whole, check_exact=True)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(
        st.one_of(st.sampled_from([0.0, 1.0, 2.0]), st.floats(-1e6, 1e6)), min_size=5, max_size=40
    ),
)
def test_change_quantiles_has_the_librarys_bits(library, values):
    window = np.asarray(values)
    chosen = (*calculators.CALCULATORS["change_quantiles"].settings[::3],)
    expected = [library.change_quantiles(window, **each) for each in chosen]
    np.testing.assert_array_equal(equivalents.change_quantiles(window, chosen), expected)


def test_an_autoregression_that_cannot_be_fitted_is_null(library):
    window, chosen = np.arange(15.0), [{"coeff": 10, "k": 10}]
    assert dict(library.ar_coefficient(window, chosen)) == {"coeff_10__k_10": 0}
    assert np.isnan(equivalents.ar_coefficient(window, chosen)).all()


# -------------------------------------------------------------------------------- nulls and strides


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_window_with_a_hole_is_null(hole):
    data = sample("random_walk", 60)
    data.iloc[30] = hole
    for params in ({}, SKEWNESS):
        found = create(window=10, **params).compute(data)
        expected = np.arange(60) < 9
        expected[30:40] = True
        assert (found.isna().to_numpy() == expected[:, None]).all()


def test_an_infinity_is_null():
    listed = {"variation_coefficient": None, "mean": None}  # deviation by mean
    plugin = create(feature_set="listed", calculators=listed, window=5)
    found = plugin.compute(closes([-2, -1, 0, 1, 2])).iloc[-1]
    assert found.isna().tolist() == [True, False]


PERIODS = {"5m": "5min", "15m": "15min", "30m": "30min", "1h": "1h", "4h": "4h", "1d": "1D"}


@pytest.mark.parametrize("stride", [*PERIODS, "1w"])
def test_a_stride_is_the_first_bar_of_each_period(stride):
    rng = np.random.default_rng(9)
    step = "6h" if stride in ("1d", "1w") else "1min"
    data = closes(np.cumsum(rng.normal(size=1500)), step, "2023-12-30")
    data = data.loc[data.index[np.sort(rng.choice(1500, 1000, replace=False))]]
    found = create(window=5, stride=stride).compute(data)
    every = create(window=5).compute(data)
    times = pd.DatetimeIndex(data.index).tz_localize(None)
    periods = times.to_period("W-SUN") if stride == "1w" else times.floor(PERIODS[stride])
    first = ~pd.Index(periods).duplicated()
    first[:4] = False
    assert first.sum() > 3
    expected = every.loc[first].reindex(data.index)
    pd.testing.assert_frame_equal(found, expected, check_exact=True)


def test_a_week_begins_on_monday():
    data = closes(np.arange(60.0), "1D", "2024-01-01")  # a Monday
    weekly = create(window=5, stride="1w")
    found = pd.DatetimeIndex(weekly.compute(data).dropna().index)
    assert str(found[0]) == "2024-01-08 00:00:00+00:00"
    assert (found.dayofweek == 0).all()
    without_mondays = data.loc[pd.DatetimeIndex(data.index).dayofweek != 0]
    found = pd.DatetimeIndex(weekly.compute(without_mondays).dropna().index)
    assert (found.dayofweek == 1).all()


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(0, 300),
    unit=st.sampled_from(["s", "ms", "us", "ns"]),
    stride=st.sampled_from(["5m", "1h", "1d"]),
)
def test_a_stride_does_not_depend_on_where_the_frame_begins(start, unit, stride):
    data = closes(np.sin(np.arange(400.0)), "7min")
    plugin = create(window=8, stride=stride)
    tail = data.iloc[start:]
    tail = tail.set_axis(pd.DatetimeIndex(tail.index).as_unit(unit))
    pd.testing.assert_frame_equal(
        plugin.compute(tail).iloc[7:].reset_index(drop=True),
        plugin.compute(data).iloc[start + 7 :].reset_index(drop=True),
        check_exact=True,
    )


def test_rows_between_strides_cost_nothing(library, monkeypatch):
    calls = []
    real = library.skewness

    def skewness(x):
        calls.append(x.index[-1])
        return real(x)

    skewness.__dict__.update(real.__dict__)
    monkeypatch.setattr(library, "skewness", skewness)
    data = closes(np.random.default_rng(0).normal(size=240), "1min")
    found = create(window=10, stride="1h", **SKEWNESS).compute(data)
    assert calls == [*data.index[60::60]] == [*found.dropna().index]


# ------------------------------------------------------------------------- the contract, errors


@pytest.mark.parametrize(
    "params",
    [
        {"window": 5, "stride": "4h"},
        {"column": "volume", "window": 12, "stride": "1d"},
        {
            "feature_set": "listed",
            "calculators": {
                "change_quantiles": [{"ql": 0.2, "qh": 0.8, "isabs": True, "f_agg": "std"}],
                "linear_trend_timewise": [{"attr": "slope"}],
                "cwt_coefficients": [{"widths": [2, 5], "coeff": 1, "w": 5}],
            },
            "window": 9,
            "stride": "1d",
        },
    ],
)
def test_the_contract(params):
    report = verify_plugin("feature", "automated.tsfresh", **params)
    assert report.ok, str(report)


@pytest.mark.slow
@pytest.mark.parametrize("feature_set", ["fast", "comprehensive"])
def test_the_contract_of_large_sets(feature_set):
    report = verify_plugin(
        "feature", "automated.tsfresh", feature_set=feature_set, window=24, stride="1d"
    )
    assert report.ok, str(report)


def listed(**chosen):
    return {"feature_set": "listed", "window": 20, "calculators": chosen}


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"feature_set": "eficient"}, "Did you mean 'efficient'?"),
        ({"feature_set": "listed"}, "needs the parameter 'calculators'"),
        ({"calculators": {"mean": None}}, "goes with feature_set 'listed', not with 'minimal'"),
        ({"stride": 5}, "'bar', '5m', '15m', '30m', '1h', '4h', '1d' or '1w'"),
        ({"window": 4}, "greater than or equal to 5"),
        ({"column": 'cl"ose'}, "parameter 'column'"),
        (listed(skewnes=None), r"unknown calculator 'skewnes'; .* Did you mean 'skewness'\?"),
        (listed(length=None), "'length' is not offered: the rows of a window"),
        (listed(matrix_profile=None), "'matrix_profile' is not offered"),
        (listed(quantile=None), "calculator 'quantile' needs the parameter 'q': a number >= 0 and"),
        (listed(quantile=[{"qq": 0.1}]), "has no parameter 'qq'; allowed: q. Did you mean 'q'?"),
        (listed(mean=[{"q": 0.1}]), "'mean' has no parameter 'q'; allowed: none"),
        (listed(quantile=[{"q": 1.5}]), "'q' of calculator 'quantile' is 1.5; allowed: a number"),
        (listed(quantile=[{"q": True}]), "is True; allowed: a number >= 0 and <= 1"),
        (listed(c3=[{"lag": 1.5}]), "is 1.5; allowed: a whole number >= 1"),
        (listed(cid_ce=[{"normalize": 1}]), "is 1; allowed: False, True"),
        (listed(quantile=[{"q": 1}, {"q": 1.0}]), "is given the same values twice"),
        (
            listed(fft_coefficient=[{"attr": "abs", "coeff": 11}]),
            "says nothing at .* on a window of 20 rows: coeff must not exceed half of the window",
        ),
        (
            listed(cwt_coefficients=[{"widths": [2, 5], "coeff": 0, "w": 3}]),
            "w must be one of the widths",
        ),
    ],
)
def test_mistakes_are_told(params, told):
    pattern = told if ".*" in told or r"\?" in told else re.escape(told)
    with pytest.raises(ConfigurationError, match=pattern):
        create(**params)


def test_without_the_library_there_is_an_error_that_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "tsfresh.feature_extraction", None)
    data = sample("random_walk", 30)
    with pytest.raises(ConfigurationError, match="needs the library tsfresh"):
        create(window=10, **SKEWNESS).compute(data)
    assert create(window=10).compute(data).notna().sum().min() == 21  # the minimal set is our own


@pytest.mark.parametrize("name", sorted(calculators.CALCULATORS))
def test_what_a_list_may_name_can_be_computed(name):
    """On the shortest and on a usual window, on data that is awkward, nothing raises."""
    for window, kind in itertools.product((5, 30), ("random_walk", "flat", "ties")):
        chosen = [
            {key: list(value) if isinstance(value, tuple) else value for key, value in each.items()}
            for each in calculators.CALCULATORS[name].settings
            if calculators.CALCULATORS[name].valued[0](each, window)
        ]
        if not chosen:
            continue
        plugin = create(
            feature_set="listed", calculators={name: chosen if chosen[0] else None}, window=window
        )
        found = plugin.compute(sample(kind, window + 1))
        assert found.iloc[: window - 1].isna().all(axis=None)
        assert not np.isinf(found.to_numpy()).any()
