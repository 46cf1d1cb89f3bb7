"""From when on a row of a file was known: its stamp, read so that it is never too early.

Only the step from stamps as they stand to instants in UTC belongs here. Wherever a stamp leaves a
choice, the later instant counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NoReturn

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_resources.sources.clock import Clock
from hf_resources.sources.file_columns import Stamps
from hf_resources.sources.file_tables import FileTable
from hf_resources.sources.remarks import remark

DateOnly = Literal["refused", "end_of_day", "start_of_day"]

_DAY: Final = np.timedelta64(1, "D")


@dataclass(frozen=True)
class Knowing:
    """What was declared of the stamps.

    Attributes:
        clock: what they show; None where each names its own offset from UTC.
        date_only: from when on a row with a date and no time of day is known.
    """

    clock: Clock | None
    date_only: DateOnly


def known_from(
    table: FileTable, written: Stamps, knowing: Knowing, now: datetime
) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """When the rows of a file were known.

    Args:
        table: the file, for messages.
        written: its stamps, at least one.
        knowing: what was declared of them.
        now: the clock, timezone-aware.

    Returns:
        UTC instants, and which rows are known by now: those of a date count from the end of that
        day, which for today's is still to come.

    Raises:
        DataError: a stamp has no time of day or no zone, and nothing is declared of it; it does not
            exist on the clock, contradicts it, or lies in the future.
    """
    local = written.local
    midnight = local.to_numpy() == local.to_numpy().astype("datetime64[D]")
    dates = midnight | written.dates
    if knowing.date_only == "refused":
        if dates.all():
            _refuse_dates(table, local)
        dates = np.zeros(len(local), dtype=bool)
    utc = _utc(table, written, local, knowing.clock, dates)
    if knowing.date_only == "end_of_day":
        ended = pd.DatetimeIndex(local.to_numpy() + _DAY)
        if knowing.clock is None:
            _refuse_no_clock(table, local)
        late = _on_clock(table, ended, knowing.clock, np.ones(len(local), dtype=bool))
        late = late.as_unit("us")
        utc, begun = pd.DatetimeIndex(utc.where(~dates, late)), utc
    else:
        begun = utc
    moment = pd.Timestamp(now)
    odd = np.flatnonzero(begun > moment)
    if len(odd):
        raise DataError(
            f"{table.where(odd[0])}: timestamp is {utc[odd[0]]}, and now it is "
            f"{moment:%Y-%m-%d %H:%M:%S%z}; a row cannot be known from a time that is still to "
            "come. Declare the clock that the file's stamps show"
        )
    known = np.asarray(utc <= moment)
    if not known.all():
        remark("rows dated today, which count from the end of the day", int((~known).sum()))
    return utc, known


def _utc(
    table: FileTable,
    written: Stamps,
    local: pd.DatetimeIndex,
    clock: Clock | None,
    dates: np.ndarray,
) -> pd.DatetimeIndex:
    if written.offset is None:
        if clock is None:
            _refuse_no_clock(table, local)
        return _on_clock(table, local, clock, dates)
    utc = (local - pd.to_timedelta(written.offset, unit="min")).tz_localize("UTC")
    if clock is not None:
        wrong = np.flatnonzero(clock.local(utc).to_numpy() != local.to_numpy())
        if len(wrong):
            raise DataError(
                f"{table.where(wrong[0])}: timestamp is {local[wrong[0]]} with an offset from UTC "
                f"that is not the one of the clock {clock.name}; leave out clock where the file's "
                "offsets are right"
            )
    return utc.as_unit("us")


def _on_clock(
    table: FileTable, local: pd.DatetimeIndex, clock: Clock, dates: np.ndarray
) -> pd.DatetimeIndex:
    """UTC of what a clock shows; the later instant of an hour that it shows twice.

    A date whose midnight the clock passes over begins with the first time after it.
    """
    wall = local - clock.shift
    passes = [
        wall.tz_localize(
            clock.zone, ambiguous=np.full(len(wall), first), nonexistent="NaT"
        ).tz_convert("UTC")
        for first in (True, False)
    ]
    after = wall.tz_localize(
        clock.zone, ambiguous=np.zeros(len(wall), bool), nonexistent="shift_forward"
    ).tz_convert("UTC")
    absent = passes[0].isna()
    odd = np.flatnonzero(absent & ~dates)
    if len(odd):
        raise DataError(
            f"{table.where(odd[0])}: timestamp {local[odd[0]]} does not exist on the clock "
            f"{clock.name}, which is put forward over it"
        )
    later = passes[0].where(np.asarray(passes[0] >= passes[1]), passes[1])
    return pd.DatetimeIndex(later.where(~absent, after)).as_unit("us")


def _refuse_dates(table: FileTable, local: pd.DatetimeIndex) -> NoReturn:
    raise DataError(
        f"{table.where(0)}: timestamp is {local[0]:%Y-%m-%d}, a date without a time of day, as in "
        "all rows; declare date_only: end_of_day for rows that were known when that day was over, "
        "or start_of_day for dates of the day after"
    )


def _refuse_no_clock(table: FileTable, local: pd.DatetimeIndex) -> NoReturn:
    raise DataError(
        f"{table.where(0)}: timestamp is {local[0]}, which has no time zone; declare the clock "
        "that the stamps show, such as clock: UTC or clock: America/New_York"
    )
