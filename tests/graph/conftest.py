"""Labs: throwaway projects for the tests of the graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hf_assets import certification
from tests.graph.lab import Lab


@pytest.fixture(autouse=True)
def uncertified(monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of causality computes features, too, which tests of what is computed must not see.

    Those that are about certificates define this fixture anew.
    """
    monkeypatch.setattr(certification, "certify_heads", lambda *arguments, **options: {})


@pytest.fixture
def make_lab(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    labs: list[Lab] = []

    def make(**options: Any) -> Lab:
        root = tmp_path / f"lab{len(labs)}"
        root.mkdir()
        labs.append(Lab(root, **options))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab()
