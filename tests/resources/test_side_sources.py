"""Side tables from files: which rows are taken, and from when on each counts as known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.errors import ConfigurationError, DataError, HfError
from hf_resources.settings import Settings
from hf_resources.side_sources import get_side_source, side_source_keys
from hf_resources.side_tables import collect, one_row_an_instant, without_repeats
from hf_resources.sources.remarks import gathered
from hf_resources.store import DatasetStore

NOW = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)


def rows(
    path: Path, lines: list[str], whose: str | None = None, *, name: str = "t.csv", **params: Any
) -> pd.DataFrame:
    (path / name).write_text("\n".join(lines) + "\n")
    given: Mapping[str, Any] = {
        "folder": str(path),
        "pattern": "*.csv",
        "known_at": "at",
        "clock": "UTC",
        "text": ["title"],
        **params,
    }
    return get_side_source("table.files")(**given).fetch(whose, NOW, None)


def stamps(frame: pd.DataFrame) -> list[str]:
    return [f"{each:%Y-%m-%d %H:%M:%S}" for each in pd.DatetimeIndex(frame.index)]


def test_the_source_is_registered() -> None:
    assert "table.files" in side_source_keys()


@pytest.mark.parametrize(
    ("clock", "time", "stamp", "utc"),
    [
        ("UTC", None, "2025-03-03T14:00:05Z", "2025-03-03 14:00:05"),
        (None, None, "2025-03-03 09:00:05-05:00", "2025-03-03 14:00:05"),
        ("America/New_York", None, "2025-03-03 09:00", "2025-03-03 14:00:00"),
        ("America/New_York", None, "2025-03-10 09:00", "2025-03-10 13:00:00"),
        # Shown twice on the night of the change: the later one, so that nothing is known too early.
        ("America/New_York", None, "2024-11-03 01:30", "2024-11-03 06:30:00"),
        (None, "%a, %d %b %Y %H:%M:%S", "Wed, 05 Mar 2025 14:21:36 -0500", "2025-03-05 19:21:36"),
        ("UTC", "epoch_s", "1741000000", "2025-03-03 11:06:40"),
        ("Europe/London", "%d/%m/%Y %H:%M", "01/05/2025 07:00", "2025-05-01 06:00:00"),
    ],
)
def test_stamps_are_read_by_their_clock(
    tmp_path: Path, clock: str | None, time: str | None, stamp: str, utc: str
) -> None:
    found = rows(tmp_path, ["at,title", f'"{stamp}",x'], clock=clock, time=time)
    assert stamps(found) == [utc]


def test_a_date_counts_from_the_end_of_its_day(tmp_path: Path) -> None:
    lines = ["at,title", "2025-03-07,x", "2025-03-10,y"]
    found = rows(tmp_path, lines, clock="America/New_York", date_only="end_of_day")
    # The clock is put forward on the night to the 9th.
    assert stamps(found) == ["2025-03-08 05:00:00", "2025-03-11 04:00:00"]
    found = rows(tmp_path, lines, clock="America/New_York", date_only="start_of_day")
    assert stamps(found) == ["2025-03-07 05:00:00", "2025-03-10 04:00:00"]
    mixed = ["at,title", "2025-03-07T00:00:00,x", "2025-03-10T09:00:00,y"]
    found = rows(tmp_path, mixed, date_only="end_of_day")
    assert stamps(found) == ["2025-03-08 00:00:00", "2025-03-10 09:00:00"]


def test_the_row_of_today_waits_for_the_end_of_the_day(tmp_path: Path) -> None:
    with gathered() as remarks:
        found = rows(tmp_path, ["at,title", "2025-05-31,x", "2025-06-01,y"], date_only="end_of_day")
    assert list(found["title"]) == ["x"]
    assert remarks.sentences() == ("rows dated today, which count from the end of the day: 1",)


@pytest.mark.parametrize(
    ("lines", "params", "told"),
    [
        (["at,title", "2025-03-03 10:00,x"], {"clock": None}, "line 2.*no time zone.*clock: UTC"),
        (["at,title", "2025-03-03,x"], {}, "line 2.*without a time of day.*end_of_day"),
        (["at,title", "2025-03-03T00:00:00,x"], {}, "line 2.*without a time of day"),
        (["at,title", "2025-06-01 12:00:01,x"], {}, "line 2.*still to come"),
        (["at,title", "2025-06-02,x"], {"date_only": "end_of_day"}, "line 2.*still to come"),
        (["at,title", "2025-03-03 10:00,x", ",y"], {}, "line 3: timestamp is empty"),
        (["at,title", "2025-03-03 10:00,x", "today,y"], {}, "line 3: timestamp is 'today'"),
        (
            ["at,title", "2025-03-09 02:30,x"],
            {"clock": "America/New_York"},
            "line 2.*does not exist on the clock",
        ),
        (
            ["at,title", "2025-03-03T10:00:00Z,x"],
            {"clock": "America/New_York"},
            "line 2.*not the one of the clock America/New_York",
        ),
        (["at,titel", "2025-03-03 10:00,x"], {}, "column 'title'.*is missing.*'titel'"),
        (
            ["at,title,eps", "2025-03-03 10:00,x,1.5", "2025-03-03 10:00,x,n/a"],
            {"numbers": ["eps"]},
            "line 3: eps is 'n/a'.*not a number",
        ),
        (
            ["at,title,eps", "2025-03-03 10:00,x,inf"],
            {"numbers": ["eps"]},
            "line 2: eps is inf; it must be finite",
        ),
        (["at,title", "2025-03-03 10:00,x,y"], {}, "line 2 has 3 fields"),
    ],
)
def test_bad_rows_are_told_with_their_place(
    tmp_path: Path, lines: list[str], params: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        rows(tmp_path, lines, **params)


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({"pattern": "../x.csv"}, "below the folder"),
        ({"pattern": "{timeframe}.csv"}, "placeholder 'timeframe'; allowed: symbol"),
        ({"text": {}}, "a table needs a column"),
        ({"text": ["Title"]}, "'Title' must be called by lower-case.*our_name: Title"),
        ({"text": ["timestamp"]}, "not timestamp"),
        ({"numbers": ["title"]}, "in text and in numbers"),
        ({"pivot": {"series": "a", "value": "b"}}, "'text' cannot be taken with a pivot"),
        ({"date_only": "end_of_day", "clock": None}, "declare it, such as clock"),
        ({"clock": "New_York"}, "clock is 'New_York'.*America/New_York"),
        ({"know_at": "x"}, "unknown parameter 'know_at'.*'known_at'"),
    ],
)
def test_wrong_parameters_are_told(tmp_path: Path, params: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        rows(tmp_path, ["at,title"], **params)


def test_a_missing_file_or_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"AAB\.csv: the file does not exist.*'AAA\.csv'"):
        rows(tmp_path, ["at,title"], "AAB", name="AAA.csv", pattern="{symbol}.csv")
    (tmp_path / "AAB.csv").mkdir()
    with pytest.raises(DataError, match=r"AAB\.csv: .* has 1 file named .*'AAA\.csv'"):
        rows(tmp_path, ["at,title"], "AAB", name="AAA.csv", pattern="{symbol}.csv")
    with pytest.raises(ConfigurationError, match="does not exist"):
        rows(tmp_path, ["at,title"], folder=str(tmp_path / "none"))


@pytest.mark.parametrize(
    "tickers", ["AAA", "AAA BBB", '"BBB,AAA"', "\"['BBB', 'AAA']\"", "BBB|AAA", "[AAA]"]
)
def test_a_cell_may_hold_several_symbols(tmp_path: Path, tickers: str) -> None:
    lines = ["at,title,about", f"2025-03-03 10:00,x,{tickers}", "2025-03-03 10:00,y,AAAB"]
    found = rows(tmp_path, lines, "AAA", symbol="about")
    assert list(found["title"]) == ["x"]


def test_symbols_may_be_called_otherwise(tmp_path: Path) -> None:
    lines = ["at,title,about", "2025-03-03 10:00,x,X:BTCUSD"]
    given = {"symbol": "about", "symbols": {"BTC/USD": "X:BTCUSD"}}
    assert len(rows(tmp_path, lines, "BTC/USD", **given)) == 1
    assert rows(tmp_path, lines, "ETH/USD", **given).empty


def test_parquet_with_lists_of_symbols(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {
            "at": pd.to_datetime(["2025-03-04 10:00", "2025-03-03 10:00"], utc=True),
            "title": ["b", None],
            "about": [["AAA", "BBB"], ["AAA"]],
            "eps": [1, 2],
        }
    )
    frame.to_parquet(tmp_path / "t.parquet")
    given = {"pattern": "t.parquet", "symbol": "about", "numbers": {"earnings": "eps"}}
    found = rows(tmp_path, ["at"], "AAA", **given)
    assert list(found["earnings"]) == [2.0, 1.0]
    assert list(found["title"].isna()) == [True, False]
    assert len(rows(tmp_path, ["at"], "BBB", **given)) == 1
    with pytest.raises(DataError, match=r"'eps'.*Int64; it must be text"):
        rows(tmp_path, ["at"], "AAA", **{**given, "text": ["eps"], "numbers": []})


def test_newest_first_and_several_files_come_in_time_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "at,title\n2025-03-05 10:00,d\n2025-03-03 10:00,c\n2025-03-03 10:00,b\n"
    )
    found = rows(tmp_path, ["at,title", "2025-03-04 10:00,x", "2025-03-02 09:00,y"])
    assert list(found["title"]) == ["y", "b", "c", "x", "d"]


def test_numbers_are_carried_forward_where_declared(tmp_path: Path) -> None:
    lines = ["at,title,eps,sales", "2025-03-03 10:00,x,1,5", "2025-03-04 10:00,y,,6"]
    found = rows(tmp_path, lines, numbers=["eps", "sales"])
    np.testing.assert_array_equal(found["eps"], [1, np.nan])
    found = rows(tmp_path, lines, numbers=["eps", "sales"], carry_forward=True)
    np.testing.assert_array_equal(found[["eps", "sales"]], [[1, 5], [1, 6]])


# ------------------------------------------------------------------------------------ releases

PIVOT: dict[str, Any] = {
    "text": {},
    "pivot": {"series": "series", "value": "value", "period": "period"},
    "numbers": {"cpi": "CPI", "rate": "FF"},
}


def test_each_row_holds_every_series_as_it_was_known_then(tmp_path: Path) -> None:
    lines = [
        "at,series,period,value",
        "2025-02-12 13:30,CPI,2025-01-01,3.0",
        "2025-03-12 13:30,CPI,2025-02-01,2.8",
        # With March comes a revision of February, which is no longer the latest figure.
        "2025-04-10 12:30,CPI,2025-02-01,2.7",
        "2025-04-10 12:30,CPI,2025-03-01,2.4",
        "2025-04-20 12:30,CPI,2025-02-01,2.6",
        "2025-04-25 12:30,CPI,2025-03-01,2.5",
        "2025-03-19 18:00,FF,2025-03-19,4.5",
        "2025-03-20 18:00,FF,2025-03-20,",
        "2025-03-12 13:30,GDP,2025-03-01,1.0",
    ]
    with gathered() as remarks:
        found = rows(tmp_path, lines, **PIVOT)
    assert stamps(found) == [
        "2025-02-12 13:30:00",
        "2025-03-12 13:30:00",
        "2025-03-19 18:00:00",
        "2025-04-10 12:30:00",
        "2025-04-25 12:30:00",
    ]
    np.testing.assert_array_equal(found["cpi"], [3.0, 2.8, 2.8, 2.4, 2.5])
    np.testing.assert_array_equal(found["rate"], [np.nan, np.nan, 4.5, 4.5, 4.5])
    assert remarks.sentences() == (
        "revisions of earlier periods than the latest: 1",
        "releases without a value: 1",
    )


def test_what_was_known_does_not_change_with_what_comes_later(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    days = pd.date_range("2024-01-01 13:30", periods=200, freq="D")
    lines = [
        f"{day:%Y-%m-%d %H:%M},{random.choice(['CPI', 'FF'])},"
        f"2024-{1 + random.integers(0, 12):02d}-01,{random.normal():.3f}"
        for day in days
    ]
    lines += [f"{days[0]},CPI,2023-01-01,1", f"{days[0]},FF,2023-01-01,1"]
    lines.sort()
    whole = rows(tmp_path, ["at,series,period,value", *lines], **PIVOT)
    for cut in (2, 50, 111):
        part = rows(tmp_path, ["at,series,period,value", *lines[:cut]], **PIVOT)
        pd.testing.assert_frame_equal(part, whole.iloc[: len(part)])


@pytest.mark.parametrize(
    ("lines", "params", "told"),
    [
        (["2025-02-12 13:30,CPI,2025-01-01,3.0"], {}, "series 'FF'; allowed: CPI"),
        (
            ["2025-02-12 13:30,FF,2025-01-01,3.0"] * 2
            + ["2025-02-12 13:30,FF,2025-01-01,3.5", "2025-02-12 13:30,CPI,2025-01-01,3"],
            {},
            "line 4: 'FF' has a second value at 2025-02-12 13:30:00.*one value at a time",
        ),
        (
            [
                "2025-02-12 13:30,FF,2025-01-01,3.0",
                "2025-02-12 13:30,FF,2025-02-01,3.5",
                "2025-02-12 13:30,CPI,2025-01-01,3",
            ],
            {"pivot": {"series": "series", "value": "value"}},
            "line 3: 'FF' has a second value.*as period",
        ),
    ],
)
def test_releases_that_do_not_tell_what_counts(
    tmp_path: Path, lines: list[str], params: dict[str, Any], told: str
) -> None:
    with pytest.raises(DataError, match=told):
        rows(tmp_path, ["at,series,period,value", *lines], **{**PIVOT, **params})


# -------------------------------------------------------------------------------------- tables


def frame_at(*at: str) -> pd.DataFrame:
    index = pd.DatetimeIndex(pd.to_datetime([*at], format="ISO8601", utc=True), name="timestamp")
    return pd.DataFrame({"title": list("abcdefgh"[: len(at)])}, index=index.as_unit("us"))


def test_each_row_has_an_instant_of_its_own() -> None:
    second = "2025-01-01T00:00:01"
    found = one_row_an_instant(
        frame_at(second, second, second, f"{second}.000001", f"{second}.000009")
    )
    assert [each.microsecond for each in pd.DatetimeIndex(found.index)] == [0, 1, 2, 3, 9]
    assert list(found["title"]) == list("abcde")
    assert one_row_an_instant(frame_at()).empty


def test_repeats_are_dropped_and_counted() -> None:
    frame = frame_at("2025-01-01", "2025-01-01", "2025-01-02", "2025-01-02")
    frame["title"] = ["a", "a", "a", None]
    with gathered() as remarks:
        found = without_repeats(pd.concat([frame, frame.iloc[3:]]))
    assert len(found) == 3
    assert remarks.sentences() == ("rows that repeat one of the same instant: 2",)


def test_the_news_of_seven_companies(shared_data: Path, tmp_path: Path) -> None:
    source = get_side_source("table.files")(
        folder=str(shared_data / "news_sentiment"),
        pattern="labelled_news_7_megacaps_2025.csv",
        known_at="date",
        time="%a, %d %b %Y %H:%M:%S",
        symbol="tickers",
        text={"title": "title", "summary": "text", "publisher": "source_name"},
    )
    store = DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path)}))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    found = collect(store, source, "AAPL", now=now, head=None)
    table = pd.concat([part for _, part in found.staged.pieces])
    assert len(table) == 400
    at = pd.Timestamp("2025-11-05 19:21:36", tz="UTC")
    assert table.loc[at, "title"] == (
        "Apple to use Google's AI model to run new Siri, Bloomberg News reports"
    )
    with pytest.raises(HfError, match="still to come"):
        collect(store, source, "AAPL", now=datetime(2025, 11, 1, tzinfo=UTC), head=None)
