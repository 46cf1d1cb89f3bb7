"""The contract of scorers finds what breaks it."""

from __future__ import annotations

import pandas as pd
import pytest

from hf_plugins.base import BaseScorer, Material
from hf_plugins.scorers.shares import sentiment_of
from hf_plugins.testing import contract_checks


class Fine(BaseScorer):
    """By the share of letters e and a."""

    def shares(self, text):
        e, a = text.count("e"), text.count("a")
        return e / (e + a + 1), a / (e + a + 1), 1 / (e + a + 1)

    def score(self, texts):
        return sentiment_of([self.shares(text) for text in texts])


class RankedAmongTheOthers(Fine):
    def score(self, texts):
        shares = pd.Series([float(len(text)) for text in texts]).rank(pct=True)
        return sentiment_of([(each, 0.0, 1.0 - each) for each in shares])


class Remembers(Fine):
    seen = 0

    def shares(self, text):
        self.seen += 1
        return 1 / self.seen, 0.0, 1 - 1 / self.seen


class NotAddingUp(Fine):
    def shares(self, text):
        return 0.5, 0.5, 0.5


class Swapped(Fine):
    def score(self, texts):
        found = super().score(texts)
        return found.assign(sentiment=-found["sentiment"])


class OtherOrder(Fine):
    def score(self, texts):
        return super().score(texts).iloc[:, ::-1]


class SkipsRepeated(Fine):
    def score(self, texts):
        return super().score(list(dict.fromkeys(texts)))


class NeutralWhereItFails(Fine):
    @property
    def material(self):
        return Material("no/such/folder")

    def load(self, path):
        raise FileNotFoundError(path)


class NullForForeign(Fine):
    def score(self, texts):
        found = super().score(texts)
        found.loc[[not text.isascii() for text in texts]] = float("nan")
        return found


class Sorts(Fine):
    def score(self, texts):
        if isinstance(texts, list):
            texts.sort()
        return super().score(texts)


class Fails(Fine):
    def shares(self, text):
        if len(text) > 5000:
            raise ValueError("too long")
        return super().shares(text)


@pytest.mark.parametrize(
    ("plugin", "check", "told"),
    [
        (RankedAmongTheOthers, "independence", "a row depends on other texts"),
        (Remembers, "determinism", "a second run on the same texts differs"),
        (NotAddingUp, "shares", "they must add up to 1"),
        (Swapped, "shares", "by its shares they are"),
        (OtherOrder, "schema", "the columns on a list are"),
        (SkipsRepeated, "schema", "14 texts yield 13 rows"),
        (NeutralWhereItFails, "material", "although its material is not loaded"),
        (NullForForeign, "shares", "they must add up to 1"),
        (Sorts, "input_untouched", "changed in place"),
        (Fails, "any_length", "too long"),
    ],
)
def test_a_fault_is_found(plugin, check, told):
    found = {each.name: each for each in contract_checks(plugin)}
    assert not found[check].passed
    assert told in found[check].detail


def test_a_scorer_without_a_fault_passes():
    assert [each.name for each in contract_checks(Fine) if not each.passed] == []
