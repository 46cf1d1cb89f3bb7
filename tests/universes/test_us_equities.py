"""US shares from the vendor's replies to enriched bars: days, hours and five minutes, as they are.

What the data really has: days without a fault, with two splits and 72 dividends; five minutes with
two broken afternoons, single bars missing, hours after the close from 18 February on, and bars with
prices and a volume of 0.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.universes import oracles, replays
from tests.universes.running import Ran, heads

FIVE, HOUR = timedelta(minutes=5), timedelta(hours=1)
# What they look at takes long to make: in one process, once.
pytestmark = pytest.mark.xdist_group("us_equities")

PRICES = ["open", "high", "low", "close", "volume"]
BARS_PER_YEAR = {"1d": 252, "1h": 252 * 7, "5m": 252 * 78}


def served(shared_data: Path, symbol: str, timeframe: str) -> Any:
    rows = {"1d": replays.daily_shares, "5m": replays.five_minutes}[timeframe]
    return rows(shared_data, symbol).round(dict.fromkeys(PRICES[:4], 4))


def hours(shared_data: Path, symbol: str) -> Any:
    """Bars of an hour out of the real five minutes, with the count of those."""
    fine = served(shared_data, symbol, "5m")
    slot = oracles.slot_of(pd.DatetimeIndex(fine.index), HOUR)
    grouped = fine.groupby(slot)
    made = grouped.agg(
        open=("open", "first"), high=("high", "max"), low=("low", "min"), close=("close", "last"),
        volume=("volume", "sum"), bars=("close", "size"),
    )  # fmt: skip
    # The last slot of a session, also of one that ends early, is half an hour long.
    ends = oracles.slot_of(pd.DatetimeIndex(made.index + HOUR / 2), HOUR).isna()
    return made.assign(expected=np.where(ends, 6, 12))


@pytest.mark.parametrize("timeframe", ["1d", "5m"])
def test_every_row_that_was_served_is_stored_or_put_aside(
    us_equities: Ran, shared_data: Path, timeframe: str
) -> None:
    for symbol in us_equities.symbols:
        rows = served(shared_data, symbol, timeframe)
        kept, aside = us_equities.bars(symbol, timeframe), us_equities.quarantine(symbol, timeframe)
        assert len(kept) + len(aside) == len(rows)
        away = pd.DatetimeIndex(aside["bar_timestamp"])
        assert sorted([*kept.index, *away]) == sorted(rows.index)
        np.testing.assert_array_equal(kept[PRICES], rows.loc[kept.index, PRICES])
        np.testing.assert_array_equal(aside[PRICES], rows.loc[away, PRICES])


def test_hours_are_made_of_five_minutes_and_of_whole_hours_only(
    us_equities: Ran, shared_data: Path
) -> None:
    for symbol in us_equities.symbols:
        made = hours(shared_data, symbol)
        whole = made.loc[made["bars"] == made["expected"]]
        kept, aside = us_equities.bars(symbol, "1h"), us_equities.quarantine(symbol, "1h")
        assert list(kept.index) == list(whole.index)
        np.testing.assert_array_equal(kept[PRICES], whole[PRICES])
        broken = made.loc[made["bars"] < made["expected"]]
        assert sorted(aside["bar_timestamp"]) == list(broken.index)
        assert set(aside["validation_notes"]) <= {"was taken before its close"}
        assert len(kept) + len(aside) == len(made)


def test_what_lies_outside_the_session_is_put_aside_with_that_reason(
    us_equities: Ran, shared_data: Path
) -> None:
    for symbol in us_equities.symbols:
        rows = served(shared_data, symbol, "5m")
        outside = oracles.slot_of(pd.DatetimeIndex(rows.index), FIVE).isna()
        aside = us_equities.quarantine(symbol, "5m")
        assert list(aside["bar_timestamp"]) == list(rows.index[outside])
        assert set(aside["validation_notes"]) <= {"opens when the market is closed"}
    assert len(us_equities.quarantine("AAPL", "5m")) == 1212


@pytest.mark.parametrize(("timeframe", "step"), [("5m", FIVE), ("1h", HOUR)])
def test_each_gap_is_reported_with_its_count(
    us_equities: Ran, timeframe: str, step: timedelta
) -> None:
    table = {row["partition"]: row for row in us_equities.findings("gaps")}
    for symbol in us_equities.symbols:
        kept: Any = pd.DatetimeIndex(us_equities.bars(symbol, timeframe).index)
        expected = oracles.slots(kept[0], kept[-1], step)
        absent = ~expected.isin(kept)
        begins = absent & ~np.r_[False, absent[:-1]]
        status = us_equities.status(symbol, timeframe)
        assert (status["gaps"], status["missing_bars"]) == (begins.sum(), absent.sum())
        row = table[f"{symbol}|{timeframe}"]
        assert (row["gaps"], row["missing_bars"]) == (begins.sum(), absent.sum())
        # The flag stands on the bar after each gap, and on no other.
        flagged = us_equities.bars(symbol, timeframe)["gap_detected"]
        after = kept[
            np.r_[False, expected.get_indexer(kept)[1:] - expected.get_indexer(kept)[:-1] > 1]
        ]
        assert list(kept[flagged]) == list(after)
    assert not us_equities.checks["gaps"].passed


def test_the_counts_of_the_data_are_these(us_equities: Ran) -> None:
    assert us_equities.status("AAPL", "5m")["missing_bars"] == 132
    assert us_equities.status("AVGO", "5m")["missing_bars"] == 123
    assert us_equities.status("AAPL", "1d")["missing_bars"] == 0
    told = {
        (row["partition"], row["check"]): row["finding"] for row in us_equities.findings("quality")
    }
    assert "1212 of 5723 rows, in quarantine" in told["AAPL|5m", "outside_session"]
    assert (
        "132 expected bars are missing, the first at 2026-01-20 15:45 UTC"
        in (told["AAPL|5m", "missing"])
    )
    assert ("AAPL|1d", "missing") not in told


def test_a_bar_with_prices_and_no_volume_is_flagged(us_equities: Ran) -> None:
    for symbol in us_equities.symbols:
        bars = us_equities.bars(symbol, "5m")
        judged = bars.iloc[30:]  # the bars before are too few to say what is usual
        empty = judged.loc[judged["volume"] == 0]
        assert empty["volume_anomaly"].all()
        assert empty["validation_notes"].str.contains("has an unusual volume, or none").all()
        assert not empty["is_validated"].any()
    assert (us_equities.bars("AAPL", "5m")["volume"] == 0).sum() == 102


def test_the_broken_afternoons_are_in_the_metrics_of_their_days(us_equities: Ran) -> None:
    friday = us_equities.metrics("2026-01-30", ("AAPL", "5m"))
    assert (friday["rows_expected"], friday["rows_in"], friday["rows_missing"]) == (78, 13, 65)
    assert friday["quality_score"] == pytest.approx(13 / 78)
    monday = us_equities.metrics("2026-02-02", ("AAPL", "5m"))
    assert (monday["rows_expected"], monday["rows_missing"]) == (78, 54)
    with pytest.raises(LookupError):
        us_equities.metrics("2026-01-31", ("AAPL", "5m"))  # a Saturday
    whole = us_equities.metrics("2026-01-30", ("AAPL", "1d"))
    assert (whole["rows_expected"], whole["rows_missing"], whole["quality_score"]) == (1, 0, 1.0)


@pytest.mark.parametrize("symbol", ["AAPL", "AVGO"])
@pytest.mark.parametrize("timeframe", ["1d", "1h", "5m"])
def test_enriched_bars_equal_plain_pandas(us_equities: Ran, symbol: str, timeframe: str) -> None:
    enriched = us_equities.enriched(symbol, timeframe)
    expected = oracles.features(enriched, BARS_PER_YEAR[timeframe], never_closes=False)
    for name in expected:
        np.testing.assert_allclose(
            enriched[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name
        )
    raw = us_equities.bars(symbol, timeframe)
    np.testing.assert_array_equal(enriched["raw_close"], raw["close"])
    crypto = ["open_interest", "funding_rate", "delta", "buy_sell_ratio", "volume_spike_score"]
    assert enriched[crypto].isna().to_numpy().all()


def test_days_are_adjusted_as_their_vendor_does(us_equities: Ran, shared_data: Path) -> None:
    """Returns through splits and dividends, against the vendor's own adjusted closes.

    A dividend d multiplies a holding by 1 / (1 - d / C) here, with the close C before it, as CRSP
    has it; there by 1 + d / C, with the close of its own day. But for that they are equal.
    """
    for symbol in us_equities.symbols:
        rows = served(shared_data, symbol, "1d")
        close = us_equities.enriched(symbol, "1d")["close"]
        paid = rows["divcash"] * rows["splitfactor"]
        ours = -np.log1p(-paid / rows["close"].shift(fill_value=np.inf))
        between = (ours - np.log1p(rows["divcash"] / rows["close"])).cumsum()
        theirs = np.log(rows["adjclose"] / rows["adjclose"].iloc[0])
        np.testing.assert_allclose(np.log(close / close.iloc[0]), theirs + between, atol=1e-8)
    raw, adjusted = us_equities.bars("AVGO", "1d"), us_equities.enriched("AVGO", "1d")
    split = datetime(2024, 7, 15, tzinfo=UTC)
    assert raw.loc[split, "split_factor"] == 10
    assert np.log(raw["close"] / raw["close"].shift())[split] < -2
    assert abs(np.log(adjusted["close"] / adjusted["close"].shift())[split]) < 0.05
    assert raw.loc[split, "is_validated"], "a split that is declared is no outlier"


def test_a_second_run_computes_nothing(us_equities: Ran) -> None:
    assert not us_equities.first.failures
    assert us_equities.first.computed == len(us_equities.partitions) * 6
    assert (us_equities.again.computed, us_equities.again.failures) == (0, [])
    assert us_equities.again.skipped == us_equities.first.computed
    assert heads(us_equities.session) == us_equities.heads_before
    assert us_equities.requests_again < us_equities.requests
