"""Accuracy of the scorers on labelled financial texts.

Needs the third-party sets that the tests use, too (``HF_SHARED_DATA``, or the folder given); says
so and ends where they are absent. ``--model`` adds FinBERT from a local folder and ``--words`` the
lexicon with a user's word list. With ``--docs`` it writes the page of the docs, all of whose
numbers come from here. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from hf_plugins.base import BaseScorer
from hf_plugins.feature_quality import pages
from hf_plugins.registry import scorers
from hf_plugins.scorers.finbert import DEFAULT_MODEL, DEFAULT_REVISION

ROOT: Final = Path(__file__).resolve().parents[1]
LABELS: Final = ("positive", "negative", "neutral")
BAND: Final = 0.1
"""FiQA gives numbers in [-1, 1]: those of at most this size are neutral here."""
TOLD: Final = "not measured here"


@dataclass(frozen=True)
class Labelled:
    """Texts that people, or a vendor, have labelled."""

    name: str
    told: str
    texts: Sequence[str]
    labels: Sequence[str]


@dataclass(frozen=True)
class Measured:
    """What a scorer did on a set; ``silent`` is the share of texts that it calls neutral, 1.0."""

    accuracy: float
    macro_f1: float
    seconds: float = 0.0
    silent: float = 0.0


def main() -> None:
    """Measure, print the page or write it, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = os.environ.get("HF_SHARED_DATA") or ROOT.parent / "shared" / "data"
    parser.add_argument("--data", type=Path, default=Path(default))
    parser.add_argument("--docs", type=Path, help="folder of the docs, to write the page")
    parser.add_argument("--model", type=Path, help="folder of a FinBERT with safetensors")
    parser.add_argument("--words", type=Path, help="CSV with the columns Word, Positive, Negative")
    options = parser.parse_args()
    if not (options.data / "news_sentiment").is_dir():
        print(f"needs the shared data, which is not at {options.data}")
        print(json.dumps({"benchmark": "sentiment", "skipped": "no shared data"}))
        return
    sets = labelled_sets(options.data)
    measured = {
        name: {each.name: measure(scorer, each) for each in sets}
        for name, scorer in available(options.model, options.words).items()
    }
    page = written(sets, measured)
    if options.docs:
        (options.docs / "sentiment.md").write_text(page)
    else:
        print(page)
    print(json.dumps(figures(sets, measured)))


def available(model: Path | None, words: Path | None) -> dict[str, BaseScorer]:
    """The scorers that can be measured with what is at hand, ready."""
    found: dict[str, BaseScorer] = {"text.lexicon": scorers.create("text.lexicon")}
    if words is not None:
        own = scorers.create("text.lexicon", words=str(words.resolve()))
        own.load(words)
        found["text.lexicon (words)"] = own
    if model is not None:
        finbert = scorers.create("text.finbert", model=str(model.resolve()))
        finbert.load(model)
        found["text.finbert"] = finbert
    return found


# ---------------------------------------------------------------------------------------- the sets


def labelled_sets(data: Path) -> list[Labelled]:
    """Every set, with three labels each."""
    folder = data / "news_sentiment"
    return [
        phrase_bank(folder, "AllAgree", "all annotators agree"),
        phrase_bank(folder, "50Agree", "at least half of the annotators agree"),
        gold(folder),
        megacaps(folder),
        fiqa(folder),
    ]


def phrase_bank(folder: Path, part: str, told: str) -> Labelled:
    """Financial PhraseBank: sentences of Finnish company news in English."""
    path = folder / "FinancialPhraseBank-v1.0" / f"Sentences_{part}.txt"
    lines = path.read_text(encoding="latin-1").splitlines()
    texts, _, labels = zip(*(line.rpartition("@") for line in lines if line), strict=True)
    told = f"Financial PhraseBank (Malo et al. 2014), sentences on which {told}"
    return Labelled(f"PhraseBank {part}", told, texts, labels)


def gold(folder: Path) -> Labelled:
    """Headlines on gold, labelled by the price sentiment; those without one are left out."""
    path = folder / "gold-dataset-sinha-khandait.csv"
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    table = table.loc[table["Price Sentiment"].isin(LABELS)]
    told = "headlines on gold (Sinha and Khandait 2021) by what they say of its price"
    return Labelled("gold", told, table["News"].tolist(), table["Price Sentiment"].tolist())


