"""A scorer that counts words with a tone."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Final, cast

import pandas as pd
from pydantic import Field

from hf_plugins.base import BaseScorer, Material, Params
from hf_plugins.errors import DataError, listing, nearest
from hf_plugins.registry import scorers
from hf_plugins.scorers import finance_words as words
from hf_plugins.scorers.shares import sentiment_of

NEGATION_REACH: Final = 3
"""Words after a negation that it turns round, as in Loughran and McDonald (2011)."""
INTENSE: Final = 1.5
MILD: Final = 0.5

# A full stop, comma or dash ends a clause where a space follows: 1,116.10 and U.S. hold together.
_CLAUSE: Final = re.compile(r"[.,;:!?]+(?=\s|$)|\s[-\u2013\u2014]+\s|[()\"“”«»\[\]]|\n")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['-][^\W\d_]+)*")
_PLAIN: Final = str.maketrans(
    {"\u2019": "'", "\u02bc": "'", "\u2018": "'", "\u2010": "-", "\u2011": "-"}
)


class LexiconParams(Params):
    """Parameters of the lexicon."""

    words: Annotated[
        str,
        Field(
            description="CSV file with the columns Word, Positive and Negative, such as the master "
            "dictionary of Loughran and McDonald; empty for the list that ships."
        ),
    ] = ""
    neutral_weight: Annotated[
        float,
        Field(
            gt=0,
            le=100,
            description="Words' worth of neutral evidence that every text starts with.",
        ),
    ] = 0.5


@scorers.register("text.lexicon")
class Lexicon(BaseScorer):
    r"""Shares of the words with a positive and with a negative tone.

    .. math::
        \text{positive} = \frac{P}{P + N + k}, \quad
        \text{negative} = \frac{N}{P + N + k}, \quad
        \text{neutral} = \frac{k}{P + N + k}

    P and N are the weights of the positive and negative words of the text, and k is
    ``neutral_weight``. A word weighs 1; 1.5 if an intensifier (*sharply*) stands right before or
    after it, 0.5 if a diminisher (*slightly*) does; where both do, the one before counts. It
    counts for the other side if a negation is among the three words before it. Neither reaches
    beyond a clause (punctuation, brackets, dashes). Words are compared in lower case, without a
    possessive *'s*; a hyphenated word that is not in the list itself is taken apart.

    A text without a word of the list is neutral, 1.0: nothing was said that the list knows. k does
    not grow with the text: the scorer is made for headlines and summaries.

    With ``words``, positive and negative words come from that file: those with a number above 0 in
    the column (the master dictionary writes the year in which a word was added, and a negative year
    where it was removed); negations, intensifiers and diminishers are those of the project.

    Sources: the negation rule is that of Loughran and McDonald (2011), "When Is a Liability Not a
    Liability?", Journal of Finance 66, applied here to both sides; k is additive smoothing.
    """

    Params: ClassVar[type[Params]] = LexiconParams

    def __init__(self, **params: object) -> None:
        super().__init__(**params)
        self._tones: Mapping[str, int] | None = None
        if not self._typed.words:
            self._tones = _tones(words.POSITIVE, words.NEGATIVE)

    @property
    def _typed(self) -> LexiconParams:
        return cast(LexiconParams, self.params)

    @property
    def material(self) -> Material | None:
        """The file of words, if it is the user's."""
        return Material(self._typed.words) if self._typed.words else None

    def load(self, path: Path) -> None:
        """Read the words of a CSV file.

        Raises:
            DataError: a column is missing or no number, a word is on both sides, or a side is
                empty.
        """
        self._tones = read_words(path)

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        """Count; see the class.

        Raises:
            RuntimeError: the words of a file are not loaded.
        """
        if self._tones is None:
            raise RuntimeError(f"the words of {self._typed.words} are not loaded")
        neutral = self._typed.neutral_weight
        shares = []
        for text in texts:
            positive, negative = weights(text, self._tones)
            # Multiples of a half: their sum is exact, whatever its order.
            total = positive + negative + neutral
            shares.append((positive / total, negative / total, neutral / total))
        return sentiment_of(shares)


def weights(text: str, tones: Mapping[str, int]) -> tuple[float, float]:
    """Weights of the positive and of the negative words of a text.

    Args:
        text: any.
        tones: 1 for a positive word and -1 for a negative one.
    """
    found = {1: 0.0, -1: 0.0}
    for clause in _clauses(text, tones):
        for place, word in enumerate(clause):
            tone = tones.get(word, 0)
            if not tone:
                continue
            before = clause[max(0, place - NEGATION_REACH) : place]
            if any(each in words.NEGATIONS for each in before):
                tone = -tone
            around = (*clause[max(0, place - 1) : place], *clause[place + 1 : place + 2])
            found[tone] += next((_degree(each) for each in around if _degree(each) != 1.0), 1.0)
    return found[1], found[-1]


def read_words(path: Path) -> dict[str, int]:
    """Words of a CSV file with the columns Word, Positive and Negative: 1 or -1 for each.

    Raises:
        DataError: see :meth:`Lexicon.load`.
    """
    sides: dict[str, set[str]] = {"Positive": set(), "Negative": set()}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            header = list(rows.fieldnames or ())
            for column in ("Word", *sides):
                if column not in header:
                    raise DataError(
                        f"the word list {path.name} has no column '{column}'; it has "
                        f"{listing(header)}.{nearest(column, header)}"
                    )
            for row in rows:
                word = (row["Word"] or "").strip().lower()
                for column, side in sides.items():
                    if _is_member(row[column], f"{path.name}, line {rows.line_num}, {column}"):
                        side.add(word)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"the word list {path.name} cannot be read as CSV: {error}") from None
    for column, side in sides.items():
        if not side:
            raise DataError(f"the word list {path.name} has no word that is {column.lower()}")
    return _tones(sides["Positive"], sides["Negative"], path.name)


def _is_member(value: str | None, where: str) -> bool:
    try:
        return float((value or "").strip() or 0.0) > 0.0
    except ValueError:
        raise DataError(f"{where}: '{value}' is no number") from None


def _tones(
    positive: set[str] | frozenset[str], negative: set[str] | frozenset[str], name: str = ""
) -> dict[str, int]:
    if both := positive & negative:
        raise DataError(f"the word list {name} has '{min(both)}' on both sides")
    return dict.fromkeys(positive, 1) | dict.fromkeys(negative, -1)


def _clauses(text: str, tones: Mapping[str, int]) -> Iterator[list[str]]:
    plain = unicodedata.normalize("NFKC", text).translate(_PLAIN).lower()
    for clause in _CLAUSE.split(plain):
        found: list[str] = []
        for match in _WORD.findall(clause):
            word = match.removesuffix("'s")
            found += [word] if word in tones else word.split("-")
        if found:
            yield found


def _degree(word: str) -> float:
    if word in words.INTENSIFIERS:
        return INTENSE
    return MILD if word in words.DIMINISHERS else 1.0
