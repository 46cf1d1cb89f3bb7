"""Rows staged on top of an older dataset: the same dataset as if all had been given at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from hf_plugins.errors import DataError
from hf_resources.datasets import Dataset
from hf_resources.store import DatasetStore
from tests.resources import samples

ROWS = 200
REF = samples.ref(timeframe="1m")
OTHER = samples.ref("whole", timeframe="1m")


def bars(rows: int = ROWS, *, start: str = "2013-01-31 23:00") -> pd.DataFrame:
    """Minutes over the end of January, where a chunk ends after sixty of them."""
    return samples.frame(rows, start=start, timeframe="1m")


def publish(
    store: DatasetStore, frame: Any, version: int, expected: Dataset | None = None, of: Any = REF
) -> Dataset:
    return store.publish(
        of,
        samples.identity(version, of=of),
        definition=samples.definition(of),
        frame=frame,
        expected=expected,
    )


@pytest.mark.parametrize("cut", [1, 30, 59, 60, 61, 150, 199])
def test_rows_on_top_make_what_the_whole_makes(store: DatasetStore, cut: int) -> None:
    frame = bars()
    changed = frame.copy()
    changed.iloc[cut:] += 1.0
    base = publish(store, frame, 1)
    before = {item.path for item in store.lake.list()}
    grown = publish(store, store.stage(changed.iloc[cut:], "1m", base=base), 2, base)
    written = {item.path for item in store.lake.list()} - before
    whole = publish(store, changed, 2, of=OTHER)
    assert grown.column_digests == whole.column_digests
    assert [chunk.digests for chunk in store.chunks(grown)] == [
        chunk.digests for chunk in store.chunks(whole)
    ]
    assert (grown.row_count, grown.start_date, grown.end_date) == (
        whole.row_count,
        whole.start_date,
        whole.end_date,
    )
    assert_frame_equal(store.read(grown, verify=True), changed)
    assert_frame_equal(store.read(base, verify=True), frame)
    assert len(written) == (2 if cut < 60 else 1), "January is not written again"


def test_rows_before_the_first_replace_everything(store: DatasetStore) -> None:
    base = publish(store, bars(), 1)
    earlier = bars(20, start="2013-01-31 22:50")
    replaced = publish(store, store.stage(earlier, "1m", base=base), 2, base)
    assert_frame_equal(store.read(replaced), earlier)


def test_no_rows_on_top_leave_the_base(store: DatasetStore) -> None:
    base = publish(store, bars(), 1)
    staged = store.stage(bars().iloc[:0], "1m", base=base)
    assert staged.digests == base.column_digests
    assert_frame_equal(store.read(publish(store, staged, 2, base)), bars())


def test_other_columns_cannot_follow(store: DatasetStore) -> None:
    base = publish(store, bars(), 1)
    with pytest.raises(DataError, match=r"rsi_14 AAPL 1m: the columns .*'b'.* are followed by"):
        store.stage(bars().iloc[100:].drop(columns="b"), "1m", base=base)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    start=st.none() | st.integers(-20, ROWS + 20),
    length=st.none() | st.integers(0, ROWS + 20),
    last=st.none() | st.integers(0, ROWS + 20),
)
def test_a_range_is_what_slicing_the_whole_yields(
    memory_store: DatasetStore, start: int | None, length: int | None, last: int | None
) -> None:
    frame = bars()
    first = cast(datetime, frame.index[0])
    dataset = memory_store.head(REF) or publish(memory_store, frame, 1)
    begin = None if start is None else first + timedelta(minutes=start)
    end = None if length is None else (begin or first) + timedelta(minutes=length)
    keep = np.ones(ROWS, dtype=bool)
    if begin is not None:
        keep &= frame.index >= begin
    if end is not None:
        keep &= frame.index < end
    expected = frame.loc[keep]
    if last is not None:
        expected = expected.iloc[max(len(expected) - last, 0) :]
    found = memory_store.read(dataset, start=begin, end=end, last=last)
    assert_frame_equal(found, expected)


def test_only_the_chunks_of_a_range_are_read(store: DatasetStore) -> None:
    dataset = publish(store, bars(), 1)
    january, february = store.chunks(dataset)
    store.lake.delete([january.path])
    assert len(store.read(dataset, last=140)) == 140
    assert len(store.read(dataset, start=february.start)) == 140
    with pytest.raises(DataError, match="2013-01"):
        store.read(dataset, last=141)


@pytest.fixture
def memory_store(tmp_path: Any) -> Any:
    """One store for all examples of a property."""
    from hf_resources.settings import Settings

    opened = DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path / "home")}))
    yield opened
    opened.catalog.close()
