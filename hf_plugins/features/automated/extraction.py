"""The calculators of tsfresh on moving windows, behind one plugin with two keys."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, ClassVar, Final, Literal, cast

import numpy as np
import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseFeature, Memory, Params
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.features.automated import equivalents
from hf_plugins.features.automated.calculators import (
    Chosen,
    Setting,
    column_name,
    of_list,
    of_set,
)
from hf_plugins.registry import features
from hf_plugins.timeframes import DURATIONS

Calculate = Callable[[np.ndarray, pd.Series | None], Sequence[Any]]
"""The values of one calculator at its settings: of a window, given with and without its times."""

_PERIODS: Final[Mapping[str, timedelta]] = {**DURATIONS, "1w": timedelta(weeks=1)}
_MONDAY: Final = pd.Timestamp("1970-01-05").as_unit("ns").value
"""Where periods are counted from: a Monday at midnight, so that a week begins with one."""

_BLOCK: Final = 1 << 20
"""Numbers in a block of windows that are computed together: 8 MiB."""


class TsfreshParams(Params):
    """Parameters of the features of tsfresh."""

    feature_set: Annotated[
        Literal["minimal", "fast", "efficient", "comprehensive", "listed"],
        Field(
            description="Which calculators: a set of tsfresh; fast, which is efficient without the "
            "nine slowest; or listed, those of the parameter calculators."
        ),
    ] = "minimal"
    calculators: Annotated[
        dict[str, list[dict[str, bool | int | float | str | list[int]]] | None],
        Field(
            description="With feature_set listed: calculators by their name in tsfresh, each with "
            "a list of its parameters, or null where it has none."
        ),
    ] = {}  # noqa: RUF012  (a field, which pydantic copies)
    column: Annotated[
        str,
        Field(
            pattern=r"^[a-z][a-z0-9_]*$",
            description="Column of the bars: a price, the volume, or one of the enriched data.",
        ),
    ] = "close"
    window: Annotated[
        int, Field(ge=5, le=10_000, description="Bars of the window, the current one included.")
    ] = 50
    stride: Annotated[
        Literal["bar", "5m", "15m", "30m", "1h", "4h", "1d", "1w"],
        Field(
            description="Values at every bar, or at the first bar that opens in each period of "
            "this length; null at the bars in between."
        ),
    ] = "bar"


@features.register("automated.tsfresh")
class Tsfresh(BaseFeature):
    """Features of moving windows of one column, by the calculators of tsfresh.

    Row t has what ``tsfresh.extract_features`` yields for rows t - window + 1 to t. ``minimal`` are
    nine moments and extremes; ``efficient`` are 71 calculators in hundreds of columns, of which
    nine take most of the time; ``fast`` is the same without those; ``comprehensive`` adds two whose
    time grows with the square of the window. A list of one's own::

        {feature_set: listed, calculators: {skewness: null, quantile: [{q: 0.1}, {q: 0.9}]}}

    Shape: one column a calculator and setting, ``tsfresh_{column}_{window}__{calculator}__...``, a
    function of the parameters alone: settings that have no value on any window of this length, or
    always the same one (Fourier coefficients beyond half of it, peaks wider than it), have no
    column in a set and are an error in a list.
    Not offered are ``length``, which is constant, ``query_similarity_count``, which needs a
    pattern, and ``matrix_profile``, whose library is not maintained. No calculator draws random
    numbers or looks outside its window. Units: as the library defines them.

    ``stride`` is a length of time, not a number of rows, because what is counted from the first
    row would change with the row that a history or its tail begins at. Periods are counted in UTC
    from a Monday at midnight; a bar has a value if it opens in another period than the bar before
    it. Rows in between are null, and are not filled with the last value: a row of a model would
    otherwise be counted as often as there are bars in a period.

    Null: the first ``window`` - 1 bars; while a value of the window is null or infinite; between
    strides; where a calculator yields null or an infinity. The library's conventions for what is
    empty stand (``change_quantiles`` is 0 where nothing moves within a corridor); where the model
    of ``ar_coefficient`` cannot be fitted, all of its coefficients are null.

    Source: the documentation of ``tsfresh.feature_extraction.feature_calculators``, which names
    the source of each calculator.
    """

    Params: ClassVar[type[Params]] = TsfreshParams
    libraries: ClassVar[tuple[str, ...]] = (
        "PyWavelets",
        "numpy",
        "pandas",
        "scipy",
        "statsmodels",
        "tsfresh",
    )

    def __init__(self, **params: Any) -> None:
        super().__init__(**params)
        owner = self.key or type(self).__name__
        typed = self._typed
        if typed.feature_set != "listed":
            if typed.calculators:
                raise ConfigurationError(
                    f"{owner}: parameter 'calculators' goes with feature_set 'listed', not with "
                    f"'{typed.feature_set}'"
                )
            self._chosen: Chosen = of_set(typed.feature_set, typed.window)
            return
        if not typed.calculators:
            raise ConfigurationError(
                f"{owner}: feature_set 'listed' needs the parameter 'calculators', such as "
                "{skewness: null, quantile: [{q: 0.1}]}"
            )
        try:
            self._chosen = of_list(typed.calculators, typed.window)
        except ConfigurationError as error:
            raise ConfigurationError(f"{owner}: {error}") from None

    @property
    def _typed(self) -> TsfreshParams:
        return cast(TsfreshParams, self.params)

    @property
    def reads(self) -> tuple[str, ...]:
        """The one column."""
        return (self._typed.column,)

    @cached_property
    def _outputs(self) -> tuple[str, ...]:
        prefix = f"tsfresh_{self._typed.column}_{self._typed.window}"
        return tuple(
            f"{prefix}__{column_name(calculator, each)}"
            for calculator, settings in self._chosen
            for each in settings
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """A column for each calculator and setting."""
        return self._outputs

    @property
    def memory(self) -> Memory:
        """The window, which holds the bar before the current one that the stride looks at."""
        return Memory.finite(self._typed.window)

    def compute(self, data: pd.DataFrame) -> pd.DataFrame:
        """Compute the features; see the class."""
        values = np.array(data[self._typed.column], dtype=np.float64)
        index = cast(pd.DatetimeIndex, data.index)
        lasts = np.flatnonzero(self._whole(values) & self._strides(index))
        result = np.full((len(data), len(self.outputs)), np.nan)
        if len(lasts):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")  # of fits that fail, which yield null
                self._fill(result, values, index, lasts)
            result[~np.isfinite(result)] = np.nan
        return pd.DataFrame(result, columns=list(self.outputs), index=data.index)

    def _whole(self, values: np.ndarray) -> np.ndarray:
        """Whether the window that ends at a row is there and has no null: shape (n_rows,)."""
        window = self._typed.window
        unknown = np.concatenate([[0], np.cumsum(~np.isfinite(values))])
        whole = np.zeros(len(values), dtype=bool)
        whole[window - 1 :] = unknown[window:] == unknown[: max(0, len(values) - window + 1)]
        return whole

    def _strides(self, index: pd.DatetimeIndex) -> np.ndarray:
        """Whether a row is the first of its period; the first of all is not known to be."""
        if self._typed.stride == "bar":
            return np.ones(len(index), dtype=bool)
        length = _PERIODS[self._typed.stride] // timedelta(microseconds=1) * 1000
        periods = (index.as_unit("ns").asi8 - _MONDAY) // length
        return np.diff(periods, prepend=periods[:1]) != 0

    def _fill(
        self, result: np.ndarray, values: np.ndarray, index: pd.DatetimeIndex, lasts: np.ndarray
    ) -> None:
        """Set the rows ``lasts`` of the result."""
        window = self._typed.window
        singly: list[tuple[slice, Calculate, bool]] = []
        start = 0
        for calculator, settings in self._chosen:
            columns = slice(start, start + len(settings))
            start += len(settings)
            if calculator not in equivalents.MANY:
                singly.append((columns, *_calculate(calculator, settings)))
                continue
            block = max(1, _BLOCK // window)
            views = np.lib.stride_tricks.sliding_window_view(values, window)
            for first in range(0, len(lasts), block):
                rows = lasts[first : first + block]
                found = equivalents.MANY[calculator](views[rows - window + 1])
                result[rows, columns] = found[:, None]
        timed = any(needed for _, _, needed in singly)
        for last in lasts if singly else ():
            rows = slice(last - window + 1, last + 1)
            plain = values[rows].copy()  # whose bits do not depend on where in memory it lies
            series = pd.Series(plain, index=index[rows]) if timed else None
            for columns, calculate, _ in singly:
                result[last, columns] = calculate(plain, series)


@features.register("statistical.tsfresh")
class StatisticalTsfresh(Tsfresh):
    """The same as ``automated.tsfresh``, under another key: parameters, columns and numbers."""


def _calculate(calculator: str, settings: Sequence[Setting]) -> tuple[Calculate, bool]:
    """A calculator of the library at its settings, and whether it wants the times."""
    if calculator in equivalents.ONE:
        own = equivalents.ONE[calculator]
        return lambda plain, series: own(plain, settings), False
    function = getattr(_library(), calculator)
    timed = getattr(function, "input", None) == "pd.Series"
    arguments = [
        {name: tuple(value) if isinstance(value, list) else value for name, value in each.items()}
        for each in settings
    ]
    if function.fctype == "simple":
        return (
            lambda plain, series: [function(series if timed else plain, **a) for a in arguments]
        ), timed

    def combined(plain: np.ndarray, series: pd.Series | None) -> list[Any]:
        found = [value for _, value in function(series if timed else plain, param=arguments)]
        if len(found) != len(arguments):
            raise DataError(
                f"automated.tsfresh: '{calculator}' yields {len(found)} values for "
                f"{len(arguments)} settings"
            )
        return found

    return combined, timed


def _library() -> Any:
    try:
        from tsfresh.feature_extraction import feature_calculators
    except ImportError as error:
        raise ConfigurationError(
            f"automated.tsfresh needs the library tsfresh for this feature set ({error}); "
            "install the extra 'tsfresh'"
        ) from error
    return feature_calculators
