"""Files with one value of one series in a row, as a table of what was known of all series.

Macroeconomic figures are released one by one and revised later. A row of the table stands at the
instant of a release and holds every series as it was known then; nothing is carried back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError, unknown
from hf_resources.side_sources.base import frame_of
from hf_resources.sources.file_tables import FileTable
from hf_resources.sources.remarks import remark


@dataclass(frozen=True)
class Releases:
    """The rows of one file; arrays of one length.

    Attributes:
        table: the file, for messages.
        known: UTC instant of the release.
        series: name of the series, as in the file.
        values: null where the file has none.
        periods: the date that a value is about; None where the file does not say.
    """

    table: FileTable
    known: pd.DatetimeIndex
    series: np.ndarray
    values: np.ndarray
    periods: np.ndarray | None


def as_known(files: Sequence[Releases], names: Mapping[str, str]) -> pd.DataFrame:
    """One row for each instant at which something was released, in time order.

    Args:
        files: at least one.
        names: from the columns of the table to the series of the files.

    Returns:
        shape (n_instants, len(names)), float64; each series is that of its latest period known by
        then, in the latest version of it, null before its first release. Rows of the files without
        a value, and those of other series, count for nothing.

    Raises:
        DataError: a series is in no file; or one has two values at an instant, of which the files
            do not tell the one that counts.
    """
    present = {str(each) for file in files for each in pd.unique(file.series)}
    for name in names.values():
        if name not in present:
            raise DataError(f"{files[0].table.path}: {unknown('series', name, present)}")
    columns = {name: _known(files, series) for name, series in names.items()}
    joined = pd.concat(columns, axis=1).sort_index().ffill()
    return frame_of(
        dict.fromkeys(names, "number"),
        pd.DatetimeIndex(joined.index),
        {name: joined[name].to_numpy() for name in names},
    )


def _known(files: Sequence[Releases], series: str) -> pd.Series:
    """One series: what it was from each of its releases on, one value for each instant."""
    rows = pd.concat([_rows(file, place, series) for place, file in enumerate(files)])
    rows = rows.sort_values(["known", "period"], kind="stable", ignore_index=True)
    rows = rows.drop_duplicates(["known", "period", "value"])
    twice = np.flatnonzero(rows.duplicated(["known", "period"]).to_numpy())
    if len(twice):
        odd = int(twice[0])
        table = files[int(rows["file"].to_numpy()[odd])].table
        hint = (
            "a figure can have one value at a time"
            if files[0].periods is not None
            else "declare the column with the date that a value is about as period"
        )
        raise DataError(
            f"{table.where(rows['row'].to_numpy()[odd])}: '{series}' has a second value at "
            f"{pd.DatetimeIndex(rows['known'])[odd]}; {hint}"
        )
    periods = rows["period"].to_numpy()
    latest = periods >= np.maximum.accumulate(periods)
    if not latest.all():
        remark("revisions of earlier periods than the latest", int((~latest).sum()))
    rows = rows.loc[latest].drop_duplicates("known", keep="last")
    return pd.Series(rows["value"].to_numpy(), index=pd.DatetimeIndex(rows["known"]))


def _rows(file: Releases, place: int, series: str) -> pd.DataFrame:
    rows = np.flatnonzero((file.series == series) & ~np.isnan(file.values))
    empty = np.count_nonzero(file.series == series) - len(rows)
    if empty:
        remark("releases without a value", int(empty))
    # Without periods, all values are about the same thing: the latest release counts.
    periods = np.zeros(len(rows)) if file.periods is None else file.periods[rows]
    return pd.DataFrame(
        {
            "known": file.known[rows],
            "period": periods,
            "value": file.values[rows],
            "file": place,
            "row": rows,
        }
    )
