from __future__ import annotations

import multiprocessing
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import select
from sqlalchemy.exc import StatementError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from hf_plugins.errors import ConfigurationError
from hf_resources.catalog import Catalog, upgrade
from hf_resources.catalog.migrations import HEAD_REVISION
from hf_resources.catalog.schema import TABLES, Base, Feature, Head
from hf_resources.datasets import LAYERS
from hf_resources.settings import Settings
from tests.faces import CATALOGS

FACES = CATALOGS


def test_the_migrated_schema_is_that_of_the_models(settings: Settings) -> None:
    catalog = Catalog.open(settings.catalog_url)
    with catalog.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
        assert context.get_current_revision() == HEAD_REVISION


def test_every_layer_has_its_tables() -> None:
    assert set(TABLES) == set(LAYERS)
    assert len({tables.dataset for tables in TABLES.values()}) == len(LAYERS)


def test_postgres_is_migrated_only_on_request(empty_postgres: str) -> None:
    with pytest.raises(ConfigurationError, match="run `hf catalog upgrade`") as caught:
        Catalog.open(empty_postgres)
    assert ":***@" in str(caught.value)  # the password stays out of messages
    assert upgrade(empty_postgres) is True
    assert upgrade(empty_postgres) is False
    Catalog.open(empty_postgres).close()


def test_a_catalog_of_newer_code_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalog.sqlite"
    Catalog.open(url).close()
    with sqlite3.connect(tmp_path / "catalog.sqlite") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigurationError, match="made by other code than this"):
        Catalog.open(url)


def test_what_is_no_database_is_a_clear_error(tmp_path: Path) -> None:
    file = tmp_path / "catalog.sqlite"
    file.write_text("not a database, but long enough to look at " * 100)
    with pytest.raises(ConfigurationError, match=r"catalog sqlite:.* cannot be opened"):
        Catalog.open(f"sqlite:///{file}")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        Catalog.open("postgresql://nobody@127.0.0.1:1/none")


def _open(url: str, barrier: Any, answers: Any) -> None:
    barrier.wait(60)
    catalog = Catalog.open(url)
    with catalog.read() as connection:
        answers.put(connection.execute(select(Head.layer)).all())


def test_several_processes_may_open_a_new_catalog_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("forkserver")
    barrier, answers = context.Barrier(4), context.Queue()
    url = f"sqlite:///{tmp_path}/new/catalog.sqlite"
    children = [context.Process(target=_open, args=(url, barrier, answers)) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0] * 4


def test_sqlite_is_durable_and_lets_readers_read(tmp_path: Path) -> None:
    catalog = Catalog.open(f"sqlite:///{tmp_path}/catalog.sqlite")
    with catalog.read() as reader, catalog.write():
        pragmas = ("journal_mode", "synchronous", "foreign_keys")
        values = [reader.exec_driver_sql(f"PRAGMA {name}").scalar() for name in pragmas]
        assert values == ["wal", 2, 1]
        assert reader.execute(select(Head)).all() == []  # while a writer is at work


def feature(**changes: Any) -> Feature:
    values: dict[str, Any] = {
        "name": "rsi",
        "family": "",
        "description": "",
        "plugin_key": "k",
        "parameters": {},
    }
    return Feature(**{**values, **changes})


def test_a_stale_write_of_a_definition_fails(settings: Settings) -> None:
    catalog = Catalog.open(settings.catalog_url)
    with Session(catalog.engine, expire_on_commit=False) as session:
        session.add(feature())
        session.commit()
    with Session(catalog.engine) as session:
        stale = session.scalars(select(Feature)).one()
        session.expunge(stale)
    with Session(catalog.engine) as session:
        session.scalars(select(Feature)).one().description = "edited first"
        session.commit()
    with Session(catalog.engine) as session:
        session.add(stale)
        stale.description = "edited from an old copy"
        with pytest.raises(StaleDataError):
            session.commit()
    with Session(catalog.engine) as session:
        row = session.scalars(select(Feature)).one()
        assert (row.description, row.version) == ("edited first", 2)


def test_times_come_back_in_utc(settings: Settings) -> None:
    moment = datetime(2020, 1, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    catalog = Catalog.open(settings.catalog_url)
    with Session(catalog.engine) as session:
        session.add(feature(created_at=moment))
        session.commit()
    with catalog.read() as connection:
        found = connection.execute(select(Feature.created_at)).scalar_one()
    assert found == moment
    assert found.tzinfo is UTC
    with Session(catalog.engine) as session:
        session.add(feature(name="naive", created_at=datetime(2020, 1, 1)))
        with pytest.raises(StatementError, match="has no time zone"):
            session.commit()
