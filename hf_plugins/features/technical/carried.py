"""What recursive indicators share: one loop that starts from a state and leaves a state.

The batch form starts from the empty state, the incremental one from the state that was kept; both
run the same compiled loop over the same numbers, so the values have the same bits wherever a
history is cut. Which loop, and what its state means, is the kernels' affair.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

import numpy as np
import pandas as pd

from hf_plugins.base import BaseFeature

REMAINDER: Final = 1e-24
"""Weight that is left of the start state at the end of a declared look-back.

Twelve digits are the promise; the other twelve are its reserve, for a past that moved a trillion
times more than the present does. RSI needs all of it: it divides by an average movement that may be
as small as :data:`~hf_plugins.kernels.wilder.FLAT` of the price before the value becomes null.
"""


def rows_to_forget(weight: float) -> int:
    """Rows until :data:`REMAINDER` is left of an average in which a new value has this weight."""
    return 0 if weight >= 1.0 else math.ceil(math.log(REMAINDER) / math.log1p(-weight))


def column(data: pd.DataFrame, name: str) -> np.ndarray:
    """A column for a kernel: float64 of shape (n_bars,).

    A copy is contiguous and writable, so each kernel is compiled for one type only.
    """
    return np.array(data[name], dtype=np.float64)


class CarriedFeature(BaseFeature):
    """A recursive feature of the rows alone: :meth:`advance` needs its state and no earlier row."""

    libraries: ClassVar[tuple[str, ...]] = ("numba", "numpy", "pandas")
    state_names: ClassVar[tuple[str, ...]]
    """What the numbers of the state are called, in their order."""

    @property
    def context(self) -> int:
        """None but the state."""
        return 0

    @abstractmethod
    def proceed(
        self, data: pd.DataFrame, state: np.ndarray
    ) -> tuple[Sequence[np.ndarray], np.ndarray]:
        """Values of the rows that follow ``state``, one array an output, and the state after them.

        Args:
            data: shape (n_rows, len(columns)); n_rows may be 0.
            state: shape (len(state_names),), not to be changed.
        """

    @abstractmethod
    def begin(self) -> np.ndarray:
        """The state before the first row: shape (len(state_names),)."""

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the whole; see the class."""
        return self._values(data, self.begin())[0]

    def advance(
        self, data: pd.DataFrame, appended: int, state: Mapping[str, Any] | None
    ) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Compute appended rows, bit for bit as :meth:`compute` does; see the class."""
        start = self.begin() if state is None else self._from_json(state)
        values, after = self._values(data.iloc[len(data) - appended :], start)
        return values, dict(zip(self.state_names, map(_or_none, after.tolist()), strict=True))

    def _values(self, data: pd.DataFrame, state: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        values, after = self.proceed(data, state)
        named = dict(zip(self.outputs, values, strict=True))
        return pd.DataFrame(named, index=data.index, copy=False), after

    def _from_json(self, state: Mapping[str, Any]) -> np.ndarray:
        numbers = (state[name] for name in self.state_names)
        return np.array([np.nan if each is None else each for each in numbers], dtype=np.float64)


def _or_none(number: float) -> float | None:
    # The kernels take every number that is not finite for one and the same: unknown.
    return number if math.isfinite(number) else None
