"""One series out of the bars of several files.

Order, repetitions, overlaps, and the adjustment relative to the first bar. Two rows for the same
bar are one bar if they agree at the instrument's precision, and an error that names both places if
not: which of two contradicting files is right is not for a program to choose.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_resources.instruments import Instrument
from hf_resources.sources.file_columns import ADJUSTED_CLOSE
from hf_resources.sources.file_tables import FileTable
from hf_resources.sources.remarks import remark

_PRICES: Final = ("open", "high", "low", "close", "vwap", ADJUSTED_CLOSE)
_SIZES: Final = ("volume", "taker_buy_volume")
# Of values that have no declared precision: further apart than float noise.
_RELATIVE: Final = 1e-9


@dataclass(frozen=True)
class Part:
    """The bars of one file by UTC open time, and the rows of the file that they stand in."""

    bars: pd.DataFrame
    table: FileTable


def check_order(table: FileTable, index: pd.DatetimeIndex, *, merged: bool) -> None:
    """Refuse rows of a file that are not in ascending time order.

    Args:
        table: the file.
        index: UTC open times of its rows.
        merged: whether bars that the file gave before are left out of the check.

    Raises:
        DataError: a row is before the one above, or at the same time.
    """
    if merged:
        rows = np.flatnonzero(~index.duplicated())
        table, index = table.take(rows), index[rows]
    steps = np.diff(index.as_unit("us").asi8)
    late = np.flatnonzero(steps <= 0) + 1
    if not len(late):
        return
    row = int(late[0])
    where = f"{table.where(row)}: timestamp is {index[row]}"
    if steps[row - 1] == 0:
        raise DataError(f"{where}, as in the {table.unit} above; every bar is allowed once")
    hint = " (or declare repeats: merged)" if index[row] in index[:row] else ""
    raise DataError(
        f"{where}, before {index[row - 1]} in the {table.unit} above; bars must be sorted by time"
        f"{' and allowed once' if hint else ''}{hint}"
    )


def merge(parts: list[Part], instrument: Instrument) -> pd.DataFrame:
    """The bars of all files in time order, each once.

    Raises:
        DataError: two rows for the same bar differ at the instrument's precision, or the files do
            not have the same columns.
    """
    first = parts[0]
    for part in parts[1:]:
        odd = sorted(set(part.bars.columns) ^ set(first.bars.columns))
        if odd:
            raise DataError(
                f"{part.table.path}: it and {first.table.path} differ in the columns "
                f"{', '.join(odd)}; files of one series must have the same columns"
            )
    bars = pd.concat([part.bars for part in parts])
    times = pd.DatetimeIndex(bars.index).as_unit("us").asi8
    order = np.argsort(times, kind="stable")
    fresh = np.concatenate(([True], np.diff(times[order]) != 0))
    if not fresh.all():
        kept = order[np.maximum.accumulate(np.where(fresh, np.arange(len(order)), 0))]
        _check_agreement(parts, bars, kept[~fresh], order[~fresh], instrument)
        remark("rows that repeat a bar of the files, with the same content", int((~fresh).sum()))
    return bars.iloc[order[fresh]]


def adjustment(bars: pd.DataFrame, paths: list[Path]) -> pd.DataFrame:
    """Replace the adjusted close by ``adjustment``, its ratio to the close, 1.0 at the first bar.

    A vendor's adjusted close is relative to the day of the download, and all of it moves with each
    dividend; relative to the first bar, history stays. A close of 0 gives null.

    Args:
        bars: in time order.
        paths: the files they come from.

    Raises:
        DataError: there are several files, whose adjusted closes are relative to different days;
            or the files give the adjustment too.
    """
    if ADJUSTED_CLOSE not in bars.columns:
        return bars
    if "adjustment" in bars.columns:
        raise DataError(
            f"{paths[0]}: there are adjusted_close and adjustment; one follows from the other, so "
            "declare columns: {adjusted_close: null}"
        )
    if len(paths) > 1:
        raise DataError(
            f"{paths[0]}: {len(paths)} files of one series have adjusted closes, each relative to "
            "the day of its download; keep one file, or declare columns: {adjusted_close: null}"
        )
    close = bars["close"].to_numpy()
    ratio = bars[ADJUSTED_CLOSE].to_numpy() / np.where(close == 0, np.nan, close)
    first = ratio[0] if ratio[0] != 0 else np.nan
    return bars.drop(columns=ADJUSTED_CLOSE).assign(adjustment=ratio / first)


def _check_agreement(
    parts: list[Part],
    bars: pd.DataFrame,
    kept: np.ndarray,
    again: np.ndarray,
    instrument: Instrument,
) -> None:
    """Compare the rows ``again`` of the joined bars with the rows ``kept`` for the same bars."""
    wrong = {}
    for name in bars.columns:
        values = bars[name].to_numpy()
        if name in _PRICES:
            values = np.round(values, instrument.price_precision)
        elif name in _SIZES:
            values = np.round(values, instrument.size_precision)
        same = np.isclose(values[kept], values[again], rtol=_RELATIVE, atol=0, equal_nan=True)
        wrong[name] = ~same
    contradicted = np.logical_or.reduce(list(wrong.values()))
    if not contradicted.any():
        return
    first = int(np.argmax(contradicted))
    name = next(each for each, rows in wrong.items() if rows[first])
    count = int(contradicted.sum())
    values = bars[name].to_numpy(dtype="float64")
    one, two = float(values[kept[first]]), float(values[again[first]])
    raise DataError(
        f"{_where(parts, again[first])}: {name} is {_shown(two)} at "
        f"{bars.index[again[first]]:%Y-%m-%d %H:%M} UTC, and {_shown(one)} in "
        f"{_where(parts, kept[first])}; a bar that is there twice must be the same "
        f"({count} bar{'s' if count != 1 else ''})"
    )


def _where(parts: list[Part], row: int) -> str:
    """The place of a row of the joined bars."""
    for part in parts:
        if row < len(part.bars):
            return part.table.where(int(row))
        row -= len(part.bars)
    raise IndexError(row)


def _shown(value: float) -> str:
    return "null" if np.isnan(value) else repr(value)
