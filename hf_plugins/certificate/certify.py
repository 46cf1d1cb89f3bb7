"""Recomputing a feature from less, from other and from later inputs, and comparing.

The order matters: what is known early is computed first, absurd futures follow, and at the end the
first computation is made once more, so that what a plugin remembers from one call to the next shows
as a difference.
"""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins import joins
from hf_plugins.base import BaseFeature, Side
from hf_plugins.certificate.cuts import sampled_rows, strata
from hf_plugins.certificate.inputs import FUTURE, POISONS, Inputs, nanoseconds
from hf_plugins.certificate.verdict import ASPECTS, Aspect, Certificate, Finding, Level
from hf_plugins.errors import DataError

Join = Callable[[pd.DataFrame, Mapping[Side, pd.DataFrame], str, np.ndarray | None], pd.DataFrame]
"""What puts side rows beside own bars; see :func:`hf_plugins.joins.joined`."""

_FADED: Final = 1e-12
_EXACT: Final = 0.0
_COMPARED: Final = 6
"""Rows at the end of a tail that it must reproduce."""
_EARLY: Final = 300
"""The row up to which the computation is repeated at the end."""


@dataclass(frozen=True)
class _Effort:
    """How much is tried. ``rows``: at most so many are recomputed in each aspect."""

    cuts: int
    poisons: int
    ticks: int
    chunkings: int
    tails: int
    rows: int