def megacaps(folder: Path) -> Labelled:
    """Titles on seven large companies, labelled by the vendor."""
    table = pd.read_csv(folder / "labelled_news_7_megacaps_2025.csv", keep_default_na=False)
    told = "titles on seven large US companies, autumn 2025, labelled by their vendor"
    labels = table["sentiment"].str.lower().tolist()
    return Labelled("megacap titles", told, table["title"].tolist(), labels)


def fiqa(folder: Path) -> Labelled:
    """Headlines and posts with numbers: mean over the companies that a text names."""
    texts, labels = [], []
    for name in ("headline_ABSA_train", "headline_ABSA_test", "post_ABSA_train"):
        for row in json.loads((folder / "fiqa" / f"task1_{name}.json").read_text()).values():
            score = float(np.mean([float(each["sentiment_score"]) for each in row["info"]]))
            texts.append(row["sentence"])
            labels.append("neutral" if abs(score) <= BAND else LABELS[score < 0])
    told = (
        f"FiQA 2018 headlines and posts; the mean of their numbers is neutral up to {BAND} either "
        "way, else its sign counts"
    )
    return Labelled("FiQA", told, texts, labels)


# --------------------------------------------------------------------------------------- measuring


def predicted(scores: pd.DataFrame) -> list[str]:
    """The label with the largest share; neutral where two are the largest."""
    shares = scores.loc[:, list(LABELS)].to_numpy()
    largest = shares.max(axis=1, keepdims=True)
    single = (shares == largest).sum(axis=1) == 1
    return [LABELS[place] for place in np.where(single, shares.argmax(axis=1), 2)]


def measure(scorer: BaseScorer, given: Labelled) -> Measured:
    """Accuracy and macro F1 of a scorer on a set."""
    started = time.perf_counter()
    scores = scorer.score(given.texts)
    seconds = time.perf_counter() - started
    found = predicted(scores)
    return Measured(
        accuracy(given.labels, found),
        macro_f1(given.labels, found),
        seconds,
        float(np.mean(scores["neutral"].to_numpy() == 1.0)),
    )


def baseline(given: Labelled) -> Measured:
    """What an answer that is always the commonest label reaches."""
    common = Counter(given.labels).most_common(1)[0][0]
    found = [common] * len(given.labels)
    return Measured(accuracy(given.labels, found), macro_f1(given.labels, found))


def accuracy(labels: Sequence[str], found: Sequence[str]) -> float:
    """Share of texts whose label is found."""
    return float(np.mean([one == other for one, other in zip(labels, found, strict=True)]))


def macro_f1(labels: Sequence[str], found: Sequence[str]) -> float:
    r"""Mean over the labels of :math:`2 TP / (2 TP + FP + FN)`; every set has each label."""
    scores = []
    for label in LABELS:
        pairs = Counter((a == label, b == label) for a, b in zip(labels, found, strict=True))
        twice = 2 * pairs[True, True]
        scores.append(twice / (twice + pairs[False, True] + pairs[True, False]))
    return float(np.mean(scores))


# ---------------------------------------------------------------------------------------- the page


def written(sets: Sequence[Labelled], measured: dict[str, dict[str, Measured]]) -> str:
    """The page, as Markdown."""
    source = (
        "Written by `python benchmarks/sentiment.py --docs docs`; every number on this page comes "
        "from it."
    )
    how = (
        "A scorer's answer is the largest of its three shares, and neutral where two are the "
        "largest. *Commonest label* is what a scorer would reach that always gives the same "
        "answer, the one that is most frequent in the set: an accuracy below it is worth nothing "
        "by itself. Macro F1 is the mean of the F1 of the three labels, so that a rare label "
        "counts as much as a common one."
    )
    parts = [
        "# Sentiment: how often the scorers are right",
        source,
        how,
        "## Accuracy / macro F1",
        table_of(sets, measured),
        "## The sets",
        sets_table(sets),
        "They are other people's data, used to measure and not shipped.",
        "## What to make of it",
        *remarks(sets, measured),
    ]
    return "\n\n".join(parts) + "\n"


