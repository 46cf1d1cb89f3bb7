"""The cache: chunks of hot datasets in Redis, in front of the lake.

What is cached is immutable and addressed by content, so nothing here can make an answer stale:
which version of a series is current is asked of the catalog every time. Redis is a convenience.
Where it is absent or down, everything is read from the lake, and that is said once per process.

How a chunk becomes bytes is not known here, see :mod:`hf_resources.columnar`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit

from hf_plugins.errors import ConfigurationError
from hf_plugins.versioning import Identity, canonical_json, sha256_hex
from hf_resources.chunks import Chunk
from hf_resources.datasets import Dataset, DatasetRef
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

if TYPE_CHECKING:
    from redis import Redis

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

_CONNECT_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 30.0
"""How long a server that failed is left alone, so that not every read waits for it."""

_told: set[str] = set()
"""Servers whose absence this process has reported."""


class Cache:
    """Encoded chunks by series. Safe to share between threads; no method raises for Redis.

    A series is one Redis hash, whose fields are named by the path of a chunk (which holds version
    hash, calendar period and digest) and by the columns. It expires as a whole.

    Args:
        client: of the server.
        ttl: seconds after its last entry came that a series expires.
        place: the server as people know it, without a password.
    """

    def __init__(self, client: Redis, ttl: int, place: str) -> None:
        self._client = client
        self._ttl = ttl
        self._place = place
        self._paused_until = 0.0

    @classmethod
    def open(cls, settings: Settings) -> Cache | None:
        """The cache that the settings name; None where they name none, or the library is absent.

        Raises:
            ConfigurationError: the URL cannot be understood.
        """
        if not settings.redis_url:
            return None
        place = _place(settings.redis_url)
        try:
            # Only those who have a Redis server need its library.
            from redis import Redis
            from redis.backoff import NoBackoff
            from redis.retry import Retry
        except ImportError:
            _tell_once(place, "the Python package 'redis' is not installed")
            return None
        try:
            client = Redis.from_url(
                settings.redis_url,
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                # Once: a pooled connection may have been closed by a server that was restarted.
                retry=Retry(NoBackoff(), 1),
            )
        except ValueError as error:
            raise ConfigurationError(f"HF_REDIS_URL for {place}: {error}") from None
        return cls(client, settings.redis_ttl, place)

    def get(
        self, ref: DatasetRef, chunks: Sequence[Chunk], columns: Sequence[str]
    ) -> list[bytes | None]:
        """What is cached of some columns of each chunk; None where nothing is."""
        nothing: list[bytes | None] = [None] * len(chunks)
        if not chunks:
            return nothing
        fields = [_field(chunk, columns) for chunk in chunks]
        return self._guarded(lambda redis: redis.hmget(_key(ref), fields), nothing)

    def put(
        self, ref: DatasetRef, encoded: Sequence[tuple[Chunk, bytes]], columns: Sequence[str]
    ) -> None:
        """Cache some columns of chunks, for the time to live."""
        entries: Mapping[Any, Any] = {_field(chunk, columns): data for chunk, data in encoded}
        if not entries:
            return

        def store(redis: Any) -> None:
            with redis.pipeline(transaction=True) as together:
                together.hset(_key(ref), mapping=entries)
                together.expire(_key(ref), self._ttl)
                together.execute()

        self._guarded(store, None)

    def retain(self, ref: DatasetRef, chunks: Collection[Chunk]) -> None:
        """Evict all of a series but these chunks: those of the version that is its head now."""
        paths = {chunk.path for chunk in chunks}

        def evict(redis: Any) -> None:
            fields = [field.decode() for field in redis.hkeys(_key(ref))]
            stale = [field for field in fields if field.partition("|")[0] not in paths]
            if stale:
                redis.hdel(_key(ref), *stale)

        self._guarded(evict, None)

    def _guarded(self, action: Callable[[Any], _T], otherwise: _T) -> _T:
        """Do it if Redis does its part, else nothing; a server that failed is left alone first."""
        from redis import RedisError

        if time.monotonic() < self._paused_until:
            return otherwise
        try:
            return action(self._client)
        except (RedisError, OSError) as error:
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            _tell_once(self._place, str(error))
            return otherwise


class EvictingStore(DatasetStore):
    """A store that, when a head has moved, evicts what the new version does not share."""

    cache: Cache | None = None

    @classmethod
    def open(cls, settings: Settings) -> EvictingStore:
        """Open lake, catalog and cache where the settings say they are."""
        opened = super().open(settings)
        assert isinstance(opened, cls)  # noqa: S101  (for the type checker)
        opened.cache = Cache.open(settings)
        return opened

    def publish(self, ref: DatasetRef, identity: Identity, **options: Any) -> Dataset:
        """See :meth:`DatasetStore.publish`."""
        return self._evicted(super().publish(ref, identity, **options))

    def adopt(self, dataset: Dataset, *, expected: Dataset | None) -> Dataset:
        """See :meth:`DatasetStore.adopt`."""
        moved = expected is None or expected.id != dataset.id
        adopted = super().adopt(dataset, expected=expected)
        return self._evicted(adopted) if moved else adopted

    def _evicted(self, head: Dataset) -> Dataset:
        if self.cache is not None:
            self.cache.retain(head.ref, self.chunks(head))
        return head


def _key(ref: DatasetRef) -> str:
    return f"hf:chunks:{ref.asset_key}:{ref.symbol}:{ref.timeframe}"


def _field(chunk: Chunk, columns: Sequence[str]) -> str:
    return f"{chunk.path}|{sha256_hex(canonical_json(list(columns)))[:16]}"


def _place(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _tell_once(place: str, reason: str) -> None:
    if place not in _told:
        _told.add(place)
        _log.warning("Redis at %s is not used, all is read from the lake: %s", place, reason)
