"""Coarser bars made of a source's finer ones: against the venue's own, page by page, day by day."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.bar_quality import QualityPolicy
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.versioning import InputVersion, source_fingerprint
from hf_resources.calendars import expected_bars
from hf_resources.datasets import DatasetRef
from hf_resources.ingestion import ingest
from hf_resources.instruments import Instrument
from hf_resources.settings import Settings
from hf_resources.sources.base import Source, create_source, window
from hf_resources.sources.resampled import Resampled
from hf_resources.sources.views import Since
from hf_resources.store import DatasetStore
from tests.plugins.enrichment.real import spot
from tests.resources import samples

COIN = Instrument("BTCUSDT", "crypto", "24/7", 2, 5)
SHARE = Instrument("AAPL", "equity", "XNYS", 4, 0)
EURO = Instrument("EURUSD", "fx", "24/5", 5, 0)
SYDNEY = Instrument("BHP.AX", "equity", "XASX", 2, 0)
EXACT = ["open", "high", "low", "close"]
FROM_HOURS = {"4h": "1h", "1d": "1h"}


class Vendor(Source):
    """Sends one frame in pages; any window can be asked for."""

    key = "vendor"

    def __init__(self, frame: pd.DataFrame, timeframe: str = "1h", rows: int = 7) -> None:
        super().__init__()
        self.frame, self.timeframe, self.rows = frame, timeframe, rows
        self.asked: list[tuple[Any, Any]] = []

    @property
    def incremental(self) -> bool:
        return True

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        return (self.timeframe,)

    def fetch(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pd.DataFrame:
        assert timeframe == self.timeframe
        return window(self.frame, start, end)

    def pages(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[pd.DataFrame]:
        self.asked.append((start, end))
        frame = self.fetch(instrument, timeframe, start, end)
        for row in range(0, len(frame), self.rows):
            yield frame.iloc[row : row + self.rows]

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        return self.frame.index[-1].isoformat()

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        return (f"about {timeframe}",)


def taken(source: Source, *window: Any) -> Any:
    """What a source has, for pandas to index freely."""
    return source.fetch(*window)


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc]


def walk(instrument: Instrument, timeframe: str, start: datetime, end: datetime) -> Any:
    """A random walk over exactly the bars that the calendar implies."""
    opens = expected_bars(instrument, timeframe, start, end).opens
    random = np.random.default_rng(11)
    close = np.round(100 * np.exp(np.cumsum(random.normal(0, 0.002, len(opens)))), 2)
    opening = np.r_[100.0, close[:-1]]
    index = pd.DatetimeIndex(opens.view("datetime64[us]"), tz="UTC", name="timestamp")
    return pd.DataFrame(
        {
            "open": opening,
            "high": np.maximum(opening, close) + 0.1,
            "low": np.minimum(opening, close) - 0.1,
            "close": close,
            "volume": random.integers(1, 1000, len(opens)).astype(float),
        },
        index=index,
    )


def test_days_made_of_hours_are_the_days_of_the_venue(shared_data: Path) -> None:
    hours, days = spot(shared_data, "BTC", "1h"), spot(shared_data, "BTC", "1d")
    made = taken(Resampled(Vendor(hours, rows=1000), FROM_HOURS), COIN, "1d")
    whole = made.loc[made["is_final"]]
    assert len(whole) == 179
    assert whole.index.equals(pd.date_range(whole.index[0], periods=179, name="timestamp"))
    theirs = days.loc[whole.index]
    pd.testing.assert_frame_equal(whole[EXACT], theirs[EXACT], check_freq=False)
    for name in ("volume", "taker_buy_volume", "trades", "vwap"):
        np.testing.assert_allclose(whole[name], theirs[name], rtol=1e-9)
    # The record of hours begins and ends within a day.
    assert made.index[~made["is_final"]].tolist() == [made.index[0], made.index[-1]]


@pytest.mark.parametrize(
    ("instrument", "target", "finer"),
    [(COIN, "4h", "1h"), (SHARE, "1d", "1h"), (EURO, "1d", "1h"), (EURO, "4h", "1h"),
     (SYDNEY, "1d", "30m"), (SHARE, "4h", "15m")],
)  # fmt: skip
def test_pages_make_what_one_fetch_makes_and_no_bucket_is_cut(
    instrument: Instrument, target: str, finer: str
) -> None:
    """Over a change of the clocks in New York, and one in Sydney; weekends between."""
    frame = walk(instrument, finer, utc(2025, 3, 3), utc(2025, 4, 15))
    whole = taken(Resampled(Vendor(frame, finer, rows=10**6), {target: finer}), instrument, target)
    paged = Resampled(Vendor(frame, finer, rows=5), {target: finer})
    pages = list(paged.pages(instrument, target))
    assert len(pages) > 10
    joined = pd.concat(pages)
    assert joined.index.is_unique
    pd.testing.assert_frame_equal(joined, whole)
    # The calendar says which bars there are; the ends of the record may cut one in two.
    implied = expected_bars(instrument, target, utc(2025, 3, 4), utc(2025, 4, 14)).opens
    inside = whole.loc["2025-03-04":"2025-04-13"]
    assert inside.index.as_unit("us").asi8.tolist() == implied.tolist()
    assert inside["is_final"].all()
    assert whole["volume"].sum() == frame["volume"].sum(), "each finer bar counts once"


@settings(max_examples=40, deadline=None)
@given(
    known=st.integers(1, 200),
    start=st.integers(0, 200),
    target=st.sampled_from(["4h", "1d"]),
    instrument=st.sampled_from([COIN, EURO, SHARE]),
)
def test_a_window_is_a_part_of_the_whole(
    known: int, start: int, target: str, instrument: Instrument
) -> None:
    """Whatever is asked for, a bucket that began before the window is left out and none is cut."""
    frame = walk(instrument, "1h", utc(2025, 3, 6), utc(2025, 3, 20)).iloc[:known]
    source = Resampled(Vendor(frame), FROM_HOURS)
    since = utc(2025, 3, 6) + timedelta(hours=start)
    whole = taken(source, instrument, target)
    part = taken(source, instrument, target, since)
    expected = whole.loc[whole.index >= since]
    assert part.index.tolist() == expected.index.tolist()
    if len(expected):
        pd.testing.assert_frame_equal(part, expected, check_freq=False)


def test_the_bars_of_a_prefix_that_are_final_never_change(shared_data: Path) -> None:
    """No look-ahead, and no bucket that passes for a bar before it is full."""
    hours = spot(shared_data).iloc[:120]
    whole = taken(Resampled(Vendor(hours), FROM_HOURS), COIN, "1d")
    for rows in range(1, 120):
        made = taken(Resampled(Vendor(hours.iloc[:rows]), FROM_HOURS), COIN, "1d")
        final = made.loc[made["is_final"]]
        pd.testing.assert_frame_equal(final, whole.loc[final.index], check_freq=False)
        assert final.index.tolist() == [
            day for day in whole.index[1:] if day + timedelta(days=1) <= hours.index[rows - 1]
            + timedelta(hours=1)
        ]  # fmt: skip


def test_a_hole_makes_a_bar_unfinished_unless_holes_are_normal() -> None:
    frame = walk(COIN, "1h", utc(2025, 3, 6), utc(2025, 3, 9))
    holed = frame.drop(frame.index[30])  # the second day lacks an hour
    strict = taken(Resampled(Vendor(holed), FROM_HOURS), COIN, "1d")
    assert strict["is_final"].tolist() == [True, False, True]
    sparse = Resampled(Vendor(holed), FROM_HOURS, sparse=True)
    assert taken(sparse, COIN, "1d")["is_final"].tolist() == [True, True, True]
    # A bucket that may still fill is not final, sparse or not.
    cut = taken(Resampled(Vendor(holed.iloc[:-1]), FROM_HOURS, sparse=True), COIN, "1d")
    assert cut["is_final"].tolist() == [True, True, False]


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("column", "value"), [("high", 0.01), ("close", np.nan), ("volume", -1.0), ("is_final", False)]
)
def test_a_faulty_finer_bar_spoils_its_bar_alone(sparse: bool, column: str, value: Any) -> None:
    frame = walk(COIN, "1h", utc(2025, 3, 6), utc(2025, 3, 9)).assign(is_final=True)
    frame.loc[frame.index[30], column] = value
    made = taken(Resampled(Vendor(frame), FROM_HOURS, sparse=sparse), COIN, "1d")
    assert made["is_final"].tolist() == [True, False, True]


def test_a_faulty_finer_bar_of_an_exchange_spoils_the_day_of_its_session() -> None:
    """In Sydney a session begins on the day before, by the clock of the stamps."""
    frame = walk(SYDNEY, "30m", utc(2025, 1, 6), utc(2025, 1, 10))
    faulty = frame.index[frame.index.date == date(2025, 1, 7)][-1]
    assert faulty.hour == 23  # it belongs to the session of the 8th
    frame.loc[faulty, "high"] = 0.01
    made = taken(Resampled(Vendor(frame, "30m"), {"1d": "30m"}, sparse=True), SYDNEY, "1d")
    assert made.index[~made["is_final"]].date.tolist() == [date(2025, 1, 8), made.index[-1].date()]


def test_hours_before_and_after_the_session_do_not_count() -> None:
    frame = walk(SHARE, "15m", utc(2025, 3, 6), utc(2025, 3, 8))
    early = frame.iloc[:2].set_axis(
        pd.DatetimeIndex(["2025-03-06 13:00", "2025-03-07 22:00"], tz="UTC", name="timestamp")
    )
    extended = pd.concat([frame, early.assign(high=10_000.0)]).sort_index()
    made = taken(Resampled(Vendor(extended, "15m"), {"1d": "15m"}), SHARE, "1d")
    own = taken(Resampled(Vendor(frame, "15m"), {"1d": "15m"}), SHARE, "1d")
    pd.testing.assert_frame_equal(made, own)
    only = taken(Resampled(Vendor(extended.iloc[:1], "15m"), {"1d": "15m"}), SHARE, "1d")
    assert only.empty


def test_finer_bars_in_disorder_are_refused() -> None:
    frame = walk(COIN, "1h", utc(2025, 3, 6), utc(2025, 3, 9))
    turned = pd.concat([frame.iloc[40:], frame.iloc[:40]])
    with pytest.raises(DataError, match="arrived after a later bar"):
        Resampled(Vendor(turned, rows=100), FROM_HOURS).fetch(COIN, "1d")


def test_a_series_that_grows_by_hours_grows_by_whole_days(tmp_path: Path) -> None:
    """Step by step it ends as one fetch of everything does, and no unfinished day is ever kept."""
    frame = walk(COIN, "1h", utc(2025, 3, 1), utc(2025, 4, 10))
    store = DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path)}))
    vendor = Vendor(frame, rows=50)
    source = Resampled(vendor, FROM_HOURS)
    ref = DatasetRef("market_data", "bars", COIN.symbol, "1d")
    for hours in (300, 311, 312, 313, 350, 700, len(frame)):
        vendor.frame = frame.iloc[:hours]
        now = frame.index[hours - 1] + timedelta(hours=1)
        head = store.head(ref)
        outcome, spool = ingest(
            store, source, COIN, "1d", policy=QualityPolicy(), now=now, bars=head, quarantine=None
        )
        inputs = {"source": InputVersion("", outcome.digests)}
        identity = samples.identity(of=ref, plugin_key="market_data.bars", inputs=inputs)
        definition = samples.definition(ref)
        known = store.publish(
            ref,
            replace(identity, source_fingerprint=source_fingerprint(inputs)),
            definition=definition,
            frame=outcome.bars,
            summary=outcome.summary(),
            expected=head,
        )
        spool.clear()
        assert known.row_count == hours // 24
    # The window of an incremental fetch begins on a whole day of the finer bars.
    assert vendor.asked[0] == (None, None)
    assert [start.hour for start, _ in vendor.asked[1:]] == [0] * 6
    once = taken(Resampled(Vendor(frame, rows=10**6), FROM_HOURS), COIN, "1d")
    kept = store.read(known, EXACT)
    pd.testing.assert_frame_equal(kept, once[EXACT], check_freq=False, check_index_type=False)


def test_the_rule_is_told_and_is_part_of_the_identity() -> None:
    vendor = Vendor(walk(COIN, "1h", utc(2025, 3, 6), utc(2025, 3, 9)))
    source = Resampled(vendor, {"1d": "1h", "4h": "1h"}, sparse=True)
    assert source.key == "vendor"
    assert source.incremental
    assert source.parameters() == {
        "resample": {"1d": "1h", "4h": "1h"},
        "resample_sparse": True,
    }
    assert source.timeframes(COIN) == ("1h", "4h", "1d")
    assert source.notes(COIN, "1h") == ("about 1h",)
    about, made = source.notes(COIN, "4h")
    assert about == "about 1h"
    assert made.startswith("4h bars are made of 1h bars inside the sessions of the calendar 24/7;")
    assert source.origin(COIN, "4h") == "source 'vendor' (4h made of 1h)"
    pd.testing.assert_frame_equal(taken(source, COIN, "1h"), vendor.frame, check_freq=False)


def test_a_timeframe_whose_finer_one_is_not_there_is_not_offered(tmp_path: Path) -> None:
    frame = walk(COIN, "1h", utc(2025, 3, 6), utc(2025, 3, 9))
    files = create_source("parquet", {"folder": str(tmp_path)})
    source = Resampled(files, {"1d": "1h"})
    assert source.timeframes(COIN) == ()
    frame.reset_index().to_parquet(tmp_path / "BTCUSDT_1h.parquet")
    assert source.timeframes(COIN) == ("1h", "1d")
    marker = source.marker(COIN, "1d")
    assert marker == files.marker(COIN, "1h")  # a digest: it tells of any change


@pytest.mark.parametrize(
    ("instrument", "last", "label"),
    [
        (COIN, "2025-03-08 22:00", "2025-03-07"),
        (COIN, "2025-03-08 23:00", "2025-03-08"),
        (SHARE, "2025-03-07 19:30", "2025-03-06"),
        (SHARE, "2025-03-07 20:30", "2025-03-07"),  # the last, half hour of the session
        (EURO, "2025-03-07 20:00", "2025-03-06"),
        (EURO, "2025-03-07 21:00", "2025-03-07"),  # 17:00 in New York
        (EURO, "2025-03-14 20:00", "2025-03-14"),  # an hour earlier in summer
    ],
)
def test_the_marker_moves_when_a_bucket_is_over(
    instrument: Instrument, last: str, label: str
) -> None:
    frame = walk(instrument, "1h", utc(2025, 3, 3), utc(2025, 3, 20)).loc[:last]
    source = Resampled(Vendor(frame), FROM_HOURS)
    assert source.marker(instrument, "1d") == f"{label}T00:00:00+00:00"
    assert source.marker(instrument, "1h") == frame.index[-1].isoformat()


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"2h": "1h"}, "unknown timeframe '2h'; allowed: .*Did you mean"),
        ({"1h": "4h"}, "'1h' is made of '4h', which is not finer; allowed: 1m, 5m, 15m, 30m$"),
        ({"1m": "1m"}, "not finer; allowed: none"),
        ({"4h": "1h", "1d": "4h"}, "'1d' is made of '4h', which is made itself; name '1h'"),
    ],
)
def test_a_rule_that_cannot_be_is_one_sentence(rule: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Resampled(Vendor(pd.DataFrame()), rule)


def test_history_begins_at_a_date() -> None:
    frame = walk(COIN, "1h", utc(2025, 3, 1), utc(2025, 3, 9))
    vendor = Vendor(frame)
    source = Since(Resampled(vendor, FROM_HOURS), date(2025, 3, 5))
    assert taken(source, COIN, "1d").index.day.tolist() == [5, 6, 7, 8]
    assert taken(source, COIN, "1h").index[0] == pd.Timestamp("2025-03-05", tz="UTC")
    # A later start is kept.
    assert taken(source, COIN, "1h", utc(2025, 3, 7)).index[0] == utc(2025, 3, 7)
    assert source.parameters()["since"] == "2025-03-05"
    assert source.notes(COIN, "1h")[-1].startswith("Bars before 2025-03-05 are not fetched")
