"""The client of the installation that the environment names: its methods as plain functions.

What they do, and what a caller may ask, is in ``client``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hf_resources.arguments import Engine
from hf_resources.client import Client
from hf_resources.differences import Explanation
from hf_resources.settings import Settings

if TYPE_CHECKING:
    import polars as pl

    from hf_plugins.certificate import Certificate


def bars(
    symbol: str,
    timeframe: str,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    columns: Sequence[str] | None = None,
    as_of: datetime | None = None,
    enriched: bool = False,
    engine: Engine = "polars",
) -> Any:
    """:meth:`Client.bars` of the installation that the environment names."""
    options: dict[str, Any] = {"columns": columns, "as_of": as_of, "enriched": enriched}
    client = _client(Settings.from_env())
    return client.bars(symbol, timeframe, start, end, engine=engine, **options)


def features(
    symbol: str | Sequence[str],
    timeframe: str,
    names: Sequence[str],
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    as_of: datetime | None = None,
    engine: Engine = "polars",
) -> Any:
    """:meth:`Client.features` of the installation that the environment names."""
    client = _client(Settings.from_env())
    chosen: Any = engine
    return client.features(symbol, timeframe, names, start, end, as_of=as_of, engine=chosen)


def history(feature: str, symbol: str, timeframe: str) -> pl.DataFrame:
    """:meth:`Client.history` of the installation that the environment names."""
    return _client(Settings.from_env()).history(feature, symbol, timeframe)


def why(
    feature: str,
    symbol: str,
    timeframe: str,
    *,
    version: str | None = None,
    before: str | None = None,
) -> Explanation:
    """:meth:`Client.why` of the installation that the environment names."""
    client = _client(Settings.from_env())
    return client.why(feature, symbol, timeframe, version=version, before=before)


def preview(
    feature: str, symbol: str, timeframe: str, rows: int = 5, *, version: str | None = None
) -> pl.DataFrame:
    """:meth:`Client.preview` of the installation that the environment names."""
    return _client(Settings.from_env()).preview(feature, symbol, timeframe, rows, version=version)


def certificate(feature: str, symbol: str, timeframe: str) -> Certificate | None:
    """:meth:`Client.certificate` of the installation that the environment names."""
    return _client(Settings.from_env()).certificate(feature, symbol, timeframe)


@lru_cache(maxsize=8)
def _client(settings: Settings) -> Client:
    return Client.open(settings)
