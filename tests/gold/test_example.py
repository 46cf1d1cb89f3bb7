"""The example universe: its documents agree with each other, and its source with its universe."""

from __future__ import annotations

from pathlib import Path

import pytest

from hf_assets.graph import build_tasks
from hf_assets.location import tree_of
from hf_assets.project import Project, load_project
from hf_plugins.features import gold
from hf_resources.sources.rounding import rounded_bars

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "gold"


@pytest.fixture(scope="module")
def project() -> Project:
    return load_project(tree_of(FOLDER))


def test_all_107_are_made_of_the_six_instruments(project: Project) -> None:
    assert project.universe.symbols == ("XAUUSD", "XAGUSD", "DXY", "NAS100", "US500", "VIX")
    _, plugin = project.features["gold_features107"]
    assert plugin.outputs == gold.names()
    task = next(
        each for each in build_tasks(project) if "features/gold_features107" in each.names()
    )
    read = [(parent, used.columns) for _, used, parent in task.parents(("XAUUSD", "1m"))]
    assert read == [
        (("XAUUSD", "1m"), ("open", "high", "low", "close", "volume")),
        *(((symbol, "1m"), ("close",)) for symbol in project.universe.symbols[1:]),
    ]


def test_the_precision_of_the_universe_loses_nothing_of_the_generator(project: Project) -> None:
    source = project.sources["XAUUSD"]
    for instrument in project.universe.instruments:
        assert source.timeframes(instrument) == ("1m",)
        drawn = source.fetch(instrument, "1m")
        kept = rounded_bars(drawn, instrument, "drawn")
        assert (drawn.to_numpy() == kept.loc[:, list(drawn)].to_numpy()).all()


def test_what_is_luck_is_called_luck(project: Project) -> None:
    component, _ = project.strategies["gold_minutes"]
    assert "luck" in component.item.description
