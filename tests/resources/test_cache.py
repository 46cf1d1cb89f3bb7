from __future__ import annotations

import logging
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hf_plugins.errors import ConfigurationError
from hf_resources import cache as cache_module
from hf_resources.cache import Cache, EvictingStore
from hf_resources.client import Client
from hf_resources.datasets import DatasetRef
from hf_resources.settings import Settings
from tests import servers
from tests.resources import market

REF = DatasetRef("market_data", "bars", "BTCUSDT", "1h")
HOURLY = market.ohlcv(21_000, timeframe="1h", start="2022-06-01")  # three chunks
IN_2023 = (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC))


@pytest.fixture
def server(redis_server: servers.Redis, monkeypatch: pytest.MonkeyPatch) -> servers.Redis:
    monkeypatch.setattr(cache_module, "_told", set())
    return redis_server


@pytest.fixture
def cached(server: servers.Redis, tmp_path: Path) -> Settings:
    return Settings.from_env({"HF_HOME": str(tmp_path), "HF_REDIS_URL": server.url})


@pytest.fixture
def client(cached: Settings) -> Client:
    """A client with a cache over a store that knows of none."""
    opened = Client.open(cached)
    market.came(opened.store, HOURLY, market.FIRST, timeframe="1h")
    return opened


def _lose_the_lake(client: Client) -> None:
    """From now on only the cache can answer."""
    for item in list(client.store.lake.list()):
        client.store.lake.delete([item.path])


def _fields(server: servers.Redis) -> list[bytes]:
    redis = server.redis
    return [field for key in redis.scan_iter() for field in redis.hkeys(key)]


# -- what is cached


def test_what_was_read_once_is_read_from_redis(client: Client, server: servers.Redis) -> None:
    first = client.bars("BTCUSDT", "1h")
    assert len(_fields(server)) == 3
    _lose_the_lake(client)
    again = client.bars("BTCUSDT", "1h")
    assert again.equals(first)
    assert again.schema == first.schema
    plain = Client(client.store)
    with pytest.raises(Exception, match="missing"):
        plain.bars("BTCUSDT", "1h")


def test_a_cached_answer_is_that_of_the_lake(client: Client) -> None:
    from_lake = Client(client.store)
    for columns in (None, ["volume", "open"], []):
        for span in ((None, None), IN_2023):
            expected = from_lake.bars("BTCUSDT", "1h", *span, columns=columns)
            for _ in range(2):
                assert client.bars("BTCUSDT", "1h", *span, columns=columns).equals(expected)
    as_pandas = client.bars("BTCUSDT", "1h", engine="pandas")
    assert as_pandas.equals(from_lake.bars("BTCUSDT", "1h", engine="pandas"))


def test_only_chunks_and_columns_that_are_read_are_cached(
    client: Client, server: servers.Redis
) -> None:
    client.bars("BTCUSDT", "1h", *IN_2023, columns=["close"])
    (field,) = _fields(server)
    assert b"-2023-" in field
    client.bars("BTCUSDT", "1h", *IN_2023, columns=["close", "open"])
    client.bars("BTCUSDT", "1h", *IN_2023, columns=["open", "close"])  # the same, in other order
    assert len(_fields(server)) == 2
    (key,) = server.redis.keys()
    sizes = [server.redis.hstrlen(key, field) for field in _fields(server)]
    assert max(sizes) < 3 * 8 * 365 * 24 * 1.1


def test_what_is_cached_in_part_is_completed(client: Client, server: servers.Redis) -> None:
    whole = client.bars("BTCUSDT", "1h")
    (key,) = server.redis.keys()
    server.redis.hdel(key, _fields(server)[1])
    assert client.bars("BTCUSDT", "1h").equals(whole)
    assert len(_fields(server)) == 3


@pytest.mark.parametrize("value", [b"", b"nonsense", b"ARROW1\0\0" + bytes(100)])
def test_a_damaged_entry_is_read_from_the_lake_and_replaced(
    client: Client, server: servers.Redis, value: bytes
) -> None:
    whole = client.bars("BTCUSDT", "1h")
    (key,) = server.redis.keys()
    for field in _fields(server):
        server.redis.hset(key, field, value)
    assert client.bars("BTCUSDT", "1h").equals(whole)
    _lose_the_lake(client)
    assert client.bars("BTCUSDT", "1h").equals(whole)


