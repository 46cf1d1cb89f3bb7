"""Scores of texts, kept by what was scored and by what scored it.

A text is scored once, in whichever table, symbol or order it comes. How a text is scored belongs in
``hf_plugins.scorers``; which texts a table has, to those who ask.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import pandas as pd
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from hf_plugins.base import SENTIMENT, BaseScorer
from hf_plugins.errors import DataError
from hf_plugins.versioning import sha256_hex
from hf_resources.catalog import Catalog
from hf_resources.catalog.schema import TextScore, now

T = TypeVar("T")

LOOKED_UP: Final = 500
"""Texts of one query; far below every database's limit of parameters."""
SCORED: Final = 64
"""Texts between two commits: what a run that is killed has to score again at most."""

_table = TextScore.__table__
_FIND: Final = select(_table.c.text, *(_table.c[name] for name in SENTIMENT)).where(
    _table.c.scorer == bindparam("scorer"),
    _table.c.text.in_(bindparam("texts", expanding=True)),
)


class TextScores:
    """The scores of one scorer, in the catalog.

    Args:
        catalog: where they are kept.
        scorer: digest of all that decides the numbers.
    """

    def __init__(self, catalog: Catalog, scorer: str) -> None:
        self.catalog = catalog
        self.scorer = scorer

    def of(
        self,
        texts: Sequence[str],
        load: Callable[[], BaseScorer],
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[pd.DataFrame, int]:
        """Scores of texts; those that are not known are scored and kept, batch by batch.

        Args:
            texts: none of them blank; repeats are scored once.
            load: makes the scorer; not called where all is known.
            progress: told how many of the unknown texts are done, after each batch.

        Returns:
            shape (n_texts, 5), columns :data:`~hf_plugins.base.SENTIMENT`, in the order of the
            texts; and how many were scored now.

        Raises:
            DataError: the scorer returned something else.
        """
        digests = [sha256_hex(text) for text in texts]
        by_digest = dict(zip(digests, texts, strict=True))
        known = self._find(list(by_digest))
        missing = [digest for digest in by_digest if digest not in known]
        scorer = load() if missing else None
        done = 0
        for batch in _batches(missing, SCORED):
            assert scorer is not None  # noqa: S101  (for the type checker)
            scores = _scored(scorer, [by_digest[digest] for digest in batch])
            known |= self._keep(batch, scores)
            done += len(batch)
            progress(done, len(missing))
        values = np.array([known[digest] for digest in digests], dtype=np.float64)
        frame = pd.DataFrame(values.reshape(len(digests), len(SENTIMENT)), columns=list(SENTIMENT))
        return frame, len(missing)

    def _find(self, digests: Sequence[str]) -> dict[str, tuple[float, ...]]:
        found: dict[str, tuple[float, ...]] = {}
        with self.catalog.read() as connection:
            for batch in _batches(digests, LOOKED_UP):
                rows = connection.execute(_FIND, {"scorer": self.scorer, "texts": batch})
                found |= {row[0]: tuple(row[1:]) for row in rows}
        return found

    def _keep(self, digests: Sequence[str], scores: np.ndarray) -> dict[str, tuple[float, ...]]:
        """Insert what nobody else has inserted by now; what stands then is what counts."""
        moment = now()
        rows: list[Mapping[str, Any]] = [
            {
                "scorer": self.scorer,
                "text": digest,
                **dict(zip(SENTIMENT, map(float, score), strict=True)),
                "scored_at": moment,
            }
            for digest, score in zip(digests, scores, strict=True)
        ]
        dialect = sqlite if self.catalog.engine.dialect.name == "sqlite" else postgresql
        with self.catalog.write() as connection:
            connection.execute(dialect.insert(_table).on_conflict_do_nothing(), rows)  # pyright: ignore[reportArgumentType]
        return self._find(digests)


def _scored(scorer: BaseScorer, texts: list[str]) -> np.ndarray:
    """What the scorer says, held to its contract: shape (n_texts, 5), finite."""
    frame = scorer.score(texts)
    if len(frame) != len(texts) or tuple(frame.columns) != SENTIMENT:
        raise DataError(
            f"{scorer!r} returned {len(frame)} rows of {list(frame.columns)} for {len(texts)} "
            f"texts; it must return a row for each, with {list(SENTIMENT)}"
        )
    values = frame.to_numpy(dtype=np.float64)
    odd = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(odd):
        raise DataError(f"{scorer!r} has no score for the text {texts[odd[0]][:80]!r}")
    return values


def _batches(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
