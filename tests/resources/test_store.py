from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal
from sqlalchemy import event, select, text

from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.versioning import frame_digests
from hf_resources.catalog.schema import TABLES, Feature, Model
from hf_resources.datasets import LAYERS, Dataset, DatasetRef, HeadConflictError
from hf_resources.queries import statements
from hf_resources.store import DatasetStore
from tests.resources import samples

REF = samples.ref()


def publish(store: DatasetStore, length: int = 14, **options: Any) -> Dataset:
    """Publish a version on top of the head, unless the options say otherwise."""
    ref: DatasetRef = options.pop("ref", REF)
    values: dict[str, Any] = {
        "identity": samples.identity(length, of=ref),
        "definition": samples.definition(ref),
        "frame": samples.frame(30, seed=length),
        "expected": store.head(ref),
    }
    values |= options
    return store.publish(ref, values.pop("identity"), **values)


def objects(store: DatasetStore) -> dict[str, datetime]:
    return {item.path: item.last_modified for item in store.lake.list()}


def count(store: DatasetStore, model: Any) -> int:
    with store.catalog.read() as connection:
        return len(connection.execute(select(model.id)).all())


@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_published_is_found_and_read_back(store: DatasetStore, layer: Any) -> None:
    ref = samples.ref("thing", layer=layer, symbol="BTC/USDT", timeframe="1m")
    frame = samples.frame(70)
    published = publish(
        store,
        ref=ref,
        frame=frame,
        attachments={"model.zip": b"\x00weights", "card": b"{}"},
        summary={"sharpe": np.float64(1.5), "trades": np.int64(3), "sortino": None},
    )
    identity = samples.identity(of=ref)
    assert published.ref == ref
    assert published.ref.asset_key == f"{layer}/thing"
    assert published.version_hash == identity.version_hash
    assert (published.generation, published.head_version, published.row_count) == (0, 1, 70)
    assert (published.code_version, published.source_fingerprint) == ("c" * 16, "f" * 64)
    assert (published.start_date, published.end_date) == (frame.index[0], frame.index[-1])
    assert published.columns == (("a", "float64"), ("b", "float64"))
    assert set(published.column_digests) == {"timestamp", "a", "b"}
    assert published.identity == identity.explanation()
    assert published.summary == {"sharpe": 1.5, "trades": 3, "sortino": None}
    assert published.created_at.tzinfo is UTC
    assert [chunk.label for chunk in store.chunks(published)] == [
        "2013-01",
        "2013-02",
        "2013-03",
        "2013-04",
    ]

    assert store.lookup(ref, identity.version_hash) == published
    assert store.head(ref) == published
    assert store.heads(layer, "thing") == {("BTC/USDT", "1m"): published}
    assert store.history(ref) == [published]
    assert_frame_equal(store.read(published, verify=True), frame, check_exact=True)
    assert_frame_equal(store.read(published, ["b"]), frame[["b"]], check_exact=True)
    assert store.attachment(published, "model.zip") == b"\x00weights"
    assert store.attachment(published, "card") == b"{}"
    assert all("BTC_2FUSDT" in path for path in objects(store))


def test_an_empty_frame_and_no_frame_are_datasets_too(store: DatasetStore) -> None:
    empty = publish(store, 1, frame=samples.frame(0))
    assert (empty.row_count, empty.start_date.year if empty.start_date else None) == (0, 2000)
    assert_frame_equal(store.read(empty, verify=True), samples.frame(0))
    model = publish(store, 2, frame=None, attachments={"model.txt": b"tree"})
    assert model.columns == ()
    # Without rows of its own, the range is that of the input.
    assert model.end_date == datetime(2013, 2, 28, tzinfo=UTC)
    assert model.storage_uri.endswith(".txt")


def test_unknown_columns_and_attachments_are_named_with_the_nearest(store: DatasetStore) -> None:
    published = publish(store, frame=samples.frame(3).rename(columns={"a": "rsi_14"}))
    with pytest.raises(DataError, match=r"unknown column 'rsi_41'.*Did you mean 'rsi_14'"):
        store.read(published, ["rsi_41"])
    with pytest.raises(DataError, match="unknown attachment 'model'; allowed: none"):
        store.attachment(published, "model")


def test_lookups_say_nothing_of_what_is_not_there(store: DatasetStore) -> None:
    assert store.head(REF) is None
    assert store.lookup(REF, "0" * 64) is None
    assert store.heads("features", "rsi_14") == {}
    assert store.lookup_many("features", "rsi_14", {("AAPL", "1d"): "0" * 64}) == {}
    publish(store)
    assert store.lookup(REF, "0" * 64) is None
    other = samples.ref(symbol="MSFT")
    assert store.lookup(other, samples.identity().version_hash) is None
    assert store.lookup(samples.ref("other"), samples.identity().version_hash) is None


