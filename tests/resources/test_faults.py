"""Storage fails in the middle of a publication or a read, with real servers and real disks.

Each fault ends in the right dataset or in an error that names the object or the server; what a head
points to is whole all the while, and the next publication repairs what was left.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pandas.testing import assert_frame_equal
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from hf_plugins.errors import ConfigurationError, DataError
from hf_resources import lake as lake_module
from hf_resources import store as store_module
from hf_resources.client import Client
from hf_resources.datasets import CatalogInterruptedError, Dataset, StorageError
from hf_resources.lake import Lake
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests.faces import CATALOGS
from tests.faults import COMMIT, Fault, Kind, Moment, S3Proxy, TcpProxy, s3_proxy, tcp_proxy
from tests.resources import market, publisher

FACES = CATALOGS[1:]
SEVERAL = publisher.SEVERAL
ONCE: list[tuple[Kind, int]] = [
    ("status", 500),
    ("status", 503),
    ("status", 409),
    ("half_request", 0),
    ("lost_answer", 0),
    ("silent", 0),
    ("slow", 0),
]
READING: list[tuple[Kind, int]] = [
    ("status", 500),
    ("status", 503),
    ("half_answer", 0),
    ("lost_answer", 0),
    ("silent", 0),
    ("slow", 0),
]


def publish(store: DatasetStore, length: int, *, force: bool = False) -> Dataset:
    return publisher.publish(store, SEVERAL, length, force=force)


def assert_whole(store: DatasetStore, dataset: Dataset | None, length: int) -> None:
    assert dataset is not None
    frame, _ = publisher.content(SEVERAL, length)
    assert_frame_equal(store.read(dataset, verify=True), frame, check_exact=True)


def assert_nothing_is_left_over(store: DatasetStore) -> None:
    stored = {item.path for item in store.lake.list()}
    versions = store.history(SEVERAL)
    assert stored == {chunk.path for each in versions for chunk in store.chunks(each)}


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same policy in less time."""
    monkeypatch.setattr(lake_module, "_SILENCE", timedelta(seconds=1))
    monkeypatch.setattr(lake_module, "_PATIENCE", timedelta(seconds=1.5))
    monkeypatch.setattr(store_module, "_PAUSES", (0.02, 0.05, 0.1))


# -- S3


@pytest.fixture
def remote(s3_lake: str, tmp_path: Path) -> Settings:
    """An installation with its lake in S3, in which version 1 is published."""
    settings = Settings.from_env({"HF_HOME": str(tmp_path), "HF_LAKE_URL": s3_lake})
    publish(DatasetStore.open(settings), 1)
    return settings


@pytest.fixture
def proxy(
    remote: Settings, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[S3Proxy, str]]:
    """What stands before the S3 server, and the URL of the lake."""
    with s3_proxy(os.environ["AWS_ENDPOINT_URL"]) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.url)
        yield between, remote.lake_url


@pytest.fixture
def s3(proxy: tuple[S3Proxy, str], remote: Settings) -> DatasetStore:
    """The store, with its lake behind the proxy."""
    return DatasetStore.open(remote)


@pytest.mark.parametrize(("kind", "status"), ONCE)
def test_a_write_that_fails_once_is_repeated(
    s3: DatasetStore, proxy: tuple[S3Proxy, str], kind: Kind, status: int
) -> None:
    proxy[0].faults = [Fault(kind, "PUT", status=status)]
    published = publish(s3, 2)
    assert proxy[0].count(kind) == 1
    assert s3.head(SEVERAL) == published
    assert [each.version_hash for each in s3.history(SEVERAL)].count(published.version_hash) == 1
    assert_whole(s3, published, 2)
    assert_nothing_is_left_over(s3)


@pytest.mark.parametrize(("kind", "status"), ONCE)
def test_what_is_created_is_there(proxy: tuple[S3Proxy, str], kind: Kind, status: int) -> None:
    """Whatever the answer, also where the store would look again."""
    lake = Lake(proxy[1])
    proxy[0].faults = [Fault(kind, "PUT", status=status)]
    created = lake.put_if_absent("one", b"whole" * 1000)
    assert proxy[0].count(kind) == 1
    assert created is (kind != "lost_answer")
    assert lake.get("one") == b"whole" * 1000


@pytest.mark.parametrize(("kind", "status"), READING)
def test_a_read_that_fails_once_is_repeated(
    s3: DatasetStore, proxy: tuple[S3Proxy, str], kind: Kind, status: int
) -> None:
    proxy[0].faults = [Fault(kind, "GET", status=status)]
    assert_whole(s3, s3.head(SEVERAL), 1)
    assert proxy[0].count(kind) == 1


