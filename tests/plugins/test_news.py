"""Features of the news: by hand from articles and bars, against pandas, and under bad data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_plugins.base import SENTIMENT, Side
from hf_plugins.errors import ConfigurationError
from hf_plugins.joins import joined
from hf_plugins.kernels.known import known_moments
from hf_plugins.registry import features, scorers

NULL = float("nan")
DAYS = ["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"]


def stamps(times) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(times, tz="UTC", name="timestamp").as_unit("ns")


def bars(days=DAYS) -> tuple[pd.DataFrame, np.ndarray]:
    """Daily bars of a session that ends at 21:00 UTC, without columns, and their closes."""
    closes = stamps([f"{day} 21:00" for day in days])
    return pd.DataFrame(index=stamps(days)), np.asarray(closes.asi8)


def articles(rows) -> pd.DataFrame:
    """Scores by publication time."""
    index = stamps([time for time, *_ in rows])
    return pd.DataFrame([each for _, *each in rows], columns=list(SENTIMENT), index=index)


def computed(plugin, scores, days=DAYS):
    own, closes = bars(days)
    sides: dict[Side, pd.DataFrame] = {}
    for side in plugin.sides:
        sides[side] = scores
    return plugin.compute(joined(own, sides, "1d", closes))


SCORED = articles(
    [
        ("2024-01-05 20:00", 0.6, 0.1, 0.3, 0.5, 0.8),  # Friday, in the session
        ("2024-01-05 21:00", 0.2, 0.6, 0.2, -0.4, 0.9),  # with its close: Monday's
        ("2024-01-05 21:01", 0.8, 0.0, 0.2, 0.8, 0.4),  # after hours: Monday's
        ("2024-01-07 12:00", 0.0, 1.0, 0.0, -1.0, 0.0),  # Sunday: Monday's
        ("2024-01-10 20:59", 0.1, 0.1, 0.8, 0.0, 0.6),
    ]
)


def test_what_articles_say_of_a_bar_by_hand():
    found = computed(features.create("news.finbert_sentiment"), SCORED)
    expected = pd.DataFrame(
        {
            "positive_score": [NULL, 0.6, 1 / 3, NULL, 0.1],
            "negative_score": [NULL, 0.1, 1.6 / 3, NULL, 0.1],
            "neutral_score": [NULL, 0.3, 0.4 / 3, NULL, 0.8],
            "uncertainty_score": [NULL, 0.8, 1.3 / 3, NULL, 0.6],
            "article_volume": [NULL, 1.0, 3.0, 0.0, 1.0],
        },
        index=found.index,
    )
    pd.testing.assert_frame_equal(found, expected, rtol=1e-14)


def test_sentiment_by_hand():
    found = computed(features.create("news.sentiment"), SCORED)
    np.testing.assert_allclose(found["sentiment_score"], [NULL, 0.5, -0.2, NULL, 0.0], atol=1e-15)
    np.testing.assert_array_equal(found["sentiment_count"], [NULL, 1, 3, 0, 1])


def test_a_lag_moves_an_article_to_the_next_bar():
    found = computed(features.create("news.sentiment", lag_minutes=1), SCORED)
    np.testing.assert_array_equal(found["sentiment_count"], [NULL, 1, 3, 0, 0])


def test_what_is_asked_of_the_scores():
    plugin = features.create("news.finbert_sentiment", scores="acme", lag_minutes=5)
    assert {side.made_by for side in plugin.sides} == {"text.finbert"}
    assert {side.table for side in plugin.sides} == {"acme"}
    assert {side.lag_minutes for side in plugin.sides} == {5}
    assert {side.made_by for side in features.create("news.sentiment").sides} == {""}


def test_from_headlines_to_the_feature():
    headlines = ["Profits surged", "Shares plunged on losses", "The meeting is in May"]
    scores = scorers.create("text.lexicon").score(headlines)
    scores.index = stamps([f"{day} 15:00" for day in DAYS[1:4]])
    found = computed(features.create("news.sentiment"), scores)
    assert np.sign(found["sentiment_score"]).tolist()[1:4] == [1, -1, 0]
    assert found["sentiment_count"].tolist()[1:] == [1, 1, 1, 0]


def test_one_absurd_article_changes_its_bar_alone():
    poisoned = SCORED.copy()
    poisoned.iloc[2] = 1e12
    before, after = (
        computed(features.create("news.finbert_sentiment"), each) for each in (SCORED, poisoned)
    )
    changed = (before != after) & ~(before.isna() & after.isna())
    assert changed.any(axis=1).tolist() == [False, False, True, False, False]


# ------------------------------------------------------------------------- against the bars before


def trailing(name, score, **params):
    plugin = features.create(name, **params)
    data = pd.DataFrame({plugin.columns[0]: np.asarray(score, dtype=float)})
    return plugin.compute(data)[plugin.outputs[0]].to_numpy()


def test_momentum_by_hand():
    score = [NULL, 0.6, NULL, -0.2, NULL, NULL, NULL, 0.4]
    np.testing.assert_allclose(
        trailing("news.sentiment_momentum", score, window=3),
        [NULL, 0.6, 0.6, 0.2, -0.2, -0.2, NULL, 0.4],
        rtol=1e-14,
    )
    np.testing.assert_allclose(
        trailing("news.sentiment_momentum", score, window=3, min_count=2),
        [NULL, NULL, NULL, 0.2, NULL, NULL, NULL, NULL],
        rtol=1e-14,
    )


def test_divergence_by_hand():
    score = [0.1, NULL, 0.3, 0.8, NULL]
    params = {"window": 4, "min_count": 2}
    # 0.1 and 0.3: mean 0.2, deviation 0.1 sqrt 2; with 0.8: mean 0.4, squares 0.09 + 0.01 + 0.16
    expected = [NULL, NULL, np.sqrt(0.5), 0.4 / np.sqrt(0.13), NULL]
    np.testing.assert_allclose(
        trailing("news.sentiment_divergence", score, **params), expected, rtol=1e-12
    )
    np.testing.assert_array_equal(
        trailing("news.sentiment_divergence", score, normalise=False), score
    )


def test_equal_scores_have_no_divergence():
    values = trailing("news.sentiment_divergence", [0.1 + 0.2, 0.3, 0.3] * 3, window=5, min_count=2)
    assert np.isnan(values).all()


def test_names_of_the_columns():
    create = features.create
    assert create("news.sentiment_momentum", window=7).outputs == ("sentiment_momentum_7",)
    assert create("news.sentiment_divergence").outputs == ("sentiment_divergence_20",)
    plain = create("news.sentiment_divergence", normalise=False)
    assert plain.outputs == ("sentiment_divergence",)
    assert plain.memory.lookback == 1
    (side,) = create("news.sentiment_momentum", feature="tone").sides
    assert (side.feature, side.columns, side.join) == ("tone", ("sentiment_score",), "inner")


@pytest.mark.parametrize(
    ("key", "params", "message"),
    [
        ("news.sentiment_momentum", {"window": 3, "min_count": 4}, r"must not exceed window \(3\)"),
        ("news.sentiment_divergence", {"window": 4}, r"must not exceed window \(4\)"),
        ("news.sentiment_divergence", {"min_count": 1}, "min_count"),
        ("news.sentiment", {"scores": "No such"}, "scores"),
        ("news.sentiment", {"score": "x"}, r"unknown parameter 'score'.*Did you mean 'scores'"),
    ],
)
def test_mistakes(key, params, message):
    with pytest.raises(ConfigurationError, match=message):
        features.create(key, **params)


said = st.one_of(st.just(NULL), st.floats(-1, 1, allow_subnormal=False))


@settings(max_examples=80, deadline=None)
@given(st.lists(said, min_size=1, max_size=50), st.integers(2, 12), st.integers(2, 12))
def test_moments_equal_those_of_pandas(values, window, needed):
    series = pd.Series(values, dtype=float)
    rolling = series.rolling(window, min_periods=min(needed, window))
    mean, deviation = known_moments(series.to_numpy(), window, min(needed, window), 1)
    np.testing.assert_allclose(mean, rolling.mean(), rtol=0, atol=1e-14)
    np.testing.assert_allclose(deviation, rolling.std(ddof=1), rtol=0, atol=1e-7)


def test_an_absurd_score_leaves_the_window():
    score = np.random.default_rng(1).uniform(-1, 1, 100)
    poisoned = score.copy()
    poisoned[40] = 1e15
    for key in ("news.sentiment_momentum", "news.sentiment_divergence"):
        before, after = (trailing(key, each, window=10) for each in (score, poisoned))
        same = (before == after) | (np.isnan(before) & np.isnan(after))
        assert set(np.flatnonzero(~same)) == set(range(40, 50))
