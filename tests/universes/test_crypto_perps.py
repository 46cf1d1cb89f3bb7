"""Perpetual futures from the venue's replies to enriched bars, with funding and open interest.

What the data really has: hours without a hole, half of the series with an hour at their end that
had just begun; funding from 12 January on, of which three stamps in five are some milliseconds
late; a sample of open interest every four hours for the last thirty days; no taker volume of the
futures, which spot pairs have, no liquidations and no long/short ratio.
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

# What they look at takes long to make: in one process, once.
pytestmark = pytest.mark.xdist_group("crypto_perps")

HOUR = timedelta(hours=1)
PRICES = ["open", "high", "low", "close", "volume"]
NEVER = ["liquidations_long", "liquidations_short", "long_short_account_ratio"]


def served(ran: Ran, shared_data: Path, symbol: str) -> Any:
    """The rows that the venue had when its clock stood where it stands."""
    spot = "/" in symbol
    rows = (replays.spot_hours if spot else replays.perpetual_hours)(shared_data, symbol)
    return rows.loc[rows.index <= ran.clock]


def perpetuals(ran: Ran) -> list[str]:
    return [symbol for symbol in ran.symbols if "/" not in symbol]


def known_at(closes: Any, values: Any, oldest: timedelta) -> Any:
    """The last value stamped at or before each close and not as old as that; else null."""
    wanted = pd.DataFrame({"at": closes.as_unit("us")})
    known = pd.DataFrame({"at": values.index, "value": values.to_numpy()})
    youngest = oldest - timedelta(microseconds=1)
    joined = pd.merge_asof(wanted, known, on="at", tolerance=youngest)
    return pd.Series(joined["value"].to_numpy(), closes - HOUR)


def test_every_row_that_was_served_is_stored_or_put_aside(
    crypto_perps: Ran, shared_data: Path
) -> None:
    for symbol in crypto_perps.symbols:
        rows = served(crypto_perps, shared_data, symbol)
        kept, aside = crypto_perps.bars(symbol, "1h"), crypto_perps.quarantine(symbol, "1h")
        assert len(kept) + len(aside) == len(rows)
        assert sorted([*kept.index, *aside["bar_timestamp"]]) == list(rows.index)
        np.testing.assert_array_equal(kept[PRICES], rows.loc[kept.index, PRICES])
        np.testing.assert_array_equal(kept["trades"], rows.loc[kept.index, "trades"])


def test_an_hour_that_had_just_begun_is_put_aside_and_no_finding(
    crypto_perps: Ran, shared_data: Path
) -> None:
    for symbol in crypto_perps.symbols:
        rows = served(crypto_perps, shared_data, symbol)
        begun = rows.index[rows.index + HOUR > crypto_perps.clock]
        aside = crypto_perps.quarantine(symbol, "1h")
        assert list(aside["bar_timestamp"]) == list(begun)
        assert set(aside["validation_notes"]) <= {"was taken before its close"}
    assert len(crypto_perps.quarantine("SOLUSDT", "1h")) == 1
    assert len(crypto_perps.quarantine("BTCUSDT", "1h")) == 0
    told = {row["check"] for row in crypto_perps.findings("quality")}
    assert told <= {"outlier", "volume_anomaly"}
    day = crypto_perps.metrics("2026-03-19", ("SOLUSDT", "1h"))
    assert (day["rows_kept"], day["rows_quarantined"]) == (20, 1)
    assert day["failed"] == {"unfinished": 1}


def test_a_series_without_holes_has_no_gap(crypto_perps: Ran) -> None:
    for symbol in crypto_perps.symbols:
        bars = crypto_perps.bars(symbol, "1h")
        assert (np.diff(bars.index) == HOUR).all()
        assert crypto_perps.status(symbol, "1h")["missing_bars"] == 0
        assert not bars["gap_detected"].any()
    assert crypto_perps.checks["gaps"].passed
    whole = crypto_perps.metrics("2026-03-18", ("BTCUSDT", "1h"))
    assert (whole["rows_expected"], whole["rows_kept"], whole["rows_missing"]) == (24, 24, 0)


def test_the_crash_of_10_october_is_flagged_and_kept(crypto_perps: Ran) -> None:
    crash = datetime(2025, 10, 10, 21, tzinfo=UTC)
    for symbol in ("BTCUSDT", "SOLUSDT"):
        bars = crypto_perps.bars(symbol, "1h")
        notes = bars["validation_notes"].dropna()
        outliers = notes.index[notes.str.contains("too far from the closes")]
        assert list(outliers) == [crash]
        assert not bars.loc[crash, "is_validated"]
    told = {
        (row["partition"], row["check"]): row["finding"] for row in crypto_perps.findings("quality")
    }
    assert "2025-10-10 21:00 UTC is too far" in told["SOLUSDT|1h", "outlier"]


def test_funding_is_the_last_settlement_before_the_close(
    crypto_perps: Ran, shared_data: Path
) -> None:
    for symbol in perpetuals(crypto_perps):
        bars = crypto_perps.bars(symbol, "1h")
        closes = pd.DatetimeIndex(bars.index) + HOUR
        rates = replays.funding(shared_data, symbol)
        expected = known_at(closes, rates, timedelta(hours=8, minutes=1))
        np.testing.assert_array_equal(bars["funding_rate"], expected)
        # From the first settlement on there is always one, before it never.
        first = closes >= rates.index[0]
        assert bars["funding_rate"].notna().equals(pd.Series(first, bars.index))


def test_a_settlement_stamped_late_belongs_to_the_next_bar(
    crypto_perps: Ran, shared_data: Path
) -> None:
    bars = crypto_perps.bars("BTCUSDT", "1h")
    rates = replays.funding(shared_data, "BTCUSDT")
    rates = rates.loc[rates.index < crypto_perps.clock]
    late = rates.index != rates.index.floor("h")
    assert (late.sum(), len(rates)) == (120, 199)
    for stamp, rate, before in zip(rates.index[1:], rates[1:], rates[:-1], strict=True):
        settled = stamp.floor("h")
        expected = rate if stamp == settled else before
        assert bars.loc[settled - HOUR, "funding_rate"] == expected
        if settled in bars.index:
            assert bars.loc[settled, "funding_rate"] == rate


def test_open_interest_is_where_there_is_a_sample_and_nowhere_filled(
    crypto_perps: Ran, shared_data: Path
) -> None:
    for symbol in perpetuals(crypto_perps):
        bars = crypto_perps.bars(symbol, "1h")
        closes = pd.DatetimeIndex(bars.index) + HOUR
        samples = replays.open_interest(shared_data, symbol)
        np.testing.assert_array_equal(
            bars["open_interest"], samples.reindex(closes).round(3).to_numpy()
        )
        assert bars["open_interest"].notna().sum() == (samples.index <= crypto_perps.clock).sum()
        # Never two bars in a row, so that no change from bar to bar is known.
        assert crypto_perps.enriched(symbol, "1h")["open_interest_change"].isna().all()


def test_what_the_data_does_not_have_is_null(crypto_perps: Ran, shared_data: Path) -> None:
    for symbol in crypto_perps.symbols:
        enriched = crypto_perps.enriched(symbol, "1h")
        derived = ["delta", "long_short_ratio", "liquidation_intensity", "exchange_inflow"]
        assert enriched[[*NEVER, *derived]].isna().to_numpy().all()
        takers = enriched[["taker_buy_volume", "taker_sell_volume", "buy_sell_ratio"]]
        if "/" not in symbol:
            assert takers.isna().to_numpy().all()
            continue
        assert enriched[["funding_rate", "open_interest"]].isna().to_numpy().all()
        rows = served(crypto_perps, shared_data, symbol).loc[enriched.index]
        np.testing.assert_array_equal(takers["taker_buy_volume"], rows["taker_buy_base"])


@pytest.mark.parametrize("symbol", ["BTCUSDT", "SOLUSDT", "BTC/USDT"])
def test_enriched_bars_equal_plain_pandas(
    crypto_perps: Ran, shared_data: Path, symbol: str
) -> None:
    enriched = crypto_perps.enriched(symbol, "1h")
    rows = served(crypto_perps, shared_data, symbol).loc[enriched.index]
    bars = rows.loc[:, PRICES].assign(
        taker_buy_volume=rows.get("taker_buy_base", np.nan),
        funding_rate=np.nan,
        open_interest=np.nan,
    )
    if "/" not in symbol:
        closes = pd.DatetimeIndex(rows.index) + HOUR
        rates = replays.funding(shared_data, symbol)
        bars["funding_rate"] = known_at(closes, rates, timedelta(hours=8, minutes=1))
        bars["open_interest"] = (
            replays.open_interest(shared_data, symbol).reindex(closes).to_numpy()
        )
    expected = pd.concat(
        [oracles.features(bars, 365 * 24, never_closes=True), oracles.crypto(bars)], axis=1
    )
    for name in expected:
        np.testing.assert_allclose(
            enriched[name], expected[name], rtol=1e-9, atol=1e-12, err_msg=name
        )
    assert enriched["funding_rate_percentile"].notna().any() == ("/" not in symbol)


def test_a_second_run_computes_nothing(crypto_perps: Ran) -> None:
    assert not crypto_perps.first.failures
    assert crypto_perps.first.computed == len(crypto_perps.partitions) * 6
    assert (crypto_perps.again.computed, crypto_perps.again.failures) == (0, [])
    assert crypto_perps.again.skipped == crypto_perps.first.computed
    assert heads(crypto_perps.session) == crypto_perps.heads_before
    assert crypto_perps.requests_again < crypto_perps.requests