@pytest.mark.parametrize(("kind", "status"), READING)
def test_a_listing_that_fails_once_is_whole(
    s3: DatasetStore, proxy: tuple[S3Proxy, str], kind: Kind, status: int
) -> None:
    whole = set(s3.lake.list())
    proxy[0].faults = [Fault(kind, "GET", status=status)]
    assert set(s3.lake.list()) == whole
    assert proxy[0].count(kind) == 1
    assert len(whole) == 4


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        ("status", "PUT"),
        ("lost_answer", "PUT"),
        pytest.param("half_request", "PUT", marks=pytest.mark.slow),
        pytest.param("silent", "PUT", marks=pytest.mark.slow),
        ("status", "HEAD"),
        pytest.param("lost_answer", "HEAD", marks=pytest.mark.slow),
        pytest.param("silent", "HEAD", marks=pytest.mark.slow),
    ],
)
def test_a_write_that_fails_for_good_is_named_and_changes_nothing(
    s3: DatasetStore, proxy: tuple[S3Proxy, str], kind: Kind, method: str
) -> None:
    old = s3.head(SEVERAL)
    # Only one of the four chunks: the others are written.
    proxy[0].faults = [Fault(kind, method, "2013-03", times=10**6)]
    with pytest.raises(StorageError) as caught:
        publish(s3, 2)
    assert f"{proxy[1]}/" in str(caught.value)
    assert "2013-03" in str(caught.value)
    assert proxy[0].url in str(caught.value)
    assert "\n" not in str(caught.value)
    proxy[0].faults = []
    assert s3.head(SEVERAL) == old
    assert_whole(s3, old, 1)
    again = publish(s3, 2)
    assert s3.head(SEVERAL) == again
    assert_whole(s3, again, 2)
    assert_nothing_is_left_over(s3)


@pytest.mark.parametrize(
    "kind",
    [
        "status",
        pytest.param("half_answer", marks=pytest.mark.slow),
        pytest.param("silent", marks=pytest.mark.slow),
    ],
)
def test_a_read_that_fails_for_good_is_named_and_is_no_verdict_on_the_data(
    s3: DatasetStore, proxy: tuple[S3Proxy, str], kind: Kind
) -> None:
    proxy[0].faults = [Fault(kind, "GET", "2013-02", times=10**6)]
    head = s3.head(SEVERAL)
    assert head is not None
    with pytest.raises(StorageError, match="2013-02") as caught:
        s3.read(head)
    assert not isinstance(caught.value, DataError)
    # Who regenerates a version finds an object that cannot be read, not one that is damaged.
    with pytest.raises(StorageError, match="2013-02"):
        publish(s3, 1, force=True)
    proxy[0].faults = []
    assert len(s3.history(SEVERAL)) == 1
    assert publish(s3, 1, force=True).generation == 1
    assert_whole(s3, s3.head(SEVERAL), 1)


@pytest.mark.parametrize("kind", ["half_request", "lost_answer", "silent"])
def test_a_part_of_a_large_object_that_fails_is_repeated(
    proxy: tuple[S3Proxy, str], kind: Kind
) -> None:
    data = os.urandom(1 << 20) * 17
    proxy[0].faults = [Fault(kind, "PUT")]
    lake = Lake(proxy[1])
    lake.put_if_absent("large", data)
    assert proxy[0].count(kind) == 1
    assert lake.get("large") == data
    assert [item.path for item in lake.list() if "large" in item.path] == ["large"]


def test_a_large_object_that_fails_for_good_is_not_there(proxy: tuple[S3Proxy, str]) -> None:
    lake = Lake(proxy[1])
    proxy[0].faults = [Fault("status", "POST", times=10**6)]
    with pytest.raises(StorageError, match=r"large cannot be written, because http://.* 503"):
        lake.put_if_absent("large", bytes(17 << 20))
    proxy[0].faults = []
    assert not lake.exists("large")
    assert lake.put_if_absent("large", bytes(17 << 20))


