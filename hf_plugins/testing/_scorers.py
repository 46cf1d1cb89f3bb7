"""The contract of scorers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from hf_plugins.base import SENTIMENT, BaseScorer, Material
from hf_plugins.scorers.shares import SHARES, sentiment_of
from hf_plugins.testing import _plugin
from hf_plugins.testing._compare import call, check_float64, difference, shown
from hf_plugins.testing._plugin import Case
from hf_plugins.testing._report import Check, Violation, run_checks

TEXTS: Final = (
    "Profits surged and the company raised its outlook.",
    "Shares plunged after the company warned of heavy losses.",
    "The annual meeting takes place in May.",
    "Profits surged and the company raised its outlook.",
    "No growth; demand did not improve, but losses narrowed slightly.",
    "q",
    "1,116.10",
    "...!?",
    "  blanks \t around\nand lines within  ",
    "Gewinnwarnung: Umsätze brechen ein \u2013 Aktie fällt um 12 %",
    "利益は大幅に増加した",
    "\uff27\uff32\uff2f\uff37 full width, zero\u200bwidth, e\u0301 and \U0001f680\U0001f4c9",
    "<b>strong</b> & weak [UNK] [SEP] [CLS] \x00 \ufffd",
    "A record quarter. " + "Sales rose again, " * 40,
)
"""What scorers are tried on: tones, none, other scripts, marks that a tokenizer might mistake."""

_LONG: Final = 20_000
_ROUNDING: Final = 1e-12


class ScorerCase(Case[BaseScorer]):
    """A scorer with what it needs."""

    def ready(self, scorer: BaseScorer | None = None) -> BaseScorer:
        """An instance whose material is loaded."""
        scorer = scorer or self.new()
        material = scorer.material
        if material is not None:
            path = Path(material.location).expanduser()
            call(f"loading {material.location}", scorer.load, path)
        return scorer

    def score(
        self, texts: Sequence[str], what: str, scorer: BaseScorer | None = None
    ) -> pd.DataFrame:
        """Score, with a fresh instance unless one is given; check the form of the result."""
        result = call(f"score of {what}", (scorer or self.ready()).score, texts)
        if not isinstance(result, pd.DataFrame):
            raise Violation(f"the result on {what} is a {type(result).__name__}, not a DataFrame")
        if list(result.columns) != list(SENTIMENT):
            raise Violation(
                f"the columns on {what} are {list(result.columns)}, not {list(SENTIMENT)}"
            )
        if len(result) != len(texts):
            raise Violation(f"{len(texts)} texts yield {len(result)} rows on {what}")
        check_float64(result, what)
        return result.reset_index(drop=True)


def unverified(scorer: BaseScorer) -> str:
    """What of a scorer cannot be tried without a download; empty where nothing is."""
    material = scorer.material
    if material is None or not material.revision:
        return ""
    return (
        f"what it scores, which takes {material.location} of the hub; verify it with a local "
        "folder of that model"
    )


def scorer_checks(case: ScorerCase) -> list[Check]:
    """All checks of a scorer; only those of its declarations where its material is on the hub."""
    checks = [declarations, parameters]
    if not unverified(case.new()):
        checks += [
            material,
            same_after_round_trip,
            schema,
            shares,
            determinism,
            input_untouched,
            independence,
            any_length,
        ]
    return run_checks(case, checks)


def declarations(case: ScorerCase) -> None:
    """Material and libraries are well formed and depend on the parameters alone."""
    first, second = case.new().material, case.new().material
    if first is not None and not (isinstance(first, Material) and first.location):
        raise Violation(f"the material is {first!r}, not a Material with a location, or None")
    if first != second:
        raise Violation(f"the material differs between equal instances: {first}, {second}")
    _plugin.check_libraries(case.plugin)


def parameters(case: ScorerCase) -> None:
    """Parameters survive the way through JSON with an equal code version, unknown fail."""
    original, rebuilt = _plugin.round_trip(case)
    if original.material != rebuilt.material:
        raise Violation(f"the material changes: {original.material} became {rebuilt.material}")
    _plugin.check_unknown_parameter(case)


def material(case: ScorerCase) -> None:
    """What the scorer needs can be loaded, and without it nothing is scored."""
    scorer = case.new()
    if scorer.material is None:
        return
    try:
        scorer.score(list(TEXTS[:1]))
    except RuntimeError:
        case.ready(scorer)
        case.score(TEXTS[:1], "one text", scorer)
        return
    raise Violation("scores a text although its material is not loaded")


def same_after_round_trip(case: ScorerCase) -> None:
    """Rebuilt from its own parameters, the scorer says the same."""
    original, rebuilt = (case.ready(each) for each in _plugin.round_trip(case))
    one, two = (case.score(TEXTS, "the sample texts", each) for each in (original, rebuilt))
    if found := difference(one, two):
        raise Violation(f"rebuilt from its own parameters, the scorer says otherwise: {found}")


def schema(case: ScorerCase) -> None:
    """The columns are those of a score, float64, a row for each text, also for none."""
    scorer = case.ready()
    case.score(list(TEXTS), "a list", scorer)
    case.score(TEXTS, "a tuple", scorer)
    case.score([], "an empty list", scorer)
    for text in TEXTS:
        case.score([text], repr(text[:40]), scorer)


def shares(case: ScorerCase) -> None:
    """Shares are between 0 and 1, add up to 1, and tell sentiment and uncertainty; none is null."""
    result = case.score(TEXTS, "the sample texts")
    given = result.loc[:, list(SHARES)].to_numpy()
    total = given.sum(axis=1)
    wrong = ~((given >= 0.0).all(axis=1) & (np.abs(total - 1.0) <= _ROUNDING))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        told = ", ".join(map(shown, given[row]))
        raise Violation(f"the shares of {TEXTS[row]!r} are {told}; they must add up to 1")
    expected = sentiment_of(given.tolist())
    distance = np.abs(result.to_numpy() - expected.to_numpy())
    off = np.flatnonzero(~(distance <= _ROUNDING).all(axis=1))
    if off.size:
        row = int(off[0])
        raise Violation(
            f"sentiment and uncertainty of {TEXTS[row]!r} are "
            f"{shown(result['sentiment'].iloc[row])} and {shown(result['uncertainty'].iloc[row])}; "
            f"by its shares they are {shown(expected['sentiment'].iloc[row])} and "
            f"{shown(expected['uncertainty'].iloc[row])}"
        )


def determinism(case: ScorerCase) -> None:
    """The same texts give the same bits, from a fresh instance and from a used one."""
    scorer = case.ready()
    first = case.score(TEXTS, "the sample texts", scorer)
    case.score(TEXTS[::-2], "other texts", scorer)
    if found := difference(first, case.score(TEXTS, "the sample texts", scorer)):
        raise Violation(f"a second run on the same texts differs: {found}")
    if found := difference(first, case.score(TEXTS, "the sample texts")):
        raise Violation(f"another instance says otherwise: {found}")


def input_untouched(case: ScorerCase) -> None:
    """The list of texts is not changed in place."""
    texts = list(TEXTS)
    case.score(texts, "the sample texts")
    if texts != list(TEXTS):
        raise Violation("the list of texts is changed in place")


def independence(case: ScorerCase) -> None:
    """A row depends on its own text alone: not on the others, their order or their number."""
    scorer = case.ready()
    known = case.score(TEXTS, "the sample texts", scorer)
    for start in range(0, len(TEXTS), 3):
        part = case.score(TEXTS[start : start + 3], "some of them", scorer)
        _same(known.iloc[start : start + 3], part, "in threes")
    alone = [case.score([text], "one text", scorer) for text in TEXTS]
    _same(known, pd.concat(alone), "one by one")
    order = np.random.default_rng(5).permutation(len(TEXTS))
    mixed = case.score([TEXTS[each] for each in order], "the texts in another order", scorer)
    _same(known.iloc[order], mixed, "in another order")
    _same(
        known, case.score([*TEXTS, *TEXTS], "each text twice", scorer).iloc[: len(TEXTS)], "twice"
    )


def _same(first: pd.DataFrame, second: pd.DataFrame, how: str) -> None:
    if found := difference(first.reset_index(drop=True), second.reset_index(drop=True)):
        raise Violation(f"a row depends on other texts: {found} (together, and {how})")


def any_length(case: ScorerCase) -> None:
    """A text of any length is scored."""
    texts = ["growth " * _LONG, "x" * _LONG, "weak " * _LONG + "strong " * _LONG]
    result = case.score(texts, "long texts")
    if result.isna().to_numpy().any():
        raise Violation("a long text has no score")
