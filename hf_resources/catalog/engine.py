"""Opening the catalog database: engine, transactions, migrations.

What differs between SQLite and Postgres is settled here, so that nobody else asks which one it is,
and so is what is said when the database fails.
Tables are in ``schema``; what is read and written is the store's affair.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from hf_plugins.errors import ConfigurationError
from hf_resources.catalog.migrations import HEAD_REVISION
from hf_resources.datasets import CatalogInterruptedError, StorageError
from hf_resources.settings import normalise_catalog_url

# Publishers share this Postgres advisory lock, garbage collection takes it alone.
_LOCK: Final = 0x6866_6C61
_BUSY_SECONDS: Final = 60
_WRITE: Final = {"hf_write": True}
# A server that is away is noticed within half a minute, whether it refuses or is silent.
_POSTGRES_CLIENT: Final = {
    "connect_timeout": 10,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# A client whose machine is gone must not hold its locks for hours, as it would by default. One that
# only pauses keeps them: what it does meanwhile, such as deleting objects, relies on them.
_POSTGRES_SESSION: Final = (
    f"SET lock_timeout = '{_BUSY_SECONDS}s'",
    "SET tcp_keepalives_idle = 15",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
)
# What a Postgres server says when it, and not the statement, is the cause: connection exceptions,
# insufficient resources, operator intervention, system error; and that a transaction was chosen to
# end a deadlock.
_POSTGRES_FAULTS: Final = ("08", "53", "57", "58", "40")
_WHOLE: Final = "What a head points to is whole, whether or not this still moved it"


class Catalog:
    """A catalog database that is open and up to date."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._readers = (
            engine
            if engine.dialect.name == "sqlite"  # in autocommit unless a write begins, see below
            else engine.execution_options(isolation_level="AUTOCOMMIT")
        )

    @classmethod
    def open(cls, url: str) -> Catalog:
        """Open a catalog; an SQLite file is created and migrated on the way.

        Any number of processes may do so at once. A Postgres schema is shared with other hosts,
        which may run older code: it is only migrated on request.

        Raises:
            ConfigurationError: the schema is not this code's, or the database is not reachable.
        StorageError: a new catalog cannot be written, because the disk is full.
        """
        engine = _create_engine(normalise_catalog_url(url))
        found = _reachable(engine)
        if found != HEAD_REVISION:
            if engine.dialect.name != "sqlite":
                shown = engine.url.render_as_string(hide_password=True)
                state = f"is at revision {found}" if found else "has no tables yet"
                raise ConfigurationError(
                    f"catalog {shown} {state}, this code needs {HEAD_REVISION}: "
                    "run `hf catalog upgrade`"
                )
            with _failing(engine, "made"):
                _upgrade(engine)
        return cls(engine)

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection for single statements, each seeing what is committed by then.

        Raises:
            StorageError: the database went away; likewise in the other transactions.
        """
        with _failing(self.engine, "read"), self._readers.connect() as connection:
            yield connection

    @contextmanager
    def stream(self) -> Iterator[Connection]:
        """A read transaction, for results too long for memory; it blocks nobody."""
        with (
            _failing(self.engine, "read"),
            self.engine.connect() as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that may write; it excludes :meth:`exclusive` of any process.

        SQLite has one writer at a time, which waits for its turn at the start: a transaction that
        began by reading could not become a writer once another has written.

        Raises:
            CatalogInterruptedError: the database went away; whether the transaction was committed
                is not known.
            StorageError: the disk is full, or another writer holds the catalog for too long;
                nothing was committed.
        """
        with self._transaction("pg_advisory_xact_lock_shared") as connection:
            yield connection

    @contextmanager
    def exclusive(self) -> Iterator[Connection]:
        """A transaction during which no other process is inside :meth:`write`."""
        with self._transaction("pg_advisory_xact_lock") as connection:
            yield connection

    @contextmanager
    def _transaction(self, lock: str) -> Iterator[Connection]:
        with (
            _failing(self.engine, "written"),
            self.engine.connect().execution_options(**_WRITE) as connection,
            connection.begin(),
        ):
            if self.engine.dialect.name != "sqlite":
                connection.execute(text(f"SELECT {lock}(:key)"), {"key": _LOCK})
            yield connection


