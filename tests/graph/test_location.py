"""Documents in a folder of one's own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hf_assets import location
from hf_assets.cli.session import PROJECT_ROOT, Session
from hf_plugins.errors import ConfigurationError

SHIPPED = PROJECT_ROOT / "hf_assets" / "defs"


def test_the_named_folder_is_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(SHIPPED, mine, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (mine / "features" / "defs.yaml").write_text(
        (mine / "features" / "defs.yaml").read_text()
        + "---\ntype: hf_assets.Feature\n"
        + "attributes: {name: only_here, plugin: technical.rsi, params: {length: 5}}\n"
    )
    monkeypatch.setenv(location.VARIABLE, str(mine))
    assert "only_here" in Session.load().project.features
    monkeypatch.delenv(location.VARIABLE)
    assert "only_here" not in Session.load().project.features


def test_an_error_in_it_names_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(SHIPPED, mine, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (mine / "features" / "defs.yaml").write_text(
        "type: hf_assets.Feature\nattributes: {name: rsi_14, plugin: technical.rsy}\n"
    )
    monkeypatch.setenv(location.VARIABLE, str(mine))
    with pytest.raises(ConfigurationError, match=r"^features/defs.yaml:2.*technical\.rsi"):
        Session.load().project  # noqa: B018


def test_a_folder_that_is_not_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").mkdir()
    monkeypatch.setenv(location.VARIABLE, str(tmp_path / "exmples"))
    with pytest.raises(ConfigurationError, match=r"no folder\. Did you mean 'examples'"):
        location.component_tree()
    monkeypatch.setenv(location.VARIABLE, str(tmp_path / "examples"))
    with pytest.raises(ConfigurationError, match=r"no universe\.yaml"):
        location.component_tree()
