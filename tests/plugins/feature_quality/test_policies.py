"""The two policies: the specification's words, luck, false discoveries, and learning in folds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from hf_plugins.errors import ConfigurationError
from hf_plugins.feature_quality.auc import Ranked
from hf_plugins.feature_quality.policies import (
    Choice,
    FoldParams,
    HonestPolicy,
    SeedPolicy,
    walk_forward_worth,
)
from hf_plugins.feature_quality.selection import adjusted_p_values, forward_selection
from tests.plugins.feature_quality.worlds import arrays, world

SMALL = HonestPolicy(replicates=200, min_rows=200)
BH = HonestPolicy(replicates=200, min_rows=200, method="benjamini_hochberg")


def seed_policy_by_the_words(columns: np.ndarray, y: np.ndarray) -> tuple[list[int], list[bool]]:
    """Bands, inversion, removal and forward selection, with scikit-learn throughout."""
    n = len(y)
    cut = int(0.8 * n)
    validation = [roc_auc_score(y[cut:], x[cut:]) for x in columns]
    inverted = []
    for x, value in zip(columns, validation, strict=True):
        slices = np.array_split(np.arange(cut), 5)
        below = sum(roc_auc_score(y[part], x[part]) < 0.5 for part in slices)
        inverted.append(bool(value < 0.5 and below >= 4))
    oriented = [1 - a if flip else a for a, flip in zip(validation, inverted, strict=True)]
    kept = [i for i, a in enumerate(oriented) if a > 0.515 or a < 0.485]
    marginal = [i for i, a in enumerate(oriented) if 0.005 < abs(a - 0.5) <= 0.015]

    def pipeline(chosen: list[int]) -> float:
        X = columns[chosen].T * np.where(np.array(inverted)[chosen], -1, 1)
        scaler = StandardScaler().fit(X[:cut])
        model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000)
        model.fit(scaler.transform(X[:cut]), y[:cut])
        return roc_auc_score(y[cut:], model.decision_function(scaler.transform(X[cut:])))

    best = pipeline(kept) if kept else 0.5
    for i in sorted(marginal, key=lambda i: -abs(validation[i] - 0.5)):
        gained = pipeline([*kept, i])
        if gained - best >= 1e-4:
            kept, best = [*kept, i], gained
    return sorted(kept), inverted


@pytest.mark.parametrize("seed", range(3))
def test_seed_policy_is_the_specification(seed: int) -> None:
    planted = {0: 0.06, 1: -0.08, 2: 0.03, 3: -0.03}
    columns, y = arrays(*world(20_000, 14, planted=planted, phi=0.5, seed=seed))
    choice = SeedPolicy().learn(Ranked.of(columns), y, horizon=1, seed=0)
    kept, inverted = seed_policy_by_the_words(columns, y)
    assert np.flatnonzero(choice.kept).tolist() == kept
    assert (choice.signs < 0).tolist() == inverted
    assert any(inverted)


@pytest.mark.parametrize(
    ("auc", "band"),
    [
        (0.485, "marginal"),
        (0.515, "marginal"),
        (0.4849, "strong"),
        (0.5151, "strong"),
        (0.495, "noise"),
        (0.505, "noise"),
        (0.5051, "marginal"),
        (float("nan"), "not rated"),
    ],
)
def test_bands(auc: float, band: str) -> None:
    assert SeedPolicy().band(auc) == band


def test_too_few_rows_or_one_class_is_not_rated() -> None:
    columns, y = arrays(*world(6000, 3))
    columns[1, 4800:5500] = np.nan  # 500 of 1200 validation rows are left
    choice = SeedPolicy().learn(Ranked.of(columns), y, horizon=1, seed=0)
    assert choice.table["band"].iloc[1] == "not rated"
    assert not choice.kept[1]
    y[4800:] = 1.0
    choice = SeedPolicy().learn(Ranked.of(columns), y, horizon=1, seed=0)
    assert set(choice.table["band"]) == {"not rated"}
    assert np.isnan(choice.claimed_auc)


def test_the_bands_keep_a_dozen_of_120_worthless_features() -> None:
    """36,000 validation rows, as in the paper; here with few rows before them, which is quicker."""
    policy = SeedPolicy(validation_share=0.9)
    outside = []
    for seed in range(3):
        columns, y = arrays(*world(40_000, 120, phi=0.0, seed=seed))
        choice = policy.learn(Ranked.of(columns), y, horizon=1, seed=0)
        outside.append(int(np.sum(choice.table["band"].to_numpy() != "noise")))
        assert choice.kept.sum() > 0
        assert choice.claimed_auc > 0.505
    assert 8 <= np.mean(outside) <= 16  # 120 times P(|z| > 1.645) = 12


@pytest.mark.parametrize("phi", [0.0, 0.95])
def test_honest_policy_finds_nothing_in_noise_at_its_rate(phi: float) -> None:
    """On noise every discovery is false: their rate is how often there is any."""
    trials = 120
    false = 0
    for seed in range(trials):
        columns, y = arrays(*world(1000, 20, phi=phi, seed=seed))
        false += bool(BH.learn(Ranked.of(columns), y, horizon=1, seed=seed).kept.any())
    assert false / trials <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / trials)
    assert false > 0  # the rate is used, not undershot by an idle test


def test_honest_policy_controls_the_share_of_false_discoveries() -> None:
    planted = {i: 0.2 * (-1) ** i for i in range(6)}
    shares, found = [], []
    for seed in range(25):
        columns, y = arrays(*world(1500, 40, planted=planted, phi=0.5, seed=seed))
        choice = BH.learn(Ranked.of(columns), y, horizon=1, seed=seed)
        shares.append(choice.kept[6:].sum() / max(choice.kept.sum(), 1))
        found.append(choice.kept[:6].mean())
        assert (choice.signs[:6] == [1, -1, 1, -1, 1, -1]).all()
    assert np.mean(shares) <= 0.13
    assert np.mean(found) > 0.95


def test_both_find_what_was_planted() -> None:
    columns, y = arrays(*world(20_000, 20, planted={3: 0.1, 7: -0.1}, seed=1))
    for policy in (SeedPolicy(), SMALL):
        choice = policy.learn(Ranked.of(columns), y, horizon=1, seed=0)
        assert {3, 7} <= set(np.flatnonzero(choice.kept))
        assert choice.signs[[3, 7]].tolist() == [1.0, -1.0]
        assert {3, 7} <= set(choice.pipeline)


def test_yekutieli_is_hochberg_times_the_harmonic_number_and_null_is_no_test() -> None:
    p = np.array([0.001, np.nan, 0.02, 0.03, 0.5])
    hochberg = adjusted_p_values(p, "benjamini_hochberg")
    # By hand: 4 tests; p (4 / rank), running minimum from the largest.
    np.testing.assert_allclose(hochberg, [0.004, np.nan, 0.04, 0.04, 0.5])
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    expected = np.minimum(hochberg * harmonic, 1.0)
    np.testing.assert_allclose(adjusted_p_values(p, "benjamini_yekutieli"), expected)


def test_forward_selection_by_hand() -> None:
    worth = {(): 0.5, (1,): 0.52, (1, 2): 0.52005, (1, 3): 0.53, (1, 3, 4): 0.51}
    assert forward_selection([1], [2, 3, 4], lambda c: worth[tuple(c)], 1e-4) == ([1, 3], 0.53)


class Recorder(SeedPolicy):
    """Keeps everything, and notes how many rows it was shown."""

    def learn(self, columns: Ranked, y: np.ndarray, *, horizon: int, seed: int) -> Choice:
        del horizon, seed
        SHOWN.append((columns.values.shape[1], len(y)))
        ones = np.ones(len(columns))
        return Choice(ones > 0, ones, tuple(range(len(columns))), float("nan"), pd.DataFrame())


SHOWN: list[tuple[int, int]] = []


@pytest.mark.parametrize("horizon", [1, 7])
def test_a_fold_sees_no_row_whose_target_reaches_its_test_block(horizon: int) -> None:
    columns, y = arrays(*world(2000, 3))
    SHOWN.clear()
    worth = walk_forward_worth(
        Recorder(),
        Ranked.of(columns),
        y,
        horizon=horizon,
        folds=FoldParams(),
        inference=SMALL,
        seed=0,
    )
    assert len(SHOWN) == len(worth.folds) == 5
    assert [(stop, stop) for stop in worth.folds["train_stop"]] == SHOWN
    # The target of the last training row covers the bars up to train_stop - 1 + horizon.
    stops, starts = (worth.folds[name].to_numpy() for name in ("train_stop", "test_start"))
    assert (stops - 1 + horizon < starts).all()
    assert worth.folds["test_stop"].iloc[-1] == 2000
    assert starts[1:].tolist() == worth.folds["test_stop"].tolist()[:-1]


@pytest.mark.parametrize("policy", [SeedPolicy(min_rows=100), SMALL], ids=lambda p: p.name)
def test_what_is_learned_does_not_depend_on_the_rows_it_is_scored_on(policy) -> None:
    columns, y = arrays(*world(6000, 12, planted={0: 0.2, 1: -0.2}, seed=3))
    folds = FoldParams(count=1, first_train_share=0.6)
    arguments = {"horizon": 1, "folds": folds, "inference": SMALL, "seed": 0}
    worth = walk_forward_worth(policy, Ranked.of(columns), y, **arguments)
    start = int(worth.folds["test_start"].iloc[0])
    shuffled, leaking = y.copy(), columns.copy()
    shuffled[start:] = np.random.default_rng(0).permutation(y[start:])
    leaking[5, start:] = y[start:]  # a perfect feature, but only where it is scored
    for values, target in ((columns, shuffled), (leaking, y)):
        other = walk_forward_worth(policy, Ranked.of(values), target, **arguments)
        np.testing.assert_array_equal(other.kept, worth.kept)
        np.testing.assert_array_equal(other.signs, worth.signs)
        assert other.folds["claimed_auc"].tolist() == worth.folds["claimed_auc"].tolist()
    shuffled_worth = walk_forward_worth(policy, Ranked.of(columns), shuffled, **arguments)
    assert worth.pipeline.low > 0.52
    assert shuffled_worth.pipeline.low < 0.5 < shuffled_worth.pipeline.high


def test_luck_is_worth_nothing_out_of_fold() -> None:
    """The seed policy claims a lot on noise; on rows that it did not see there is nothing."""
    claimed, worth = [], []
    for seed in range(4):
        columns, y = arrays(*world(10_000, 40, seed=seed))
        result = walk_forward_worth(
            SeedPolicy(),
            Ranked.of(columns),
            y,
            horizon=1,
            folds=FoldParams(count=2),
            inference=SMALL,
            seed=0,
        )
        claimed.append(result.folds["claimed_auc"].mean())
        worth.append(result.pipeline.auc)
    assert np.mean(claimed) > 0.51
    assert abs(np.mean(worth) - 0.5) < 0.008


def test_choices_are_deterministic_and_do_not_depend_on_the_order_of_the_features() -> None:
    columns, y = arrays(*world(5000, 10, planted={2: 0.1, 5: -0.05}, seed=4))
    order = np.random.default_rng(0).permutation(10)
    for policy in (SeedPolicy(min_rows=100), SMALL):
        first, again, moved = (
            policy.learn(Ranked.of(c), y, horizon=1, seed=7)
            for c in (columns, columns, columns[order])
        )
        pd.testing.assert_frame_equal(first.table, again.table)
        assert first.pipeline == again.pipeline
        np.testing.assert_array_equal(moved.kept, first.kept[order])
        np.testing.assert_array_equal(moved.signs, first.signs[order])


def test_too_few_rows_for_the_folds() -> None:
    columns, y = arrays(*world(10, 2))
    with pytest.raises(ConfigurationError, match="10 rows are too few for 5 test blocks"):
        walk_forward_worth(
            SMALL, Ranked.of(columns), y, horizon=2, folds=FoldParams(), inference=SMALL, seed=0
        )
