"""A store on each face, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator

import hypothesis
import pytest

from hf_resources.settings import Settings
from hf_resources.store import DatasetStore

# A machine that other work shares is no finding.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def settings(face: dict[str, str]) -> Settings:
    """An empty lake with an empty, migrated catalog."""
    return Settings.from_env(face)


@pytest.fixture
def store(settings: Settings) -> Iterator[DatasetStore]:
    """A store on an empty lake and catalog."""
    opened = DatasetStore.open(settings)
    yield opened
    opened.catalog.close()
