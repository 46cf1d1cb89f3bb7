"""The arrays behind the gold features, and the filling of their rows.

A tape holds the series of the joined bars and whatever kernels make of them, one array each, with
room for more bars than there are. A whole history is a tape that is as long as the history and
filled at once, in chunks side by side; a live feed fills one row at a time; rows that are appended
to what stands are filled with no more of the past than they look back on. All run the same kernels
on the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np
from numba.core import config

from hf_plugins.errors import DataError
from hf_plugins.features.gold.families import FAMILIES, GIVEN, Step, plan, reach
from hf_plugins.features.gold.join import CLOCKS, SERIES, Bars, clocks

CHUNK: Final = 4096
"""Rows that one thread fills at a time. The first chunk must hold the first 60 rows: estimates from
fewer bars than their window are filled forward, from the row before."""
FEW: Final = 512
"""Rows below which threads cost more than they save."""
UNKNOWN: Final = -1
"""Row for which a state is valid that has to be rebuilt."""


class Tape:
    """Series by name, and the stages in which rows are filled.

    Args:
        families: whose features are computed, in the order of the rows of :attr:`features`.
        capacity: bars that there is room for.

    ``values``: float64, a row for everything that is written; ``features``: its first rows, shape
    (n_features, capacity), before inversion. ``series``: arrays of length ``capacity`` by name, or
    of shape (k, capacity) where kernels read several rows at once.
    """

    def __init__(self, families: Iterable[str], capacity: int) -> None:
        chosen = tuple(families)
        self.capacity = capacity
        self.names = tuple(name for family in chosen for name in FAMILIES[family].names)
        self.stages = plan(chosen)
        self._reach = reach(self.stages)
        written = [name for step in self.steps for name in step.writes]
        self.values = np.empty((len(written), capacity))
        self.features = self.values[: len(self.names)]
        self.series: dict[str, np.ndarray] = {name: np.empty(capacity) for name in SERIES}
        self.series |= {name: np.empty(capacity, np.int64) for name in CLOCKS}
        order = [*self.names, *(name for name in written if name not in self.names)]
        self.series |= dict(zip(order, self.values, strict=True))
        self._out = {step: self._rows(order.index(step.writes[0]), step) for step in self.steps}
        self.series |= {step.block: out for step, out in self._out.items() if step.block}

    @property
    def steps(self) -> list[Step]:
        """All steps in an order in which they can run."""
        return [step for stage in self.stages for step in stage]

    @property
    def reads(self) -> tuple[str, ...]:
        """Series of the joined bars that some step reads."""
        read = {name for step in self.steps for name in step.reads}
        return tuple(name for name in SERIES if name in read)

    def put(self, bars: Bars) -> None:
        """Write joined bars into the first rows."""
        for name, values in (bars.series | clocks(bars.index)).items():
            self.series[name][: len(bars)] = values

    @property
    def context(self) -> int:
        """Rows of the joined bars that :meth:`resume` needs before the first wanted one."""
        return max(self._reach.get(name, 0) for name in GIVEN)

    def fill(self, start: int, stop: int, workers: int | None = None) -> None:
        """Compute rows ``start <= t < stop``, in chunks side by side.

        Args:
            start: first row; all rows before it are filled.
            stop: row after the last; its series are written.
            workers: threads; :func:`default_workers` if None.
        """
        self._fill(dict.fromkeys(self.steps, start), stop, workers)

    def resume(
        self, start: int, stop: int, carried: Mapping[str, float], workers: int | None = None
    ) -> None:
        """Compute the features of the rows ``start <= t < stop``; no row before them is filled.

        Of the rows before, those are computed that the wanted ones look back on: a thousand bars or
        so of most series. What stands for all bars before comes from ``carried``.

        Args:
            start: first row wanted; its series and those of :attr:`context` rows before it are
                written, or of all rows since the data began.
            stop: row after the last; its series are written.
            carried: what :meth:`carry` said when row ``start - 1`` was the last one. Without it,
                the first row of the tape is that with which the data began.
            workers: threads; :func:`default_workers` if None.
        """
        self.values[:, :start] = np.nan
        firsts: dict[Step, int] = {}
        for step in self.steps:
            anew = step.window - 1 if step.in_order and not step.fades else 0
            firsts[step] = max(start - self._reach[step.writes[0]] - anew, 0)
            if not step.fades:
                continue
            if step.writes[0] not in carried:
                firsts[step] = 0
            elif firsts[step] == 0:
                raise DataError(
                    f"{start} bars before the new ones are too few to go on from; what was carried "
                    f"along needs {self.context}"
                )
            else:
                for name in step.writes:
                    self.series[name][firsts[step] - 1] = carried[name]
        self._fill(firsts, stop, workers)

    @property
    def carried(self) -> tuple[str, ...]:
        """Names of the series of which :meth:`carry` may hold a value."""
        return tuple(name for step in self.steps if step.fades for name in step.writes)

    def carry(self, stop: int) -> dict[str, float]:
        """What :meth:`resume` cannot find in the bars when it goes on at row ``stop``.

        Values by series, of the last row that none of the rows to come asks for again. Nothing
        while the data is so young that this row has none: then its beginning is still in sight.
        """
        found: dict[str, float] = {}
        for step in self.steps:
            row = stop - self._reach[step.writes[0]] - 1
            if step.fades and row >= 0:
                values = {name: float(self.series[name][row]) for name in step.writes}
                found |= {name: value for name, value in values.items() if not np.isnan(value)}
        return found

    def arguments(self, step: Step, state: np.ndarray | None = None) -> tuple[np.ndarray, ...]:
        """What the kernel of a step is given after the rows to fill; a fresh state if None."""
        series = [self.series[name] for name in step.reads]
        states = [] if not step.state else [new_state(step) if state is None else state]
        return (*series, *states, self._out[step])

    def fill_step(self, step: Step, start: int, stop: int) -> None:
        """Compute the rows of one step."""
        self._out[step][:, start:stop] = np.nan
        step.kernel(start, stop, *self.arguments(step))

    def _rows(self, first: int, step: Step) -> np.ndarray:
        return self.values[first : first + len(step.writes)]

    def _fill(self, firsts: Mapping[Step, int], stop: int, workers: int | None) -> None:
        if stop - min(firsts.values(), default=stop) < FEW:
            for step in self.steps:
                self.fill_step(step, firsts[step], stop)
            return
        with ThreadPoolExecutor(workers or default_workers()) as pool:
            for stage in self.stages:
                tasks = self._tasks(stage, firsts, stop)
                for done in [pool.submit(self.fill_step, *task) for task in tasks]:
                    done.result()

    def _tasks(
        self, stage: list[Step], firsts: Mapping[Step, int], stop: int
    ) -> Iterator[tuple[Step, int, int]]:
        for step in stage:
            start = firsts[step]
            length = stop - start if step.in_order else CHUNK
            for first in range(start, stop, max(length, 1)):
                yield step, first, min(first + length, stop)


def default_workers() -> int:
    """Threads that numba would use: one a core, or as many as ``NUMBA_NUM_THREADS`` says."""
    return int(vars(config)["NUMBA_NUM_THREADS"])


def new_state(step: Step) -> np.ndarray:
    """A state that is valid for no row, so that the kernel rebuilds it."""
    state = np.zeros(step.state, np.int64)
    state[0] = UNKNOWN
    return state