def test_many_partitions_are_looked_up_together(store: DatasetStore) -> None:
    refs = [samples.ref(symbol=f"S{number}") for number in range(6)]
    for ref in refs:
        publish(store, 1, ref=ref)
    newer = [publish(store, 2, ref=ref) for ref in refs[:3]]
    forced = publish(store, 2, ref=refs[0], force=True)
    heads = store.heads("features", "rsi_14")
    assert set(heads) == {(ref.symbol, "1d") for ref in refs}
    assert heads["S0", "1d"] == forced
    assert heads["S2", "1d"] == newer[2]
    some = [("S1", "1d"), ("S5", "1d"), ("S9", "1d")]
    assert set(store.heads("features", "rsi_14", some)) == {("S1", "1d"), ("S5", "1d")}
    assert store.heads("features", "rsi_14", []) == {}
    wanted = {(ref.symbol, "1d"): samples.identity(2, of=ref).version_hash for ref in refs}
    found = store.lookup_many("features", "rsi_14", wanted)
    assert found == {("S0", "1d"): forced, ("S1", "1d"): newer[1], ("S2", "1d"): newer[2]}


def test_more_partitions_than_fit_into_one_list(store: DatasetStore) -> None:
    publish(store)
    many = {(f"S{number}", "1d"): "0" * 64 for number in range(1200)}
    wanted = {**many, ("AAPL", "1d"): samples.identity().version_hash}
    assert set(store.lookup_many("features", "rsi_14", wanted)) == {("AAPL", "1d")}
    assert set(store.heads("features", "rsi_14", list(wanted))) == {("AAPL", "1d")}


def test_heads_take_one_query_and_lookups_leave_the_chunks_alone(store: DatasetStore) -> None:
    publish(store)
    asked: list[str] = []

    @event.listens_for(store.catalog.engine, "before_cursor_execute")
    def _note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        asked.append(statement)

    store.heads("features", "rsi_14", [("AAPL", "1d"), ("MSFT", "1d")])
    assert len(asked) == 1
    store.lookup(REF, samples.identity().version_hash)
    store.history(REF)
    assert len(asked) == 3
    assert not any("chunks" in statement for statement in asked)


@pytest.mark.parametrize("prepared", ["lookup", "lookup_many"])
def test_lookups_search_the_index_of_the_versions(tmp_path: Path, prepared: str) -> None:
    from hf_resources.settings import Settings

    store = DatasetStore.open(Settings.from_env({"HF_HOME": str(tmp_path)}))
    key = {"name": "rsi_14", "symbol": "AAPL", "timeframe": "1d", "version_hash": "0" * 64}
    values = key if prepared == "lookup" else {"name": "x", "wanted": [("A", "1d", "0" * 64)]}
    statement = getattr(statements("features"), prepared)
    sql = statement.params(values).compile(
        store.catalog.engine, compile_kwargs={"render_postcompile": True, "literal_binds": True}
    )
    with store.catalog.read() as connection:
        plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}")]
    steps = [step for step in plan if "feature_datasets" in step]
    assert len(steps) == 1
    assert "version_hash=?" in steps[0]


# ------------------------------------------------------------------------------- heads, versions


def test_the_same_version_is_not_stored_twice(store: DatasetStore) -> None:
    first = publish(store)
    before = objects(store)
    again = publish(store, expected=None)  # as a process that saw no head yet
    assert again == first
    assert again.head_version == 1
    assert objects(store) == before
    assert len(store.history(REF)) == 1


def test_a_stale_write_is_a_conflict_and_changes_nothing(store: DatasetStore) -> None:
    seen = publish(store, 1)
    winner = publish(store, 2)
    for expected in (seen, None):
        with pytest.raises(HeadConflictError, match=r"features/rsi_14 AAPL 1d: the head was"):
            publish(store, 3, expected=expected)
    assert store.head(REF) == winner
    assert store.lookup(REF, samples.identity(3).version_hash) is None
    assert len(store.history(REF)) == 2


def test_a_head_that_left_and_came_back_is_a_conflict_too(store: DatasetStore) -> None:
    seen = publish(store, 1)
    publish(store, 2)
    back = store.adopt(seen, expected=store.head(REF))
    assert (back, back.head_version) == (seen, 3)
    with pytest.raises(HeadConflictError):
        publish(store, 3, expected=seen)
    assert publish(store, 3, expected=back).head_version == 4