@pytest.mark.slow
def test_a_server_that_is_away_is_waited_for_within_bounds(
    s3_lake: str, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with s3_proxy(os.environ["AWS_ENDPOINT_URL"]) as gone:
        monkeypatch.setenv("AWS_ENDPOINT_URL", gone.url)
    lake = Lake(s3_lake)
    for action in (
        lambda: lake.get("a"),
        lambda: lake.put_if_absent("a", b"1"),
        lambda: lake.exists("a"),
        lambda: list(lake.list("a")),
        lambda: lake.delete(["a"]),
    ):
        with pytest.raises(StorageError, match=rf"/a cannot be .*, because {gone.url} fails"):
            action()


def test_a_server_that_refuses_is_not_asked_again(
    proxy: tuple[S3Proxy, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    lake = Lake(proxy[1])
    actions: list[Callable[[], Any]] = [
        lambda: lake.get("a"),
        lambda: lake.put_if_absent("a", b"1"),
        lambda: list(lake.list("a")),
    ]
    for action in actions:
        with pytest.raises(ConfigurationError, match=r"/a cannot be .* check AWS_ACCESS_KEY_ID"):
            action()
    assert len(proxy[0].seen) == len(actions)


@pytest.mark.parametrize("kind", ["status", "half_answer"])
def test_a_client_repeats_what_it_could_not_read(
    s3: DatasetStore, proxy: tuple[S3Proxy, str], kind: Kind
) -> None:
    client = Client(s3)
    market.came(s3, market.ohlcv(50), market.FIRST)
    whole = client.bars("BTCUSDT", "1d")
    proxy[0].faults = [Fault(kind, "GET", "/market_data/")]
    assert client.bars("BTCUSDT", "1d").equals(whole)
    assert proxy[0].count(kind) == 1


@pytest.mark.slow
def test_a_client_names_what_it_cannot_read(s3: DatasetStore, proxy: tuple[S3Proxy, str]) -> None:
    market.came(s3, market.ohlcv(50), market.FIRST)
    proxy[0].faults = [Fault("status", "GET", "/market_data/", times=10**6)]
    with pytest.raises(StorageError, match=r"/market_data/bars/BTCUSDT/1d/.* cannot be read"):
        Client(s3).bars("BTCUSDT", "1d")


# -- Postgres


@pytest.fixture
def wire(face: dict[str, str], impatient: None) -> Iterator[tuple[TcpProxy, DatasetStore]]:
    """What stands before the Postgres server, and a store behind it; version 1 is published."""
    settings = Settings.from_env(face)
    url = make_url(settings.catalog_url)
    assert url.port is not None
    with tcp_proxy(url.port) as between:
        behind = url.set(port=between.port).render_as_string(hide_password=False)
        store = DatasetStore.open(replace(settings, catalog_url=behind))
        publish(store, 1)
        yield between, store
        store.catalog.close()


MOMENTS = {
    "as the transaction begins": Moment(b"pg_advisory_xact_lock_shared"),
    "before the row": Moment(b"INSERT INTO feature_datasets"),
    "after the row": Moment(b"INSERT INTO feature_datasets", forwarded=True),
    "before the head moves": Moment(b"UPDATE heads"),
    "after the head moved": Moment(b"UPDATE heads", forwarded=True),
    "before the commit": Moment(COMMIT),
    "after the commit": Moment(COMMIT, forwarded=True),
}


@pytest.mark.parametrize("force", [False, True], ids=["new", "forced"])
@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_connection_lost_in_a_publication_ends_in_one_row(
    wire: tuple[TcpProxy, DatasetStore], moment: Moment, force: bool
) -> None:
    between, store = wire
    between.moments = [replace(moment)]
    published = publish(store, 1 if force else 2, force=force)
    assert between.cuts == 1
    assert store.head(SEVERAL) == published
    assert published.generation == int(force)
    assert len(store.history(SEVERAL)) == 2
    assert_whole(store, published, 1 if force else 2)
    assert_nothing_is_left_over(store)


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_server_that_goes_away_in_a_publication_is_named(
    wire: tuple[TcpProxy, DatasetStore], moment: Moment
) -> None:
    between, store = wire
    old = store.head(SEVERAL)
    between.moments = [replace(moment, times=10**6)]
    with pytest.raises(CatalogInterruptedError) as caught:
        publish(store, 2)
    said = str(caught.value)
    assert f"127.0.0.1:{between.port}" in said
    assert ":***@" in said
    assert between.cuts == 4  # at first, and after each of the pauses
    between.moments = []
    head = store.head(SEVERAL)
    assert_whole(store, head, 1 if head == old else 2)
    published = publish(store, 2)
    assert store.head(SEVERAL) == published
    assert len(store.history(SEVERAL)) == 2
    assert_nothing_is_left_over(store)


def test_a_backend_that_is_terminated_between_the_objects_and_the_commit(
    wire: tuple[TcpProxy, DatasetStore], face: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = wire
    exists, terminated = store.lake.exists, []

    def terminate(path: str) -> bool:  # the look at the objects is within the transaction
        if not terminated:
            terminated.append(_terminate_others(face["HF_CATALOG_URL"]))
        return exists(path)

    monkeypatch.setattr(store.lake, "exists", terminate)
    published = publish(store, 2)
    assert terminated[0] > 0
    assert store.head(SEVERAL) == published
    assert len(store.history(SEVERAL)) == 2
    assert_whole(store, published, 2)


def test_connections_that_died_in_the_pool_are_replaced(
    wire: tuple[TcpProxy, DatasetStore],
) -> None:
    between, store = wire
    old = store.head(SEVERAL)
    between.cut()
    assert store.head(SEVERAL) == old
    between.cut()
    assert publish(store, 2) == store.head(SEVERAL)


def test_a_read_without_a_server_is_named(wire: tuple[TcpProxy, DatasetStore]) -> None:
    between, store = wire
    between.refusing = True
    between.cut()
    with pytest.raises(StorageError, match=rf"catalog .*:{between.port}/.* cannot be read: "):
        store.head(SEVERAL)
    between.refusing = False
    assert store.head(SEVERAL) is not None


def test_a_writer_that_holds_the_catalog_is_not_waited_for_for_ever(
    wire: tuple[TcpProxy, DatasetStore], face: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, store = wire
    with store.catalog.read() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar() == "1min"
    monkeypatch.setattr(
        "hf_resources.catalog.engine._POSTGRES_SESSION", ("SET lock_timeout = 200",)
    )
    hurried = DatasetStore.open(replace(Settings.from_env(face)))
    with (
        store.catalog.exclusive(),
        pytest.raises(StorageError, match="Another process has held it"),
    ):
        publish(hurried, 2)
    assert publish(hurried, 2) == store.head(SEVERAL)


def _terminate_others(url: str) -> int:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    statement = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with engine.connect() as connection:
        ended = len(connection.execute(text(statement)).all())
    engine.dispose()
    return ended


# -- disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a file system of its own needs the right to mount one")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, *, leaving: int) -> Path:
    """Take the space of a disk but for some bytes."""
    ballast = folder / "ballast"
    status = os.statvfs(folder)
    with ballast.open("wb") as file:
        file.write(bytes(max(status.f_bavail * status.f_frsize - leaving, 0)))
    return ballast


@pytest.mark.parametrize("leaving", [0, 4096, 8192, 16_384])
def test_a_full_disk_under_the_lake_is_named_and_changes_nothing(
    small_disk: Path, tmp_path: Path, leaving: int
) -> None:
    environ = {"HF_HOME": str(tmp_path / "home"), "HF_LAKE_URL": str(small_disk / "lake")}
    store = DatasetStore.open(Settings.from_env(environ))
    old = publish(store, 1)
    before = {item.path for item in store.lake.list()}
    ballast = fill(small_disk, leaving=leaving)
    with pytest.raises(StorageError) as caught:
        publisher.publish(store, publisher.MODEL, 2, force=False)
    said = str(caught.value)
    assert said.startswith(f"{small_disk.as_uri()}/lake/models/fitted/")
    assert "no space is left on its disk for 50000 bytes" in said
    assert store.head(publisher.MODEL) is None
    assert_whole(store, store.head(SEVERAL), 1)
    assert store.head(SEVERAL) == old
    assert not list(small_disk.rglob("*#*"))
    ballast.unlink()
    publisher.publish(store, publisher.MODEL, 2, force=False)
    assert store.head(publisher.MODEL) is not None
    assert before < {item.path for item in store.lake.list()}


@pytest.mark.parametrize("leaving", [0, 4096, 20_480, 32_768])
def test_a_full_disk_under_the_catalog_is_named_and_changes_nothing(
    small_disk: Path, tmp_path: Path, leaving: int
) -> None:
    environ = {"HF_HOME": str(tmp_path / "home")}
    environ["HF_CATALOG_URL"] = f"sqlite:///{small_disk}/catalog.sqlite"
    store = DatasetStore.open(Settings.from_env(environ))
    old = publish(store, 1)
    ballast = fill(small_disk, leaving=leaving)
    published = {old.version_hash: 1}

    def publish_all() -> None:
        for length in range(2, 200):  # some may fit into what is left
            published[publish(store, length).version_hash] = length

    with pytest.raises(StorageError) as caught:
        publish_all()
    assert f"catalog sqlite:///{small_disk}/catalog.sqlite cannot be written" in str(caught.value)
    assert "free some space on its disk" in str(caught.value)
    head = store.head(SEVERAL)
    assert head is not None
    assert_whole(store, head, published[head.version_hash])
    assert len(store.history(SEVERAL)) == len(published)
    ballast.unlink()
    again = publish(store, 1000)
    assert store.head(SEVERAL) == again
    assert_whole(store, again, 1000)
    with store.catalog.read() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_a_full_disk_under_a_new_installation_is_named(small_disk: Path) -> None:
    ballast = fill(small_disk, leaving=0)
    settings = Settings.from_env({"HF_HOME": str(small_disk / "home")})
    with pytest.raises(StorageError, match="cannot be made: database or disk is full"):
        DatasetStore.open(settings)
    ballast.unlink()
    publish(DatasetStore.open(settings), 1)
