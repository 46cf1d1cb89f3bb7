"""The feature plugins. Their contract is checked with that of all others; here their own rules."""

from __future__ import annotations

import itertools
import json
import time
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.features import gold
from hf_plugins.features.gold import live as module
from hf_plugins.features.gold.join import COLUMNS, join
from hf_plugins.registry import features
from hf_plugins.testing._samples import sample_columns
from tests.gold import synthetic


@cache
def market() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Joined bars in one frame, and all features."""
    frames = synthetic.frames(9_300, seed=6)
    bars = join(frames)
    columns = {COLUMNS[name]: values for name, values in bars.series.items()}
    return pd.DataFrame(columns, index=bars.index), gold.compute(frames)


def test_there_is_one_for_the_whole_and_one_for_each_family():
    keys = {key for key in features.keys() if key.startswith("gold.")}  # noqa: SIM118
    assert keys == {"gold.features107", *(f"gold.{family}" for family in gold.FAMILIES)}


@pytest.mark.parametrize("family", gold.FAMILIES)
def test_a_family_yields_its_columns_of_the_whole(family):
    data, whole = market()
    plugin = features.create(f"gold.{family}")
    found = plugin.compute(data.loc[:, list(plugin.columns)])
    pd.testing.assert_frame_equal(
        found, whole.loc[:, list(gold.FAMILIES[family].names)], check_exact=True
    )


def test_the_whole_and_its_toggles():
    data, whole = market()
    pd.testing.assert_frame_equal(
        features.create("gold.features107").compute(data), whole, check_exact=True
    )
    plugin = features.create("gold.features107", alpha101=False, invert=False)
    assert plugin.outputs == gold.names(alpha101=False)
    found = plugin.compute(data)
    np.testing.assert_array_equal(found["tod_cos"], -whole["tod_cos"])
    np.testing.assert_array_equal(found["tod_sin"], whole["tod_sin"])


def test_only_families_with_inverted_features_can_be_left_upright():
    assert features.create("gold.original", invert=False).parameters()["invert"] is False
    with pytest.raises(ConfigurationError, match="unknown parameter 'invert'"):
        features.create("gold.momentum", invert=False)


def test_a_family_reads_what_it_needs_and_no_more():
    made = {family: features.create(f"gold.{family}") for family in gold.FAMILIES}
    assert made["lead_lag"].columns == ("close", "xag_close", "dxy_close", "nas_close")
    assert made["momentum"].columns == ("close",)
    assert made["calendar"].columns == ("close",)
    assert made["levels"].columns == ("high", "low", "close")
    assert features.create("gold.features107").columns == tuple(COLUMNS.values())


def test_the_other_instruments_are_named_by_parameters():
    plugin = features.create("gold.risk", us500="SPX500")
    assert plugin.parameters() == {"us500": "SPX500", "vix": "VIX"}
    assert [(side.prefix, side.symbol, side.names) for side in plugin.sides] == [
        ("us500", "SPX500", ("us500_close",)),
        ("vix", "VIX", ("vix_close",)),
    ]
    assert {(side.join, side.timeframe, side.lag_minutes) for side in plugin.sides} == {
        ("inner", "1m", 0)
    }
    assert features.create("gold.momentum").sides == ()
    with pytest.raises(ConfigurationError, match=r"unknown parameter 'us50'.*'us500'"):
        features.create("gold.risk", us50="SPX500")


def test_after_a_row_without_a_price_all_begins_anew():
    data, _ = market()
    data = data.iloc[:1_000].copy()
    data.iloc[400, list(data.columns).index("vix_close")] = np.nan
    data.iloc[700, list(data.columns).index("low")] = 0.0
    found = features.create("gold.features107").compute(data)
    assert found.index.equals(data.index)
    assert found.iloc[[400, 700]].isna().to_numpy().all()
    for start, stop in ((0, 400), (401, 700), (701, 1_000)):
        alone = features.create("gold.features107").compute(data.iloc[start:stop])
        pd.testing.assert_frame_equal(found.iloc[start:stop], alone, check_exact=True)
    assert found["er60"].iloc[[460, 461]].isna().tolist() == [True, False]


def test_a_missing_volume_is_zero():
    data, _ = market()
    data = data.iloc[:300].copy()
    data.iloc[100:120, list(data.columns).index("volume")] = 0.0
    unknown = data.mask(data == 0.0)
    plugin = features.create("gold.price_volume")
    pd.testing.assert_frame_equal(plugin.compute(data), plugin.compute(unknown), check_exact=True)
    assert unknown["volume"].isna().sum() >= 20


def test_samples_of_other_instruments_are_bars_of_their_own():
    sample = sample_columns(["vix_close", "vix_high", "close", "other"], n=200)
    assert (sample["vix_high"].to_numpy() >= sample["vix_close"].to_numpy()).all()
    assert (sample[["vix_close", "close"]].to_numpy() > 0).all()
    assert not np.allclose(sample["vix_close"], sample["close"])
    assert sample["other"].to_numpy().min() < 0.0
    gaps = sample_columns(["vix_close", "volume", "other"], "gaps", 200)
    missing = gaps.isna().to_numpy().sum(axis=1)
    assert set(missing) == {0, 3}


def test_a_plugin_is_described_by_its_formulas():
    text = features.get("gold.volatility").__doc__ or ""
    assert "Parkinson (1980)" in text
    assert r"\ln^2(H/L)" in text
    assert "Higuchi" in (features.get("gold.multi_scale").__doc__ or "")


# --- appended rows ---------------------------------------------------------------------------


@cache
def stressed() -> pd.DataFrame:
    """Everything that goes wrong before and after the context is full, and rows that are no bar.

    Gold stands still for a day, so that nothing wipes out how Wilder's averages began.
    """
    frames = synthetic.stressed(14_600, seed=8).frames
    bars = join(frames)
    columns = {COLUMNS[name]: values for name, values in bars.series.items()}
    data = pd.DataFrame(columns, index=bars.index)
    still = slice(11_600, 13_400)
    for column in ("open", "high", "low", "close"):
        data.iloc[still, list(data).index(column)] = data["close"].iloc[still.start]
    data.iloc[[150, 13_650], list(data).index("dxy_close")] = np.nan
    return data


@cache
def at_once(key: str) -> pd.DataFrame:
    plugin = features.create(key)
    return plugin.compute(stressed().loc[:, list(plugin.columns)])


def carried_on(key: str, cuts: list[int]) -> pd.DataFrame:
    """What a plugin yields when the rows up to each cut come one after the other."""
    data = stressed()
    plugin = features.create(key)
    assert plugin.context is not None
    found, state, before = [], None, 0
    for cut in cuts:
        if cut == before and state is not None:
            continue
        part = data.iloc[max(before - plugin.context, 0) if state else 0 : cut]
        frame, left = plugin.advance(part.loc[:, list(plugin.columns)], cut - before, state)
        state = json.loads(json.dumps(left, allow_nan=False))
        assert frame.index.equals(data.index[before:cut])
        found.append(frame)
        before = cut
    return pd.concat(found)


def assert_carried_on(key: str, cuts: list[int]) -> None:
    found = carried_on(key, cuts)
    expected = at_once(key).loc[found.index]
    a, b = (np.ascontiguousarray(each.to_numpy()).view(np.int64) for each in (found, expected))
    wrong = (a != b) & ~(found.isna().to_numpy() & expected.isna().to_numpy())
    assert not wrong.any(), (list(found.columns[wrong.any(axis=0)]), cuts)


def test_only_what_fades_carries_a_state():
    keys = ["gold.features107", *(f"gold.{family}" for family in gold.FAMILIES)]
    carrying = {key: context_of(key) for key in keys if context_of(key)}
    assert carrying == {"gold.features107": 8_713, "gold.levels": 8_713, "gold.momentum": 74}
    assert module.HISTORY >= 8_713


def context_of(key: str) -> int | None:
    return features.create(key).context


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    first=st.integers(1, 13_900),
    steps=st.lists(st.sampled_from([1, 1, 2, 7, 60, 61, 700, 1_500]), min_size=1, max_size=8),
)
@example(first=9_000, steps=[1] * 30)
@example(first=8_713, steps=[1, 1, 1])
@example(first=8_714, steps=[1, 1, 1])
@example(first=148, steps=[1, 1, 1, 1, 1, 60])  # a row that is no bar
@example(first=13_000, steps=[1, 60, 1, 600, 1])  # gold stands still
@example(first=13_645, steps=[1] * 20)
def test_any_way_of_carrying_on_gives_the_bits_of_the_whole(first, steps):
    end = len(stressed())
    cuts = [min(cut, end) for cut in itertools.accumulate([first, *steps])]
    assert_carried_on("gold.features107", cuts)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    first=st.integers(1, 400),
    steps=st.lists(st.sampled_from([1, 1, 2, 7, 60, 75]), min_size=1, max_size=30),
    key=st.sampled_from(["gold.momentum", "gold.levels"]),
)
@example(first=60, steps=[1] * 30, key="gold.momentum")
@example(first=11_590, steps=[1] * 40 + [600] * 3, key="gold.momentum")
def test_families_carry_on_alone(first, steps, key):
    assert_carried_on(key, list(itertools.accumulate([first, *steps])))


def test_the_state_counts_where_nothing_else_is_left_of_the_past():
    """The oracle of the tests above has teeth: another state gives other values."""
    data, whole = stressed(), at_once("gold.momentum")
    plugin = features.create("gold.momentum")
    context, cut = plugin.context or 0, 12_000
    _, state = plugin.advance(data.iloc[:cut].loc[:, ["close"]], cut, None)
    part = data.iloc[cut - context : cut + 1].loc[:, ["close"]]
    right, _ = plugin.advance(part, 1, state)
    assert right["rsi_14"].iloc[0] == whole["rsi_14"].iloc[cut] != 50.0
    wrong, _ = plugin.advance(part, 1, dict.fromkeys(state, None))
    assert wrong["rsi_14"].iloc[0] == 50.0  # as if gold had never moved


def test_too_few_rows_to_go_on_from_are_refused():
    data = stressed()
    plugin = features.create("gold.momentum")
    _, state = plugin.advance(data.iloc[:500].loc[:, ["close"]], 500, None)
    with pytest.raises(DataError, match=r"20 bars before the new ones are too few.*needs 74"):
        plugin.advance(data.iloc[480:501].loc[:, ["close"]], 1, state)


def test_one_more_row_costs_a_fraction_of_the_context():
    data = stressed()
    plugin = features.create("gold.features107")
    context = plugin.context or 0
    _, state = plugin.advance(data.iloc[: context + 100], context + 100, None)
    seconds = []
    for cut in range(context + 100, context + 110):
        started = time.perf_counter()
        _, state = plugin.advance(data.iloc[cut - context : cut + 1], 1, state)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.1  # measured: 0.013; the whole context takes 0.2
