from __future__ import annotations

from pathlib import Path

import pytest

from hf_plugins.errors import ConfigurationError
from hf_resources.settings import Settings


def test_the_default_is_one_absolute_folder_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.from_env({})
    assert settings.home == tmp_path / ".hf"
    assert settings.lake_url == str(tmp_path / ".hf" / "lake")
    assert settings.catalog_url == f"sqlite:///{tmp_path}/.hf/catalog.sqlite"


def test_each_location_can_be_set_alone() -> None:
    settings = Settings.from_env({"HF_HOME": "/h", "HF_LAKE_URL": "s3://bucket/prefix"})
    assert settings.lake_url == "s3://bucket/prefix"
    assert settings.catalog_url == "sqlite:////h/catalog.sqlite"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_a_postgres_url_names_the_driver_that_dagster_can_use(scheme: str) -> None:
    settings = Settings.from_env({"HF_CATALOG_URL": f"{scheme}://u:p@host/db"})
    assert settings.catalog_url == "postgresql+psycopg2://u:p@host/db"


@pytest.mark.parametrize("url", ["mysql://u:secret@h/db", "catalog.sqlite"])
def test_another_database_is_refused_without_showing_the_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed: sqlite:///") as caught:
        Settings.from_env({"HF_CATALOG_URL": url})
    assert "secret" not in str(caught.value)
