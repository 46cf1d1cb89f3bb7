from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.timeframes import DURATIONS, EVENT
from hf_plugins.versioning import frame_digests
from hf_resources.chunks import (
    PERIODS,
    Chunk,
    Staged,
    column_digests,
    describe,
    grew,
    split,
    unchanged,
)
from tests.resources import samples


@pytest.mark.parametrize(
    ("timeframe", "labels"),
    [
        ("1m", ["2009-12", "2010-01"]),
        ("5m", ["2009-Q4", "2010-Q1"]),
        ("15m", ["2009", "2010"]),
        ("30m", ["2009", "2010"]),
        ("1h", ["2009", "2010"]),
        ("4h", ["200x", "201x"]),
        ("1d", ["20xx"]),
    ],
)
def test_chunks_end_where_the_calendar_says(timeframe: str, labels: list[str]) -> None:
    days = pd.to_datetime(["2009-12-31 23:59", "2010-01-01 00:00"]).tz_localize("UTC")
    frame = samples.frame(2).set_axis(days.rename("timestamp"))
    assert [label for label, _ in split(frame, timeframe)] == labels


def test_every_timeframe_has_a_period_and_no_other_is_accepted() -> None:
    assert set(PERIODS) == {*DURATIONS, EVENT}
    with pytest.raises(ConfigurationError, match="unknown timeframe '2h'"):
        split(samples.frame(2), "2h")


@given(rows=st.integers(0, 300), step=st.integers(1, 90), timeframe=st.sampled_from(list(PERIODS)))
def test_pieces_are_the_frame_in_order_and_labels_are_unique(
    rows: int, step: int, timeframe: str
) -> None:
    frame = samples.frame(rows * step)[::step] if rows else samples.frame(0)
    pieces = split(frame, timeframe)
    labels = [label for label, _ in pieces]
    assert labels == sorted(set(labels))
    assert all(len(part) for _, part in pieces)
    joined = pd.concat([part for _, part in pieces]) if pieces else frame
    assert_frame_equal(joined, frame, check_freq=False)


@pytest.mark.parametrize("start", ["1969-12-31", "1899-12-31", "1999-12-31"])
def test_boundaries_hold_before_the_epoch(start: str) -> None:
    labels = [label for label, _ in split(samples.frame(2, start=start), "1h")]
    assert labels == [start[:4], str(int(start[:4]) + 1)]


def test_a_chunk_survives_json() -> None:
    chunk = chunks(samples.frame(40), "1m")[0]
    assert Chunk.from_json(chunk.to_json()) == chunk


def staged(frame: pd.DataFrame, timeframe: str) -> Staged:
    return Staged((), tuple(describe(frame, timeframe)), ())


def chunks(frame: pd.DataFrame, timeframe: str) -> list[Chunk]:
    return [chunk for chunk, _ in describe(frame, timeframe)]


def test_the_digest_of_a_column_depends_on_content_and_on_nothing_else() -> None:
    frame = samples.frame(70)
    digests = column_digests(chunks(frame, "1m"), ["a", "b"])
    assert set(digests) == {"timestamp", "a", "b"}
    assert column_digests(chunks(frame[["b", "a"]].copy(), "1m"), ["a", "b"]) == digests
    changed = frame.copy()
    changed.iloc[69, 0] += 1e-12
    after = column_digests(chunks(changed, "1m"), ["a", "b"])
    assert {name for name in digests if digests[name] != after[name]} == {"a"}


def test_content_digest_tells_swapped_columns_apart() -> None:
    frame = samples.frame(5)
    swapped = frame.rename(columns={"a": "b", "b": "a"})
    one, other = chunks(frame, "1d")[0], chunks(swapped, "1d")[0]
    assert one.content_digest != other.content_digest
    assert chunks(frame[["b", "a"]], "1d")[0].content_digest == one.content_digest


ROWS = st.integers(1, 120)


@given(old_rows=ROWS, more=st.integers(0, 120), timeframe=st.sampled_from(["1m", "5m", "1d"]))
def test_appended_rows_are_growth(old_rows: int, more: int, timeframe: str) -> None:
    old, new = samples.frame(old_rows), samples.frame(old_rows + more)
    assert staged(new, timeframe).grew_from(chunks(old, timeframe))
    if more:
        assert not staged(old, timeframe).grew_from(chunks(new, timeframe))


@given(data=st.data(), old_rows=ROWS, more=st.integers(0, 120))
def test_any_changed_value_of_a_column_that_matters_is_no_growth(
    data: Any, old_rows: int, more: int
) -> None:
    old, new = samples.frame(old_rows), samples.frame(old_rows + more)
    row = data.draw(st.integers(0, old_rows - 1))
    new.iloc[row, 0] += 1.0
    described = chunks(old, "1m")
    assert not staged(new, "1m").grew_from(described)
    assert not staged(new, "1m").grew_from(described, ["a"])
    assert staged(new, "1m").grew_from(described, ["b"])
    assert staged(new, "1m").grew_from(described, [])  # in time alone


@given(data=st.data(), old_rows=st.integers(2, 120))
def test_a_missing_or_inserted_row_is_no_growth(data: Any, old_rows: int) -> None:
    frame = samples.frame(old_rows + 5)
    gone = data.draw(st.integers(0, old_rows - 2))
    thinned = frame.drop(frame.index[gone])
    assert not staged(thinned, "1m").grew_from(chunks(frame.iloc[:old_rows], "1m"), [])
    assert not staged(frame, "1m").grew_from(chunks(thinned.iloc[: old_rows - 1], "1m"), [])


def test_only_the_last_partial_chunk_is_loaded() -> None:
    old, new = samples.frame(80), samples.frame(200)  # January to April, to August
    loaded: list[str] = []

    def load(chunk: Chunk) -> pd.DataFrame:
        loaded.append(chunk.label)
        return dict(split(new, "1m"))[chunk.label]

    assert grew(chunks(old, "1m"), chunks(new, "1m"), load)
    assert loaded == ["2013-04"]


def test_each_column_is_compared_by_itself() -> None:
    frame = samples.frame(150)
    revised = frame.copy()
    revised.loc["2013-04-10", "b"] = 0.0
    old, new = chunks(frame, "1m"), chunks(revised, "1m")

    def load(chunk: Chunk) -> pd.DataFrame:
        return dict(split(revised, "1m"))[chunk.label]

    assert unchanged(old, new, load, ["a", "b"]) == {"timestamp", "a"}
    row = int((frame.index < pd.Timestamp("2013-04-10", tz="UTC")).sum())
    part = chunks(frame.iloc[: row + 1], "1m")
    assert unchanged(part, new, load, ["a", "b"]) == {"timestamp", "a"}
    before = chunks(frame.iloc[:row], "1m")
    assert unchanged(before, new, load, ["a", "b"]) == {"timestamp", "a", "b"}
    assert unchanged(old, new[1:], load, ["a"]) == frozenset()
    assert unchanged(old, part, load, ["a"]) == frozenset()


def test_a_column_that_the_older_dataset_lacks_cannot_be_compared() -> None:
    with pytest.raises(DataError, match=r"cannot compare the columns \['c'\]"):
        staged(samples.frame(4), "1d").grew_from(chunks(samples.frame(3), "1d"), ["c"])


def test_the_digests_of_a_chunk_are_those_of_its_rows() -> None:
    frame = samples.frame(40)
    for chunk, part in describe(frame, "1m"):
        assert chunk.digests == frame_digests(part)
        assert (chunk.rows, chunk.start, chunk.end) == (len(part), part.index[0], part.index[-1])
