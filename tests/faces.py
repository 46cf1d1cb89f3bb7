"""The faces of storage, each with real servers: what tests of the store run on.

A face says where lake and catalog are and whether Redis stands before them. A test that takes the
fixture ``face``, or one made of it, runs on all four combinations of lake and catalog; those in S3
are ``slow``. A module chooses others by its ``FACES``.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from sqlalchemy import create_engine, text

from hf_resources import catalog
from tests import servers


@dataclass(frozen=True)
class Face:
    """One way to keep the state of an installation."""

    lake: Literal["local", "s3"] = "local"
    catalog: Literal["sqlite", "postgres"] = "sqlite"
    redis: bool = False

    def __str__(self) -> str:
        return f"{self.lake}-{self.catalog}{'-redis' if self.redis else ''}"


def param(face: Face, *, slow: bool) -> Any:
    """A face as a parameter of a test."""
    return pytest.param(face, id=str(face), marks=[pytest.mark.slow] if slow else [])


STORES = [
    param(Face("local", "sqlite"), slow=False),
    param(Face("local", "postgres"), slow=False),
    param(Face("s3", "sqlite"), slow=True),
    param(Face("s3", "postgres"), slow=True),
]
CATALOGS = STORES[:2]
"""For what never touches the lake."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the faces of its module."""
    if "face" in metafunc.fixturenames:
        chosen = getattr(metafunc.module, "FACES", STORES)
        metafunc.parametrize("face", chosen, indirect=True)


@pytest.fixture
def face(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The ``HF_*`` variables of an empty installation; those of S3 are set for the process."""
    chosen: Face = request.param
    environ = {"HF_HOME": str(tmp_path / "home")}
    if chosen.redis:
        server: servers.Redis = request.getfixturevalue("redis_server")
        server.redis.flushall()
        environ["HF_REDIS_URL"] = server.url
    if chosen.lake == "s3":
        for name, value in request.getfixturevalue("s3_server").items():
            monkeypatch.setenv(name, value)
        environ["HF_LAKE_URL"] = s3_url(request)
    if chosen.catalog == "postgres":
        environ["HF_CATALOG_URL"] = request.getfixturevalue("postgres_catalog")
    return environ


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
    yield from database(postgres_server, request, "template0")


@pytest.fixture
def postgres_catalog(postgres_server: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """URL of an empty, migrated catalog."""
    yield from database(postgres_server, request, "template_hf")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[dict[str, str]]:
    """The ``AWS_*`` variables that lead to a running S3 server."""
    if servers.s3_binary() is None:
        pytest.skip(servers.NO_S3)
    with servers.s3() as environ:
        yield environ


@pytest.fixture
def s3_lake(
    s3_server: dict[str, str], request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> str:
    """URL of an empty lake in S3; the process is led to its server."""
    for name, value in s3_server.items():
        monkeypatch.setenv(name, value)
    return s3_url(request)


@pytest.fixture(scope="session")
def redis_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Redis]:
    """A Redis server, running or not, as the last test has left it."""
    if shutil.which("redis-server") is None:
        pytest.skip(servers.NO_REDIS)
    server = servers.Redis(tmp_path_factory.mktemp("redis"), servers.free_port(), "p4ss")
    yield server
    server.end()


@pytest.fixture
def redis_server(redis_process: servers.Redis) -> servers.Redis:
    """A running, empty Redis server, which a test may end."""
    if redis_process.process is None:
        redis_process.start()
    redis_process.redis.flushall()
    return redis_process


def s3_url(request: pytest.FixtureRequest) -> str:
    """A prefix of a test's own; with a space, because people have them."""
    return f"s3://{servers.BUCKET}/of {_digest(request)}"


def database(server: str, request: pytest.FixtureRequest, template: str) -> Iterator[str]:
    """URL of a database of a test's own."""
    name = f"t{_digest(request)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(server, name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _digest(request: pytest.FixtureRequest) -> str:
    return f"{abs(hash(request.node.nodeid)):x}"


def _named(url: str, database: str) -> str:
    return url.rpartition("/")[0] + "/" + database


def _execute(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
