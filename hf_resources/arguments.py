"""What a caller of the client asks for, checked before anything is looked up.

One sentence says what is wrong with an argument. Whether the catalog has it is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal, get_args

from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.timeframes import duration
from hf_resources.datasets import LAYERS, Dataset, DatasetRef
from hf_resources.parquet import INDEX

Engine = Literal["polars", "pandas"]
ENGINES: Final = get_args(Engine)


def check_range(
    timeframe: str, start: datetime | None, end: datetime | None, engine: str = "polars"
) -> None:
    """Check what every read has.

    Raises:
        ConfigurationError: an unknown timeframe or engine, a naive time, or an end before the
            start.
    """
    duration(timeframe)
    if engine not in ENGINES:
        raise ConfigurationError(unknown("engine", engine, ENGINES))
    for name, moment in (("start", start), ("end", end)):
        check_aware(name, moment)
    if start is not None and end is not None and end < start:
        raise ConfigurationError(f"end {end.isoformat()} is before start {start.isoformat()}")


def check_aware(name: str, moment: object) -> None:
    """Check a time, or None.

    Raises:
        ConfigurationError: it is no datetime, or has no time zone.
    """
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise ConfigurationError(
            f"{name} must be a timezone-aware datetime, not {type(moment).__name__} '{moment}'"
        )
    if moment.tzinfo is None:
        raise ConfigurationError(
            f"{name} {moment.isoformat()} has no time zone; add one, such as tzinfo=timezone.utc"
        )


def names_of(kind: str, names: Iterable[str]) -> list[str]:
    """Names of features or symbols.

    Raises:
        ConfigurationError: there is none, one is there twice, or a text stands for the list.
    """
    if isinstance(names, str):
        raise ConfigurationError(f"names must be a list of names, not the text '{names}'")
    found = list(names)
    if not found:
        raise ConfigurationError(f"no {kind} is named; name one {kind} at least")
    _check_once(kind, found)
    return found


def columns_of(dataset: Dataset, columns: Sequence[str] | None) -> list[str]:
    """Columns to read, apart from the index; all of them where none are named.

    Raises:
        ConfigurationError: one is there twice, or a text stands for the list.
        DataError: the dataset has no such column.
    """
    known = dict(dataset.columns)
    if columns is None:
        return list(known)
    if isinstance(columns, str):
        raise ConfigurationError(f"columns must be a list of names, not the text '{columns}'")
    names = [name for name in columns if name != INDEX]
    for name in names:
        if name not in known:
            raise DataError(f"{dataset.ref}: {unknown('column', name, known)}")
    _check_once("column", names)
    return names


def series_of(feature: str, symbol: str, timeframe: str) -> DatasetRef:
    """The series of a feature, or of any asset that is named by its whole key.

    Raises:
        ConfigurationError: an unknown timeframe or layer.
    """
    duration(timeframe)
    layer, slash, name = feature.partition("/")
    if not slash:
        return DatasetRef("features", feature, symbol, timeframe)
    if layer not in LAYERS:
        raise ConfigurationError(unknown("layer", layer, LAYERS))
    return DatasetRef(layer, name, symbol, timeframe)


def _check_once(kind: str, names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"{kind} '{twice}' is asked for twice")
