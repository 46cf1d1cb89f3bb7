"""Where this installation keeps its state, read from the environment once.

Only locations belong here. What is computed is declared in YAML; nothing in this module may change
a result.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hf_plugins.errors import ConfigurationError

_POSTGRES = "postgresql+psycopg2://"
_REDIS = ("redis", "rediss", "unix")
_HOUR = 3600


@dataclass(frozen=True)
class Settings:
    """Locations of the three kinds of state, and of the cache in front of them.

    Attributes:
        home: folder of everything that is local to this installation.
        lake_url: local path, ``file://`` or ``s3://bucket/prefix``.
        catalog_url: SQLAlchemy URL of the catalog database.
        redis_url: URL of the Redis server that holds hot data; empty where there is none.
        redis_ttl: seconds that it holds them.
    """

    home: Path
    lake_url: str
    catalog_url: str
    redis_url: str = ""
    redis_ttl: int = _HOUR

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``HF_HOME``, ``HF_{LAKE,CATALOG,REDIS}_URL`` and ``HF_REDIS_TTL``.

        The default is a folder ``.hf`` in the working directory with everything in it, and no
        Redis. Paths are made absolute, because runs are launched in processes with other working
        directories.

        Raises:
            ConfigurationError: the catalog is neither SQLite nor Postgres, or what is said of
                Redis is not a URL and a number of seconds.
        """
        values = os.environ if environ is None else environ
        home = Path(values.get("HF_HOME") or ".hf").expanduser().absolute()
        lake = values.get("HF_LAKE_URL") or str(home / "lake")
        if "://" not in lake:
            lake = str(Path(lake).expanduser().absolute())
        catalog = values.get("HF_CATALOG_URL") or f"sqlite:///{home / 'catalog.sqlite'}"
        return cls(
            home=home,
            lake_url=lake,
            catalog_url=normalise_catalog_url(catalog),
            redis_url=_redis_url(values.get("HF_REDIS_URL", "")),
            redis_ttl=_redis_ttl(values.get("HF_REDIS_TTL") or str(_HOUR)),
        )


def normalise_catalog_url(url: str) -> str:
    """Name the driver in a bare Postgres URL.

    SQLAlchemy 2.1 reads a bare ``postgresql://`` as psycopg 3, which Dagster's storage cannot use;
    one driver serves both.

    Raises:
        ConfigurationError: the database is neither SQLite nor Postgres.
    """
    scheme, separator, rest = url.partition("://")
    if scheme in ("postgresql", "postgres"):
        return _POSTGRES + rest
    if not separator or scheme.partition("+")[0] not in ("postgresql", "sqlite"):
        raise ConfigurationError(
            f"HF_CATALOG_URL is '{scheme}{separator}...'; "
            "allowed: sqlite:///path/to/catalog.sqlite, postgresql+psycopg2://user:password@host/db"
        )
    return url


def _redis_url(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if url and (not separator or scheme not in _REDIS):
        raise ConfigurationError(
            f"HF_REDIS_URL is '{scheme + separator if separator else ''}...'; "
            "allowed: redis://host:6379/0, rediss://..., unix:///path/to/socket"
        )
    return url


def _redis_ttl(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigurationError(
            f"HF_REDIS_TTL is '{text}'; allowed: a whole number of seconds, at least 1"
        )
    return int(text)
