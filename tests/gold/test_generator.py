"""The made-up market: same seed, same bars; hours of New York; bars that could have traded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.features.gold.generator import INSTRUMENTS, generate
from tests.gold.synthetic import minutes


def test_the_same_seed_gives_the_same_bars_and_another_one_others():
    first, second, other = generate(3_000, 1), generate(3_000, 1), generate(3_000, 2)
    for name in INSTRUMENTS:
        pd.testing.assert_frame_equal(first[name], second[name], check_exact=True)
        assert not first[name].equals(other[name])


def test_a_longer_sample_begins_with_the_shorter_one():
    short, long = generate(500, 3), generate(14_000, 3)
    for name, frame in short.items():
        pd.testing.assert_frame_equal(frame, long[name].loc[: frame.index[-1]], check_exact=True)


@pytest.mark.parametrize("rows", [1, 2, 777, 7_000])
def test_the_joined_rows_are_as_many_as_were_asked_for(rows: int):
    frames = generate(rows)
    assert len(minutes(frames)) == rows
    assert all(frame.index[-1] == minutes(frames)[-1] for frame in frames.values())


def test_the_inner_join_drops_five_to_ten_per_cent_of_gold():
    frames = generate(30_000, 5)
    assert 0.05 < 1 - 30_000 / len(frames["XAUUSD"]) < 0.10


def test_bars_are_sorted_on_the_grid_of_ticks_and_within_their_range():
    for name, frame in generate(20_000, 4).items():
        assert frame.index.is_monotonic_increasing
        assert frame.index.is_unique
        assert str(frame.index.dtype) == "datetime64[ns, UTC]"
        prices = frame[["open", "high", "low", "close"]].to_numpy()
        in_ticks = prices * INSTRUMENTS[name].ticks
        np.testing.assert_allclose(in_ticks, np.rint(in_ticks), rtol=0, atol=1e-6)
        assert (prices > 0).all()
        np.testing.assert_array_equal(prices[:, 1], prices.max(axis=1))
        np.testing.assert_array_equal(prices[:, 2], prices.min(axis=1))
        volume = frame["volume"].to_numpy()
        np.testing.assert_array_equal(volume, np.floor(volume))
        assert 0 < (volume == 0).mean() < 0.05


# The United States changes clocks on 10 March and 3 November 2024, the United Kingdom on others.
@pytest.mark.parametrize("start", ["2024-02-25", "2024-10-20"])
def test_the_daily_break_is_at_17_in_new_york_all_year(start: str):
    gold = generate(20_000, 6, start=start)["XAUUSD"]
    local = pd.DatetimeIndex(gold.index).tz_convert("America/New_York")
    assert 17 not in set(local.hour)
    assert set(range(24)) - {17} == set(local.hour)
    assert not set(local[local.day_name() == "Saturday"])
    assert local[local.day_name() == "Sunday"].hour.min() == 18
    breaks = pd.DatetimeIndex(gold.index)[
        np.diff(gold.index, prepend=gold.index[0]) > np.timedelta64(55, "m")
    ]
    assert {22, 23} <= set(breaks.hour)


def test_instruments_move_together_as_declared():
    frames = generate(40_000, 7)
    stamps = minutes(frames)
    closes = pd.DataFrame({name: frame.loc[stamps, "close"] for name, frame in frames.items()})
    found = closes.pct_change().corr()
    loadings = pd.DataFrame({name: made.loadings for name, made in INSTRUMENTS.items()})
    expected = loadings.T @ loadings
    for a in INSTRUMENTS:
        for b in set(INSTRUMENTS) - {a}:
            assert abs(found.loc[a, b] - expected.loc[a, b]) < 0.06, (a, b)


def test_volatility_clusters_and_vix_stays_near_its_level():
    frames = generate(60_000, 8)
    sizes = pd.Series(np.log(frames["XAUUSD"]["close"])).diff().abs()
    assert sizes.autocorr(10) > 0.1
    assert frames["VIX"]["close"].between(7.0, 30.0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": 0}, "rows is 0; allowed: 1 or more"),
        ({"rows": 5, "seed": -1}, "seed is -1; allowed: 0 or more"),
        ({"rows": 5, "start": "soon"}, "start 'soon' is no date; allowed: a date such as 2024"),
    ],
)
def test_bad_arguments_are_told_in_one_sentence(arguments: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        generate(**arguments)
