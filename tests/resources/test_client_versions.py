"""Versions of feature datasets through the client: history, why, preview, as of an instant.

The chain is a real one: bars are ingested, enriched, and a feature is computed of these.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import hypothesis
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hf_resources
from hf_plugins.certificate import ASPECTS, Aspect, Certificate, Finding
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.versioning import Implementation, InputVersion, source_fingerprint
from hf_resources.certificates import Certificates
from hf_resources.client import Client
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.differences import row_changes
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import market, samples

DAY = timedelta(days=1)
WHO = ("change", "BTCUSDT", "1d")
REF = DatasetRef("features", *WHO)
NUMBERS = count()
"""For versions that no other is."""


@pytest.fixture
def client(store: DatasetStore) -> Client:
    return Client(store)


def computed(
    store: DatasetStore,
    bars: Dataset,
    length: int = 1,
    *,
    force: bool = False,
    module: str = "1",
    ref: DatasetRef = REF,
) -> Dataset:
    """The relative change of close over ``length`` bars, of the enriched bars of some raw ones."""
    parent = market.enriched(store, bars)
    close: Any = store.read(parent, ["close"])["close"]
    used = {
        "market_data/enriched": InputVersion(
            parent.version_hash,
            {name: parent.column_digests[name] for name in ("timestamp", "close")},
        )
    }
    assert parent.start_date is not None
    assert parent.end_date is not None
    identity = samples.identity(
        length,
        of=ref,
        start_date=parent.start_date.isoformat(),
        end_date=parent.end_date.isoformat(),
        inputs=used,
        source_fingerprint=source_fingerprint(used),
        code_version=module * 16,
        implementation=Implementation({"hf_plugins.features.technical": module}, {}),
    )
    return store.publish(
        ref,
        identity,
        definition=samples.definition(ref),
        frame=close.pct_change(length).to_frame("change"),
        expected=store.head(ref),
        force=force,
    )


def revised(frame: pd.DataFrame, *positions: int) -> pd.DataFrame:
    changed = frame.copy()
    changed.iloc[list(positions), changed.columns.get_indexer(["close"])] += 0.05
    return changed


# -- history


def test_history_has_every_version_newest_first(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    first = computed(client.store, bars, 14)
    second = computed(client.store, bars, 21)
    forced = computed(client.store, bars, 21, force=True)
    client.store.adopt(first, expected=forced)
    found = client.history(*WHO)
    assert found["version_hash"].to_list() == [
        second.version_hash,
        second.version_hash,
        first.version_hash,
    ]
    assert found["generation"].to_list() == [1, 0, 0]
    assert found["head"].to_list() == [False, False, True]
    assert found["reasons"].to_list() == [
        ["forced"],
        ["parameter length 14 -> 21"],
        ["first computation"],
    ]
    row = found.row(2, named=True)
    assert row["created_at"] == first.created_at
    assert row["row_count"] == 60
    assert (row["start"], row["end"]) == (first.start_date, first.end_date)
    assert row["columns"] == ["timestamp", "change"]
    assert json.loads(row["parameters"]) == {"length": 14}
    assert row["code_version"] == first.code_version
    assert row["source_fingerprint"] == first.source_fingerprint
    assert row["uri"] == first.storage_uri


def test_other_assets_are_named_by_their_key(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    assert client.history("market_data/bars", "BTCUSDT", "1d")["version_hash"].to_list() == [
        bars.version_hash
    ]
    with pytest.raises(ConfigurationError, match=r"unknown layer 'marketdata'.*'market_data'"):
        client.history("marketdata/bars", "BTCUSDT", "1d")


# -- why


def test_a_changed_parameter_and_changed_code_are_reasons(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    computed(client.store, bars, 14)
    computed(client.store, bars, 21, module="2")
    told = client.why(*WHO)
    assert told.reasons == (
        "parameter length 14 -> 21",
        "code: hf_plugins.features.technical changed",
    )
    assert told.parameters == {"length": {"before": 14, "after": 21}}
    assert told.inputs == {}
    assert str(told).splitlines()[1:] == [f"  {reason}" for reason in told.reasons]


def test_revised_and_appended_bars_are_counted_down_to_their_source(client: Client) -> None:
    frame = market.ohlcv(60)
    old = computed(client.store, market.came(client.store, frame.iloc[:50], market.FIRST))
    later = revised(frame, 10, 20, 21)
    new = computed(client.store, market.came(client.store, later, market.FIRST + DAY))
    told = client.why(*WHO)
    assert (told.version, told.before) == (new.version_hash, old.version_hash)
    change = told.inputs["market_data/enriched"]
    assert change.rows is not None
    assert (change.rows.revised, change.rows.appended) == (3, 10)
    assert (change.rows.inserted, change.rows.removed) == (0, 0)
    assert change.rows.first == frame.index[10].to_pydatetime()
    assert change.rows.columns == ("close",)
    sentence = "3 rows revised in close, first 2024-01-11; 10 rows appended"
    assert told.reasons[0] == f"market_data/enriched: {sentence}"
    upstream = change.upstream
    assert upstream is not None
    assert upstream.inputs["market_data/bars"].rows is not None
    assert upstream.inputs["market_data/bars"].rows.revised == 3
    assert f"    market_data/bars: {sentence}" in str(told).splitlines()
    # As data it is plain.
    assert json.loads(json.dumps(told.to_dict()))["inputs"]["market_data/enriched"]["rows"][
        "first"
    ].startswith("2024-01-11T00:00:00")


def test_bars_that_were_only_appended_are_not_called_changed(client: Client) -> None:
    frame = market.ohlcv(60)
    computed(client.store, market.came(client.store, frame.iloc[:59], market.FIRST))
    computed(client.store, market.came(client.store, frame, market.FIRST + DAY))
    assert client.why(*WHO).reasons == (
        "market_data/enriched: 1 row appended",
        "range end 2024-02-28 -> 2024-02-29",
    )


def test_any_two_versions_can_be_compared(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    hashes = [computed(client.store, bars, length).version_hash for length in (7, 14, 21)]
    assert client.why(*WHO, version=hashes[0]).reasons == ("first computation",)
    assert client.why(*WHO, version=hashes[1][:12]).reasons == ("parameter length 7 -> 14",)
    assert client.why(*WHO, before=hashes[0]).reasons == ("parameter length 7 -> 21",)
    assert client.why(*WHO, before=hashes[2]).reasons == ()
    with pytest.raises(DataError, match=r"unknown version 'zz'; allowed: .*"):
        client.why(*WHO, version="zz")
    with pytest.raises(DataError, match="unknown version ''"):
        client.why(*WHO, version="")


def test_a_beginning_that_several_versions_have_is_refused(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    # Seventeen hashes begin with sixteen digits at most.
    hashes = [computed(client.store, bars, length).version_hash for length in range(1, 18)]
    beginnings = [each[0] for each in hashes]
    shared = next(each for each in beginnings if beginnings.count(each) > 1)
    with pytest.raises(DataError, match=f"'{shared}' is the beginning of several versions"):
        client.why(*WHO, version=shared)


@given(data=st.data())
@hypothesis.settings(max_examples=40)
def test_row_changes_are_those_of_a_comparison_of_everything(
    data: st.DataObject, scratch: DatasetStore
) -> None:
    """Against pandas, over versions with rows revised, inserted, removed and appended."""
    base = samples.frame(400, timeframe="4h", start="2019-11-20")  # two chunks: it passes 2020
    position = st.integers(0, 399)
    old = base.drop(base.index[sorted(data.draw(st.sets(position, max_size=4)))])
    new = base.drop(base.index[sorted(data.draw(st.sets(position, max_size=4)))])
    for column in ("a", "b"):
        for place in data.draw(st.sets(st.integers(0, len(new) - 1), max_size=3)):
            new.iloc[place, new.columns.get_loc(column)] = data.draw(  # pyright: ignore[reportArgumentType]
                st.sampled_from([float("nan"), 5.0])
            )
    new = new.iloc[: data.draw(st.integers(1, len(new)))]
    ref = samples.ref("rows", timeframe="4h")

    def publish(frame: pd.DataFrame) -> Dataset:
        return scratch.publish(
            ref,
            samples.identity(next(NUMBERS), of=ref),
            definition=samples.definition(ref),
            frame=frame,
            expected=scratch.head(ref),
        )

    found = row_changes(scratch, publish(old), publish(new), ["a", "b"])
    both = old.index.intersection(new.index)
    unlike = ~(old.loc[both].eq(new.loc[both]) | (old.loc[both].isna() & new.loc[both].isna()))
    added, removed = new.index.difference(old.index), old.index.difference(new.index)
    appended = added[added > old.index[-1]]
    assert found.revised == unlike.any(axis=1).sum()
    assert found.columns == tuple(unlike.columns[unlike.any()])
    assert (found.removed, found.appended) == (len(removed), len(appended))
    assert found.inserted == len(added) - len(appended)
    in_place = both[unlike.any(axis=1)].union(removed).union(added.difference(appended))
    first = in_place if len(in_place) else appended
    assert found.first == (first.min().to_pydatetime() if len(first) else None)
    assert found.only_appended == (not len(in_place))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> DatasetStore:
    home = tmp_path_factory.mktemp("scratch")
    return DatasetStore.open(Settings.from_env({"HF_HOME": str(home)}))


def test_chunks_that_did_not_change_are_not_opened(client: Client) -> None:
    base = samples.frame(6_000, timeframe="1h", start="2020-06-01")
    ref = samples.ref("rows", timeframe="1h")

    def publish(frame: pd.DataFrame, length: int) -> Dataset:
        return client.store.publish(
            ref,
            samples.identity(length, of=ref),
            definition=samples.definition(ref),
            frame=frame,
            expected=client.store.head(ref),
        )

    changed = base.copy()
    changed.iloc[-1, 0] = 5.0
    old, new = publish(base, 1), publish(changed, 2)
    first, _ = client.store.chunks(old)
    client.store.lake.delete([first.path])
    assert row_changes(client.store, old, new, ["a", "b"]).revised == 1


# -- preview


def test_preview_is_the_beginning_and_the_end(client: Client) -> None:
    ref = samples.ref("wide", timeframe="1h")
    frame = samples.frame(20_000, timeframe="1h", start="2020-06-01")
    made = client.store.publish(
        ref, samples.identity(of=ref), definition=samples.definition(ref), frame=frame
    )
    whole = client.features("AAPL", "1h", ["wide"])
    assert len(client.store.chunks(made)) == 3
    assert client.preview("wide", "AAPL", "1h").equals(pl.concat([whole.head(5), whole.tail(5)]))
    many = client.preview("wide", "AAPL", "1h", rows=6_000)
    assert many.equals(pl.concat([whole.head(6_000), whole.tail(6_000)]))
    assert client.preview("wide", "AAPL", "1h", rows=10_000).equals(whole)
    assert client.preview("wide", "AAPL", "1h", rows=10_001).equals(whole)
    with pytest.raises(ConfigurationError, match="rows must be at least 1, not 0"):
        client.preview("wide", "AAPL", "1h", rows=0)


def test_preview_of_an_earlier_version(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    old = computed(client.store, bars, 1)
    computed(client.store, bars, 2)
    found = client.preview(*WHO, rows=2, version=old.version_hash)
    whole = client.store.read(old)["change"]
    assert found["change"].to_list()[1:] == [*whole.iloc[[1, -2, -1]]]


# -- as of


def test_features_as_of_are_those_of_the_bars_known_then(client: Client) -> None:
    frame = market.ohlcv(60)
    old = computed(client.store, market.came(client.store, frame.iloc[:50], market.FIRST))
    bars = market.came(client.store, revised(frame, 10), market.FIRST + DAY)

    def known(days: float) -> pd.DataFrame:
        return client.features(
            "BTCUSDT", "1d", ["change"], as_of=market.FIRST + days * DAY, engine="pandas"
        )

    pd.testing.assert_frame_equal(known(0), client.store.read(old))
    pd.testing.assert_frame_equal(known(0.99), client.store.read(old))
    with pytest.raises(DataError, match=r"features/change .*: no version was computed from the b"):
        known(1)  # bars are there, the feature of them is not: nothing older, nothing newer
    new = computed(client.store, bars)
    pd.testing.assert_frame_equal(known(1), client.store.read(new))
    pd.testing.assert_frame_equal(known(0.5), client.store.read(old))
    with pytest.raises(DataError, match=r"nothing was known at .* the first bars came at 2026-03"):
        known(-0.01)


def test_as_of_the_code_in_force_answers(client: Client) -> None:
    frame = market.ohlcv(60)
    bars = market.came(client.store, frame.iloc[:50], market.FIRST)
    in_force = computed(client.store, bars, 3, module="3")
    other = computed(client.store, bars, 1, module="1")

    def known() -> pd.DataFrame:
        return client.features("BTCUSDT", "1d", ["change"], as_of=market.FIRST, engine="pandas")

    pd.testing.assert_frame_equal(known(), client.store.read(other))
    client.store.adopt(in_force, expected=other)
    pd.testing.assert_frame_equal(known(), client.store.read(in_force))


# -- several symbols


def test_several_symbols_stand_below_each_other(client: Client) -> None:
    frames = {}
    for seed, symbol in enumerate(("ETHUSDT", "BTCUSDT")):
        bars = market.came(
            client.store, market.ohlcv(50 + seed, seed=seed), market.FIRST, symbol=symbol
        )
        ref = DatasetRef("features", "change", symbol, "1d")
        frames[symbol] = client.store.read(computed(client.store, bars, ref=ref))
    found = client.features(["BTCUSDT", "ETHUSDT"], "1d", ["change"])
    assert found.columns == ["symbol", "timestamp", "change"]
    assert found["symbol"].to_list() == ["BTCUSDT"] * 51 + ["ETHUSDT"] * 50
    for symbol in frames:
        alone = client.features(symbol, "1d", ["change"])
        assert found.filter(pl.col("symbol") == symbol).drop("symbol").equals(alone)
    as_pandas = client.features(["ETHUSDT", "BTCUSDT"], "1d", ["change"], engine="pandas")
    assert list(as_pandas.columns) == ["symbol", "change"]
    expected = pd.concat([frames["ETHUSDT"], frames["BTCUSDT"]])
    pd.testing.assert_frame_equal(as_pandas.drop(columns="symbol"), expected)
    assert client.features(["BTCUSDT"], "1d", ["change"]).columns == found.columns


def test_symbols_that_do_not_fit_together_are_refused(client: Client) -> None:
    for symbol, frame in (
        ("AAPL", samples.frame(5)),
        ("MSFT", samples.frame(5).rename(columns={"a": "c"})),
    ):
        ref = samples.ref("mixed", symbol=symbol)
        client.store.publish(
            ref, samples.identity(of=ref), definition=samples.definition(ref), frame=frame
        )
    with pytest.raises(DataError, match=r"MSFT 1d has the columns .*c float64.* and AAPL a float"):
        client.features(["AAPL", "MSFT"], "1d", ["mixed"])
    with pytest.raises(ConfigurationError, match="symbol 'AAPL' is asked for twice"):
        client.features(["AAPL", "AAPL"], "1d", ["mixed"])
    with pytest.raises(ConfigurationError, match="name one symbol at least"):
        client.features([], "1d", ["mixed"])
    with pytest.raises(DataError, match=r"unknown symbol 'aapl'.* Did you mean 'AAPL'"):
        client.features(["MSFT", "aapl"], "1d", ["mixed"])


# -- certificate


def verdict(made: Dataset, sentence: str = "") -> Certificate:
    """A certificate of a version; a sentence is what it accuses the version of."""
    aspects = [Aspect(name, 3, made.row_count) for name in ASPECTS]
    if sentence:
        finding = Finding("truncated", "change", "", "", 0.5, 0.25, sentence)
        aspects[0] = replace(aspects[0], finding=finding)
    rows = made.row_count
    return Certificate("test.change", "quick", 7, rows, "", "", False, 120, tuple(aspects))


def test_a_certificate_is_that_of_the_current_version(client: Client) -> None:
    bars = market.came(client.store, market.ohlcv(60), market.FIRST)
    first = computed(client.store, bars, 1)
    assert client.certificate(*WHO) is None
    clean = verdict(first)
    Certificates(client.store).record(first, clean)
    assert client.certificate(*WHO) == clean
    assert client.certificate("features/change", *WHO[1:]) == clean
    second = computed(client.store, bars, 2)
    assert client.certificate(*WHO) is None, "what an earlier version has says nothing of this one"
    accused = verdict(second, "row 3 looks ahead")
    Certificates(client.store).record(second, accused)
    found = client.certificate(*WHO)
    assert found == accused
    assert found is not None
    assert (found.ok, found.sentence) == (False, "row 3 looks ahead")
    client.store.adopt(first, expected=second)
    assert client.certificate(*WHO) == clean
    with pytest.raises(ConfigurationError, match="market_data/bars has no certificate; only feat"):
        client.certificate("market_data/bars", *WHO[1:])


# -- what is refused, and the short way in


@pytest.mark.parametrize("ask", ["history", "why", "preview", "certificate"])
def test_a_mistake_is_told_in_one_sentence(client: Client, ask: str) -> None:
    call = getattr(client, ask)
    with pytest.raises(DataError, match="features/change has no data yet; materialise it first"):
        call(*WHO)
    computed(client.store, market.came(client.store, market.ohlcv(60), market.FIRST))
    for asked, message in (
        (("chnage", "BTCUSDT", "1d"), "unknown feature 'chnage'.* Did you mean 'change'"),
        (("change", "BTCUSD", "1d"), "unknown symbol 'BTCUSD'.* Did you mean 'BTCUSDT'"),
        (("change", "BTCUSDT", "1h"), "no data for BTCUSDT at 1h; it has 1d"),
        (("change", "BTCUSDT", "1x"), "unknown timeframe '1x'"),
    ):
        with pytest.raises((ConfigurationError, DataError), match=message):
            call(*asked)


def test_the_functions_read_the_installation_of_the_environment(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    store = DatasetStore.open(Settings.from_env())
    made = computed(store, market.came(store, market.ohlcv(60), market.FIRST))
    assert hf_resources.history(*WHO)["version_hash"].to_list() == [made.version_hash]
    assert hf_resources.why(*WHO).reasons == ("first computation",)
    assert hf_resources.preview(*WHO, rows=1).height == 2
    assert hf_resources.certificate(*WHO) is None
    assert hf_resources.features("BTCUSDT", "1d", ["change"], as_of=market.FIRST).height == 60
