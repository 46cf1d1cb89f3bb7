"""The Dagster face of the dataset store: configuration in, one open store per process out."""

from __future__ import annotations

import os
from functools import lru_cache

import dagster as dg

from hf_resources.cache import EvictingStore
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore


@lru_cache(maxsize=8)
def _open(settings: Settings) -> DatasetStore:
    return EvictingStore.open(settings)


class StoreResource(dg.ConfigurableResource):
    """Lake and catalog; left empty, the environment decides (see :class:`Settings`)."""

    home: str = ""
    lake_url: str = ""
    catalog_url: str = ""

    def settings(self) -> Settings:
        """The settings of the environment, overridden by what is configured here."""
        configured = {
            "HF_HOME": self.home,
            "HF_LAKE_URL": self.lake_url,
            "HF_CATALOG_URL": self.catalog_url,
        }
        given = {name: value for name, value in configured.items() if value}
        return Settings.from_env({**os.environ, **given})

    def store(self) -> DatasetStore:
        """The store; opened once a process."""
        return _open(self.settings())
