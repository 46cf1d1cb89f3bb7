"""A store on each database, fresh for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import create_engine, text

from hf_resources import catalog
from hf_resources.settings import Settings
from hf_resources.store import DatasetStore
from tests import servers

# A machine that other work shares is no finding.
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a running PostgreSQL server with a migrated database ``template_hf``."""
    if servers.postgres_binaries() is None:
        pytest.skip(servers.NO_POSTGRES)
    with servers.postgres() as url:
        _execute(url, "CREATE DATABASE template_hf")
        catalog.upgrade(_named(url, "template_hf"))
        yield url


@pytest.fixture
def empty_postgres(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of a database without tables."""
    yield from _database(postgres_server, request, "template0")


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    """A local lake with an empty, migrated catalog."""
    environ = {"HF_HOME": str(tmp_path / "home")}
    if request.param == "sqlite":
        yield Settings.from_env(environ)
        return
    server = request.getfixturevalue("postgres_server")
    for url in _database(server, request, "template_hf"):
        yield Settings.from_env({**environ, "HF_CATALOG_URL": url})


@pytest.fixture
def store(settings: Settings) -> Iterator[DatasetStore]:
    """A store on an empty lake and catalog."""
    opened = DatasetStore.open(settings)
    yield opened
    opened.catalog.close()


def _database(server: str, request: pytest.FixtureRequest, template: str) -> Iterator[str]:
    name = f"t{abs(hash(request.node.nodeid)):x}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(server, name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _named(url: str, database: str) -> str:
    return url.rpartition("/")[0] + "/" + database


def _execute(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
