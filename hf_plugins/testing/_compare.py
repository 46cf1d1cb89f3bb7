"""Comparison of frames, told in rows, timestamps and values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from hf_plugins.testing._report import Violation, raised


def call(what: str, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """Call a plugin; an exception becomes a violation that says what was being done."""
    try:
        return function(*arguments, **options)
    except Exception as error:
        raise Violation(raised(what, error)) from error


def shown(value: object) -> str:
    """A number as a report writes it: all digits, null for NaN."""
    if isinstance(value, float | np.floating):
        return "null" if np.isnan(value) else repr(float(value))
    return repr(value)


def place(index: pd.Index, row: int) -> str:
    """A row by its number and its timestamp."""
    return f"row {row} ({index[row]})"


def difference(
    first: pd.DataFrame, second: pd.DataFrame, *, tolerance: float = 0.0, start: int = 0
) -> str | None:
    """The first place where two frames with equal indexes differ, or None.

    Null equals null and 0.0 equals -0.0, as in the digest of a column. ``tolerance`` is relative
    to the largest value of the column. ``start`` is the number of the first row, for the message.
    """
    if list(first.columns) != list(second.columns):
        return f"the columns are {list(first.columns)} and {list(second.columns)}"
    if len(first) != len(second):
        return f"there are {len(first)} rows and {len(second)} rows"
    found: tuple[int, str] | None = None
    for number, column in enumerate(first.columns):
        one, two = first.iloc[:, number], second.iloc[:, number]
        row = _first_difference(one, two, tolerance)
        if row is not None and (found is None or row < found[0]):
            at = f"row {start + row} ({first.index[row]})"
            found = row, f"{column} at {at} is {shown(one.iloc[row])} and {shown(two.iloc[row])}"
    return found[1] if found else None


def same_past(known: pd.DataFrame, seen: pd.DataFrame, cut: int, how: str) -> None:
    """Raise unless ``seen``, whose future was changed from row ``cut`` on, is as it was known."""
    if found := difference(known.iloc[:cut], seen):
        raise Violation(
            f"looks into the future: {found} (before and after what follows row {cut - 1} {how})"
        )


def _first_difference(first: pd.Series, second: pd.Series, tolerance: float) -> int | None:
    if not all(pd.api.types.is_numeric_dtype(column.dtype) for column in (first, second)):
        same = np.array(
            [a == b or (pd.isna(a) and pd.isna(b)) for a, b in zip(first, second, strict=True)],
            dtype=bool,
        )
    else:
        one, two = first.to_numpy(np.float64), second.to_numpy(np.float64)
        same = (one == two) | (np.isnan(one) & np.isnan(two))
        finite = np.abs(one[np.isfinite(one)])
        if tolerance and finite.size:
            with np.errstate(invalid="ignore"):
                same |= np.abs(one - two) <= tolerance * finite.max()
    wrong = np.flatnonzero(~same)
    return int(wrong[0]) if wrong.size else None


def check_unchanged(name: str, before: pd.DataFrame, after: pd.DataFrame) -> None:
    """Raise if a plugin changed a frame that was passed to it."""
    if list(before.columns) != list(after.columns):
        raise Violation(
            f"{name} was changed in place: its columns were {list(before.columns)} and are "
            f"{list(after.columns)}"
        )
    if not before.index.identical(after.index):
        raise Violation(f"{name} was changed in place: its index is not what it was")
    if list(before.dtypes) != list(after.dtypes):
        raise Violation(f"{name} was changed in place: its types are not what they were")
    if found := difference(before, after):
        raise Violation(f"{name} was changed in place: {found} (before and after)")


def check_aligned(result: object, index: pd.Index, sample: str) -> pd.DataFrame:
    """Raise unless ``result`` is a frame with that index; return it."""
    if not isinstance(result, pd.DataFrame):
        raise Violation(f"the result on {sample} is a {type(result).__name__}, not a DataFrame")
    if not result.index.equals(index) or result.index.names != index.names:
        raise Violation(
            f"the index on {sample} is not that of the input: {describe_index(result.index)} "
            f"against {describe_index(index)}"
        )
    return result


def check_float64(result: pd.DataFrame, sample: str) -> None:
    """Raise unless every column is float64."""
    for column, dtype in result.dtypes.items():
        if dtype != np.float64:
            raise Violation(f"column '{column}' on {sample} has type {dtype}, not float64")


def check_no_infinity(result: pd.DataFrame, sample: str) -> None:
    """Raise if a value is infinite."""
    for column in result.columns:
        rows = np.flatnonzero(np.isinf(result[column].to_numpy(np.float64)))
        if rows.size:
            at = place(result.index, int(rows[0]))
            raise Violation(
                f"column '{column}' on {sample} is infinite at {at}; what is undefined is null"
            )


def describe_index(index: pd.Index) -> str:
    """An index in a few words."""
    span = f" from {index[0]} to {index[-1]}" if len(index) else ""
    return f"{len(index)} rows named {index.name!r}{span}"
