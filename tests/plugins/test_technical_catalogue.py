"""The catalogue against the library that computes it: names, defaults, causality and memory."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
import pandas_ta_classic as library
import pytest
import talib

from hf_plugins.base import BaseFeature
from hf_plugins.errors import ConfigurationError
from hf_plugins.features.technical.catalogue_table import (
    AVERAGES,
    INDICATORS,
    LOOK_AHEAD,
    NOT_OFFERED,
    PATTERNS,
    Choice,
    Whole,
)
from hf_plugins.registry import features
from hf_plugins.testing import sample_bars, verify_plugin

NAMES = sorted(INDICATORS)
FINITE = [name for name in NAMES if INDICATORS[name].kind == "finite"]
FADING = [name for name in NAMES if INDICATORS[name].kind == "fading"]
ROWS = 400
LAST = 40


def create(indicator: str, /, **params: Any) -> BaseFeature:
    return features.create("technical.ta", indicator=indicator, **params)


def values_of(plugin: BaseFeature, bars: pd.DataFrame) -> np.ndarray:
    return plugin.compute(bars.loc[:, list(plugin.reads)]).to_numpy()


def same(one: np.ndarray, two: np.ndarray) -> bool:
    return one.shape == two.shape and bool(((one == two) | (np.isnan(one) & np.isnan(two))).all())


@cache
def samples(rows: int = ROWS) -> dict[str, pd.DataFrame]:
    """Bars of three kinds: a random walk, coarse ticks with ties, and such without trades."""
    ticks = (sample_bars(n=rows, seed=2) * 2).round() / 2
    ticks["volume"] = ticks["volume"].round(-3)
    idle = sample_bars("gaps", n=rows, seed=3).ffill().bfill()
    return {"walk": sample_bars(n=rows, seed=1), "ticks": ticks, "idle": idle}


def direct(name: str, bars: pd.DataFrame, /, **params: Any) -> np.ndarray:
    """What the library yields, called as its own documentation says."""
    bars = bars.set_axis(pd.DatetimeIndex(bars.index).tz_localize(None))
    series = {"open_" if each == "open" else each: bars[each] for each in INDICATORS[name].reads}
    params.pop("indicator", None)
    with np.errstate(all="ignore"):
        found = getattr(library, name)(**series, **params)
    if found is None:
        return np.full((len(bars), len(INDICATORS[name].components)), np.nan)
    return np.array(found, dtype=np.float64).reshape(len(bars), -1)


def parameters(name: str) -> dict[str, Any]:
    return {each: parameter.default for each, parameter in INDICATORS[name].parameters.items()}


# ------------------------------------------------------------------------------ table and library


def test_everything_in_the_library_is_offered_or_refused_with_a_reason():
    known = {name for names in library.Category.values() for name in names}
    assert set(INDICATORS) | set(LOOK_AHEAD) | set(NOT_OFFERED) == known
    assert not set(INDICATORS) & (set(LOOK_AHEAD) | set(NOT_OFFERED))
    assert len(INDICATORS) >= 175


@pytest.mark.parametrize("name", NAMES)
def test_an_indicator_is_that_of_the_library(name):
    line = INDICATORS[name]
    accepted = inspect.signature(getattr(library, name)).parameters
    assert {"offset", "talib", "fillna"}.isdisjoint(line.parameters), "an offset may look ahead"
    assert set(line.parameters) <= set(accepted)
    plugin = create(name)
    needed = max(line.warm_up(parameters(name)), 1) - 1
    found = np.empty((0, 0))
    for bars in samples().values():
        # With a choice of patterns, all is not one of them; everything else has its own defaults.
        expected = direct(name, bars, **({"name": "doji"} if name == "cdl_pattern" else {}))
        expected[~np.isfinite(expected)] = np.nan
        found = values_of(plugin, bars)
        assert same(found[needed:], expected[needed:])
        assert np.isnan(found[:needed]).all()
    assert np.isfinite(found).any(axis=0).all(), "a column is always null"


@pytest.mark.parametrize("name", [name for name in NAMES if INDICATORS[name].parameters])
def test_every_parameter_has_an_effect_down_to_its_least_value(name):
    usual = [values_of(create(name), bars) for bars in samples().values()]
    for each, parameter in INDICATORS[name].parameters.items():
        if isinstance(parameter, Choice):
            others = [each for each in parameter.options if each != parameter.default][:3]
        elif isinstance(parameter, Whole):
            others = [parameter.default + 3]
            create(name, **{each: parameter.least}).compute(samples()["walk"])
        else:
            others = [parameter.default * 0.8]
        for other in others:
            plugin = create(name, **{each: other})
            found = [values_of(plugin, bars) for bars in samples().values()]
            assert not all(map(same, found, usual)), f"{each}={other} is ignored"
            assert plugin.outputs != create(name).outputs, f"{each} is not part of the name"


def test_columns_have_names_of_their_own():
    for name in NAMES:
        outputs = create(name).outputs
        assert len(set(outputs)) == len(outputs) == len(INDICATORS[name].components)
    assert create("macd").outputs == (
        "ta_macd_12_26_9",
        "ta_macdh_12_26_9",
        "ta_macds_12_26_9",
    )
    assert create("bbands", length=20, std=2.5).outputs[0] == "ta_bbl_20_2.5"
    assert create("adx", mamode="ema", drift=2).outputs[0] == "ta_adx_14_ema_drift2"
    assert create("cdl_pattern", name="hammer").outputs == ("ta_cdl_hammer",)
    assert create("quantile", q=0.1 + 0.2).outputs == ("ta_qtl_30_0.3",)


# ------------------------------------------------------------------------------------- causality


@pytest.mark.parametrize("name", NAMES)
def test_no_indicator_looks_ahead(name):
    plugin = create(name)
    for bars in samples().values():
        whole = values_of(plugin, bars)
        warm_up = max(1, INDICATORS[name].warm_up(parameters(name)))
        for cut in (2, warm_up, warm_up + 1, 60, 61, 177, 250, ROWS - 1):
            assert same(values_of(plugin, bars.iloc[:cut]), whole[:cut]), f"cut at {cut}"


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_looks_ahead(name):
    plugin = create("cdl_pattern", name=name)
    bars = samples()["ticks"]
    whole = values_of(plugin, bars)
    for cut in (30, 177, 311):
        assert same(values_of(plugin, bars.iloc[:cut]), whole[:cut])


@pytest.mark.parametrize(
    ("name", "average"),
    [
        (name, average)
        for name in NAMES
        if "mamode" in INDICATORS[name].parameters
        for average in AVERAGES
    ],
)
def test_no_average_looks_ahead(name, average):
    plugin, bars = create(name, mamode=average), samples()["walk"]
    assert same(values_of(plugin, bars.iloc[:250]), values_of(plugin, bars)[:250])


@pytest.mark.parametrize("name", sorted(LOOK_AHEAD))
def test_what_is_refused_does_look_ahead(name):
    bars = samples()["walk"]
    series = {
        each: bars[each.rstrip("_")]
        for each in inspect.signature(getattr(library, name)).parameters
        if each.rstrip("_") in bars
    }

    def frame(rows: int) -> np.ndarray:
        found = getattr(library, name)(**{each: one.iloc[:rows] for each, one in series.items()})
        if isinstance(found, tuple):
            found = found[0]
        return pd.DataFrame(found).select_dtypes("number").to_numpy(np.float64)

    cut, whole = frame(200), frame(ROWS)
    assert not same(cut, whole[: len(cut)])
    with pytest.raises(ConfigurationError, match=f"technical.ta: '{name}' looks ahead: "):
        create(name)


# ---------------------------------------------------------------------------------------- memory


def reproduced(values_of: Callable[[pd.DataFrame], np.ndarray], rows: int) -> bool:
    """Whether so many rows give the next values bit for bit, whatever went before them."""
    for bars in samples().values():
        for last in (1, 2, LAST):  # a single bar is what is appended most of the time
            start = ROWS - last - rows + 1
            tail = values_of(bars.iloc[start:])[-last:]
            for scale in (1.0, 1e9, 1e-3):
                past = bars.copy()
                past.iloc[:start] *= scale
                if not same(values_of(past)[-last:], tail):
                    return False
    return True


def doubled(name: str) -> dict[str, Any]:
    return {
        each: 2 * parameter.default + (each == "length")
        for each, parameter in INDICATORS[name].parameters.items()
        if isinstance(parameter, Whole)
    }


@pytest.mark.parametrize("name", FINITE)
def test_a_finite_memory_is_exact(name):
    for params in ({}, doubled(name)):
        plugin = create(name, **params)
        lookback = plugin.memory.lookback
        assert lookback is not None
        assert reproduced(partial(values_of, plugin), lookback)
        # A sweep of an old low is rare; a decay looks back one bar, but wants more to begin at all.
        if lookback > 1 and name not in ("smc_sweep", "decay"):
            # The library itself: the plugin's values are null before the look-back is complete.
            library_alone = partial(direct, name, **plugin.parameters())
            assert not reproduced(library_alone, lookback - 1), "less is enough"


@pytest.mark.parametrize("name", FADING)
def test_a_fading_memory_has_faded(name):
    plugin = create(name)
    lookback = plugin.memory.lookback
    assert lookback is not None
    bars = sample_bars(n=lookback + 300, seed=5)
    whole = values_of(plugin, bars)[-LAST:]
    tail = values_of(plugin, bars.iloc[300 - LAST + 1 :])[-LAST:]
    np.testing.assert_array_equal(np.isnan(whole), np.isnan(tail))
    scale = np.nanmax(np.abs(whole), axis=0)
    assert np.nanmax(np.abs(whole - tail) / np.where(scale > 0, scale, 1.0)) <= 1e-12


@pytest.mark.parametrize("name", ["obv", "ad", "pvt", "nvi", "vwap", "drawdown", "wad", "vidya"])
def test_a_cumulative_memory_does_not_end(name):
    plugin, bars = create(name), sample_bars(n=1500, seed=5, freq="1min")
    whole, tail = values_of(plugin, bars)[-1], values_of(plugin, bars.iloc[-30:])[-1]
    assert plugin.memory.lookback is None
    assert not same(whole, tail)


def test_one_absurd_bar_is_gone_after_a_finite_memory():
    for name in FINITE:
        plugin = create(name)
        lookback = plugin.memory.lookback
        assert lookback is not None
        clean = samples()["walk"]
        poisoned = clean.copy()
        poisoned.iloc[200] *= 1e6
        before, after = values_of(plugin, clean), values_of(plugin, poisoned)
        assert same(before[:200], after[:200])
        assert same(before[200 + lookback :], after[200 + lookback :])


# ----------------------------------------------------------------------------------- nulls, errors


@pytest.mark.parametrize("name", ["adx", "supertrend", "obv", "hma", "msw", "cdl_doji"])
def test_a_null_begins_the_history_anew(name):
    plugin = create(name)
    bars = samples()["walk"].loc[:, list(plugin.reads)].copy()
    bars.iloc[200, -1] = math.nan
    bars.iloc[202, 0] = math.inf
    values = values_of(plugin, bars)
    assert same(values[:200], values_of(plugin, bars.iloc[:200]))
    assert np.isnan(values[200:203]).all() or name == "obv", "one bar alone"
    assert np.isnan(values[[200, 202]]).all()
    assert same(values[203:], values_of(plugin, bars.iloc[203:]))


def test_the_numbers_do_not_depend_on_what_else_is_installed(monkeypatch):
    bars = samples()["walk"]
    with_talib = {name: values_of(create(name), bars) for name in NAMES}
    monkeypatch.setitem(library.Imports, "talib", False)
    for name in NAMES:
        assert same(values_of(create(name), bars), with_talib[name]), name


def test_the_library_is_imported_where_it_is_used():
    code = (
        "import sys; from hf_plugins.registry import features; "
        "plugin = features.create('technical.ta'); plugin.outputs; plugin.memory; "
        "print('pandas_ta_classic' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"indicator": "supertred"}, r"unknown indicator 'supertred'; .* mean 'supertrend'\?"),
        ({"indicator": "adx", "lenght": 9}, r"unknown parameter 'lenght'; .* mean 'length'\?"),
        ({"indicator": "obv", "length": 9}, "unknown parameter 'length'; allowed: indicator"),
        ({"indicator": "adx", "offset": -1}, "unknown parameter 'offset'"),
        ({"indicator": "adx", "length": 0}, "'length' is 0: .*greater than or equal to 1"),
        ({"indicator": "bbands", "length": 1}, "'length' is 1: .*greater than or equal to 2"),
        ({"indicator": "adx", "length": 9.5}, "'length' is 9.5: .*valid integer"),
        ({"indicator": "quantile", "q": 1.0}, "'q' is 1.0: .*less than 1"),
        ({"indicator": "adx", "mamode": "emma"}, r"'mamode' is 'emma': .* mean 'ema'\?"),
        ({"indicator": "cdl_pattern", "name": "hamer"}, r"'name' is 'hamer': .* 'hammer'\?"),
        ({"indicator": "beta"}, "'beta' is not offered: it needs a second series"),
        ({"indicator": 3}, "'indicator' is 3: .*valid string"),
    ],
)
def test_mistakes_are_told_in_one_sentence(params: dict[str, Any], says):
    with pytest.raises(ConfigurationError, match=says) as caught:
        features.create("technical.ta", **params)
    assert str(caught.value).startswith("technical.ta: ")


def test_parameters_survive_with_their_defaults():
    plugin = create("stoch", k=9)
    assert plugin.parameters() == {
        "indicator": "stoch",
        "k": 9,
        "d": 3,
        "smooth_k": 3,
        "mamode": "sma",
    }
    assert features.create("technical.ta", **plugin.parameters()).outputs == plugin.outputs


# ---------------------------------------------------------------------------------------- TA-Lib


@pytest.mark.parametrize(
    ("name", "params", "reads", "expected"),
    [
        ("adx", {}, "high low close", lambda *bars: talib.ADX(*bars, timeperiod=14)),
        ("aroon", {"length": 25}, "high low", lambda *bars: talib.AROON(*bars, timeperiod=25)[0]),
        ("cci", {}, "high low close", lambda *bars: talib.CCI(*bars, timeperiod=14)),
        ("mfi", {}, "high low close volume", lambda *bars: talib.MFI(*bars, timeperiod=14)),
        ("roc", {}, "close", lambda *bars: talib.ROC(*bars, timeperiod=10)),
        ("tema", {}, "close", lambda *bars: talib.TEMA(*bars, timeperiod=10)),
        ("uo", {}, "high low close", lambda *bars: talib.ULTOSC(*bars)),
        ("willr", {}, "high low close", lambda *bars: talib.WILLR(*bars, timeperiod=14)),
        ("cdl_pattern", {"name": "engulfing"}, "open high low close", talib.CDLENGULFING),
    ],
)
def test_indicators_equal_talib(name, params, reads, expected):
    bars = sample_bars(n=1500, seed=6)
    found = values_of(create(name, **params), bars)[:, 0]
    theirs = expected(*(bars[each].to_numpy(copy=True) for each in reads.split()))
    assert np.isfinite(found[500:]).all()
    np.testing.assert_allclose(found[500:], theirs[500:], rtol=0, atol=1e-9)


# --------------------------------------------------------------------------------------- contract


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_indicator_keeps_the_contract(name):
    report = verify_plugin("feature", "technical.ta", indicator=name)
    assert report.ok, str(report)


@pytest.mark.parametrize("name", ["hma", "obv", "cci", "donchian", "vwap"])
def test_some_indicators_keep_the_contract(name):
    report = verify_plugin("feature", "technical.ta", indicator=name)
    assert report.ok, str(report)
