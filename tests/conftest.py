"""What all tests share: where the data for tests lies, and the servers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faces import (  # noqa: F401  (fixtures and the hook that runs tests on them)
    empty_postgres,
    face,
    postgres_catalog,
    postgres_server,
    pytest_generate_tests,
    redis_process,
    redis_server,
    s3_lake,
    s3_server,
)

os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real third-party data; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("HF_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(
            f"needs the shared market data, which is not at {folder}; set HF_SHARED_DATA to its "
            "folder"
        )
    return folder
