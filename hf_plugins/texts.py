"""The text of a row, for scorers: which columns, in which order, with what between them."""

from __future__ import annotations

from typing import Final

import pandas as pd

BETWEEN: Final = ". "
"""What stands between two columns of a text."""


def joined(frame: pd.DataFrame) -> pd.Series:
    """One text for each row: its columns in order, blank ones left out; null where all are."""
    texts = frame.iloc[:, 0].str.strip()
    texts = texts.where(texts != "", None)
    for name in frame.columns[1:]:
        more = frame[name].str.strip()
        more = more.where(more != "", None)
        texts = (texts + BETWEEN + more).fillna(texts).fillna(more)
    return texts
