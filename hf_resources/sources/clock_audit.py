"""Whether bars are where their declared clock puts them: evidence from the bars themselves.

Markets keep time better than file labels do. Releases of United States data move prices at 08:30
New York, metals and currencies pause at 17:00 New York and end their week there, and two markets
that move together move in the same minute. Each kind of evidence says at which hour it expected
something, where it found it, and how sure that is. The audit warns, it never shifts a bar: the
clock is declared in :mod:`hf_resources.sources.clock`.

Summer and winter are looked at apart, and so are the weeks in which only New York or only Europe
has changed its clocks, because a wrong rule for summer time is right for half of the year.

Every kind of evidence is a vote with a test against chance, so that noise says nothing instead of
something wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import erfc, exp, lgamma, log, log1p, sqrt
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.errors import DataError
from hf_plugins.timeframes import duration
from hf_resources.instruments import Instrument
from hf_resources.sources.clock import NAMED, Clock, LocalTimeError

NEW_YORK: Final = "America/New_York"
CHANCE: Final = 1e-4
"""Evidence that chance would give more often than this is not reported."""

TABLE_COLUMNS: Final = ("evidence", "season", "hours", "value", "expected", "observed")
"""Columns of :meth:`ClockAudit.table`."""

# Calendars of markets that pause at 17:00 New York, and exchanges open from 09:30 to 16:00.
_PAUSING: Final = ("24/5", "CMES")
_DAYTIME: Final = ("XNYS", "XNAS")
_PAUSE: Final = 17.0
# Only where all brokers agree: the hours of contracts on an index are each broker's own.
_WEEK_STARTS: Final = {"fx": 17.0, "metal": 18.0, "future": 18.0}
_HALF_HOUR: Final = 30
_SLOTS: Final = 48
# Brokers stop a few minutes before the hour and start a few minutes after it.
_NEAR: Final = 12
_MAJORITY: Final = 0.6
# A minute jumps if its range is this many times the median of the quarter-hour before.
_JUMP: Final = 6.0
_QUARTER_HOUR: Final = 15
# The opening of the exchanges moves equities on most days, a release anything on some days.
_OPENING: Final = ("equity", "index", "future")
_MOST_DAYS: Final = 0.5
_SOME_DAYS: Final = 0.4
_LAGS: Final = 14
_PAIRS: Final = 100
_MINUTE: Final = 60_000_000  # microseconds


@dataclass(frozen=True)
class Finding:
    """One piece of evidence that is too clear for chance.

    Attributes:
        evidence: ``release``, ``break``, ``week end``, ``week start``, ``session`` or ``lag``.
        season: ``winter``, ``summer`` or ``between`` (only one of New York and Europe has summer
            time); ``all`` where it was not split.
        expected: what was expected, such as ``08:30 New York``.
        observed: what was found, in the same words.
        offset_hours: how much too late the bars are stamped; negative is too early, 0 confirms.
        strength: 0 to 1; the share of days or weeks that agree, or the size of the correlation.
        chance: probability of evidence this clear in noise.
        count: days, weeks, jumps or returns it rests on.
        sentence: all of it in words.
    """

    evidence: str
    season: str
    expected: str
    observed: str
    offset_hours: float
    strength: float
    chance: float
    count: int
    sentence: str


@dataclass(frozen=True)
class Profile:
    """What a finding was read from.

    Attributes:
        hours: time of day in New York; for ``lag`` the hours by which the bars are late.
        values: votes, share of days without a bar, or correlation, for each of ``hours``.
        expected: the hour where a right clock has the extreme.
        observed: the hour where it is.
    """

    hours: np.ndarray
    values: np.ndarray
    expected: float
    observed: float


@dataclass(frozen=True)
class ClockAudit:
    """What the bars say about their clock.

    Attributes:
        title: symbol, timeframe and clock.
        findings: what is clear, for and against.
        profiles: per finding, what it was read from.
        fitting: clocks with a name that would put every finding at 0; empty if there is nothing to
            mend.
    """

    title: str
    findings: tuple[Finding, ...]
    profiles: tuple[Profile, ...]
    fitting: tuple[str, ...]

    @property
    def contradictions(self) -> tuple[Finding, ...]:
        """The findings that speak against the declared clock."""
        return tuple(each for each in self.findings if each.offset_hours)

    @property
    def confirmed(self) -> bool:
        """Whether there is evidence, and all of it fits."""
        return bool(self.findings) and not self.contradictions

    def text(self) -> str:
        """A verdict and one line per finding."""
        if not self.findings:
            return f"{self.title}: the bars say nothing clear about their clock"
        if self.confirmed:
            verdict = f"{self.title}: all {len(self.findings)} findings fit"
        else:
            wrong = len(self.contradictions)
            verdict = f"{self.title}: {wrong} of {len(self.findings)} findings contradict the clock"
            if self.fitting:
                verdict += f"; a clock that fits all: {', '.join(self.fitting)}"
        return "\n".join((verdict, *(f"* {each.sentence}" for each in self.findings)))

    def table(self) -> pd.DataFrame:
        """What each finding was read from, ready to plot.

        Returns:
            Columns :data:`TABLE_COLUMNS`, one row per finding and hour of its :class:`Profile`;
            ``expected`` and ``observed`` mark their rows.
        """
        frames = [
            pd.DataFrame(
                {
                    "evidence": finding.evidence,
                    "season": finding.season,
                    "hours": profile.hours,
                    "value": profile.values,
                    "expected": profile.hours == profile.expected,
                    "observed": profile.hours == profile.observed,
                }
            )
            for finding, profile in zip(self.findings, self.profiles, strict=True)
        ]
        return pd.concat(frames) if frames else pd.DataFrame(columns=list(TABLE_COLUMNS))


def audit(
    bars: pd.DataFrame,
    instrument: Instrument,
    timeframe: str,
    *,
    clock: str = "UTC",
    reference: pd.Series | None = None,
    reference_name: str = "reference",
) -> ClockAudit:
    """Look in the bars for evidence of their clock.

    Args:
        bars: column close, and high and low for the evidence of releases; indexed by the UTC open
            time that the declared clock gave. Gaps are no matter.
        instrument: its calendar and asset class say which pauses to expect.
        timeframe: of the bars; daily and 4-hour bars say nothing.
        clock: as declared, for the report and for the search of one that fits.
        reference: closes of the same or a correlated instrument whose UTC open times are known to
            be right, in the same timeframe or a finer one; the sign of the correlation is no
            matter.
        reference_name: what to call it.

    Raises:
        DataError: the bars or the reference are not indexed by UTC times in order.
    """
    declared = Clock.parse(clock)
    index = _utc_index(bars.index, "the bars")
    minutes = int(duration(timeframe).total_seconds()) // 60
    found: list[tuple[Finding, Profile, pd.DatetimeIndex]] = []
    if minutes <= 60 and len(index):
        season = _seasons(index)
        for name in ("winter", "summer", "between"):
            rows = np.flatnonzero(season == name)
            if len(rows):
                middle = index[rows[len(rows) // 2 : len(rows) // 2 + 1]]
                evidence = _evidence(
                    bars.iloc[rows], instrument, minutes, name, reference, reference_name
                )
                found += [(finding, profile, middle) for finding, profile in evidence]
    wrong = any(finding.offset_hours for finding, _, _ in found)
    return ClockAudit(
        title=f"{instrument.symbol} {timeframe} on the clock {clock}",
        findings=tuple(finding for finding, _, _ in found),
        profiles=tuple(profile for _, profile, _ in found),
        fitting=_fitting(declared, [(when, each) for each, _, when in found]) if wrong else (),
    )


_Evidence = Iterator[tuple[Finding, Profile]]


def _evidence(
    bars: pd.DataFrame,
    instrument: Instrument,
    minutes: int,
    season: str,
    reference: pd.Series | None,
    reference_name: str,
) -> _Evidence:
    if minutes <= 5 and {"high", "low"} <= set(bars.columns):
        yield from _release(bars, minutes, season, instrument.asset_class)
    if instrument.calendar in _PAUSING:
        yield from _pause(bars, minutes, season)
    if instrument.calendar == "CMES" or instrument.asset_class in _WEEK_STARTS:
        opens = _WEEK_STARTS.get(instrument.asset_class, _WEEK_STARTS["future"])
        yield from _weeks(bars, minutes, season, opens)
    if instrument.calendar in _DAYTIME and minutes <= 30:
        yield from _sessions(bars, minutes, season)
    if reference is not None:
        yield from _lag(bars.loc[:, "close"], reference, minutes, season, reference_name)


def _release(bars: pd.DataFrame, minutes: int, season: str, asset_class: str) -> _Evidence:
    """Jumps at half past the hour: 08:30 New York on some days, 09:30 on most for equities.

    Equities jump at both, so for them only what happens on most days is the opening, and for the
    others only what does not is a release; anything between could be either and says nothing.
    """
    index = pd.DatetimeIndex(bars.index)
    spread = np.log(bars["high"].to_numpy(dtype="float64") / bars["low"].to_numpy(dtype="float64"))
    before = max(3, _QUARTER_HOUR // minutes)
    usual = pd.Series(spread).rolling(before).median().shift(1).to_numpy()
    times = index.as_unit("us").asi8
    whole = np.zeros(len(index), bool)
    whole[before:] = times[before:] - times[:-before] == before * minutes * _MINUTE
    minute, weekday = _local(index)
    asked = whole & (minute % 60 == 30) & (weekday < 5) & (usual > 0)
    jump = asked & (spread > _JUMP * usual)
    days = np.bincount(minute[asked] // 60, minlength=24)
    votes = np.bincount(minute[jump] // 60, minlength=24)
    top = int(np.argmax(votes))
    count, rival = int(votes[top]), int(np.sort(votes)[-2])
    # Against all hours alike, and against the second, which could be the true one.
    chance = max(
        min(1.0, 24 * _tail(count, int(votes.sum()), 1 / 24)),
        min(1.0, 2 * _tail(count, count + rival, 0.5)),
    )
    if chance > CHANCE:
        return
    often = count / days[top]
    if asset_class in _OPENING and often >= _MOST_DAYS:
        target, name = 9, "the opening of the exchanges at"
    elif asset_class not in _OPENING and often <= _SOME_DAYS:
        target, name = 8, "releases at"
    else:
        return
    offset = _circular(top - target, 24)
    expected, observed = f"{_time(target + 0.5)} New York", f"{_time(top + 0.5)} New York"
    sentence = (
        f"{season}: expected {name} {expected}; of the minutes at half past, that of {observed} "
        f"jumps most often ({count} of {days[top]} days){_verdict(offset)}"
    )
    finding = Finding(
        "release", season, expected, observed, offset, float(often), chance, count, sentence
    )
    hours = np.arange(24) + 0.5
    yield finding, Profile(hours, votes.astype("float64"), target + 0.5, top + 0.5)


def _pause(bars: pd.DataFrame, minutes: int, season: str) -> _Evidence:
    """The half-hours that begin without a bar on all days, Monday to Thursday.

    Holes in the data are anywhere, the pause is at the same time every day; so it shows in
    histories that miss a third of their hours.
    """
    index = pd.DatetimeIndex(bars.index)
    size = max(_HALF_HOUR, minutes)
    slots = 24 * 60 // size
    minute, weekday = _local(index)
    # The first minutes of a slot: the pause of currencies is short.
    begins = (minute % size < max(5, minutes)) & (weekday < 4)
    day = np.asarray(index.tz_convert(NEW_YORK).tz_localize(None).as_unit("s").asi8) // 86_400
    days = np.unique(day[weekday < 4])
    if len(days) < 5:
        return
    present = np.zeros((len(days), slots), bool)
    present[np.searchsorted(days, day[begins]), minute[begins] // size] = True
    # A day with few bars is a holiday or a hole, and says nothing.
    present = present[present.sum(axis=1) >= slots / 2]
    count = len(present)
    empty = count - present.sum(axis=0)
    shut = empty >= 0.9 * count
    starts = np.flatnonzero(shut & ~np.roll(shut, 1))
    if len(starts) != 1 or shut.sum() * size > 120:
        return
    top = int(starts[0])
    rival = int(empty[~shut].max())
    chance = min(1.0, slots * _tail(int(empty[top]), count, (rival + 1) / (count + 2)))
    if chance > CHANCE:
        return
    yield _at(
        "break", season, _PAUSE, top * size / 60, int(empty[top]), count, chance,
        "the daily pause from", "days pause from", np.arange(slots) * size / 60, empty / count,
    )  # fmt: skip


def _weeks(bars: pd.DataFrame, minutes: int, season: str, opens: float) -> _Evidence:
    """The last bar before a weekend and the first one after it."""
    index = pd.DatetimeIndex(bars.index)
    gap = np.diff(index.as_unit("us").asi8) / (60 * _MINUTE)
    week = (gap >= 36) & (gap < 80)
    stop = index[:-1][week] + pd.Timedelta(minutes=minutes)
    yield from _vote("week end", season, _PAUSE, stop, "the week to end at", "weeks end at")
    yield from _vote(
        "week start", season, opens, index[1:][week], "the week to start at", "weeks start at"
    )


def _sessions(bars: pd.DataFrame, minutes: int, season: str) -> _Evidence:
    """The first bar of the day, where days last 6.5 hours and so are regular sessions."""
    index = pd.DatetimeIndex(bars.index)
    gap = np.diff(index.as_unit("us").asi8) / (60 * _MINUTE)
    cuts = np.flatnonzero(gap > 6) + 1
    starts = np.concatenate(([0], cuts))
    ends = np.concatenate((cuts, [len(index)])) - 1
    length = (index[ends] - index[starts]) / pd.Timedelta(hours=1) + minutes / 60
    regular = np.abs(np.asarray(length) - 6.5) < 0.26
    if regular.mean() < 0.5:
        return
    yield from _vote(
        "session", season, 9.5, index[starts[regular]], "sessions to start at", "days start at"
    )


def _vote(
    evidence: str, season: str, target: float, times: pd.DatetimeIndex, phrase: str, seen: str
) -> _Evidence:
    """The half-hour that most of the times are near to."""
    minute, _ = _local(pd.DatetimeIndex(times))
    slot = np.round(minute / _HALF_HOUR).astype(int)
    near = np.abs(minute - slot * _HALF_HOUR) <= _NEAR
    votes = np.bincount(slot[near] % _SLOTS, minlength=_SLOTS)
    top, total = int(np.argmax(votes)), len(minute)
    count = int(votes[top])
    chance = min(1.0, _SLOTS * _tail(count, total, 1 / _SLOTS))
    if chance > CHANCE or count < _MAJORITY * total:
        return
    yield _at(
        evidence, season, target, top / 2, count, total, chance,
        phrase, seen, np.arange(_SLOTS) / 2, votes.astype("float64"),
    )  # fmt: skip


def _at(
    evidence: str,
    season: str,
    target: float,
    top: float,
    count: int,
    total: int,
    chance: float,
    phrase: str,
    seen: str,
    hours: np.ndarray,
    values: np.ndarray,
) -> tuple[Finding, Profile]:
    """A finding about a time of day."""
    offset = _circular(top - target, 24)
    expected, observed = f"{_time(target)} New York", f"{_time(top)} New York"
    sentence = (
        f"{season}: expected {phrase} {expected}; {count} of {total} {seen} {observed}"
        f"{_verdict(offset)}"
    )
    finding = Finding(
        evidence, season, expected, observed, offset, count / total, chance, count, sentence
    )
    return finding, Profile(hours, values, target, top)


def _lag(close: pd.Series, reference: pd.Series, minutes: int, season: str, name: str) -> _Evidence:
    """Correlation of returns with a series whose times are known, at each shift."""
    index = pd.DatetimeIndex(close.index)
    other = _utc_index(reference.index, "the reference")
    if not len(other):
        return
    step = max(minutes, 5)
    grid = step * _MINUTE
    times = index.as_unit("us").asi8
    first = int(times[0] - _LAGS * 60 * _MINUTE) // grid
    last = int(times[-1] + _LAGS * 60 * _MINUTE) // grid
    mine = _returns(close, grid, first, last)
    theirs = _returns(reference, grid, first, last)
    unit = max(step, _HALF_HOUR) // step
    shifts = np.arange(-_LAGS * 60 // (unit * step), _LAGS * 60 // (unit * step) + 1)
    found = [_correlation(mine, theirs, int(shift) * unit) for shift in shifts]
    values = np.array([each[0] for each in found])
    size = np.abs(values)
    top, rival = (int(each) for each in np.argsort(size)[:-3:-1])
    error, count = found[top][1:]
    if count < _PAIRS:
        return
    # Against none at all, among all shifts, and against the second, which could be the true one.
    both = sqrt(error**2 + found[rival][1] ** 2)
    chance = max(
        min(1.0, len(shifts) * erfc(size[top] / error / sqrt(2))),
        erfc((size[top] - size[rival]) / both / sqrt(2)),
    )
    if chance > CHANCE:
        return
    offset = float(shifts[top]) * unit * step / 60
    zero = len(shifts) // 2
    sentence = (
        f"{season}: expected the returns of {name} at the same time (correlation "
        f"{values[zero]:.2f}); they fit best {_later(offset)} (correlation {values[top]:.2f} over "
        f"{count} returns of {step} minutes){_verdict(offset)}"
    )
    finding = Finding(
        "lag", season, "0 hours", f"{offset:+g} hours" if offset else "0 hours", offset,
        float(size[top]), chance, count, sentence,
    )  # fmt: skip
    yield finding, Profile(shifts * unit * step / 60.0, values, 0.0, offset)


def _returns(close: pd.Series, grid: int, first: int, last: int) -> np.ndarray:
    """Log returns between the last closes of grid cells; NaN where one of them is empty."""
    cells = pd.DatetimeIndex(close.index).as_unit("us").asi8 // grid - first
    inside = (cells >= 0) & (cells <= last - first)
    prices = np.full(last - first + 1, np.nan)
    prices[cells[inside]] = close.to_numpy(dtype="float64", na_value=np.nan)[inside]
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.diff(np.log(prices))
    returns[~np.isfinite(returns)] = np.nan
    # Single prints a hundred times the usual move would decide a correlation on their own.
    limit = 20 * np.nanmedian(np.abs(returns)) if np.isfinite(returns).any() else 0.0
    return np.clip(returns, -limit, limit) if limit > 0 else returns


def _correlation(mine: np.ndarray, theirs: np.ndarray, shift: int) -> tuple[float, float, int]:
    """Of my returns with theirs of ``shift`` cells before, its standard error, and the pairs.

    The error is White's for returns that are unrelated but calm and lively at the same hours, which
    makes chance correlations larger than the count of pairs alone would say.
    """
    if shift > 0:
        mine, theirs = mine[shift:], theirs[:-shift]
    elif shift < 0:
        mine, theirs = mine[:shift], theirs[-shift:]
    both = np.isfinite(mine) & np.isfinite(theirs)
    count = int(both.sum())
    if count < _PAIRS:
        return 0.0, 1.0, count
    one, two = mine[both] - mine[both].mean(), theirs[both] - theirs[both].mean()
    scale = sqrt(float(one @ one) * float(two @ two))
    if not scale:
        return 0.0, 1.0, count
    product = one * two
    correlation = min(1.0, max(-1.0, float(product.sum()) / scale))  # 1 but for rounding
    return correlation, sqrt(float(product @ product)) / scale, count


def _fitting(declared: Clock, found: list[tuple[pd.DatetimeIndex, Finding]]) -> tuple[str, ...]:
    """Named clocks that move every finding to 0, at the instants where they were found."""
    names = ("UTC", *NAMED, NEW_YORK, "Europe/London", "Europe/Athens", "Asia/Tokyo")
    return tuple(
        name
        for name in names
        if all(_moves(declared, Clock.parse(name), when, each) for when, each in found)
    )


def _moves(declared: Clock, other: Clock, when: pd.DatetimeIndex, finding: Finding) -> bool:
    try:
        moved = other.utc(declared.local(when)) - when
    except LocalTimeError:
        return False
    return bool((moved == -pd.Timedelta(hours=finding.offset_hours)).all())


def _utc_index(index: pd.Index, what: str) -> pd.DatetimeIndex:
    if not isinstance(index, pd.DatetimeIndex) or str(index.tz) != "UTC":
        raise DataError(f"clock audit: {what} must be indexed by UTC times, not {index.dtype}")
    if not index.is_monotonic_increasing:
        raise DataError(f"clock audit: {what} must be in time order")
    return index


def _seasons(index: pd.DatetimeIndex) -> np.ndarray:
    """Per row ``winter``, ``summer`` or ``between``, by the clocks of New York and Europe."""
    summer = [
        np.asarray(index.tz_convert(zone).tz_localize(None) - index.tz_localize(None))
        != np.timedelta64(winter, "h")
        for zone, winter in ((NEW_YORK, -5), ("Europe/Berlin", 1))
    ]
    same = summer[0] == summer[1]
    return np.where(~same, "between", np.where(summer[0], "summer", "winter"))


def _local(index: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Minute of the day and day of the week (0 is Monday) in New York."""
    local = index.tz_convert(NEW_YORK)
    return np.asarray(local.hour) * 60 + np.asarray(local.minute), np.asarray(local.day_of_week)


def _circular(difference: float, size: int) -> float:
    """A difference of times of day, in [-size / 2, size / 2)."""
    return float((difference + size / 2) % size - size / 2)


def _time(hour: float) -> str:
    return f"{int(hour):02}:{round(hour % 1 * 60):02}"


def _hours(offset: float) -> str:
    return f"{abs(offset):g} hour{'s' if abs(offset) != 1 else ''}"


def _later(offset: float) -> str:
    if not offset:
        return "unshifted"
    return f"{_hours(offset)} {'earlier' if offset > 0 else 'later'}"


def _verdict(offset: float) -> str:
    if not offset:
        return ", as expected"
    return f"; the stamps are {_hours(offset)} too {'late' if offset > 0 else 'early'}"


def _tail(count: int, total: int, share: float) -> float:
    """Probability of ``count`` or more successes in ``total`` trials (binomial)."""
    if count <= 0:
        return 1.0
    terms = (
        lgamma(total + 1) - lgamma(k + 1) - lgamma(total - k + 1)
        + k * log(share) + (total - k) * log1p(-share)
        for k in range(count, total + 1)
    )  # fmt: skip
    return min(1.0, sum(exp(term) for term in terms))
