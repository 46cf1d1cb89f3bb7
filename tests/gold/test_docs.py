"""The page about gold: its table is that of the code, and its code runs."""

from __future__ import annotations

from pathlib import Path

from hf_plugins.features import gold
from hf_plugins.features.gold import catalogue
from tests.gold import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gold.md"


def between(text: str, name: str) -> str:
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    assert text.count(begin) == text.count(end) == 1
    return text.partition(begin)[2].partition(end)[0].strip()


def test_the_catalogue_is_the_official_list_with_the_look_backs_of_the_reference():
    assert tuple(catalogue.CATALOGUE) == gold.names()
    found = {name: entry.lookback for name, entry in catalogue.CATALOGUE.items()}
    assert found == reference.LOOKBACK


def test_no_look_back_is_longer_than_the_memory_of_its_family():
    for family in gold.FAMILIES.values():
        longest = max(catalogue.CATALOGUE[name].lookback for name in family.names)
        assert longest <= (family.memory.lookback or 0)


def test_what_is_inverted_says_so():
    told = {name for name, each in catalogue.CATALOGUE.items() if "inverted" in each.formula}
    assert told == set(gold.INVERTED)


def test_the_page_has_the_table_of_the_code():
    text = PAGE.read_text(encoding="utf-8")
    assert between(text, "features") == catalogue.table()
    assert between(text, "figures")