def test_force_adds_a_generation_and_keeps_the_old_one(store: DatasetStore) -> None:
    first = publish(store)
    second = publish(store, frame=samples.frame(30, seed=99), force=True)
    third = publish(store, frame=samples.frame(30, seed=99), force=True, expected=first)
    assert [item.generation for item in (first, second, third)] == [0, 1, 2]
    assert {item.version_hash for item in (first, second, third)} == {first.version_hash}
    assert store.lookup(REF, first.version_hash) == third
    assert store.history(REF) == [third, second, first]
    assert_frame_equal(store.read(first, verify=True), samples.frame(30, seed=14))
    assert_frame_equal(store.read(third, verify=True), samples.frame(30, seed=99))
    assert store.chunks(second) == store.chunks(third)  # equal content, equal object


def test_force_does_not_excuse_a_stale_write(store: DatasetStore) -> None:
    seen = publish(store, 1)
    publish(store, 2)
    with pytest.raises(HeadConflictError):
        publish(store, 3, expected=seen, force=True)


def test_force_mends_damaged_and_missing_objects(store: DatasetStore) -> None:
    options: dict[str, Any] = {"ref": samples.ref(timeframe="1m"), "attachments": {"m.bin": b"ok"}}
    first = publish(store, frame=samples.frame(70), **options)
    chunks = store.chunks(first)
    store.lake.replace(chunks[0].path, b"rot")
    store.lake.replace(first.attachments["m.bin"]["path"], b"rot")
    store.lake.delete([chunks[1].path])
    forced = publish(store, frame=samples.frame(70), force=True, **options)
    for dataset in (first, forced):
        assert_frame_equal(store.read(dataset, verify=True), samples.frame(70))
        assert store.attachment(dataset, "m.bin") == b"ok"


def test_adopting_moves_the_head_and_adds_nothing(store: DatasetStore) -> None:
    first, second = publish(store, 1), publish(store, 2)
    before = objects(store)
    adopted = store.adopt(first, expected=second)
    assert (adopted, adopted.head_version) == (first, 3)
    assert store.head(REF) == first
    assert store.adopt(first, expected=None).head_version == 3  # it is the head already
    with pytest.raises(HeadConflictError):
        store.adopt(second, expected=second)
    assert len(store.history(REF)) == 2
    assert objects(store) == before


def test_a_version_that_is_stored_becomes_the_head_when_published_again(
    store: DatasetStore,
) -> None:
    first, second = publish(store, 1), publish(store, 2)
    assert publish(store, 1, expected=second) == first
    assert store.head(REF) == first
    with pytest.raises(HeadConflictError):
        publish(store, 2, expected=second)


def test_other_values_for_the_same_version_are_reported(
    store: DatasetStore, caplog: pytest.LogCaptureFixture
) -> None:
    first = publish(store)
    with caplog.at_level(logging.WARNING):
        assert publish(store) == first
        assert caplog.records == []
        assert publish(store, frame=samples.frame(30, seed=5)) == first
    assert "technical.rsi' is not deterministic" in caplog.text
    assert_frame_equal(store.read(first, verify=True), samples.frame(30, seed=14))


def test_a_definition_is_written_only_when_it_changes(store: DatasetStore) -> None:
    def row() -> Any:
        with store.catalog.read() as connection:
            return connection.execute(select(Feature.__table__)).one()

    publish(store, 1)
    publish(store, 2)
    assert row().version == 1
    publish(store, 2, definition=samples.definition(description="Wilder's RSI"))
    assert (row().version, row().description) == (2, "Wilder's RSI")
    publish(store, 3, definition=samples.definition(parameters={"length": 3}))
    assert (row().version, row().parameters) == (3, {"length": 3})


def test_predictions_share_the_definition_of_their_model(store: DatasetStore) -> None:
    model = samples.ref("lgbm", layer="models")
    predictions = samples.ref("lgbm", layer="predictions")
    publish(store, ref=model, frame=None, attachments={"m": b"1"})
    publish(store, ref=predictions, definition=samples.definition(predictions, description="x"))
    with store.catalog.read() as connection:
        row = connection.execute(select(Model.__table__)).one()
    assert (row.version, row.description) == (1, "")


# ---------------------------------------------------------------------------------------- chunks


def test_appending_writes_only_what_is_new(store: DatasetStore) -> None:
    ref = samples.ref(timeframe="1m")  # monthly chunks
    first = publish(store, 1, ref=ref, frame=samples.frame(80))
    before = objects(store)
    longer = publish(store, 2, ref=ref, frame=samples.frame(81))
    assert len(set(objects(store)) - set(before)) == 1  # the month that is not over
    old, new = store.chunks(first), store.chunks(longer)
    assert [chunk.path for chunk in old[:-1]] == [chunk.path for chunk in new[:-1]]
    assert old[-1].path != new[-1].path
    assert_frame_equal(store.read(longer, verify=True), samples.frame(81))
    assert_frame_equal(store.read(first, verify=True), samples.frame(80))
    assert store.grew(first, longer)
    assert not store.grew(longer, first)


