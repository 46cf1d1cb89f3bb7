from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources.lake import Lake
from tests.resources import publisher


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def files(tmp_path: Path) -> list[str]:
    root = tmp_path / "lake"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_an_object_is_created_once_and_never_changed(lake: Lake, tmp_path: Path) -> None:
    assert lake.put_if_absent("a/b/one.parquet", b"first")
    assert not lake.put_if_absent("a/b/one.parquet", b"second")
    assert lake.get("a/b/one.parquet") == b"first"
    assert files(tmp_path) == ["a/b/one.parquet"]  # nothing half-written stays


def test_replace_overwrites(lake: Lake, tmp_path: Path) -> None:
    lake.put_if_absent("one", b"damaged")
    lake.replace("one", b"mended")
    lake.replace("two", b"new")
    assert (lake.get("one"), lake.get("two")) == (b"mended", b"new")
    assert files(tmp_path) == ["one", "two"]


def test_a_missing_object_is_named_by_its_address(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        lake.get("features/none.parquet")
    assert f"file://{tmp_path}/lake/features/none.parquet is missing" in str(caught.value)
    assert not lake.exists("features/none.parquet")


def test_listing_and_deleting(lake: Lake) -> None:
    for path in ("a/1", "a/b/2", "ab/3"):
        lake.put_if_absent(path, b"12345")
    found = list(lake.list("a"))
    assert {item.path for item in found} == {"a/1", "a/b/2"}
    assert {item.size for item in found} == {5}
    assert datetime.now(UTC) - found[0].last_modified < timedelta(minutes=1)
    lake.delete(["a/1", "a/not there", "ab/3"])
    assert [item.path for item in lake.list()] == ["a/b/2"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"lake folder .*file/lake cannot be made"):
        Lake(str(tmp_path / "file" / "lake"))


def test_a_file_url_and_a_path_are_the_same_lake(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    Lake(str(folder)).put_if_absent("x", b"1")
    other = Lake(folder.as_uri())
    assert other.get("x") == b"1"
    assert other.uri("x") == f"{folder.as_uri()}/x"


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="scheme 'gopher'; allowed: a local path"):
        Lake("gopher://host/lake")


@pytest.mark.parametrize("path", ["../outside", "a/../../outside", "/etc/outside"])
def test_no_object_is_written_outside_the_lake(lake: Lake, path: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves the lake"):
        lake.put_if_absent(path, b"x")
    assert not (tmp_path / "outside").exists()


def test_of_many_threads_one_creates_the_object(lake: Lake, tmp_path: Path) -> None:
    barrier = Barrier(8)

    def attempt(number: int) -> list[bool]:
        won = []
        for turn in range(20):
            barrier.wait(30)
            won.append(lake.put_if_absent(f"race/{turn}", bytes([number]) * 100_000))
        return won

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    for turn in range(20):
        winners = [number for number in range(8) if answers[number][turn]]
        assert len(winners) == 1
        assert lake.get(f"race/{turn}") == bytes(winners) * 100_000
    assert len(files(tmp_path)) == 20


def test_of_several_processes_one_creates_the_object(lake: Lake, tmp_path: Path) -> None:
    paths = [f"race/{turn}" for turn in range(20)]
    barrier, answers = publisher.CONTEXT.Barrier(3), publisher.CONTEXT.Queue()
    data = b"x" * 200_000
    children = [
        publisher.spawn(publisher.put_once, lake.uri(""), paths, data, barrier, answers)
        for _ in range(3)
    ]
    received = [answers.get(timeout=60) for _ in range(60)]
    for child in children:
        child.join(60)
    assert Counter(path for path, won, _ in received if won) == dict.fromkeys(paths, 1)
    # A loser may rely on the object at once.
    assert {read for _, _, read in received} == {data}
    assert len(files(tmp_path)) == 20


def test_staging_files_of_killed_writers_are_found_once_they_are_old(
    lake: Lake, tmp_path: Path
) -> None:
    lake.put_if_absent("a/whole.parquet", b"x")
    old, young = (tmp_path / "lake/a" / name for name in ("x.parquet#12", "y.parquet#345"))
    for file in (old, young):
        file.write_bytes(b"half")
    past = datetime.now(UTC) - timedelta(days=2)
    os.utime(old, (past.timestamp(), past.timestamp()))
    assert [item.path for item in lake.list()] == ["a/whole.parquet"]
    stale = list(lake.stale_staging(datetime.now(UTC) - timedelta(days=1)))
    assert [(item.path, item.size) for item in stale] == [("a/x.parquet#12", 4)]
    lake.delete_staging([*(item.path for item in stale), "a/whole.parquet"])
    assert files(tmp_path) == ["a/whole.parquet", "a/y.parquet#345"]
