"""Live updates: the bits of the batch are tested in ``test_against_reference``; here the rest.

What is no joined bar, what is refused, that nothing is half done, that state survives on disk, and
that a buffer which is shifted forgets nothing that counts.
"""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import DataError
from hf_plugins.features import gold
from hf_plugins.features.gold import live as module
from hf_plugins.features.gold.live import LiveFeatures
from tests.gold import synthetic


@cache
def market() -> tuple[dict[str, pd.DataFrame], pd.DataFrame]:
    frames = synthetic.ordinary(11_500, seed=4)
    return frames, gold.compute(frames)


@cache
def records() -> dict[str, dict[Any, Any]]:
    return {symbol: frame.to_dict("index") for symbol, frame in market()[0].items()}


def until(row: int) -> dict[str, pd.DataFrame]:
    """The first ``row`` joined bars."""
    frames, whole = market()
    return {symbol: frame.loc[frame.index < whole.index[row]] for symbol, frame in frames.items()}


def bars_at(row: int) -> dict[str, Any]:
    return {symbol: dict(rows[market()[1].index[row]]) for symbol, rows in records().items()}


def advance(live: LiveFeatures, start: int, stop: int) -> None:
    """Update row by row and compare with the batch, bit for bit."""
    whole = market()[1]
    for row in range(start, stop):
        found = live.update(whole.index[row], bars_at(row))
        assert found is not None
        np.testing.assert_array_equal(found, whole.to_numpy()[row], err_msg=f"row {row}")


def test_from_nothing_the_first_bars_are_those_of_the_batch():
    live = LiveFeatures()
    assert live.last is None
    assert live.names == gold.names()
    advance(live, 0, 80)


def test_a_shifted_buffer_forgets_nothing(monkeypatch):
    monkeypatch.setattr(module, "_ROOM", module.HISTORY + 40)
    live = LiveFeatures(until(9_000))
    advance(live, 9_000, 9_150)  # shifted at rows 9,040, 9,080 and 9,120


@pytest.mark.slow
def test_a_long_history_is_cut_to_what_counts():
    live = LiveFeatures(until(11_300))
    assert live.state()["minute"].shape == (9_000,)
    advance(live, 11_300, 11_400)


def test_the_last_9000_bars_alone_give_the_bits_of_all():
    whole = market()[1]
    late = {
        symbol: frame.loc[frame.index >= whole.index[2_300]]
        for symbol, frame in until(11_300).items()
    }
    advance(LiveFeatures(late), 11_300, 11_400)


@pytest.mark.parametrize("row", [0, 12, 25, 700, 9_100])
def test_the_state_survives_on_disk(tmp_path, row):
    live = LiveFeatures(until(row))
    advance(live, row, row + 5)
    np.savez(tmp_path / "state.npz", allow_pickle=False, **live.state())
    with np.load(tmp_path / "state.npz", allow_pickle=False) as state:
        again = LiveFeatures.restore(state)
    assert again.last == live.last
    advance(again, row + 5, row + 70)
    advance(live, row + 5, row + 70)  # the one that was saved goes on undisturbed


def test_the_state_of_105_features_is_that_of_105_features():
    live = LiveFeatures(until(300), alpha101=False)
    again = LiveFeatures.restore(live.state())
    assert again.names == gold.names(alpha101=False)
    found = again.update(market()[1].index[300], bars_at(300))
    np.testing.assert_array_equal(found, market()[1].to_numpy()[300, :105])


def test_a_state_of_something_else_is_refused():
    state = LiveFeatures(until(300)).state()
    with pytest.raises(DataError, match=r"missing: atr; not known: none"):
        LiveFeatures.restore({name: array for name, array in state.items() if name != "atr"})
    with pytest.raises(DataError, match=r"not known: other"):
        LiveFeatures.restore({**state, "other": np.zeros(3)})
    with pytest.raises(DataError, match="start from bars instead"):
        LiveFeatures.restore({**state, "families": np.array(["original"])})
    with pytest.raises(DataError, match=r"'atr' has 299 rows, 'minute' has 300"):
        LiveFeatures.restore({**state, "atr": state["atr"][1:]})


def unchanged(live: LiveFeatures, row: int) -> None:
    """The next bars are computed as if nothing had happened."""
    advance(live, row, row + 3)


@pytest.mark.parametrize("symbol", ["XAUUSD", "VIX"])
@pytest.mark.parametrize(
    ("column", "value"), [("close", np.nan), ("close", None), ("low", 0.0), ("high", np.inf)]
)
def test_a_minute_with_a_broken_price_is_no_joined_bar(symbol, column, value):
    live = LiveFeatures(until(200))
    last = live.last
    bars = bars_at(200)
    bars[symbol][column] = value
    assert live.update(market()[1].index[200], bars) is None
    assert live.last == last
    unchanged(live, 200)


def test_a_minute_in_which_an_instrument_has_no_bar_is_no_joined_bar():
    live = LiveFeatures(until(200))
    bars = bars_at(200)
    del bars["DXY"]
    assert live.update(market()[1].index[200], bars) is None
    unchanged(live, 200)


def test_a_missing_volume_is_zero_and_a_negative_one_is_no_bar():
    stamp = market()[1].index[200]
    bars = bars_at(200)
    bars["XAUUSD"]["volume"] = -1.0
    live = LiveFeatures(until(200))
    assert live.update(stamp, bars) is None
    bars["XAUUSD"]["volume"] = np.nan
    unknown = live.update(stamp, bars)
    bars["XAUUSD"]["volume"] = 0.0
    np.testing.assert_array_equal(LiveFeatures(until(200)).update(stamp, bars), unknown)


def test_closes_alone_are_enough_for_the_others():
    live = LiveFeatures(until(200))
    bars = bars_at(200)
    only = {symbol: {"close": bar["close"]} for symbol, bar in bars.items() if symbol != "XAUUSD"}
    found = live.update(market()[1].index[200], {"XAUUSD": bars["XAUUSD"], **only})
    np.testing.assert_array_equal(found, market()[1].to_numpy()[200])


def test_what_is_refused_says_why_and_changes_nothing():
    index = market()[1].index
    live = LiveFeatures(until(200))
    misspelt = bars_at(200)
    misspelt["NAS10"] = misspelt.pop("NAS100")
    short = bars_at(200)
    del short["XAUUSD"]["volume"]
    for stamp, bars, message in (
        (index[199], bars_at(199), "not later than the last one"),
        (index[50], bars_at(50), "not later than the last one"),
        (index[199] + pd.Timedelta(seconds=30), bars_at(200), "not later than the last one"),
        (index[200].tz_localize(None), bars_at(200), "no time zone"),
        (cast(pd.Timestamp, pd.NaT), bars_at(200), "no time zone"),
        (index[200], misspelt, r"unknown instrument 'NAS10'.*Did you mean 'NAS100'"),
        (index[200], short, r"live bar of XAUUSD has no 'volume'; it has close, high, low, open"),
    ):
        with pytest.raises(DataError, match=message):
            live.update(stamp, bars)
    unchanged(live, 200)


def test_any_time_zone_is_understood():
    live = LiveFeatures(until(200))
    stamp = market()[1].index[200].tz_convert("Asia/Tokyo")
    np.testing.assert_array_equal(live.update(stamp, bars_at(200)), market()[1].to_numpy()[200])
    assert str(live.last) == str(market()[1].index[200])


def test_values_handed_out_are_the_callers_own():
    live = LiveFeatures(until(200))
    first = live.update(market()[1].index[200], bars_at(200))
    assert first is not None
    first[:] = 1e300
    unchanged(live, 201)
