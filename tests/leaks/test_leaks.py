"""Every planted leak is caught, no honest feature is accused, and the page says which is which."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_plugins.certificate import ASPECTS
from tests.leaks import columns, page, sides
from tests.leaks.bench import Leak, by_name

CORPUS = by_name([*sides.LEAKS, *columns.LEAKS])
TWINS = [name for name, leak in CORPUS.items() if leak.honest is not None]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "causality.md"

pytestmark = pytest.mark.filterwarnings("ignore")


def test_the_corpus_is_large_and_varied():
    assert len(CORPUS) >= 40
    assert len({leak.family for leak in CORPUS.values()}) >= 15
    assert all(leak.wrong.endswith(".") for leak in CORPUS.values())


@pytest.mark.parametrize("name", CORPUS)
def test_a_leak_is_caught(name: str):
    found = CORPUS[name].certificate("full")
    assert not found.ok, str(found)
    assert set(found.caught_by) <= set(ASPECTS)
    # What it is accused of is about a place that a person can look at.
    assert found.finding is not None
    assert found.finding.cut
    assert found.finding.sentence in str(found)


@pytest.mark.parametrize("name", TWINS)
def test_the_honest_twin_is_not_accused(name: str):
    found = CORPUS[name].certificate("quick", honest=True)
    assert found.ok, str(found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 11])
@pytest.mark.parametrize("name", CORPUS)
def test_no_seed_is_needed(name: str, seed: int):
    leak: Leak = CORPUS[name]
    assert not leak.certificate("full", seed=seed).ok
    if leak.honest is not None:
        found = leak.certificate("full", honest=True, seed=seed)
        assert found.ok, str(found)


def test_the_page_has_the_table_of_the_corpus():
    assert page.between(PAGE.read_text(encoding="utf-8")) == page.names(list(CORPUS.values()))


@pytest.mark.slow
def test_the_page_says_what_catches_what():
    text = PAGE.read_text(encoding="utf-8")
    assert page.table(list(CORPUS.values())) in text
