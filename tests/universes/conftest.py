"""The examples, run once per session.

``cut`` is a few instruments of an example, with documents and lines as they are; ``whole`` is the
example itself.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.universes.replays import EXAMPLES
from tests.universes.running import Ran, cut, run_example

Scopes = [pytest.param("cut"), pytest.param("whole", marks=pytest.mark.slow)]


def _ran(name: str) -> Callable[..., Ran]:
    def ran(
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
        shared_data: Path,
    ) -> Ran:
        root = tmp_path_factory.mktemp(f"{name}_{request.param}")
        whole = request.param == "whole"
        folder = EXAMPLES / name if whole else cut(name, root / name)
        return run_example(name, folder, root / "state", shared_data)

    return pytest.fixture(scope="session", params=Scopes, name=name)(ran)


us_equities = _ran("us_equities")
crypto_perps = _ran("crypto_perps")