def test_a_revision_rewrites_only_its_chunk(store: DatasetStore) -> None:
    ref = samples.ref(timeframe="1m")
    frame = samples.frame(80)
    first = publish(store, 1, ref=ref, frame=frame)
    before = objects(store)
    frame.loc["2013-02-10", "a"] = 1.0
    revised = publish(store, 2, ref=ref, frame=frame)
    added = set(objects(store)) - set(before)
    assert [path.split("-2013-")[1][:2] for path in added] == ["02"]
    assert not store.grew(first, revised)
    assert store.unchanged(first, revised, ["a", "b", "c"]) == {"timestamp", "b"}
    same = [n for n in ("timestamp", "a", "b")
            if first.column_digests[n] == revised.column_digests[n]]  # fmt: skip
    assert same == ["timestamp", "b"]


def test_nullable_types_survive_a_chunk_that_happens_to_have_no_null(store: DatasetStore) -> None:
    ref = samples.ref(timeframe="1m")
    frame = samples.frame(40)
    frame["n"] = pd.array([None, *range(39)], dtype="Int64")
    frame["s"] = pd.array(["x"] * 39 + [None], dtype="str")
    published = publish(store, ref=ref, frame=frame)
    assert_frame_equal(store.read(published, verify=True), frame)
    assert dict(published.columns)["n"] == "Int64"
    assert frame_digests(store.read(published)) == frame_digests(frame)


# ---------------------------------------------------------------------------------------- damage


def test_reading_names_the_object_that_is_missing_or_damaged(store: DatasetStore) -> None:
    published = publish(store, attachments={"m.bin": b"weights"})
    path = store.chunks(published)[0].path
    whole = store.lake.get(path)
    model = published.attachments["m.bin"]["path"]
    store.lake.replace(model, b"other")
    with pytest.raises(DataError, match=r"-m-[0-9a-f]{16}\.bin is not what was published"):
        store.attachment(published, "m.bin")
    store.lake.replace(path, whole[:-10])
    with pytest.raises(DataError, match=f"{path} is not readable as Parquet"):
        store.read(published)
    store.lake.delete([path])
    with pytest.raises(DataError, match=f"{path} is missing"):
        store.read(published)


def test_verification_finds_an_object_with_other_content(store: DatasetStore) -> None:
    first, other = publish(store, 1), publish(store, 2)
    path, foreign = (store.chunks(item)[0].path for item in (first, other))
    store.lake.replace(path, store.lake.get(foreign))
    assert len(store.read(first)) == 30
    with pytest.raises(DataError, match=rf"{path} is not what was published: columns \['a', 'b'\]"):
        store.read(first, verify=True)
    with pytest.raises(DataError, match=r"columns \['b'\]"):
        store.read(first, ["b"], verify=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame": samples.frame(3)[::-1]}, "features/rsi_14 AAPL 1d: .*strictly increasing"),
        ({"summary": {"sharpe": float("nan")}}, "summary holds NaN or infinity"),
        ({"attachments": {"../m": b""}}, "attachment '../m' may only hold"),
        ({"definition": samples.definition(name="other")}, "the definition is that of"),
        ({"ref": samples.ref(symbol="S" * 101)}, "longer than 100 characters"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    store: DatasetStore, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        publish(store, **options)
    assert objects(store) == {}
    assert count(store, Feature) == 0


def test_an_unknown_timeframe_is_refused(store: DatasetStore) -> None:
    with pytest.raises(ConfigurationError, match="unknown timeframe '2h'"):
        publish(store, ref=samples.ref(timeframe="2h"))


def test_a_failed_commit_leaves_the_old_head(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = publish(store, 1)

    def fail(*_arguments: Any) -> None:
        raise RuntimeError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr("hf_resources.store._move_head", fail)
        with pytest.raises(RuntimeError, match="power cut"):
            publish(store, 2)
    assert store.history(REF) == [first]
    assert publish(store, 2) == store.head(REF)  # its orphan is taken up again


def test_the_lake_can_be_moved(store: DatasetStore, tmp_path: Path) -> None:
    from hf_resources.lake import Lake

    published = publish(store)
    moved = tmp_path / "elsewhere"
    for item in store.lake.list():
        Lake(str(moved)).put_if_absent(item.path, store.lake.get(item.path))
    other = DatasetStore(Lake(str(moved)), store.catalog)
    found = other.head(REF)
    assert found is not None
    assert found.storage_uri.startswith(moved.as_uri())
    assert_frame_equal(other.read(published), samples.frame(30, seed=14))


def test_rows_are_plain_enough_for_sql(store: DatasetStore) -> None:
    publish(store)
    table = TABLES["features"].dataset.__tablename__
    with store.catalog.read() as connection:
        rows = connection.execute(text(f"SELECT symbol, timeframe, row_count FROM {table}")).all()
    assert [tuple(row) for row in rows] == [("AAPL", "1d", 30)]
