"""The feature plugins. Their contract is checked with that of all others; here their own rules."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.features import gold
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
    found = plugin.compute(data.loc[:, list(plugin.reads)])
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
    assert features.create("gold.extended", invert=False).parameters() == {"invert": False}
    with pytest.raises(ConfigurationError, match="unknown parameter 'invert'"):
        features.create("gold.momentum", invert=False)


def test_a_family_reads_what_it_needs_and_no_more():
    reads = {family: features.create(f"gold.{family}").reads for family in gold.FAMILIES}
    assert reads["lead_lag"] == ("xag_close", "dxy_close", "nas_close")
    assert reads["momentum"] == ("xau_close",)
    assert reads["calendar"] == ("xau_close",)
    assert reads["levels"] == ("xau_high", "xau_low", "xau_close")
    assert features.create("gold.features107").reads == tuple(COLUMNS.values())


def test_after_a_row_without_a_price_all_begins_anew():
    data, _ = market()
    data = data.iloc[:1_000].copy()
    data.iloc[400, list(data.columns).index("vix_close")] = np.nan
    data.iloc[700, list(data.columns).index("xau_low")] = 0.0
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
    data.iloc[100:120, list(data.columns).index("xau_volume")] = 0.0
    unknown = data.mask(data == 0.0)
    plugin = features.create("gold.price_volume")
    pd.testing.assert_frame_equal(plugin.compute(data), plugin.compute(unknown), check_exact=True)
    assert unknown["xau_volume"].isna().sum() >= 20


def test_samples_of_other_instruments_are_bars_of_their_own():
    sample = sample_columns(["vix_close", "vix_high", "xau_close", "other"], n=200)
    assert (sample["vix_high"].to_numpy() >= sample["vix_close"].to_numpy()).all()
    assert (sample[["vix_close", "xau_close"]].to_numpy() > 0).all()
    assert not np.allclose(sample["vix_close"], sample["xau_close"])
    assert sample["other"].to_numpy().min() < 0.0
    gaps = sample_columns(["vix_close", "xau_volume", "other"], "gaps", 200)
    missing = gaps.isna().to_numpy().sum(axis=1)
    assert set(missing) == {0, 3}


def test_a_plugin_is_described_by_its_formulas():
    text = features.get("gold.volatility").__doc__ or ""
    assert "Parkinson (1980)" in text
    assert r"\ln^2(H/L)" in text
    assert "Higuchi" in (features.get("gold.multi_scale").__doc__ or "")