def test_an_entry_of_other_rows_is_not_believed(client: Client, server: servers.Redis) -> None:
    whole = client.bars("BTCUSDT", "1h")
    (key,) = server.redis.keys()
    fields = _fields(server)
    server.redis.hset(key, fields[0], server.redis.hget(key, fields[1]))
    server.redis.hset(key, fields[2], server.redis.hget(key, fields[1]))
    found = client.bars("BTCUSDT", "1h")
    assert found.height == whole.height
    assert found.equals(whole)


def test_entries_expire_after_the_time_to_live(cached: Settings, server: servers.Redis) -> None:
    client = Client.open(replace(cached, redis_ttl=1))
    market.came(client.store, HOURLY, market.FIRST, timeframe="1h")
    client.bars("BTCUSDT", "1h")
    assert server.redis.keys()
    time.sleep(1.2)
    assert server.redis.keys() == []


def test_the_time_to_live_is_an_hour_by_default(client: Client, server: servers.Redis) -> None:
    client.bars("BTCUSDT", "1h")
    (key,) = server.redis.keys()
    assert 3590 < server.redis.ttl(key) <= 3600


# -- what is evicted


def _revised(factor: float = 1.01) -> Any:
    """The same bars, the last one with another volume, and one more day of them."""
    longer = market.ohlcv(21_024, timeframe="1h", start="2022-06-01")
    longer.loc[longer.index[:21_000]] = HOURLY
    longer.loc[longer.index[20_999], "volume"] = round(HOURLY["volume"].iloc[-1] * factor, 2)
    return longer


def test_a_new_head_evicts_what_it_does_not_share(
    client: Client, cached: Settings, server: servers.Redis
) -> None:
    client.bars("BTCUSDT", "1h")
    before = set(_fields(server))
    publisher = EvictingStore.open(cached)
    market.came(publisher, _revised(), market.FIRST + timedelta(days=1), timeframe="1h")
    left = set(_fields(server))
    assert left < before
    assert len(left) == 2
    found = client.bars("BTCUSDT", "1h", columns=["volume"])
    assert found["volume"].to_list() == _revised()["volume"].to_list()


def test_a_head_that_moves_back_evicts_too(
    client: Client, cached: Settings, server: servers.Redis
) -> None:
    old = client.store.head(REF)
    assert old is not None
    publisher = EvictingStore.open(cached)
    day = market.FIRST + timedelta(days=1)
    new = market.came(publisher, _revised(), day, timeframe="1h")
    client.bars("BTCUSDT", "1h")
    publisher.adopt(old, expected=new)
    assert len(_fields(server)) == 2
    assert client.bars("BTCUSDT", "1h").height == 21_000


def test_a_reader_evicts_what_a_publisher_without_a_cache_left(
    client: Client, server: servers.Redis
) -> None:
    client.bars("BTCUSDT", "1h")
    market.came(client.store, _revised(), market.FIRST + timedelta(days=1), timeframe="1h")
    assert len(_fields(server)) == 3
    assert client.bars("BTCUSDT", "1h")["volume"].to_list() == _revised()["volume"].to_list()
    assert len(_fields(server)) == 3  # two shared ones and the new one


def test_other_series_stay(client: Client, cached: Settings, server: servers.Redis) -> None:
    other: Any = {"timeframe": "1h", "symbol": "ETHUSDT"}
    market.came(client.store, HOURLY, market.FIRST, **other)
    client.bars("ETHUSDT", "1h")
    publisher = EvictingStore.open(cached)
    market.came(publisher, _revised(), market.FIRST + timedelta(days=1), timeframe="1h")
    assert len(_fields(server)) == 3


def test_what_was_known_earlier_is_never_answered_with_what_is_cached_of_now(
    client: Client,
) -> None:
    market.came(client.store, _revised(), market.FIRST + timedelta(days=1), timeframe="1h")
    for _ in range(2):
        now = client.bars("BTCUSDT", "1h", columns=["volume"])
        then = client.bars("BTCUSDT", "1h", columns=["volume"], as_of=market.FIRST)
        assert now["volume"].to_list() == _revised()["volume"].to_list()
        assert then["volume"].to_list() == HOURLY["volume"].to_list()


# -- without Redis


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno == logging.WARNING]


