from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.resources import publisher, samples

NOW = timedelta(0)


@pytest.fixture
def filled(store: DatasetStore) -> DatasetStore:
    """A store with old versions, generations, shared chunks and attachments."""
    for length in range(6):
        for ref in publisher.SERIES:
            publisher.publish(store, ref, length, force=length == 5)
    return store


def paths(store: DatasetStore) -> set[str]:
    return {item.path for item in store.lake.list()}


@pytest.fixture
def folder(settings: Settings) -> Path:
    """The lake's folder: only on a disk files can be made older, or be half-written."""
    if "://" in settings.lake_url:
        pytest.skip("the age of an object in S3 is the server's affair")
    return Path(settings.lake_url)


def age(folder: Path, path: str, days: float) -> None:
    past = (datetime.now(UTC) - timedelta(days=days)).timestamp()
    os.utime(folder / path, (past, past))


def test_what_any_row_references_stays(filled: DatasetStore, settings: Settings) -> None:
    before = paths(filled)
    if "://" not in settings.lake_url:
        for path in before:
            age(Path(settings.lake_url), path, days=400)
    report = filled.collect_garbage(grace=NOW)
    assert (report.objects, report.bytes) == ((), 0)
    assert paths(filled) == before


def test_orphans_go_once_they_are_older_than_the_grace_period(
    filled: DatasetStore, folder: Path
) -> None:
    before = paths(filled)
    for name, days in (("features/old.parquet", 2.0), ("features/young.parquet", 0.5)):
        filled.lake.put_if_absent(name, b"12345")
        age(folder, name, days)
    staging = folder / "features/half.parquet#42"
    staging.write_bytes(b"123")
    age(folder, "features/half.parquet#42", 2)

    rehearsal = filled.collect_garbage(dry_run=True)
    assert rehearsal.objects == ("features/old.parquet",)
    assert rehearsal.staging == ("features/half.parquet#42",)
    assert (rehearsal.bytes, rehearsal.kept_young, rehearsal.dry_run) == (8, 1, True)
    assert len(paths(filled)) == len(before) + 2
    assert staging.exists()

    report = filled.collect_garbage()
    assert report.objects == rehearsal.objects
    assert report.staging == rehearsal.staging
    assert paths(filled) == before | {"features/young.parquet"}
    assert not staging.exists()


def test_what_a_killed_writer_of_a_large_object_left_in_s3_is_collected(
    filled: DatasetStore, settings: Settings
) -> None:
    if "://" not in settings.lake_url:
        pytest.skip("on a disk this is a file that no listing shows")
    before = paths(filled)
    filled.lake.put_if_absent("models/large.zip#42", b"123")
    assert filled.collect_garbage().objects == ()
    assert filled.collect_garbage(grace=NOW).objects == ("models/large.zip#42",)
    assert paths(filled) == before


def test_a_file_that_is_being_written_is_left_alone(store: DatasetStore, folder: Path) -> None:
    staging = folder / "now.parquet#7"
    staging.write_bytes(b"half")
    assert store.collect_garbage(grace=NOW).staging == ()
    assert staging.exists()


def test_an_orphan_that_is_referenced_in_the_meantime_stays(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A publisher takes up an old orphan after the collector has put it on its list."""
    ref = publisher.SEVERAL
    with monkeypatch.context() as patched:
        patched.setattr("hf_resources.store._move_head", _die)
        with pytest.raises(RuntimeError):
            publisher.publish(store, ref, 1, force=False)
    orphans = paths(store)
    assert orphans
    listed = store.lake.stale_staging

    def publish_then_list(before: datetime) -> Any:  # the last step before orphans are deleted
        publisher.publish(store, ref, 1, force=False)
        return listed(before)

    monkeypatch.setattr(store.lake, "stale_staging", publish_then_list)
    assert store.collect_garbage(grace=NOW).objects == ()
    head = store.head(ref)
    assert head is not None
    store.read(head, verify=True)


def test_an_orphan_that_is_collected_before_the_commit_is_written_again(
    store: DatasetStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = store._commit
    collected: list[str] = []

    def collect_then_commit(*arguments: Any, **options: Any) -> Any:
        if not collected:
            collected.extend(store.collect_garbage(grace=NOW).objects)
        return commit(*arguments, **options)

    monkeypatch.setattr(store, "_commit", collect_then_commit)
    published = publisher.publish(store, publisher.SEVERAL, 1, force=False)
    assert len(collected) > 1
    assert len(store.read(published, verify=True)) == published.row_count


def test_collecting_without_rest_never_harms_publishers(settings: Settings) -> None:
    store = DatasetStore.open(settings)
    children = [publisher.spawn(publisher.publish_many, settings, seed, 15) for seed in range(1, 3)]
    rounds = 0
    while any(child.is_alive() for child in children):
        store.collect_garbage(grace=NOW)
        rounds += 1
    for child in children:
        child.join(60)
    assert rounds > 3
    for ref in publisher.SERIES:
        for dataset in store.history(ref):
            store.read(dataset, verify=True)
            for name in dataset.attachments:
                store.attachment(dataset, name)


def _die(*_arguments: Any) -> None:
    raise RuntimeError("killed")


def test_collection_looks_at_every_layer(store: DatasetStore) -> None:
    from hf_resources.datasets import LAYERS

    for layer in LAYERS:
        publisher.publish(store, samples.ref("x", layer=layer), 1, force=False)
    before = paths(store)
    assert len(before) == len(LAYERS)
    assert store.collect_garbage(grace=NOW).objects == ()
    assert paths(store) == before
