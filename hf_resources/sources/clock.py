"""Clocks: how the local stamps of a source become UTC.

A file rarely says which clock its stamps show, and what it says is often wrong, so the clock is
declared and never guessed. This module reads the declaration and converts; whether the declaration
fits the bars is the business of :mod:`hf_resources.sources.clock_audit`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Final
from zoneinfo import available_timezones

import numpy as np
import pandas as pd

from hf_plugins.errors import ConfigurationError, DataError, nearest

NAMED: Final[dict[str, str]] = {
    # MetaTrader 5 servers of most brokers: the trading day ends at midnight.
    "new_york+7": "America/New_York+7",
    # HistData calls its clock "EST without DST"; its stamps are London wall time less five hours,
    # which is UTC-5 in winter and UTC-4 in summer, changing on the European dates.
    "histdata": "Europe/London-5",
    "EST_no_dst": "UTC-5",
}
"""Short names of clocks that markets use, and what they stand for."""

_OFFSET: Final = re.compile(r"(?P<zone>.*?)(?P<sign>[+-])(?P<hours>\d{1,2})(?::(?P<minutes>\d\d))?")
_RULE: Final = (
    "UTC, an offset such as UTC+2 or UTC-05:00, an IANA zone such as Europe/Athens, an IANA zone "
    f"with hours added such as America/New_York+7, {', '.join(NAMED)}"
)
_HOUR: Final = np.timedelta64(1, "h")


class LocalTimeError(DataError):
    """A local time that has no single UTC time.

    ``row`` is its position, ``problem`` the sentence's end after "timestamp is ...".
    """

    def __init__(self, row: int, problem: str) -> None:
        super().__init__(f"row {row}: {problem}")
        self.row = row
        self.problem = problem


@dataclass(frozen=True)
class Clock:
    """A wall clock: the time of an IANA zone plus a constant number of hours.

    Attributes:
        name: as declared.
        zone: IANA name, or ``UTC``.
        shift: what the clock is ahead of the zone's wall time.
    """

    name: str
    zone: str
    shift: timedelta

    @classmethod
    def parse(cls, declaration: str) -> Clock:
        """The clock that a declaration names.

        Args:
            declaration: ``UTC``, an offset such as ``UTC+2``, an IANA zone, an IANA zone with hours
                added (``America/New_York+7``) or a name out of :data:`NAMED`.

        Raises:
            ConfigurationError: it names none.
        """
        text = NAMED.get(declaration, declaration)
        if text in _zones():
            return cls(declaration, text, timedelta())
        match = _OFFSET.fullmatch(text)
        if match and match["zone"] in _zones():
            size = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
            if size <= timedelta(hours=14):
                return cls(declaration, match["zone"], -size if match["sign"] == "-" else size)
        raise ConfigurationError(
            f"clock is '{declaration}'; allowed: {_RULE}."
            f"{nearest(declaration, (*NAMED, *_zones()))}"
        )

    def utc(self, local: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """UTC times of local times, in the order of a recording.

        A local hour that a change of the clock repeats is resolved by order: within it, the stamps
        before the one step back are of the first pass, those from there on of the second.

        Args:
            local: naive, ascending but for the step back where the clock is put back.

        Raises:
            LocalTimeError: a time does not exist on this clock, or exists twice and the order does
                not tell which one it is.
        """
        wall = local - self.shift
        first = wall.tz_localize(self.zone, ambiguous=np.ones(len(wall), bool), nonexistent="NaT")
        second = wall.tz_localize(self.zone, ambiguous=np.zeros(len(wall), bool), nonexistent="NaT")
        absent = np.flatnonzero(first.isna() & ~wall.isna())
        if len(absent):
            raise LocalTimeError(
                int(absent[0]),
                f"does not exist on the clock {self.name}, which is put forward over it",
            )
        first, second = first.tz_convert("UTC"), second.tz_convert("UTC")
        twice = np.flatnonzero(first != second)
        if not len(twice):
            return first
        late = np.zeros(len(wall), bool)
        times = wall.to_numpy()
        # One change of the clock and the next are months apart.
        for rows in np.split(twice, np.flatnonzero(np.diff(times[twice]) > 24 * _HOUR) + 1):
            back = np.flatnonzero(np.diff(times[rows]) <= np.timedelta64(0))
            if len(back) != 1:
                raise LocalTimeError(
                    int(rows[0]),
                    f"exists twice on the clock {self.name}, which is put back over it, and the "
                    "order of the rows does not tell which one it is; declare a clock without "
                    "summer time or export the data in UTC",
                )
            late[rows[back[0] + 1 :]] = True
        return pd.DatetimeIndex(first.where(~late, second))

    def local(self, utc: pd.DatetimeIndex) -> pd.DatetimeIndex:
        """What the clock shows at UTC times, naive."""
        return utc.tz_convert(self.zone).tz_localize(None) + self.shift


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())