def _effort(level: Level, rows: int) -> _Effort:
    if level == "full":
        return _Effort(cuts=120, poisons=2, ticks=24, chunkings=4, tails=120, rows=120_000)
    return _Effort(cuts=24, poisons=1, ticks=2, chunkings=1, tails=6, rows=max(rows // 20, 8_000))


def certify(
    plugin: BaseFeature,
    inputs: Inputs,
    published: pd.DataFrame,
    *,
    seed: int,
    level: Level = "quick",
    after: datetime | None = None,
    state: Mapping[str, Any] | None = None,
    join: Join = joins.joined,
    enough: Callable[[int], bool] = lambda recomputed: False,
) -> Certificate:
    """Try to find values that were not known when they claim to have been.

    Args:
        plugin: a feature; it is made anew for each computation, with the same parameters.
        inputs: what it was computed from.
        published: its values, shape (n_rows, len(outputs)), indexed by open time.
        seed: of the sampled cuts; from the version hash, so that each version has cuts of its own.
        level: how much is tried.
        after: rows up to this one are certified already; only later ones are held against a
            recomputation.
        state: what a feature with a state left after that row.
        join: what put the sides beside the own bars.
        enough: told the number of rows recomputed so far; where it returns true, what is left of
            an aspect is not tried once there was a first try. For callers with a clock.

    Raises:
        DataError: there is a published row whose bar is not among the inputs.
    """
    first = 0 if after is None else int(np.count_nonzero(published.index <= pd.Timestamp(after)))
    if first >= len(published):
        none = tuple(Aspect(name, 0, 0, note="there is no row") for name in ASPECTS)
        return Certificate(plugin.key, level, seed, 0, "", "", first > 0, 0, none)
    read = replace(inputs, own=inputs.own.loc[:, list(plugin.reads)])
    bench = _Bench(plugin, read, published, seed, join)
    trial = _Trial(bench, _effort(level, len(published)), first, enough, state)
    exact = trial.whole_prefixes if level == "full" else trial.tails
    aspects = [exact(), trial.futures()]
    if any(each.finding for each in aspects):
        # What looks ahead differs without its future, whatever else is done to it.
        aspects += [Aspect(name, 0, 0, note="looks ahead") for name in ("growth", "tick")]
    else:
        aspects += [trial.growth(), trial.ticks()]
    aspects.append(trial.repeated())
    return Certificate(
        plugin=plugin.key or type(plugin).__name__,
        level=level,
        seed=seed,
        rows=len(published) - first,
        start=_iso(published.index[first]),
        end=_iso(published.index[-1]),
        continues=first > 0,
        recomputed=bench.recomputed,
        aspects=tuple(aspects),
    )


@dataclass(frozen=True)
class _Difference:
    """Where a recomputation and what is published part; ``row`` is -1 where they are no rows."""

    row: int
    column: str
    published: float | None
    recomputed: float | None
    told: str


class _RaisedError(Exception):
    """The plugin, or the join, raised; the message says what."""


@dataclass
class _Bench:
    """A plugin, its inputs and its published values, ready for comparison."""

    plugin: BaseFeature
    inputs: Inputs
    published: pd.DataFrame
    seed: int
    join: Join
    recomputed: int = 0
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = list(self.published.columns)
        self.values = self.published.to_numpy(dtype=np.float64)
        self.stamps = nanoseconds(self.published.index)
        self.place = np.searchsorted(self.inputs.stamps, self.stamps)
        inside = self.place < len(self.inputs.stamps)
        if not inside.all() or (self.inputs.stamps[self.place] != self.stamps).any():
            raise DataError(
                f"{self.plugin!r}: there are values of bars that are not among the inputs"
            )
        memory = self.plugin.memory
        self.stateful = self.plugin.context is not None
        self.lookback = memory.lookback
        self.kind = memory.kind
        # A recursion without a state is promised to twelve digits, everything else bit for bit.
        self.prefix_tolerance = _FADED if self.kind == "fading" and not self.stateful else _EXACT
        self.tail_tolerance = _FADED if self.kind == "fading" else _EXACT
        self.windowed = any(side.join in joins.WINDOWED for side in self.inputs.sides)

    def new(self) -> BaseFeature:
        """A fresh instance."""
        return type(self.plugin)(**self.plugin.parameters())

    def own_start(self, row: int) -> int:
        """The own bar with which inputs begin whose first published row is ``row``."""
        return int(self.place[row]) if row > 0 else 0

    def frame(self, view: Inputs, start: int = 0) -> pd.DataFrame:
        """The frame that the feature reads, from the own bar ``start`` on."""
        if not view.sides:
            return view.own
        try:
            data = self.join(view.own, view.sides, view.timeframe, view.closes)
        except Exception as error:
            raise _RaisedError(f"the join raised {type(error).__name__}: {error}") from error
        return data.loc[data.index >= self.inputs.own.index[start]] if start else data

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Values of a fresh instance."""
        self.recomputed += len(data)
        try:
            found = self.new().compute(data)
        except Exception as error:
            raise _RaisedError(f"the plugin raised {type(error).__name__}: {error}") from error
        if not isinstance(found, pd.DataFrame):
            raise _RaisedError(f"the plugin yielded a {type(found).__name__}, not a DataFrame")
        return found

    def prefix(self, row: int) -> pd.DataFrame:
        """Values computed from all that was known at the close of ``row``."""
        return self.compute(self.joined(0, row))

    def tail_start(self, row: int, compared: int) -> int:
        """First row of a tail whose last ``compared`` rows up to ``row`` have their look-back."""
        if self.lookback is None:
            return 0
        return max(0, row - compared + 1 - (self.lookback - 1))

    def begin(self, start: int) -> int:
        """Where own bars begin, for joined rows from the own bar ``start`` on."""
        # What is summed up since the row before needs that row.
        return max(0, start - 1) if self.windowed else start

    def joined(self, first: int, last: int) -> pd.DataFrame:
        """The frame that the feature reads, of the published rows ``first`` to ``last``."""
        start = self.own_start(first)
        return self.frame(self.inputs.until(self.begin(start), int(self.place[last])), start)

    def tail(self, row: int, compared: int) -> pd.DataFrame:
        """Values computed from the look-back of the last rows up to ``row``."""
        return self.compute(self.joined(self.tail_start(row, compared), row))

    def difference(
        self, found: pd.DataFrame, low: int, high: int, tolerance: float
    ) -> _Difference | None:
        """The first value of the published rows ``low`` to ``high`` that is another one."""
        if list(found.columns) != self.names:
            told = f"the columns {self.names} are published, {list(found.columns)} came"
            return _Difference(-1, "", None, None, told)
        if low > high:
            return None
        stamps = nanoseconds(found.index)
        begin, end = np.searchsorted(stamps, [self.stamps[low], self.stamps[high] + 1])
        expected = self.stamps[low : high + 1]
        if not np.array_equal(stamps[begin:end], expected):
            other = np.setxor1d(stamps[begin:end], expected)
            at = _iso(pd.Timestamp(int(other[0]), tz="UTC")) if len(other) else "one time stamp"
            there = "is published and missing" if len(other) and other[0] in expected else "is new"
            return _Difference(-1, "", None, None, f"the row of {at} {there}")
        old = self.values[low : high + 1]
        new = found.to_numpy(dtype=np.float64)[begin:end]
        same = (old == new) | (np.isnan(old) & np.isnan(new))
        if tolerance and not same.all():
            with np.errstate(invalid="ignore"):
                scale = np.nanmax(np.where(np.isfinite(old), np.abs(old), 0.0), axis=0)
                same |= np.abs(old - new) <= tolerance * scale
        wrong = np.argwhere(~same)
        if not len(wrong):
            return None
        at, column = wrong[0]
        return _Difference(
            low + int(at), self.names[column], float(old[at, column]), float(new[at, column]), ""
        )


@dataclass
class _Trial:
    """One aspect after the other."""

    bench: _Bench
    effort: _Effort
    first: int
    enough: Callable[[int], bool]
    state: Mapping[str, Any] | None

    def __post_init__(self) -> None:
        bench = self.bench
        self._rng = np.random.default_rng([bench.seed, 1])
        found = strata(
            bench.inputs, bench.published, bench.place, bench.lookback, self.first, self._rng
        )
        drawn = itertools.islice(sampled_rows(found, self._rng), 4 * self.effort.cuts)
        self.rows = sorted(itertools.islice(drawn, self.effort.cuts))
        self._spare = list(drawn)
        self._once: tuple[int, pd.DataFrame] | None = None
        # The first computation of all is the one that is repeated at the end.
        early = min(_EARLY, len(bench.values) - 1)
        with contextlib.suppress(_RaisedError):  # told where the row has its turn
            self._once = early, bench.prefix(early)

    # ------------------------------------------------------------------------ aspects

    def whole_prefixes(self) -> Aspect:
        """Everything up to a cut."""
        return self._each(
            "truncated", self._affordable(lambda row: row + 1), self._prefix, at="end of the cut"
        )

    def tails(self) -> Aspect:
        """The look-back of a cut where there is one, else everything up to it."""

        def cost(row: int) -> int:
            return row - self.bench.tail_start(row, _COMPARED) + 1

        return self._each("truncated", self._affordable(cost), self._tail, at="end of the cut")

    def futures(self) -> Aspect:
        """Other futures."""
        hows = itertools.cycle(POISONS)

        def attempt(row: int) -> tuple[int, _Difference | None]:
            compared = 0
            for _ in range(self.effort.poisons):
                count, found = self._future(row, next(hows))
                compared += count
                if found is not None:
                    return compared, found
            return compared, None

        def cost(row: int) -> int:
            rows = row - self.bench.tail_start(row, FUTURE) + 1 + FUTURE
            return self.effort.poisons * rows

        return self._each("poisoned", self._affordable(cost), attempt, at="end of what was kept")

    def growth(self) -> Aspect:
        """The declared look-back, or the state."""
        bench = self.bench
        if bench.stateful:
            return self._chunks()
        if bench.lookback is None:
            return Aspect(
                "growth", 0, 0, note="depends on the whole history, is always computed whole"
            )
        if len(bench.values) < bench.lookback:
            return Aspect("growth", 0, 0, note="there are fewer rows than the look-back")
        # A tail that begins with the history would say nothing.
        rows = [row for row in [*self.rows, *self._spare] if row >= bench.lookback]
        cost = bench.lookback + _COMPARED
        chosen = rows[: min(self.effort.tails, max(1, self.effort.rows // cost))]

        def attempt(row: int) -> tuple[int, _Difference | None]:
            # As many new rows as a day may bring, or one.
            compared = int(self._rng.integers(1, _COMPARED + 1))
            low = max(self.first, row - compared + 1)
            try:
                found = bench.tail(row, compared)
            except _RaisedError as error:
                return 0, _raised(error)
            return row - low + 1, bench.difference(found, low, row, bench.tail_tolerance)

        note = f"to {_FADED:g}" if bench.tail_tolerance else ""
        return self._each("growth", chosen, attempt, at="end of the tail", note=note)

    def ticks(self) -> Aspect:
        """One absurd tick in the past: of an own bar, or of a row of a side."""
        bench = self.bench
        reach = bench.lookback or 0
        rows = [row for row in [*self.rows, *self._spare] if row >= self.first]
        order = self._rng.permutation(rows)
        cost = 2 * reach + 2 * _COMPARED if bench.lookback else int(np.mean(rows)) + _COMPARED
        count = min(self.effort.ticks, self.effort.rows // max(cost, 1))
        if not count:
            return Aspect("tick", 0, 0, note="would take more rows than this level computes")
        chosen = [int(row) for row in order[:count]]
        sides = itertools.cycle([None, *bench.inputs.sides])

        def attempt(row: int) -> tuple[int, _Difference | None]:
            return self._tick(row, next(sides))

        return self._each("tick", chosen, attempt, at="tick")

    def repeated(self) -> Aspect:
        """The first recomputation once more."""
        bench = self.bench
        if self._once is None:
            return Aspect("repeated", 0, 0, note="nothing was computed")
        row, before = self._once

        def attempt(row: int) -> tuple[int, _Difference | None]:
            try:
                again = bench.prefix(row)
            except _RaisedError as error:
                return 0, _raised(error)
            told = "the same inputs gave other values than at the first time"
            same = before.equals(again)
            return row + 1, None if same else _Difference(-1, "", None, None, told)

        return self._each("repeated", [row], attempt, at="end of the cut")

    # ------------------------------------------------------------------------- pieces

    def _affordable(self, cost: Callable[[int], int]) -> list[int]:
        """Cuts whose cost is within the budget: cheap ones, and of the others what is left."""
        spent, chosen = 0, []
        budget = self.effort.rows
        # From both ends in turn, so that one that is dear does not crowd out all later ones.
        rows = self.rows
        for row in [each for pair in zip(rows, reversed(rows), strict=True) for each in pair]:
            if row not in chosen and (not chosen or spent + cost(row) <= budget):
                chosen.append(row)
                spent += cost(row)
        return sorted(chosen)

    def _prefix(self, row: int) -> tuple[int, _Difference | None]:
        bench = self.bench
        try:
            found = bench.prefix(row)
        except _RaisedError as error:
            return 0, _raised(error)
        return row - self.first + 1, bench.difference(
            found, self.first, row, bench.prefix_tolerance
        )

    def _tail(self, row: int) -> tuple[int, _Difference | None]:
        bench = self.bench
        if bench.tail_start(row, _COMPARED) == 0:
            return self._prefix(row)
        low = max(self.first, row - _COMPARED + 1)
        try:
            found = bench.difference(bench.tail(row, _COMPARED), low, row, bench.tail_tolerance)
        except _RaisedError as error:
            return 0, _raised(error)
        if found is None:
            return row - low + 1, None
        # A tail differs for want of a future, or of a past: what has all of the past tells.
        return self._prefix(row)

    def _future(self, row: int, how: str) -> tuple[int, _Difference | None]:
        bench = self.bench
        first = bench.tail_start(row, FUTURE)
        start, last = bench.own_start(first), int(bench.place[row])
        rng = np.random.default_rng([bench.seed, 2, row])
        low = max(self.first, row - FUTURE + 1) if first else self.first
        tolerance = bench.tail_tolerance if first else bench.prefix_tolerance
        try:
            view = bench.inputs.with_future(bench.begin(start), last, how, rng)
            found = bench.compute(bench.frame(view, start))
        except _RaisedError as error:
            return 0, _raised(error)
        difference = bench.difference(found, low, row, tolerance)
        if difference is not None and first:
            # As above: only what the same past gives without the future is the future's doing.
            tail = bench.tail(row, FUTURE)
            if bench.difference(tail, low, row, tolerance) is not None:
                return self._future_of_all(row, how)
        return row - low + 1, difference

    def _future_of_all(self, row: int, how: str) -> tuple[int, _Difference | None]:
        bench = self.bench
        rng = np.random.default_rng([bench.seed, 2, row])
        try:
            view = bench.inputs.with_future(0, int(bench.place[row]), how, rng)
            found = bench.compute(bench.frame(view))
        except _RaisedError as error:
            return 0, _raised(error)
        return row - self.first + 1, bench.difference(
            found, self.first, row, bench.prefix_tolerance
        )

    def _tick(self, row: int, side: Side | None) -> tuple[int, _Difference | None]:
        bench = self.bench
        high = min(len(bench.values) - 1, row + (bench.lookback or 0) + _COMPARED)
        first = bench.tail_start(row, _COMPARED)
        start, last = bench.own_start(first), int(bench.place[high])
        begin = bench.begin(start)
        view = bench.inputs.until(begin, last)
        if side is None:
            ticked = view.with_tick(int(bench.place[row]) - begin, self._factor())
            before = row
        else:
            known = view.known_from(side)
            limits = view.limits(side)
            there = np.flatnonzero(known <= bench.inputs.limits(side)[bench.place[row]])
            if not len(there):
                return 0, None
            at = int(there[np.argmax(known[there])])
            ticked = view.with_side_tick(side, at, self._factor())
            own = begin + int(np.searchsorted(limits, known[at]))
            before = int(np.searchsorted(bench.place, own))
        try:
            frame, changed = bench.frame(view, start), bench.frame(ticked, start)
            found = bench.compute(changed)
        except _RaisedError as error:
            return 0, _raised(error)
        low = max(self.first, row - _COMPARED + 1 if first else 0)
        tolerance = bench.tail_tolerance if first else bench.prefix_tolerance
        difference = bench.difference(found, low, min(before, row + 1) - 1, tolerance)
        compared = max(0, min(before, row + 1) - low)
        if difference is None and bench.lookback is not None:
            low = max(self.first, self._last_touched(frame, changed, row) + bench.lookback)
            compared += max(0, high - low + 1)
            difference = bench.difference(found, low, high, self._faded(tolerance))
        return compared, difference

    def _last_touched(self, frame: pd.DataFrame, changed: pd.DataFrame, row: int) -> int:
        """The last row whose inputs the tick has changed."""
        if not frame.index.equals(changed.index):
            return row
        one, two = frame.to_numpy(np.float64), changed.to_numpy(np.float64)
        touched = np.flatnonzero(~((one == two) | (np.isnan(one) & np.isnan(two))).all(axis=1))
        if not len(touched):
            return row
        stamp = nanoseconds(frame.index[touched[-1:]])[0]
        return max(row, int(np.searchsorted(self.bench.stamps, stamp)))

    def _factor(self) -> float:
        # What fades is promised relative to the error; an absurd one would be promised absurdly.
        return 1e6 if self.bench.tail_tolerance == _EXACT else 1.1

    def _faded(self, tolerance: float) -> float:
        # Two errors have faded there: that of the tick, and that of where the tail begins.
        fading = self.bench.kind == "fading"
        return 10.0 * _FADED if fading else tolerance

    def _chunks(self) -> Aspect:
        """The state after a cut, through JSON, continues the values bit for bit."""
        bench, begin = self.bench, self.first
        if begin and self.state is None:
            return Aspect("growth", 0, 0, note="no state was given to begin with")
        n = len(bench.values)
        rows = n if self.effort.chunkings > 1 else 2_000
        end = min(n, begin + min(rows, max(self.effort.rows // self.effort.chunkings, 500)))
        data = bench.joined(max(0, begin - (bench.plugin.context or 0)), end - 1)
        offset = begin - max(0, begin - (bench.plugin.context or 0))
        compared, chunks = 0, 0
        for edges in self._edges(begin, end):
            state = self.state if begin else None
            for start, stop in itertools.pairwise(edges):
                first = max(0, start - begin + offset - (bench.plugin.context or 0))
                given = data.iloc[first : stop - begin + offset].copy()
                bench.recomputed += len(given)
                try:
                    values, state = bench.new().advance(given, stop - start, state)
                    state = json.loads(json.dumps(state, allow_nan=False))
                except Exception as error:
                    told = f"the plugin raised {type(error).__name__}: {error}"
                    difference = _Difference(-1, "", None, None, told)
                else:
                    difference = bench.difference(values, start, stop - 1, _EXACT)
                chunks += 1
                compared += stop - start
                if difference is not None:
                    finding = self._finding("growth", start, difference, "first row from a state")
                    return Aspect("growth", chunks, compared, finding)
        return Aspect("growth", chunks, compared, note="from the state")

    def _edges(self, begin: int, end: int) -> Iterable[list[int]]:
        for number in range(self.effort.chunkings):
            count = min(end - begin - 1, 6 + 6 * number)
            inner = self._rng.choice(np.arange(begin + 1, end), count, False) if count > 0 else []
            singles = np.arange(begin + 1, min(end, begin + 4 + 20 * number))  # row by row at first
            yield [begin, *(int(edge) for edge in np.union1d(inner, singles)), end]

    # ------------------------------------------------------------------------ telling

    def _each(
        self,
        name: str,
        rows: Iterable[int],
        attempt: Callable[[int], tuple[int, _Difference | None]],
        *,
        at: str,
        note: str = "",
    ) -> Aspect:
        cuts, compared = 0, 0
        for row in rows:
            if cuts and self.enough(self.bench.recomputed):
                break
            count, difference = attempt(row)
            cuts += 1
            compared += count
            if difference is not None:
                return Aspect(name, cuts, compared, self._finding(name, row, difference, at), note)
        return Aspect(name, cuts, compared, note=note if cuts else note or "no row to cut at")

    def _finding(self, aspect: str, row: int, difference: _Difference, at: str) -> Finding:
        cut = _iso(self.bench.published.index[row])
        stamp = ""
        if difference.row < 0:
            told = difference.told
        else:
            stamp = _iso(self.bench.published.index[difference.row])
            told = (
                f"'{difference.column}' at {_read(stamp)} is published as "
                f"{_number(difference.published)} and is {_number(difference.recomputed)}"
            )
        sentence = f"{_ACCUSATIONS[aspect]}: {told} when {ASPECTS[aspect]} ({at}: {_read(cut)})"
        return Finding(
            aspect,
            difference.column,
            stamp,
            cut,
            _plain(difference.published),
            _plain(difference.recomputed),
            sentence,
        )


_ACCUSATIONS: Final[dict[str, str]] = {
    "truncated": "looks into the future",
    "poisoned": "looks into the future",
    "growth": "is not what it would have been row by row",
    "tick": "remembers more, or earlier, than it declares",
    "repeated": "remembers from one computation to the next",
}


def _raised(error: _RaisedError) -> _Difference:
    return _Difference(-1, "", None, None, str(error))


def _plain(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None


def _number(value: float | None) -> str:
    return "null" if value is None or np.isnan(value) else repr(value)


def _iso(stamp: Any) -> str:
    return pd.Timestamp(stamp).isoformat()


def _read(stamp: str) -> str:
    return stamp.replace("T", " ").replace("+00:00", "")
