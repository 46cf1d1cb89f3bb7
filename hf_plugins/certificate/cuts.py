"""At which rows a history is cut: sampled, but never without the places where leaks are.

A leak may show only at the end of a day, beside a late article or where there was no volume; a
uniform sample of a long history would miss it. The rows are drawn from strata in turn. What is done
at a cut is in ``certify``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.certificate.inputs import Inputs, nanoseconds

_DAY: Final = 86_400_000_000_000
_OUTPUTS: Final = 8
"""Output columns whose own extremes are looked at; more are sampled."""


def sampled_rows(strata: Mapping[str, np.ndarray], rng: np.random.Generator) -> Iterator[int]:
    """Rows of the strata in turn, each once, until all strata are empty."""
    waiting = [list(rng.permutation(np.unique(rows))) for rows in strata.values() if len(rows)]
    seen: set[int] = set()
    while waiting:
        for rows in waiting:
            while rows and int(rows[-1]) in seen:
                rows.pop()
            if rows:
                seen.add(row := int(rows.pop()))
                yield row
        waiting = [rows for rows in waiting if rows]


def strata(
    inputs: Inputs,
    published: pd.DataFrame,
    place: np.ndarray,
    lookback: int | None,
    first: int,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Rows worth a cut, by the reason why; numbers of published rows, none before ``first``.

    Args:
        inputs: what the feature was computed from.
        published: its values.
        place: number of the own bar of each published row, shape (n_rows,).
        lookback: of the feature, in published rows; None for all.
        first: number of the first row that is to be certified.
        rng: for what is sampled.
    """
    n = len(published)
    found = {
        "last": np.array([n - 1]),
        "first": np.arange(4) + first,
        "anywhere": rng.integers(first, n, 400),
        **_beside(inputs, place, rng),
        "look-back": np.array([-2, -1, 0, 1]) + (lookback or 0),
        **_calendar_ends(published.index, rng),
        "extremes of the input": _extremes(_own_of(inputs, place), rng),
        "extremes of the output": _jumps(published, rng),
        "start": np.array([10, 30, 60, 120, 250]) + first,
        "end": n - np.array([2, 3, 6, 11]),
    }
    return {name: rows[(rows >= first) & (rows < n)] for name, rows in found.items()}


def _calendar_ends(index: pd.Index, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Last and first rows of days, weeks and months, and those before and after a gap."""
    if len(index) < 3:
        return {}
    stamps = nanoseconds(index)
    steps = np.diff(stamps)
    days = stamps // _DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    ends = {
        "gaps": np.flatnonzero(steps > np.median(steps)),
        "ends of days": np.flatnonzero(np.diff(days)),
        "ends of weeks": np.flatnonzero(np.diff((days + 3) // 7)),  # from Monday on
        "ends of months": np.flatnonzero(np.diff(months)),
    }
    found = {}
    for name, rows in ends.items():
        chosen = _some(rows, rng, 25)
        found[name] = np.concatenate([chosen, chosen + 1])
    return found


def _own_of(inputs: Inputs, place: np.ndarray) -> pd.DataFrame:
    return inputs.own if len(place) == len(inputs.own) else inputs.own.iloc[place]


def _extremes(bars: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Rows with the least and the most of a column, with zeros and with nulls."""
    found = []
    for _, column in bars.items():
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        found += [_some(np.flatnonzero(np.isnan(values)), rng, 10)]
        found += [_some(np.flatnonzero(values == 0.0), rng, 10)]
        if not np.isnan(values).all():
            found.append(np.array([np.nanargmin(values), np.nanargmax(values)]))
    rows = np.concatenate(found) if found else np.array([], dtype=np.int64)
    return np.concatenate([rows, rows - 1])


def _jumps(values: pd.DataFrame, rng: np.random.Generator) -> np.ndarray:
    """Rows where an output is rare, jumps the most, or begins to be there or not."""
    names = list(values.columns)
    if len(names) > _OUTPUTS:
        names = [names[at] for at in sorted(rng.choice(len(names), _OUTPUTS, replace=False))]
    found = []
    for name in names:
        column = values[name].to_numpy(dtype=np.float64)
        missing = np.isnan(column)
        found.append(_some(np.flatnonzero(np.diff(missing.astype(np.int8))), rng, 4))
        steps = np.abs(np.diff(column))
        steps[np.isnan(steps)] = -1.0
        most = min(6, len(steps))
        found.append(np.argpartition(steps, -most)[-most:] + 1 if most else np.arange(0))
        if not missing.all():
            found.append(np.array([np.nanargmin(column), np.nanargmax(column)]))
    return np.concatenate(found) if found else np.array([], dtype=np.int64)


def _beside(inputs: Inputs, place: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The last rows before a side row was known, and the first ones that could know it."""
    found: dict[str, list[np.ndarray]] = {"before side rows": [], "at side rows": []}
    for side in inputs.sides:
        known = np.sort(inputs.known_from(side))
        limits = inputs.limits(side)[place]
        after = np.searchsorted(limits, known)
        # Those that share a bar with another one, or are known at the very close, are rare.
        rare = np.flatnonzero(np.r_[False, np.diff(after) == 0])
        exact = np.flatnonzero(known == limits[np.minimum(after, len(limits) - 1)])
        for rows in (np.arange(len(known)), rare, exact):
            found["before side rows"].append(after[_some(rows, rng, 20)] - 1)
            found["at side rows"].append(after[_some(rows, rng, 20)])
    return {name: np.concatenate(rows) for name, rows in found.items() if rows}


def _some(rows: np.ndarray, rng: np.random.Generator, count: int) -> np.ndarray:
    """All of them, or so many."""
    return rows if len(rows) <= count else rng.choice(rows, count, replace=False)
