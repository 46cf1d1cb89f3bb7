"""Scores of texts are kept by text and scorer, and materials are found or told to be missing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hf_plugins.base import SENTIMENT, BaseScorer, Material
from hf_plugins.errors import ConfigurationError, DataError
from hf_resources import material
from hf_resources.catalog import Catalog
from hf_resources.settings import Settings
from hf_resources.text_scores import TextScores

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Length(BaseScorer):
    """Scores by length; keeps the batches that it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.changed: Any = lambda frame: frame

    def score(self, texts: Sequence[str]) -> pd.DataFrame:
        self.batches.append(list(texts))
        rows = [[0.1, 0.2, 0.7, len(text) / 3, 0.0] for text in texts]
        return self.changed(pd.DataFrame(rows, columns=list(SENTIMENT)))


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return Catalog.open(settings.catalog_url)


def test_each_text_is_scored_once(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hf_resources.text_scores.SCORED", 3)
    monkeypatch.setattr("hf_resources.text_scores.LOOKED_UP", 2)
    scorer, kept, told = Length(), TextScores(catalog, "s" * 64), []
    texts = ["a", "bb", "a", "ccc", "dddd", "eeeee"]
    frame, scored = kept.of(texts, lambda: scorer, lambda done, total: told.append((done, total)))
    assert (scored, scorer.batches) == (5, [["a", "bb", "ccc"], ["dddd", "eeeee"]])
    assert told == [(3, 5), (5, 5)]
    np.testing.assert_array_equal(frame["sentiment"], [len(text) / 3 for text in texts])

    def never() -> BaseScorer:
        raise AssertionError("all is known")

    again, scored = kept.of(["eeeee", "a"], never)
    assert scored == 0
    # As they were, bit for bit, after the way through the database.
    np.testing.assert_array_equal(again, frame.iloc[[5, 0]])
    assert list(again.columns) == list(SENTIMENT)
    assert kept.of([], never)[0].shape == (0, 5)


def test_another_scorer_has_scores_of_its_own(catalog: Catalog) -> None:
    one, other = Length(), Length()
    TextScores(catalog, "1" * 64).of(["a"], lambda: one)
    _, scored = TextScores(catalog, "2" * 64).of(["a"], lambda: other)
    assert (scored, other.batches) == (1, [["a"]])


def test_what_is_committed_outlives_a_kill(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hf_resources.text_scores.SCORED", 2)
    kept, scorer = TextScores(catalog, "s" * 64), Length()

    def killed(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.of([str(number) for number in range(7)], lambda: scorer, killed)
    kept.of([str(number) for number in range(7)], lambda: scorer)
    assert scorer.batches == [["0", "1"], ["2", "3"], ["4", "5"], ["6"]]


def test_two_that_score_the_same_text_get_the_same_score(catalog: Catalog) -> None:
    """What stands first counts for both, though one would have had another number."""
    barrier, found = threading.Barrier(2, timeout=30), {}

    def score(number: int) -> None:
        scorer = Length()

        def changed(frame: pd.DataFrame) -> pd.DataFrame:
            barrier.wait()  # both have looked, neither has kept
            return frame + number

        scorer.changed = changed
        found[number] = TextScores(catalog, "s" * 64).of(["a"], lambda: scorer)[0]

    threads = [threading.Thread(target=score, args=(number,)) for number in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pd.testing.assert_frame_equal(found[1], found[2])


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (lambda frame: frame.iloc[1:], "returned 1 rows.*for 2 texts"),
        (lambda frame: frame.drop(columns="neutral"), "it must return a row for each, with"),
        (lambda frame: frame.assign(sentiment=[0.0, np.nan]), "no score for the text 'bb'"),
    ],
)
def test_a_scorer_is_held_to_its_contract(catalog: Catalog, changed: Any, told: str) -> None:
    scorer = Length()
    scorer.changed = changed
    with pytest.raises(DataError, match=told):
        TextScores(catalog, "s" * 64).of(["a", "bb"], lambda: scorer)
    assert TextScores(catalog, "s" * 64).of(["a", "bb"], Length)[1] == 2  # nothing was kept


# ----------------------------------------------------------------------------------- materials


def test_a_local_material_is_known_by_its_content(tmp_path: Path) -> None:
    words = tmp_path / "words.csv"
    words.write_text("good,1\n")
    one = material.digest_of(Material(str(words)))
    assert material.find(Material(str(words))) == words
    words.write_text("good,2,longer\n")
    assert material.digest_of(Material(str(words))) != one
    moved = tmp_path / "elsewhere.csv"
    moved.write_text("good,1\n")
    assert material.digest_of(Material(str(moved))) == one


def test_a_folder_is_known_by_names_and_content(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "sub").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "weights").write_bytes(b"1")
    given = Material(str(folder))
    one = material.digest_of(given)
    (folder / ".cache").write_text("of a tool")
    assert material.digest_of(given) == one
    (folder / "sub" / "weights").rename(folder / "sub" / "weights2")
    assert material.digest_of(given) != one


def test_a_material_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = Material(str(tmp_path / "none"))
    for ask in (material.digest_of, material.find):
        with pytest.raises(ConfigurationError, match=r"none' does not exist \(looked for at"):
            ask(missing)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="is empty"):
        material.digest_of(Material(str(tmp_path / "empty")))
    with pytest.raises(ConfigurationError, match="'main'; it must be a full commit"):
        material.digest_of(Material("some/model", "main"))


def test_a_model_of_the_hub_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    snapshot = tmp_path / "models--some--model" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    given = Material("some/model", COMMIT)
    assert material.digest_of(given) == f"some/model@{COMMIT}"
    with pytest.raises(ConfigurationError) as told:
        material.find(Material("other/model", COMMIT))
    for part in ("other/model", COMMIT, str(tmp_path), "hf download other/model --revision"):
        assert part in str(told.value)
    assert material.find(given) == snapshot
