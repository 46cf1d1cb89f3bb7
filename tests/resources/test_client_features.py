"""Features through the client: joined by time, each with all of its columns."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.client import Client
from hf_resources.store import DatasetStore
from tests.resources import samples


@pytest.fixture
def client(store: DatasetStore) -> Client:
    return Client(store)


def publish(client: Client, name: str, frame: pd.DataFrame, symbol: str = "AAPL") -> pd.DataFrame:
    ref = samples.ref(name, symbol=symbol)
    client.store.publish(
        ref, samples.identity(of=ref), definition=samples.definition(ref), frame=frame
    )
    return frame


def named(rows: int, *columns: str, seed: int = 0) -> pd.DataFrame:
    return samples.frame(rows, seed=seed).set_axis(pd.Index(columns), axis=1)


def test_features_of_the_same_bars_stand_side_by_side(client: Client) -> None:
    first = publish(client, "first", named(300, "a", "b"))
    second = publish(client, "second", named(300, "c", "d", seed=1))
    found = client.features("AAPL", "1d", ["second", "first"])
    assert found.columns == ["timestamp", "c", "d", "a", "b"]
    assert found.schema["timestamp"] == pl.Datetime("ns", "UTC")
    as_pandas = client.features("AAPL", "1d", ["second", "first"], engine="pandas")
    pd.testing.assert_frame_equal(as_pandas, pd.concat([second, first], axis=1), check_freq=False)
    alone = client.features("AAPL", "1d", ["first"], engine="pandas")
    pd.testing.assert_frame_equal(alone, first, check_freq=False)


def test_rows_of_either_are_there_and_what_is_missing_is_null(client: Client) -> None:
    first = publish(client, "first", named(40, "a", "b").iloc[[0, 1, 2, 5, 39]])
    second = named(40, "c", "d", seed=1).iloc[[1, 2, 3, 4]]
    second.iloc[0, 0] = np.nan
    publish(client, "second", second.assign(e=[1, 2, 3, 4]))
    found = client.features("AAPL", "1d", ["first", "second"])
    assert found["timestamp"].to_list() == [
        each.to_pydatetime() for each in first.index.union(second.index)
    ]
    assert found["c"].is_null().to_list() == [True, True, False, False, False, True, True]
    assert found["c"].is_nan().sum() == 0
    assert found["e"].to_list() == [None, 1, 2, 3, 4, None, None]
    as_pandas = client.features("AAPL", "1d", ["first", "second"], engine="pandas")
    expected = pd.concat([first, second], axis=1)
    pd.testing.assert_frame_equal(as_pandas.drop(columns="e"), expected, check_freq=False)
    assert as_pandas["e"].dtype == "Int64"


def test_a_range_cuts_all_of_them(client: Client) -> None:
    first = publish(client, "first", named(300, "a", "b"))
    publish(client, "second", named(200, "c", "d", seed=1))
    start, end = first.index[190], first.index[210]
    found = client.features("AAPL", "1d", ["first", "second"], start, end)
    assert found["timestamp"].to_list() == [each.to_pydatetime() for each in first.index[190:210]]
    assert found["c"].null_count() == 10


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"names": []}, ConfigurationError, "name one feature at least"),
        ({"names": "first"}, ConfigurationError, "not the text 'first'"),
        ({"names": ["first", "first"]}, ConfigurationError, "'first' is asked for twice"),
        ({"names": ["first", "same"]}, ConfigurationError, "'same' has a column 'b'"),
        ({"names": ["firts"]}, DataError, "unknown feature 'firts'.*Did you mean 'first'"),
        ({"symbol": "aapl"}, DataError, "unknown symbol 'aapl'.*Did you mean 'AAPL'"),
        ({"timeframe": "1h"}, DataError, "no data for AAPL at 1h; it has 1d"),
        ({"timeframe": "1x"}, ConfigurationError, "1x"),
        ({"engine": "arrow"}, ConfigurationError, "unknown engine 'arrow'"),
        ({"start": datetime(2013, 1, 1)}, ConfigurationError, "has no time zone"),
        (
            {"start": datetime(2013, 3, 1, tzinfo=UTC), "end": datetime(2013, 2, 1, tzinfo=UTC)},
            ConfigurationError,
            "is before start",
        ),
    ],
)
def test_what_is_refused_says_why(
    client: Client, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    publish(client, "first", named(30, "a", "b"))
    publish(client, "same", named(30, "b", "c"))
    asked = {"symbol": "AAPL", "timeframe": "1d", "names": ["first"], **options}
    with pytest.raises(error, match=message):
        client.features(**asked)


def test_without_any_feature_the_next_step_is_told(client: Client) -> None:
    with pytest.raises(DataError, match="features/first has no data yet; materialise it first"):
        client.features("AAPL", "1d", ["first"])
