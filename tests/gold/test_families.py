"""The official list: names, order, families, inversions, and what each kernel is given."""

from __future__ import annotations

import pytest

from hf_plugins.errors import ConfigurationError
from hf_plugins.features.gold.families import (
    ALPHA101,
    FAMILIES,
    GIVEN,
    SHARED,
    families,
    memory,
    names,
    plan,
)
from hf_plugins.features.gold.inversion import INVERTED
from tests.gold import reference

SIZES = {
    "original": 10,
    "extended": 26,
    "levels": 13,
    "channels": 4,
    "sessions": 5,
    "price_volume": 4,
    "tick_proxies": 3,
    "momentum": 3,
    "regime": 4,
    "volatility": 3,
    "clustering": 2,
    "risk": 3,
    "lead_lag": 3,
    "candles": 3,
    "liquidity": 3,
    "calendar": 3,
    "support_resistance": 3,
    "multi_scale": 4,
    "self_similarity": 6,
    "alpha101": 2,
}


def test_the_names_are_those_of_the_paper_in_its_order():
    assert names() == tuple(reference.NAMES)
    assert len(names()) == len(set(names())) == 107


def test_without_alpha101_the_first_105_are_left():
    assert names(alpha101=False) == names()[:105]
    assert FAMILIES[ALPHA101].names == names()[105:]
    assert ALPHA101 not in families(alpha101=False)


def test_the_twenty_families_have_their_sizes():
    assert {family: len(each.names) for family, each in FAMILIES.items()} == SIZES


def test_the_inverted_features():
    assert INVERTED == (
        "tod_cos",
        "beta_xag_to_xau_30",
        "beta_xag_to_xau_60",
        "beta_xag_to_xau_120",
    )
    assert set(INVERTED) <= set(names())


def test_every_series_has_one_writer():
    steps = [*SHARED, *(step for family in FAMILIES.values() for step in family.steps)]
    written = [name for step in steps for name in (*step.writes, step.block) if name]
    assert len(written) == len(set(written))
    assert not set(written) & set(GIVEN)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_reads_what_earlier_stages_write(family):
    known = set(GIVEN)
    for stage in plan([family]):
        for step in stage:
            assert set(step.reads) <= known, step
        known |= {name for step in stage for name in (*step.writes, step.block)}
    assert set(FAMILIES[family].names) <= known


def test_a_plan_holds_no_step_twice_and_none_that_nobody_needs():
    steps = [step for stage in plan(families()) for step in stage]
    assert len(steps) == len(set(steps))
    needed = set(names()) | {name for step in steps for name in step.reads}
    assert all(needed & {*step.writes, step.block} for step in steps)
    assert [step for stage in plan(["calendar"]) for step in stage] == list(
        FAMILIES["calendar"].steps
    )


def test_the_longest_memory_counts_and_fading_spreads():
    assert memory(["original", "extended"]).lookback == 290
    assert memory(["original", "extended"]).kind == "finite"
    assert memory(families()) == memory(["levels"])
    assert memory(families()).kind == "fading"


def test_an_unknown_family_is_told_by_its_nearest_name():
    with pytest.raises(ConfigurationError, match=r"'momentun'.*Did you mean 'momentum'"):
        plan(["momentun"])