def upgrade(url: str) -> bool:
    """Bring a catalog to this code's schema.

    Returns:
        False if it was there already.
    """
    engine = _create_engine(normalise_catalog_url(url))
    try:
        if _reachable(engine) == HEAD_REVISION:
            return False
        _upgrade(engine)
        return True
    finally:
        engine.dispose()


def _create_engine(url: str) -> Engine:
    parsed = make_url(url)
    # NaN is not JSON: Postgres would refuse it, and SQLite would keep what others cannot read.
    codec: dict[str, Any] = {
        "json_serializer": partial(json.dumps, allow_nan=False, separators=(",", ":"))
    }
    if parsed.get_backend_name() != "sqlite":
        # The daemon outlives restarts of the server.
        engine = create_engine(
            parsed,
            pool_pre_ping=True,
            skip_autocommit_rollback=True,
            connect_args=_POSTGRES_CLIENT,
            **codec,
        )

        @event.listens_for(engine, "connect")
        def _limit(connection: Any, _record: Any) -> None:
            connection.autocommit = True  # else they would end with a transaction
            with connection.cursor() as cursor:
                cursor.execute(";".join(_POSTGRES_SESSION))
            connection.autocommit = False

        return engine
    if parsed.database:
        folder = Path(parsed.database).parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"catalog folder {folder} cannot be made: {error}") from None
    engine = create_engine(
        parsed, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False}, **codec
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver begins nothing by itself
        # FULL: a committed row survives a power failure, as its objects do.
        for pragma in ("foreign_keys=ON", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get("hf_write"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _reachable(engine: Engine) -> str | None:
    try:
        return _revision(engine)
    except DBAPIError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise ConfigurationError(f"catalog {shown} cannot be opened: {error.orig}") from None


@contextmanager
def _failing(engine: Engine, done: str) -> Iterator[None]:
    """Name the catalog, the cause and the remedy where the database fails, not a statement."""
    try:
        yield
    except DBAPIError as error:
        failure = _failure(engine, error, done)
        if failure is None:
            raise
        raise failure from None


def _failure(engine: Engine, error: DBAPIError, done: str) -> StorageError | None:
    """What to say of an error of the database; None where the statement was wrong."""
    shown = engine.url.render_as_string(hide_password=True)
    cause = " ".join(str(error.orig).split())
    what = f"catalog {shown} cannot be {done}: {cause}"
    if "is full" in cause:
        return StorageError(
            f"{what}. Nothing was changed; free some space on its disk and run it again"
        )
    code = getattr(error.orig, "pgcode", None)
    if "is locked" in cause or code == "55P03":
        return StorageError(
            f"{what}. Another process has held it for {_BUSY_SECONDS} seconds; nothing was "
            "changed. Run it again once that one has finished"
        )
    if engine.dialect.name == "sqlite":
        if not isinstance(error, OperationalError) or "no such" in cause:
            return None
        return StorageError(f"{what}. {_WHOLE}; look after its file, and run it again")
    lost = error.connection_invalidated or isinstance(error, InterfaceError)
    lost = lost or (isinstance(error, OperationalError) and code is None)
    if lost or str(code).startswith(_POSTGRES_FAULTS):
        return CatalogInterruptedError(f"{what}. {_WHOLE}; run it again once the server answers")
    return None


def _revision(engine: Engine) -> str | None:
    """Revision of the schema, None without one; a single cheap query when all is well."""
    with engine.connect() as connection:
        try:
            return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        except DBAPIError:
            connection.rollback()
            if inspect(connection).has_table("alembic_version"):
                raise
            return None


def _upgrade(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        _retry_while_locked(lambda: _enter_wal(engine))
    with engine.connect().execution_options(**_WRITE) as connection, connection.begin():
        if engine.dialect.name != "sqlite":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        # All of it is one transaction; whoever waited here finds the work done.
        _run_migrations(connection)


def _run_migrations(connection: Connection) -> None:
    # Takes 0.4 s to import and is needed once in the life of a schema.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "hf_resources.catalog:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        shown = connection.engine.url.render_as_string(hide_password=True)
        raise ConfigurationError(
            f"catalog {shown} was made by other code than this, which knows revision "
            f"{HEAD_REVISION}: {error}"
        ) from None


def _enter_wal(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=WAL")


def _retry_while_locked(action: Callable[[], None]) -> None:
    """SQLite does not wait for its turn when the journal mode changes, whatever the time-out."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            return action()
        except OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
