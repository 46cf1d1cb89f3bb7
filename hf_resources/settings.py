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


@dataclass(frozen=True)
class Settings:
    """Locations of the three kinds of state.

    Attributes:
        home: folder of everything that is local to this installation.
        lake_url: local path, ``file://`` or ``s3://bucket/prefix``.
        catalog_url: SQLAlchemy URL of the catalog database.
    """

    home: Path
    lake_url: str
    catalog_url: str

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read ``HF_HOME``, ``HF_LAKE_URL`` and ``HF_CATALOG_URL``.

        The default is a folder ``.hf`` in the working directory with everything in it. Paths are
        made absolute, because runs are launched in processes with other working directories.

        Raises:
            ConfigurationError: the catalog is neither SQLite nor Postgres.
        """
        values = os.environ if environ is None else environ
        home = Path(values.get("HF_HOME") or ".hf").expanduser().absolute()
        lake = values.get("HF_LAKE_URL") or str(home / "lake")
        if "://" not in lake:
            lake = str(Path(lake).expanduser().absolute())
        catalog = values.get("HF_CATALOG_URL") or f"sqlite:///{home / 'catalog.sqlite'}"
        return cls(home=home, lake_url=lake, catalog_url=normalise_catalog_url(catalog))


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
