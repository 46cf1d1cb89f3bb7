"""Policy, sentences, outcomes, arrival, and what real data really holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.bar_quality import QualityPolicy, RefusedBarsError, check_bars, context_rows
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.params import parse_params
from hf_plugins.sessions import ExpectedBars, Sessions
from tests.plugins.enrichment.real import perpetual

MINUTE = 60_000_000


def steady(rows: int = 60, price: float = 100.0) -> Any:
    """Bars that move by about one per mille, without a fault."""
    rng = np.random.default_rng(5)
    close = price * np.exp(np.cumsum(rng.normal(0, 0.001, rows)))
    index = pd.date_range("2024-01-01", periods=rows, freq="1h", tz="UTC", name="timestamp")
    frame = pd.DataFrame(
        {"open": close, "high": close * 1.001, "low": close * 0.999, "close": close}, index=index
    )
    return frame.assign(volume=rng.uniform(5, 15, rows))


def check(bars: Any, **options: Any) -> Any:
    return check_bars(bars, symbol="X", timeframe="1h", **options)


def names(quality):
    return [fault.check for fault in quality.faults]


def test_the_policy_decides_what_becomes_of_a_fault():
    bars = steady()
    bars.iloc[50, bars.columns.get_loc("high")] = 1.0
    for action, kept in (("warn", 60), ("quarantine", 59), ("block", 59)):
        quality = check(bars, policy=parse_params("", QualityPolicy, {"ohlc": action}))
        assert len(quality.kept) == kept
        assert quality.blocked == (action == "block")
    with pytest.raises(RefusedBarsError) as caught:
        quality.refuse_if_blocked()
    close, low = (float(bars[name].iloc[50]) for name in ("close", "low"))
    assert str(caught.value) == (
        "refused by the quality policy (ohlc: block): X 1h: the bar at 2024-01-03 02:00 UTC has a "
        "high below, or a low above, another of its "
        f"prices (open {close!r}, high 1.0, low {low!r}, close {close!r}); 1 of 60 rows, the batch "
        "is refused."
    )


def test_a_gap_can_block():
    bars = steady().drop(steady().index[[20, 21]])
    times = steady().index.as_unit("us").asi8
    expected = ExpectedBars(times, times + 60 * MINUTE)
    quality = check(bars, expected=expected, policy=QualityPolicy(missing="block"))
    assert quality.blocked
    (fault,) = quality.faults
    assert fault.sentence == (
        "X 1h: 2 expected bars are missing, the first at 2024-01-01 20:00 UTC; the batch is "
        "refused."
    )
    row = quality.flags.iloc[20]
    assert row["gap_detected"]
    assert row["is_validated"], "the row itself says nothing wrong"
    assert row["quality_score"] == pytest.approx(0.9)
    assert row["validation_notes"] == "follows a gap"


def test_bars_that_end_early_are_missing_too():
    times = steady().index.as_unit("us").asi8
    quality = check(steady().iloc[:57], expected=ExpectedBars(times, times + 60 * MINUTE))
    assert quality.missing.tolist() == times[57:].tolist()
    assert names(quality) == ["missing"]
    assert quality.faults[0].rows == ()
    assert not quality.flags["gap_detected"].any()
    assert quality.score == pytest.approx(57 / 60)


def test_a_spike_and_a_new_level_are_told_apart_one_bar_later():
    spike, level = steady(), steady()
    spike.iloc[50, :4] *= 1.2
    level.iloc[50:, :4] *= 1.2
    flags = []
    for bars, kind in ((spike, "spike"), (level, "level_shift")):
        known = check(bars.iloc[:51])
        assert names(known) == ["outlier"]
        assert known.outcomes == ()
        later = check(bars)
        assert later.faults[0].rows == (50,)
        (outcome,) = later.outcomes
        assert (outcome.timestamp, outcome.kind) == (bars.index[50], kind)
        assert outcome.known_at == bars.index[51]
        flags.append(later.flags.iloc[50])
        # Told in the batch that shows it, once.
        tail = check(bars.iloc[51:], history=bars.iloc[:51])
        assert [each.kind for each in tail.outcomes] == [kind]
        assert check(bars.iloc[52:], history=bars.iloc[:52]).outcomes == ()
    pd.testing.assert_series_equal(*flags)


def test_a_bad_close_does_not_make_the_next_bar_an_outlier():
    bars = steady()
    bars.iloc[50, :4] *= 100
    assert check(bars).faults[0].rows == (50,)


def test_nothing_is_judged_without_history():
    bars = steady(30)
    bars.iloc[20, :4] *= 100
    assert names(check(bars)) == []


def test_arrival():
    bars = steady(3)
    closes = bars.index.as_unit("us").asi8 + 60 * MINUTE
    arrived = closes + np.array([0, 61, -1]) * MINUTE
    quality = check(bars, arrived=arrived)
    assert {fault.check: fault.rows for fault in quality.faults} == {
        "unfinished": (2,), "late": (1,),
    }  # fmt: skip
    assert quality.quarantined.index.tolist() == [bars.index[2]]
    # A session that closes early finishes its last bar early.
    expected = ExpectedBars(closes - 60 * MINUTE, closes - np.array([0, 0, 30]) * MINUTE)
    assert names(check(bars, arrived=int(closes[2]) - MINUTE, expected=expected)) == ["late"]


def test_stale_bars_are_flagged_from_the_last_of_the_run_on():
    bars = steady()
    bars.iloc[40:47] = bars.iloc[[40]].to_numpy()
    assert check(bars).faults[0].rows == (44, 45, 46)
    assert check(bars, policy=QualityPolicy(stale_bars=7)).faults[0].rows == (46,)
    alone = check(bars.iloc[44:], history=bars.iloc[:44])
    assert alone.faults[0].rows == (0, 1, 2)


def test_null_volume_is_allowed_and_incomplete():
    bars = steady().assign(volume=np.nan)
    quality = check(bars)
    assert names(quality) == []
    assert (quality.flags["data_completeness"] == 0.8).all()
    assert (quality.flags["quality_score"] == 0.8).all()
    assert check(bars, fields=("open", "close")).score == 1.0
    with pytest.raises(DataError, match="cannot have the expected fields colour"):
        check(bars, fields=("colour",))


def test_a_broken_row_does_not_make_its_good_twin_a_conflict():
    bars = steady()
    broken = bars.iloc[[30]].assign(close=np.nan)
    both = pd.concat([bars.iloc[:30], broken, bars.iloc[30:]])
    quality = check(both)
    assert names(quality) == ["non_finite"]
    pd.testing.assert_frame_equal(quality.kept, bars, check_freq=False)


def test_rows_that_arrive_in_reverse_are_put_in_order_where_the_policy_allows_it():
    bars = steady()
    quality = check(bars.iloc[::-1], policy=QualityPolicy(order="warn"))
    pd.testing.assert_frame_equal(quality.kept, bars, check_freq=False)
    assert names(quality) == ["order"]
    assert quality.flags["is_validated"].all()


def test_rows_out_of_order_refuse_the_batch_by_default():
    bars = steady()
    quality = check(bars.iloc[[*range(10), 11, 10, *range(12, len(bars))]])
    assert {fault.check: fault.rows for fault in quality.faults if fault.action == "block"} == {
        "order": (11,)
    }
    with pytest.raises(DataError, match=r"the bar at 2024-01-01 10:00 UTC arrived after a later"):
        quality.refuse_if_blocked()


def test_the_history_must_end_before():
    bars = steady()
    with pytest.raises(
        DataError, match="the history ends at 2024-01-01 10:00 UTC, after the first"
    ):
        check(bars.iloc[10:], history=bars.iloc[:11])


def test_the_context_covers_every_check():
    assert context_rows(QualityPolicy()) == 102
    assert context_rows(QualityPolicy(window=10, minimum_history=5, stale_bars=50)) == 50


def test_a_policy_from_yaml_is_checked():
    policy = parse_params("quality", QualityPolicy, {"outlier": "quarantine", "stale_bars": 3})
    assert policy.action("outlier") == "quarantine"
    for values, sentence in (
        ({"outlir": "warn"}, r"unknown parameter 'outlir'.*Did you mean 'outlier'\?"),
        ({"outlier": "quarantin"}, r"'outlier' is 'quarantin'.*Did you mean 'quarantine'\?"),
        ({"duplicate": "warn"}, "'duplicate' is 'warn'.*'quarantine' or 'block'"),
        ({"stale_bars": 1}, "'stale_bars' is 1.*>= 2"),
    ):
        with pytest.raises(ConfigurationError, match=sentence):
            parse_params("quality", QualityPolicy, values)


def test_a_bar_outside_the_session_is_not_one_off_the_grid():
    day = int(pd.Timestamp("2024-01-02 14:30", tz="UTC").value // 1000)
    one = np.array([day])
    sessions = Sessions.simple(np.array([day - 870 * MINUTE]), one, np.array([day + 390 * MINUTE]))
    expected = sessions.expected("1h", day - 870 * MINUTE, day + 1440 * MINUTE)
    index = pd.DatetimeIndex(
        ["2024-01-02 13:30", "2024-01-02 14:00", *pd.to_datetime(expected.opens, unit="us")],
        tz="UTC",
    )  # fmt: skip
    bars = pd.DataFrame(dict.fromkeys(["open", "high", "low", "close", "volume"], 1.0), index=index)
    faults = {fault.check: fault.rows for fault in check(bars, expected=expected).faults}
    assert faults["outside_session"] == (0,)
    assert faults["off_grid"] == (1,)


@pytest.mark.parametrize("venue", ["binance", "bybit"])
def test_a_year_of_real_bars_cries_wolf_rarely(shared_data, venue):
    bars: Any = perpetual(shared_data, venue)[["open", "high", "low", "close", "volume"]]
    stamps = bars.index.as_unit("us").asi8
    expected = Sessions.around_the_clock(stamps[0], stamps[-1] + 1).expected(
        "1h", stamps[0], stamps[-1] + 1
    )
    quality = check(bars, expected=expected)
    assert len(quality.kept) == len(bars) == 8736
    assert (~quality.flags["is_validated"]).sum() <= 4
    outlier = next(fault for fault in quality.faults if fault.check == "outlier")
    # The crash of 10 October 2025, and nothing else.
    assert bars.index[list(outlier.rows)].tolist() == [pd.Timestamp("2025-10-10 21:00", tz="UTC")]


@pytest.mark.parametrize("name", ["AET-L-1d-100x-error", "SSW-JO-1d-100x-error"])
def test_real_prices_a_hundred_times_too_high_are_found(shared_data, name):
    folder = shared_data / "us_equities" / "yfinance_bad_data"
    read_csv: Any = pd.read_csv
    bad, good = (
        read_csv(folder / f"{each}.csv", index_col="Date")[
            ["Open", "High", "Low", "Close", "Volume"]
        ].rename(columns=str.lower)
        for each in (name, f"{name}-fixed")
    )
    for frame in (bad, good):
        days = (
            pd.to_datetime(frame.index, utc=True).tz_convert("Europe/London").strftime("%Y-%m-%d")
        )
        frame.index = pd.DatetimeIndex(pd.to_datetime(days), tz="UTC")
        frame.sort_index(inplace=True)  # noqa: PD002
    policy = QualityPolicy(minimum_history=5)
    found = check_bars(bad.round(6), symbol="X", timeframe="1d", policy=policy)
    outliers = next(fault.rows for fault in found.faults if fault.check == "outlier")
    # Where the unit changes, in either direction, once there is enough history to tell.
    unit = np.log(bad["close"] / good["close"]).to_numpy()
    changes = np.flatnonzero(np.abs(np.diff(unit)) > 1) + 1
    assert list(outliers) == [row for row in changes if row > 5]
    assert {outcome.kind for outcome in found.outcomes} == {"level_shift"}


def test_a_bar_that_is_still_being_formed_is_unfinished_and_not_missing():
    times = steady().index.as_unit("us").asi8
    expected = ExpectedBars(times, times + 60 * MINUTE)
    forming = steady().assign(is_final=True)
    forming.iloc[-1, forming.columns.get_loc("is_final")] = False
    quality = check(forming, expected=expected, policy=QualityPolicy(missing="block"))
    assert names(quality) == ["unfinished"]
    assert not quality.blocked
    # In the middle of the series it leaves a hole.
    forming.iloc[30, forming.columns.get_loc("is_final")] = False
    quality = check(forming, expected=expected)
    assert names(quality) == ["unfinished", "missing"]
    assert quality.faults[1].sentence == (
        "X 1h: 1 expected bar is missing, the first at 2024-01-02 06:00 UTC; 1 of them came and "
        "stands in quarantine; nothing is filled."
    )


@pytest.mark.parametrize("ratio", [10.0, 0.05])
def test_a_split_that_is_declared_is_no_outlier(ratio: float):
    bars = steady(120).assign(split_factor=1.0)
    prices = [bars.columns.get_loc(name) for name in ("open", "high", "low", "close")]
    bars.iloc[50:, prices] /= ratio
    assert names(check(bars)) == ["outlier"]
    bars.iloc[50, bars.columns.get_loc("split_factor")] = ratio
    assert names(check(bars)) == []
    # It does not excuse a price that is wrong by more than it.
    bars.iloc[50, bars.columns.get_loc("split_factor")] = ratio**2
    assert names(check(bars)) == ["outlier"]
