"""Rows beside bars: by what was known at the close, against pandas and by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.base import Side
from hf_plugins.errors import DataError
from hf_plugins.joins import joined


def rows(minutes: list[int], timeframe: int = 1, name: str = "close") -> pd.DataFrame:
    """Rows whose value is the number of their minute."""
    stamps = pd.to_datetime([m * timeframe * 60 for m in minutes], unit="s", utc=True)
    index = pd.DatetimeIndex(stamps, name="timestamp")
    return pd.DataFrame({name: np.array(minutes, float) * timeframe}, index=index)


def test_a_coarser_bar_counts_from_its_close_on() -> None:
    own = rows(list(range(55, 125)))
    hours = rows([0, 1], timeframe=60)
    found = joined(own, {Side("hour", ("close",), timeframe="1h"): hours}, "1m")["hour_close"]
    # The bar of 00:00 is known at 01:00, which is when the bar of 00:59 closes.
    assert found.iloc[:4].isna().all()
    assert (found.iloc[4:64] == 0).all()
    assert (found.iloc[64:] == 60).all()


def test_a_lag_moves_what_is_known() -> None:
    own = rows(list(range(10)))
    found = joined(own, {Side("late", ("close",), lag_minutes=3): own}, "1m")["late_close"]
    assert found.iloc[:3].isna().all()
    assert found.iloc[3:].tolist() == list(range(7))


def test_an_inner_side_drops_bars_and_fills_none() -> None:
    own, side = rows([0, 1, 2, 4, 5]), rows([1, 2, 3, 5])
    found = joined(own, {Side("peer", ("close",), join="inner"): side}, "1m")
    assert found["close"].tolist() == found["peer_close"].tolist() == [1, 2, 5]


@pytest.mark.parametrize("wrong", [{"timeframe": "1h"}, {"lag_minutes": 1}])
def test_an_inner_side_is_of_the_same_close(wrong: dict[str, object]) -> None:
    side = Side("peer", ("close",), join="inner", **wrong)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="join it asof"):
        joined(rows([1]), {side: rows([1])}, "1m")


minutes = st.lists(st.integers(0, 200), min_size=1, max_size=60, unique=True).map(sorted)


@settings(max_examples=150, deadline=None)
@given(minutes, minutes, st.sampled_from([("1m", 1), ("5m", 5)]), st.integers(0, 12))
def test_equals_merge_asof_on_the_time_of_knowing(
    own: list[int], side: list[int], coarse: tuple[str, int], lag: int
) -> None:
    bars, beside = rows(own), rows(side, timeframe=coarse[1])
    declared = Side("x", ("close",), timeframe=coarse[0], lag_minutes=lag)
    found = joined(bars, {declared: beside}, "1m")["x_close"].to_numpy()
    left = pd.DataFrame({"known": bars.index + pd.Timedelta(minutes=1)})
    right = pd.DataFrame(
        {"known": beside.index + pd.Timedelta(minutes=coarse[1] + lag), "x": beside["close"]}
    )
    expected = pd.merge_asof(left, right, on="known")["x"].to_numpy()
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=100, deadline=None)
@given(minutes, minutes, st.integers(1, 59))
def test_the_future_of_a_side_changes_nothing(own: list[int], side: list[int], cut: int) -> None:
    bars, beside = rows(own), rows(side)
    asof = Side("x", ("close",))
    whole = joined(bars, {asof: beside}, "1m")
    close = bars.index[min(cut, len(bars)) - 1] + pd.Timedelta(minutes=1)
    known = beside.loc[beside.index + pd.Timedelta(minutes=1) <= close]
    seen = joined(bars.loc[bars.index < close], {asof: known}, "1m")
    pd.testing.assert_frame_equal(whole.iloc[: len(seen)], seen)


def events(seconds: list[int], values: list[float]) -> pd.DataFrame:
    index = pd.DatetimeIndex(pd.to_datetime(seconds, unit="s", utc=True), name="timestamp")
    return pd.DataFrame({"score": values}, index=index)


NEWS = (
    Side("last", ("score",), table="news"),
    Side("sum", ("score",), table="news", join="sum"),
    Side("n", ("score",), table="news", join="count"),
)


def test_what_is_said_between_two_closes_counts_for_the_later_bar() -> None:
    own = rows([10, 11, 15])  # known at 660, 720 and 960 seconds
    news = events([600, 659, 660, 719, 800, 960], [1.0, 2.0, 4.0, np.nan, 8.0, 16.0])
    found = joined(own, dict.fromkeys(NEWS, news), "1m")
    assert found["n_score"].tolist() == [2, 1, 1]
    assert found["sum_score"].tolist() == [3, 4, 8]
    assert found["last_score"].iloc[[0, 2]].tolist() == [2, 8]
    assert np.isnan(found["last_score"].iloc[1])  # the last row said nothing of it


def test_nothing_said_is_no_sum_and_before_the_table_begins_no_count() -> None:
    found = joined(rows([1, 2, 3]), dict.fromkeys(NEWS, events([150], [5.0])), "1m")
    assert found["n_score"].isna().tolist() == [True, False, False]
    assert found["n_score"].iloc[1:].tolist() == [1, 0]
    assert found["sum_score"].isna().tolist() == [True, False, True]


def test_after_hours_counts_for_the_next_bar() -> None:
    own = rows([0, 1], timeframe=24 * 60)
    closes = pd.to_datetime(["1970-01-01 21:00", "1970-01-02 21:00"]).as_unit("ns").asi8
    news = events([20 * 3600, 22 * 3600], [1.0, 2.0])
    by_slot = joined(own, dict.fromkeys(NEWS, news), "1d")
    by_session = joined(own, dict.fromkeys(NEWS, news), "1d", closes)
    assert by_slot["n_score"].tolist() == [2, 0]
    assert by_session["sum_score"].tolist() == [1, 2]
    assert by_session["last_score"].tolist() == [1, 2]


def test_only_a_table_is_summed() -> None:
    with pytest.raises(DataError, match="needs a side table"):
        joined(rows([1]), {Side("peer", ("close",), join="sum"): rows([1])}, "1m")
    with pytest.raises(DataError, match="join it asof"):
        joined(rows([1]), {Side("n", ("score",), table="n", join="inner"): rows([1])}, "1m")


@settings(max_examples=150, deadline=None)
@given(
    minutes,
    st.lists(st.integers(0, 12_000), min_size=1, max_size=60, unique=True).map(sorted),
    st.integers(0, 3),
    st.data(),
)
def test_each_row_counts_once_and_a_tail_has_the_bits_of_the_whole(
    own: list[int], said: list[int], lag: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(len(said))
    news = events(said, list(rng.normal(size=len(said))))
    sides = [
        Side(kind, ("score",), table="news", join=kind, lag_minutes=lag)  # type: ignore[arg-type]
        for kind in ("sum", "count")
    ]
    bars = rows(own)
    found = joined(bars, dict.fromkeys(sides, news), "1m")
    closes = np.array(own) * 60 + 60
    since = np.concatenate([closes[:1] - 60, closes[:-1]])
    known = np.array(said) + lag * 60
    inside = [(known >= a) & (known < b) for a, b in zip(since, closes, strict=True)]
    begun = closes > known[0]
    expected = [float(each.sum()) if ok else np.nan for each, ok in zip(inside, begun, strict=True)]
    np.testing.assert_array_equal(found["count_score"], expected)
    cut = data.draw(st.integers(0, len(own) - 1))
    tail = joined(bars.iloc[cut:], dict.fromkeys(sides, news), "1m")
    pd.testing.assert_frame_equal(tail.iloc[1:], found.iloc[cut + 1 :], check_exact=True)


def test_the_age_of_what_is_joined_is_that_at_the_close() -> None:
    stamps = pd.DatetimeIndex(
        ["2024-01-02", "2024-01-03", "2024-01-04"], tz="UTC", name="timestamp"
    )
    own = pd.DataFrame({"close": 1.0}, index=stamps)
    known = pd.DatetimeIndex(["2024-01-03 15:00"], tz="UTC", name="timestamp")
    filings = pd.DataFrame({"equity": [5.0]}, index=known)
    closes = pd.DatetimeIndex([f"{day:%Y-%m-%d} 21:00" for day in stamps], tz="UTC").as_unit("ns")
    side = Side("filed", ("equity",), table="filings", age=True)
    assert side.names == ("filed_equity", "filed_age_days")
    found = joined(own, {side: filings}, "1d", closes.asi8)
    np.testing.assert_array_equal(found["filed_equity"], [np.nan, 5, 5])
    np.testing.assert_array_equal(found["filed_age_days"], [np.nan, 0.25, 1.25])
    # A lag is part of the age; without closes a day ends with its slot.
    late = Side("filed", ("equity",), table="filings", age=True, lag_minutes=600)
    found = joined(own, {late: filings}, "1d", closes.asi8)
    np.testing.assert_array_equal(found["filed_age_days"], [np.nan, np.nan, 1.25])
    found = joined(own, {side: filings}, "1d")
    np.testing.assert_array_equal(found["filed_age_days"], [np.nan, 0.375, 1.375])


def test_the_age_of_a_bar_counts_from_its_close() -> None:
    own = rows(list(range(60, 63)))
    side = Side("hour", ("close",), timeframe="1h", age=True)
    found = joined(own, {side: rows([0], timeframe=60)}, "1m")["hour_age_days"]
    np.testing.assert_array_equal(found * 24 * 60, [1, 2, 3])


@pytest.mark.parametrize("join", ["sum", "count"])
def test_a_sum_has_no_age(join: Literal["sum", "count"]) -> None:
    side = Side("news", ("close",), table="news", join=join, age=True)
    with pytest.raises(DataError, match="has no age; join it asof"):
        joined(rows([1]), {side: rows([1])}, "1m")
