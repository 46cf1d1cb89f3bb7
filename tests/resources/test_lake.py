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
    """On a disk."""
    return Lake(str(tmp_path / "lake"))


@pytest.fixture(params=["local", "s3"])
def any_lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """On a disk, and in S3."""
    if request.param == "local":
        return Lake(str(tmp_path / "lake"))
    return Lake(request.getfixturevalue("s3_lake"))


def turns(lake: Lake) -> int:
    """How often a race is run: SeaweedFS takes seconds for one."""
    return 3 if lake.uri("").startswith("s3") else 20


def names(lake: Lake) -> list[str]:
    return sorted(item.path for item in lake.list())


def files(tmp_path: Path) -> list[str]:
    root = tmp_path / "lake"
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_an_object_is_created_once_and_never_changed(any_lake: Lake) -> None:
    assert any_lake.put_if_absent("a/b/one.parquet", b"first")
    assert not any_lake.put_if_absent("a/b/one.parquet", b"second")
    assert any_lake.get("a/b/one.parquet") == b"first"
    assert names(any_lake) == ["a/b/one.parquet"]


def test_nothing_half_written_stays(lake: Lake, tmp_path: Path) -> None:
    lake.put_if_absent("a/one", b"first")
    lake.put_if_absent("a/one", b"second")
    lake.replace("a/one", b"third")
    assert files(tmp_path) == ["a/one"]


@pytest.mark.parametrize("size", [(16 << 20) - 1, 16 << 20, 50_000_000])
def test_a_large_object_is_created_once_and_never_changed(any_lake: Lake, size: int) -> None:
    """From 16 MiB on, S3 gets it in parts, and it still appears as a whole or not at all."""
    first, second = (bytes([number]) * size for number in (1, 2))
    assert any_lake.put_if_absent("large one", first)
    assert not any_lake.put_if_absent("large one", second)
    assert any_lake.get("large one") == first
    any_lake.replace("large one", second)
    assert any_lake.get("large one") == second
    assert names(any_lake) == ["large one"]


def test_of_many_threads_one_creates_a_large_object(any_lake: Lake) -> None:
    barrier = Barrier(3)

    def attempt(number: int) -> bool:
        barrier.wait(30)
        return any_lake.put_if_absent("race", bytes([number]) * (17 << 20))

    with ThreadPoolExecutor(3) as pool:
        won = list(pool.map(attempt, range(3)))
    assert sorted(won) == [False, False, True]
    assert any_lake.get("race") == bytes([won.index(True)]) * (17 << 20)
    assert names(any_lake) == ["race"]


def test_replace_overwrites(any_lake: Lake) -> None:
    any_lake.put_if_absent("one", b"damaged")
    any_lake.replace("one", b"mended")
    any_lake.replace("two", b"new")
    assert (any_lake.get("one"), any_lake.get("two")) == (b"mended", b"new")
    assert names(any_lake) == ["one", "two"]


def test_a_missing_object_is_named_by_its_address(any_lake: Lake) -> None:
    with pytest.raises(DataError) as caught:
        any_lake.get("features/none.parquet")
    assert f"{any_lake.uri('features/none.parquet')} is missing" in str(caught.value)
    assert not any_lake.exists("features/none.parquet")


def test_addresses_are_those_of_the_lake(
    lake: Lake, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert lake.uri("a/b") == f"file://{tmp_path}/lake/a/b"
    url = request.getfixturevalue("s3_lake")
    assert Lake(url).uri("a/b") == f"{url}/a/b"


def test_listing_and_deleting(any_lake: Lake) -> None:
    lake = any_lake
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


def test_of_many_threads_one_creates_the_object(any_lake: Lake) -> None:
    lake = any_lake
    barrier = Barrier(8)

    def attempt(number: int) -> list[bool]:
        won = []
        for turn in range(turns(lake)):
            barrier.wait(30)
            won.append(lake.put_if_absent(f"race/{turn}", bytes([number]) * 100_000))
        return won

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(attempt, range(8)))
    for turn in range(turns(lake)):
        winners = [number for number in range(8) if answers[number][turn]]
        assert len(winners) == 1
        assert lake.get(f"race/{turn}") == bytes(winners) * 100_000
    assert len(names(lake)) == turns(lake)


def test_of_several_processes_one_creates_the_object(any_lake: Lake) -> None:
    lake = any_lake
    paths = [f"race/{turn}" for turn in range(turns(lake))]
    barrier, answers = publisher.CONTEXT.Barrier(3), publisher.CONTEXT.Queue()
    data = b"x" * 200_000
    children = [
        publisher.spawn(publisher.put_once, lake.uri("").rstrip("/"), paths, data, barrier, answers)
        for _ in range(3)
    ]
    received = [answers.get(timeout=60) for _ in range(3 * len(paths))]
    for child in children:
        child.join(60)
    assert Counter(path for path, won, _ in received if won) == dict.fromkeys(paths, 1)
    # A loser may rely on the object at once.
    assert {read for _, _, read in received} == {data}
    assert len(names(lake)) == len(paths)


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
