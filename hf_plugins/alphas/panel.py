"""What the formulas read: bars of many instruments, or of one.

A :class:`Panel` holds arrays of shape (n_bars, n_instruments) by the paper's names and derives from
them what the paper derives: ``returns`` and the average daily dollar volume ``adv{d}``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.alphas.operators import FloatArray, delay, divide, total
from hf_plugins.alphas.sections import GroupArray
from hf_plugins.errors import ConfigurationError, DataError, unknown

FIELDS: Final = ("open", "high", "low", "close", "volume", "vwap", "cap")
"""What a panel may hold, apart from ``dollar_volume``, which replaces vwap times volume."""
STAND_INS: Final = {"vwap": ("high", "low", "close"), "cap": ("close",)}
"""Columns that stand for a field where bars of one instrument do not have it."""
GROUPS: Final = ("sector", "industry", "subindustry")
"""Classifications of the instruments."""


@dataclass(frozen=True)
class Panel:
    """Bars of instruments, oldest first.

    Attributes:
        index: of the bars, shape (n_bars,), strictly increasing.
        instruments: names, shape (n_instruments,).
        fields: float64 arrays of shape (n_bars, n_instruments) by name, NaN where unknown.
        groups: integer codes of the same shape by classification, below 0 where unknown.
    """

    index: pd.Index
    instruments: pd.Index
    fields: Mapping[str, FloatArray]
    groups: Mapping[str, GroupArray] = field(default_factory=dict)

    @classmethod
    def of_instruments(
        cls,
        fields: Mapping[str, pd.DataFrame],
        groups: Mapping[str, pd.Series | pd.DataFrame] | None = None,
    ) -> Panel:
        """A cross-section.

        Args:
            fields: frames with one row per bar and one column per instrument, by name: those of
                :data:`FIELDS` that the wanted alphas read, and ``dollar_volume`` where the
                average daily volume is to be taken of it.
            groups: labels by classification: a series by instrument, or, where they change with
                time, a frame as in ``fields`` with the label that was known at each bar.

        Raises:
            DataError: unknown names, frames that disagree, bars out of order.
        """
        if not fields:
            raise DataError("a panel needs at least one field")
        first_name, first = next(iter(fields.items()))
        index, instruments = first.index, first.columns
        if not (index.is_monotonic_increasing and index.is_unique and instruments.is_unique):
            raise DataError(
                f"the bars of '{first_name}' must be in strictly increasing order and its "
                "instruments unique"
            )
        arrays = {}
        for name, frame in fields.items():
            if name not in (*FIELDS, "dollar_volume"):
                raise DataError(unknown("field", name, (*FIELDS, "dollar_volume")))
            if not (frame.index.equals(index) and frame.columns.equals(instruments)):
                raise DataError(
                    f"the fields '{first_name}' and '{name}' have other bars or instruments"
                )
            arrays[name] = _finite_array(frame)
        codes = {
            name: _codes(name, labels, index, instruments)
            for name, labels in (groups or {}).items()
        }
        return cls(index, instruments, arrays, codes)

    @classmethod
    def of_one_instrument(cls, bars: pd.DataFrame, fields: Iterable[str] = FIELDS) -> Panel:
        """One instrument, for use with :class:`~hf_plugins.alphas.sections.AcrossTime`.

        Args:
            bars: columns open, high, low, close, volume, those of them that the fields need. A
                column ``vwap`` is used where there is one; bars of a broker have none, and the
                typical price (high + low + close) / 3 stands for it. A column ``cap`` likewise;
                without it the number of shares counts as constant, so that the close stands for
                the capitalisation.
            fields: those that are wanted.

        Raises:
            DataError: a column is missing, or the bars are out of order.
        """
        sources = {
            name: (name,) if name in bars.columns else STAND_INS.get(name, (name,))
            for name in fields
        }
        needed = dict.fromkeys(column for columns in sources.values() for column in columns)
        missing = [name for name in needed if name not in bars.columns]
        if missing:
            raise DataError(f"the bars lack the column {' and '.join(missing)}")
        frames = {
            name: pd.DataFrame({"bars": sum(bars[column] for column in columns) / len(columns)})
            for name, columns in sources.items()
        }
        return cls.of_instruments(frames)

    def value(self, name: str) -> FloatArray:
        """A field, or what is derived from fields: ``returns``, ``adv{d}``.

        Returns:
            Shape (n_bars, n_instruments).

        Raises:
            DataError: the panel lacks the field.
        """
        if name == "returns":
            close = self.value("close")
            return divide(close, delay(close, 1)) - 1.0
        if name.startswith("adv"):
            return total(self._dollar_volume(), int(name[3:])) / int(name[3:])
        try:
            return self.fields[name]
        except KeyError:
            raise DataError(f"the panel lacks the field '{name}'") from None

    def group(self, name: str) -> GroupArray:
        """Codes of a classification, shape (n_bars, n_instruments).

        Raises:
            DataError: the panel lacks it.
        """
        try:
            return self.groups[name]
        except KeyError:
            raise DataError(f"the panel lacks the classification '{name}'") from None

    def _dollar_volume(self) -> FloatArray:
        if "dollar_volume" in self.fields:
            return self.fields["dollar_volume"]
        return self.value("vwap") * self.value("volume")


def _finite_array(frame: pd.DataFrame) -> FloatArray:
    array = np.array(frame, dtype=np.float64, order="C")
    array[~np.isfinite(array)] = np.nan
    return array


def _codes(
    name: str, labels: pd.Series | pd.DataFrame, index: pd.Index, instruments: pd.Index
) -> GroupArray:
    if name not in GROUPS:
        raise ConfigurationError(unknown("classification", name, GROUPS))
    if isinstance(labels, pd.Series):
        if not labels.index.equals(instruments):
            raise DataError(f"the classification '{name}' is not indexed by the instruments")
        codes = np.asarray(pd.factorize(labels)[0], dtype=np.int64)
        return np.ascontiguousarray(np.broadcast_to(codes, (len(index), len(instruments))))
    if not (labels.index.equals(index) and labels.columns.equals(instruments)):
        raise DataError(f"the classification '{name}' has other bars or instruments")
    codes = np.asarray(pd.factorize(labels.to_numpy(object).ravel())[0], dtype=np.int64)
    return codes.reshape(labels.shape)
