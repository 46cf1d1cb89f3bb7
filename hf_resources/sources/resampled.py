"""Timeframes that a source does not offer, made of finer ones that it does.

Which timeframe is made of which is declared and never guessed: the answer would change with the
files that happen to lie in a folder, and the numbers with it. How bars are combined belongs in
:mod:`hf_plugins.resampling`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

import numpy as np
import pandas as pd

from hf_plugins.bar_quality import QualityPolicy, check_bars
from hf_plugins.errors import ConfigurationError, DataError, unknown
from hf_plugins.resampling import resample
from hf_plugins.sessions import Sessions
from hf_plugins.timeframes import DURATIONS, duration
from hf_resources.calendars import expected_bars, instrument_sessions
from hf_resources.instruments import Instrument
from hf_resources.sources.base import RAW_COLUMNS, Source
from hf_resources.sources.paging import EPOCH, instant
from hf_resources.sources.rounding import rounded_bars
from hf_resources.sources.views import SourceView

# No market rests for longer; a session is looked for this far from an instant.
_LONGEST_REST: Final = timedelta(days=90)
_POLICY: Final = QualityPolicy()


class Resampled(SourceView):
    """A source with further timeframes, made of its finer ones inside the sessions of the calendar.

    A finer bar that fails its checks (:class:`hf_plugins.bar_quality.QualityPolicy` as it is by
    default: faulty, unfinished, outside every session) does not count. A bar is final when every
    finer bar that the calendar implies is there; what is not final is put aside at ingestion with
    that reason and comes back when it is whole. So neither a bucket that is still filling nor one
    with a hole in it passes for a bar.

    Where a source gives no bar for a time without trades, holes are normal: ``sparse`` takes a
    bucket as whole once a finer bar of a later bucket is there, unless a finer bar of it was put
    aside.
    """

    def __init__(
        self, source: Source, made_from: Mapping[str, str], *, sparse: bool = False
    ) -> None:
        """View ``source`` with the timeframes in ``made_from``.

        Args:
            source: has the finer timeframes.
            made_from: from each timeframe that is made to the one that it is made of; it wins over
                a timeframe of the same name that the source has.
            sparse: whether the source gives no bar for a time without trades.

        Raises:
            ConfigurationError: a timeframe is unknown, not coarser than what it is made of, or made
                of one that is made itself.
        """
        super().__init__(source)
        self.made_from = dict(made_from)
        self.sparse = sparse
        for target, finer in self.made_from.items():
            for each in (target, finer):
                if each not in DURATIONS:
                    raise ConfigurationError(unknown("timeframe", each, DURATIONS))
            if duration(finer) >= duration(target):
                raise ConfigurationError(
                    f"'{target}' is made of '{finer}', which is not finer; allowed: "
                    f"{_finer(target)}"
                )
            if finer in self.made_from:
                raise ConfigurationError(
                    f"'{target}' is made of '{finer}', which is made itself; name "
                    f"'{self.made_from[finer]}' or another timeframe of the source"
                )

    def parameters(self) -> dict[str, Any]:
        """Those of the source, and the rule."""
        rule = {"resample": dict(sorted(self.made_from.items())), "resample_sparse": self.sparse}
        return {**self.source.parameters(), **rule}

    def timeframes(self, instrument: Instrument) -> tuple[str, ...]:
        """Those of the source, and those that can be made of them."""
        offered = self.source.timeframes(instrument)
        return tuple(each for each in DURATIONS if self.made_from.get(each, each) in offered)

    def pages(
        self,
        instrument: Instrument,
        timeframe: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Iterator[pd.DataFrame]:
        """One page of whole buckets per page of the source; the last bucket comes at the end.

        Raises:
            ConfigurationError: the source does not have that symbol, or the finer timeframe.
            DataError: the finer bars cannot be read, or come in a wrong order.
        """
        finer = self.made_from.get(timeframe)
        if finer is None:
            yield from self.source.pages(instrument, timeframe, start, end)
            return
        making = _Making(
            instrument, finer, timeframe, self.sparse, self.origin(instrument, timeframe)
        )
        window = (making.begin(start), making.begin(end))
        waiting: pd.DataFrame | None = None
        for page in self.source.pages(instrument, finer, *window):
            if page.empty:
                continue
            known = page if waiting is None else pd.concat([waiting, page])
            made = making.bars(known)
            if made.empty:
                waiting = known
                continue
            last = making.begin(instant(made.index[-1]))
            waiting = known.loc[known.index >= cast(Any, last)]
            if len(made) > 1:
                yield made.iloc[:-1]
        if waiting is not None:
            yield making.bars(waiting)

    def marker(self, instrument: Instrument, timeframe: str) -> str | None:
        """That of the finer timeframe; where it is a time, that of the bucket that it falls into.

        Each finer bar is news to its own timeframe, but not to a coarser one.
        """
        finer = self.made_from.get(timeframe)
        marker = self.source.marker(instrument, finer or timeframe)
        if finer is None or marker is None:
            return marker
        try:
            opened = datetime.fromisoformat(marker)
        except ValueError:
            return marker  # the digest of a file: it tells of any change
        return _Making(instrument, finer, timeframe, self.sparse, "").ended(opened)

    def vintage(self, instrument: Instrument, timeframe: str) -> datetime | None:
        """That of the finer timeframe."""
        return self.source.vintage(instrument, self.made_from.get(timeframe, timeframe))

    def notes(self, instrument: Instrument, timeframe: str) -> tuple[str, ...]:
        """Those of the finer timeframe, and what the bars are made of."""
        finer = self.made_from.get(timeframe)
        notes = self.source.notes(instrument, finer or timeframe)
        if finer is None:
            return notes
        holes = (
            "a time without trades has no finer bar"
            if self.sparse
            else "one that lacks a finer bar counts as unfinished"
        )
        made = f"{timeframe} bars are made of {finer} bars inside the sessions of the calendar"
        return (*notes, f"{made} {instrument.calendar}; {holes}.")

    def declared_clock(self, instrument: Instrument, timeframe: str) -> str | None:
        """That of the finer timeframe."""
        return self.source.declared_clock(instrument, self.made_from.get(timeframe, timeframe))

    def origin(self, instrument: Instrument, timeframe: str) -> str:
        """That of the finer timeframe, and that it was resampled."""
        finer = self.made_from.get(timeframe)
        told = self.source.origin(instrument, finer or timeframe)
        return told if finer is None else f"{told} ({timeframe} made of {finer})"


class _Making:
    """How bars of one instrument are made."""

    def __init__(
        self, instrument: Instrument, finer: str, target: str, sparse: bool, origin: str
    ) -> None:
        self.instrument, self.finer, self.target = instrument, finer, target
        self.sparse, self.origin = sparse, origin
        self.step = duration(finer)

    def begin(self, at: datetime | None) -> datetime | None:
        """When the first bucket labelled at or after an instant begins to trade."""
        if at is None:
            return None
        found = self._around(at, at + _LONGEST_REST)
        since = _microseconds(at)
        starts = found.anchors if self.target == "1d" else found.grid(self.target)
        labels = found.grid(self.target)
        later = starts[labels >= since]
        if not later.size:
            raise DataError(
                f"{self.origin}: the calendar {self.instrument.calendar} has no session within "
                f"{_LONGEST_REST.days} days of {at.isoformat()}"
            )
        return _moment(later[0])

    def ended(self, opened: datetime) -> str | None:
        """Label of the last bucket that is over at the end of a finer bar; None if none is near."""
        over = _microseconds(opened + self.step)
        found = self._around(opened - _LONGEST_REST, opened)
        labels = found.grid(self.target)
        done = labels[found.close_times(labels, self.target) <= over]
        return _moment(done[-1]).isoformat() if done.size else None

    def bars(self, known: pd.DataFrame) -> pd.DataFrame:
        """Bars of the buckets of all known finer bars, ``is_final`` among their columns."""
        first, last = instant(known.index.min()), instant(known.index.max())
        found = self._around(first, last + self.step)
        rounded = rounded_bars(known, self.instrument, self.origin)
        quality = check_bars(
            rounded,
            symbol=self.instrument.symbol,
            timeframe=self.finer,
            expected=expected_bars(self.instrument, self.finer, first, last + self.step),
            policy=_POLICY,
        )
        quality.refuse_if_blocked()
        kept = quality.kept
        made = resample(kept, source=self.finer, target=self.target, sessions=found)
        if self.sparse and len(made):
            made["is_final"] |= self._over(made, found, quality.quarantined)
        names = [name for name in RAW_COLUMNS if name in made.columns]
        return made.loc[:, names]

    def _over(self, made: pd.DataFrame, found: Sessions, aside: pd.DataFrame) -> np.ndarray:
        """Buckets that a later one follows, and of which no finer bar was put aside."""
        over = np.arange(len(made)) < len(made) - 1
        stamps = pd.DatetimeIndex(aside.index).dropna().as_unit("us").asi8
        trading = stamps[found.locate(stamps, self.finer) >= 0]
        labels = pd.DatetimeIndex(made.index).as_unit("us").asi8
        begins = labels
        if self.target == "1d":
            begins = found.anchors[found.locate(labels, "1d")]
        spoilt = np.searchsorted(begins, trading, side="right") - 1
        over[spoilt[spoilt >= 0]] = False
        return over

    def _around(self, start: datetime, end: datetime) -> Sessions:
        """The sessions whose buckets may hold what trades between two instants."""
        # A session's date may differ by a day from that of its hours.
        return instrument_sessions(
            self.instrument, start - timedelta(days=1), end + timedelta(days=1)
        )


def _finer(target: str) -> str:
    return ", ".join(each for each in DURATIONS if duration(each) < duration(target)) or "none"


def _moment(stamp: np.int64) -> datetime:
    return instant(pd.Timestamp(int(stamp), unit="us", tz="UTC"))


def _microseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1)
