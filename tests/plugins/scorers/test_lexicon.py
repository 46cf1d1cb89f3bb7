"""The lexicon: shares by hand, its rules one by one, and word lists of users."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.base import SENTIMENT, Material
from hf_plugins.errors import ConfigurationError, DataError
from hf_plugins.registry import scorers
from hf_plugins.scorers import finance_words as words
from hf_plugins.scorers.lexicon import weights
from hf_plugins.testing import verify_plugin

TONES = {"gain": 1, "record-high": 1, "strong": 1, "loss": -1, "weak": -1}
MASTER = (
    "Word,Seq_num,Word Count,Negative,Positive,Uncertainty\n"
    "LOSS,1,100,2009,0,0\n"
    "GAIN,2,100,0,2009,0\n"
    "STALE,3,5,-2020,0,0\n"
    "NULL,4,5,2011,0,0\n"
    "TABLE,5,500,0,0,2009\n"
)


def test_by_hand():
    found = scorers.create("text.lexicon").score(
        ["Profits surged and sales rose while costs fell.", "The meeting takes place in May."]
    )
    assert list(found) == list(SENTIMENT)
    positive, negative, neutral = 2 / 3.5, 1 / 3.5, 0.5 / 3.5
    entropy = -sum(each * math.log(each) for each in (positive, negative, neutral))
    expected = [positive, negative, neutral, positive - negative, entropy / math.log(3)]
    np.testing.assert_allclose(found.iloc[0], expected, rtol=1e-14)
    assert found.iloc[1].tolist() == [0.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("gain gain loss", (2.0, 1.0)),
        ("GAIN, Gain's", (2.0, 0.0)),
        ("gainful again", (0.0, 0.0)),
        ("not a gain", (0.0, 1.0)),
        ("no loss", (1.0, 0.0)),
        ("not one two gain", (0.0, 1.0)),
        ("not one two three gain", (1.0, 0.0)),
        ("Gain, not", (1.0, 0.0)),
        ("It was not. Gain", (1.0, 0.0)),
        ("not (gain)", (1.0, 0.0)),
        ("not - gain", (1.0, 0.0)),
        ("didn\u2019t gain", (0.0, 1.0)),
        ("sharply weak", (0.0, 1.5)),
        ("weak slightly", (0.0, 0.5)),
        ("sharply weak slightly", (0.0, 1.5)),
        ("sharply, weak", (0.0, 1.0)),
        ("not very strong", (0.0, 1.5)),
        ("record-high", (1.0, 0.0)),
        ("record\u2011high", (1.0, 0.0)),
        ("better-than-weak", (0.0, 1.0)),
        ("up 1,116.10 gain", (1.0, 0.0)),
        ("not 1,116.10 gain", (0.0, 1.0)),
        ("\uff27\uff21\uff29\uff2e", (1.0, 0.0)),
        ("\n", (0.0, 0.0)),
    ],
)
def test_each_rule(text, expected):
    assert weights(text, TONES) == expected


def test_more_neutral_weight_is_more_neutral():
    one, two = (
        scorers.create("text.lexicon", neutral_weight=each).score(["gain"])["neutral"].item()
        for each in (1.0, 3.0)
    )
    assert (one, two) == (0.5, 0.75)


def test_the_words_that_ship_are_on_one_side_and_plain():
    kinds = [
        words.POSITIVE, words.NEGATIVE, words.NEGATIONS, words.INTENSIFIERS, words.DIMINISHERS,
    ]  # fmt: skip
    assert sum(map(len, kinds)) == len(set().union(*kinds))
    assert all(word == word.lower().strip() for kind in kinds for word in kind)
    assert len(words.POSITIVE) > 300
    assert len(words.NEGATIVE) > 500


def test_a_word_list_of_the_user(tmp_path):
    path = tmp_path / "master.csv"
    path.write_text(MASTER)
    lexicon = scorers.create("text.lexicon", words=str(path))
    assert lexicon.material == Material(str(path))
    with pytest.raises(RuntimeError, match="are not loaded"):
        lexicon.score(["gain"])
    lexicon.load(path)
    found = lexicon.score(["a gain", "a loss", "stale", "null", "table", "surged"])
    assert np.sign(found["sentiment"]).tolist() == [1, -1, 0, -1, 0, 0]
    report = verify_plugin("scorer", "text.lexicon", words=str(path))
    assert report.ok, str(report)
    assert len(report.checks) == 10


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "Wort,Positive,Negative\nGAIN,1,0\n",
            r"no column 'Word'; it has Negative, Positive, Wort",
        ),
        ("Word,Negative\nLOSS,1\n", r"no column 'Positive'"),
        ("Word,Positive,Negative\nGAIN,1,0\n", r"no word that is negative"),
        ("Word,Positive,Negative\nGAIN,x,0\n", r"line 2, Positive: 'x' is no number"),
        ("Word,Positive,Negative\nGAIN,1,1\n", r"'gain' on both sides"),
        ("", r"no column 'Word'; it has none"),
    ],
)
def test_a_word_list_that_is_none(tmp_path, content, message):
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        scorers.create("text.lexicon", words=str(path)).load(path)


def test_a_word_list_that_is_not_there(tmp_path):
    path = tmp_path / "none.csv"
    with pytest.raises(DataError, match=r"none\.csv cannot be read as CSV"):
        scorers.create("text.lexicon", words=str(path)).load(path)


def test_unknown_parameters():
    with pytest.raises(ConfigurationError, match="unknown parameter 'word'"):
        scorers.create("text.lexicon", word="x.csv")
    with pytest.raises(ConfigurationError, match="neutral_weight"):
        scorers.create("text.lexicon", neutral_weight=0)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(), min_size=1, max_size=4))
def test_any_text_has_shares(texts):
    found = scorers.create("text.lexicon").score(texts)
    shares = found[["positive", "negative", "neutral"]].to_numpy()
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=0, atol=1e-15)
    assert found["uncertainty"].between(0, 1).all()
