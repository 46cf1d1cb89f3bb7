"""The figures of the sentiment page, on real labelled texts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sklearn.metrics import accuracy_score, f1_score

from benchmarks import sentiment
from hf_plugins.registry import scorers
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "sentiment.md"


def row_of(scorer: str) -> list[str]:
    (line,) = [each for each in PAGE.read_text().splitlines() if each.startswith(f"| {scorer} |")]
    return [each.strip() for each in line.split("|")[2:-1]]


def test_the_lexicon_does_what_the_page_says(shared_data: Path):
    """Recomputed here, and by scikit-learn."""
    given = sentiment.phrase_bank(shared_data / "news_sentiment", "AllAgree", "")
    assert len(given.texts) == 2264
    lexicon = scorers.create("text.lexicon")
    cell = sentiment.cell(sentiment.measure(lexicon, given))
    assert row_of("`text.lexicon`")[0] == cell
    found = sentiment.predicted(lexicon.score(given.texts))
    accuracy = accuracy_score(given.labels, found)
    assert cell == f"{accuracy:.3f} / {f1_score(given.labels, found, average='macro'):.3f}"


def test_the_lexicon_is_no_good_where_the_page_says_so(shared_data: Path):
    sets = sentiment.labelled_sets(shared_data)
    lexicon = scorers.create("text.lexicon")
    below = [
        each.name
        for each in sets
        if sentiment.measure(lexicon, each).accuracy <= sentiment.baseline(each).accuracy
    ]
    assert f"not above that of the commonest label on: {', '.join(below)}." in PAGE.read_text()
    assert row_of("commonest label")[:-1] == [
        sentiment.cell(sentiment.baseline(each)) for each in sets
    ]


def test_a_scorer_is_measured_on_every_set_or_on_none():
    row = row_of("`text.finbert`")
    assert set(row) == {sentiment.TOLD} or sentiment.TOLD not in row


def test_it_says_so_where_there_are_no_sets(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sentiment.py", "--data", str(tmp_path)])
    sentiment.main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["skipped"] == "no shared data"


def test_macro_f1_by_hand():
    labels = ["positive", "positive", "negative", "neutral"]
    found = ["positive", "negative", "negative", "positive"]
    # positive 2/4, negative 2/3, neutral 0
    assert sentiment.macro_f1(labels, found) == pytest.approx((1 / 2 + 2 / 3) / 3)
    assert sentiment.accuracy(labels, found) == 0.5