def sets_table(sets: Sequence[Labelled]) -> str:
    """One row per set."""
    rows = []
    for each in sets:
        counts = Counter(each.labels)
        numbers = [len(each.texts), *(counts[label] for label in LABELS)]
        rows.append([each.name, *(f"{number:,}" for number in numbers), each.told])
    return pages.table(["set", "texts", *LABELS, "what it is"], rows)


def table_of(sets: Sequence[Labelled], measured: dict[str, dict[str, Measured]]) -> str:
    """One row per scorer."""
    rows = [["commonest label", *(cell(baseline(each)) for each in sets), "-"]]
    for name, by_set in measured.items():
        seconds = sum(each.seconds for each in by_set.values())
        texts = sum(len(each.texts) for each in sets)
        cells = [cell(by_set[each.name]) for each in sets]
        rows.append([f"`{name}`", *cells, f"{1000 * seconds / texts:.2g}"])
    if "text.finbert" not in measured:
        rows.append(["`text.finbert`", *([TOLD] * len(sets)), TOLD])
    return pages.table(["scorer", *(each.name for each in sets), "ms a text"], rows)


def cell(each: Measured) -> str:
    """Both figures."""
    return f"{each.accuracy:.3f} / {each.macro_f1:.3f}"


def remarks(sets: Sequence[Labelled], measured: dict[str, dict[str, Measured]]) -> list[str]:
    """What a reader should know before using either scorer."""
    lexicon = measured["text.lexicon"]
    below = [each.name for each in sets if lexicon[each.name].accuracy <= baseline(each).accuracy]
    silent = ", ".join(f"{lexicon[each.name].silent:.0%} ({each.name})" for each in sets)
    light = (
        "**The lexicon** (`hf_plugins/scorers/finance_words.py`) is general knowledge of financial "
        "language: no word was chosen for how it does on these sets. It is the light choice, not "
        f"the good one. Its accuracy is not above that of the commonest label on: {_named(below)}. "
        f"Texts without a word of the list, of which it says neutral, 1.0: {silent}. And it does "
        "not know what a word is about: *costs fell* is bad news to it."
    )
    own = (
        "With `words` it reads your own list, for instance the master dictionary of Loughran and "
        "McDonald, under whatever licence it has; `--words FILE` adds its row to this table."
    )
    return [light, own, trained() if "text.finbert" in measured else absent()]


def trained() -> str:
    """What to know of FinBERT's figures."""
    return (
        "**FinBERT** was trained on a part of Financial PhraseBank: what it reaches on these two "
        "sets is not out of sample."
    )


def absent() -> str:
    """How to come to FinBERT's figures."""
    return (
        "**FinBERT** needs its weights, about 440 MB, which were not at hand where this page was "
        "written; nothing stands in for them. On a machine that reaches the hub, once:\n\n"
        "```python\n"
        "from transformers import AutoModelForSequenceClassification, AutoTokenizer\n\n"
        f'name, revision = "{DEFAULT_MODEL}", "{DEFAULT_REVISION}"\n'
        "for each in (AutoModelForSequenceClassification, AutoTokenizer):\n"
        '    each.from_pretrained(name, revision=revision).save_pretrained("finbert")\n'
        "```\n\n"
        "which leaves the weights as safetensors in the folder `finbert`; then `python "
        "benchmarks/sentiment.py --model finbert --docs docs` fills its row. It was trained on a "
        "part of Financial PhraseBank: what it reaches on these two sets is not out of sample. "
        "Loading and scoring are tested with a small model of the same architecture."
    )


def _named(names: Sequence[str]) -> str:
    return ", ".join(names) or "none of them"


def figures(sets: Sequence[Labelled], measured: dict[str, dict[str, Measured]]) -> dict[str, Any]:
    """The figures of the last line."""
    return {
        "benchmark": "sentiment",
        "rows": {each.name: len(each.texts) for each in sets},
        "commonest label": {each.name: round(baseline(each).accuracy, 4) for each in sets},
        **{
            scorer: {
                name: {
                    "accuracy": round(each.accuracy, 4),
                    "macro_f1": round(each.macro_f1, 4),
                    "seconds": round(each.seconds, 2),
                }
                for name, each in by_set.items()
            }
            for scorer, by_set in measured.items()
        },
        "not_measured": [] if "text.finbert" in measured else ["text.finbert"],
    }


if __name__ == "__main__":
    main()