def test_without_a_url_there_is_no_cache_and_nothing_to_say(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings.from_env({"HF_HOME": str(tmp_path)})
    assert Cache.open(settings) is None
    assert EvictingStore.open(settings).cache is None
    assert _warnings(caplog) == []


def test_a_server_killed_midway_costs_one_warning_and_no_answer(
    client: Client, cached: Settings, server: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    expected = client.bars("BTCUSDT", "1h")
    server.end(signal.SIGKILL)
    for _ in range(3):
        assert client.bars("BTCUSDT", "1h").equals(expected)
    another = Client.open(cached)
    assert another.bars("BTCUSDT", "1h").equals(expected)
    publisher = EvictingStore.open(cached)
    market.came(publisher, _revised(), market.FIRST + timedelta(days=1), timeframe="1h")
    assert client.bars("BTCUSDT", "1h").height == 21_024
    (said,) = _warnings(caplog)
    assert said.startswith(f"Redis at redis://127.0.0.1:{server.port}/0 is not used")
    assert server.password not in said


def test_a_server_that_comes_back_is_used_again(
    client: Client, server: servers.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.bars("BTCUSDT", "1h")
    server.end(signal.SIGKILL)
    client.bars("BTCUSDT", "1h")
    server.start()
    client.bars("BTCUSDT", "1h")
    assert _fields(server) == []  # it is left alone for a while
    later = time.monotonic() + 31
    monkeypatch.setattr(cache_module.time, "monotonic", lambda: later)
    client.bars("BTCUSDT", "1h")
    assert len(_fields(server)) == 3


def test_a_restart_between_two_reads_is_not_even_noticed(
    client: Client, server: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    client.bars("BTCUSDT", "1h")
    server.end(signal.SIGTERM)
    server.start()
    client.bars("BTCUSDT", "1h")
    assert len(_fields(server)) == 3
    assert _warnings(caplog) == []


def test_a_server_that_hangs_is_waited_for_once(client: Client, server: servers.Redis) -> None:
    expected = client.bars("BTCUSDT", "1h")
    assert server.process is not None
    server.process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        for _ in range(5):
            assert client.bars("BTCUSDT", "1h").equals(expected)
        assert time.monotonic() - started < 10
    finally:
        server.process.send_signal(signal.SIGCONT)


def test_a_server_without_memory_answers_and_is_told_of(
    client: Client, server: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    server.redis.config_set("maxmemory", "1mb")
    try:
        assert client.bars("BTCUSDT", "1h").height == 21_000
        assert client.bars("BTCUSDT", "1h").height == 21_000
    finally:
        server.redis.config_set("maxmemory", "0")
    (said,) = _warnings(caplog)
    assert "maxmemory" in said


def test_a_wrong_password_is_told_without_showing_it(
    client: Client, cached: Settings, server: servers.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = replace(cached, redis_url=server.url.replace(server.password, "s3cret"))
    assert Client.open(wrong).bars("BTCUSDT", "1h").height == 21_000
    (said,) = _warnings(caplog)
    assert "s3cret" not in said


def test_a_missing_library_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(cache_module, "_told", set())
    monkeypatch.setitem(sys.modules, "redis", None)
    settings = Settings.from_env(
        {"HF_HOME": str(tmp_path), "HF_REDIS_URL": "redis://user:s3cret@somewhere"}
    )
    assert Cache.open(settings) is None
    assert Cache.open(settings) is None
    (said,) = _warnings(caplog)
    assert said.startswith("Redis at redis://somewhere is not used")
    assert said.endswith("the Python package 'redis' is not installed")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"HF_REDIS_URL": "localhost:6379"}, "HF_REDIS_URL is '...'; allowed: redis://"),
        ({"HF_REDIS_URL": "http://u:s3cret@h"}, "HF_REDIS_URL is 'http://...'; allowed: redis://"),
        ({"HF_REDIS_TTL": "1h"}, "HF_REDIS_TTL is '1h'; allowed: a whole number of seconds"),
        ({"HF_REDIS_TTL": "0"}, "HF_REDIS_TTL is '0'; allowed: a whole number of seconds"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        Settings.from_env(environ)
    assert "s3cret" not in str(caught.value)


def test_settings_of_the_cache_are_read(tmp_path: Path) -> None:
    environ = {"HF_HOME": str(tmp_path), "HF_REDIS_URL": "redis://h", "HF_REDIS_TTL": "60"}
    settings = Settings.from_env(environ)
    assert (settings.redis_url, settings.redis_ttl) == ("redis://h", 60)
    assert (Settings.from_env({}).redis_url, Settings.from_env({}).redis_ttl) == ("", 3600)
    port = Settings.from_env({**environ, "HF_REDIS_URL": "redis://h:port"})
    with pytest.raises(ConfigurationError, match="HF_REDIS_URL for redis://h:port"):
        Cache.open(port)
