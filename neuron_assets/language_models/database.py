"""The database of a project: one SQLite file, or PostgreSQL by URL; several processes may work on it at once.

Here: opening it, short transactions, and one named error for all that can go wrong. Not here: the tables
(`request_store.py`, `ledger.py`).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock
from sqlalchemy import (
    URL,
    Column,
    Connection,
    Engine,
    MetaData,
    Table,
    create_engine,
    event,
    func,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable

from neuron_assets.errors import StoreUnusable

PATIENCE_SECONDS = 60
"""How long a process waits for another one that writes just now."""

_PAGE_BYTES = 16384
"""An answered request takes about 2,000 bytes: SQLite's usual page, of 4,096, would hold one and stay half empty."""

_CREATING = 0x6E6575726F6E
"""The number of PostgreSQL's lock on making tables, ours by agreement."""


class Database:
    """An open database. Every operation raises StoreUnusable where it cannot be done, with the password masked."""

    def __init__(self, engine: Engine, name: str, *, is_read_only: bool = False) -> None:
        self._engine = engine
        self.name = name
        """What people are shown of it: never the password."""
        self.is_read_only = is_read_only

    @classmethod
    def open(cls, url: str) -> "Database":
        """Opens `postgresql+psycopg://...`, `sqlite:///...` or, without a scheme, the SQLite file of that path.

        A SQLite file is made with its folders where it is missing. It has to lie on a disk of this machine: its
        write-ahead log works on no network file system. Raises StoreUnusable.
        """
        location = _location(url)
        database = cls(_engine(location), _shown(location))
        try:
            if location.get_backend_name() == "sqlite":
                _prepare_file(database)
        except OSError as error:
            database.close()
            raise StoreUnusable(database.name, _first_line(error, location)) from error
        except StoreUnusable:
            database.close()
            raise
        return database

    @classmethod
    def open_to_read(cls, url: str) -> "Database":
        """As `open`, and nothing can be changed; raises StoreUnusable where a SQLite file is missing, too."""
        location = _location(url)
        name = _shown(location)
        if location.get_backend_name() == "sqlite" and not Path(name).is_file():
            raise StoreUnusable(name, "there is no such file")
        return cls(_engine_to_read(location), name, is_read_only=True)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection whose work is committed at the end, or not at all where an error leaves the block."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except (SQLAlchemyError, UnicodeEncodeError) as error:
            raise StoreUnusable(self.name, _first_line(error, self._engine.url)) from error

    def create(self, metadata: MetaData) -> None:
        """Makes the tables that are missing, and in those of an older version the columns; these hold nulls.

        Another process may be doing the same.
        """
        with self.transaction() as connection:
            if not self._is_sqlite:
                connection.execute(select(func.pg_advisory_xact_lock(_CREATING)))
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
            if _missing_columns(connection, metadata) and self._is_sqlite:
                connection.execute(text("BEGIN IMMEDIATE"))  # whoever comes second finds them there
            for column in _missing_columns(connection, metadata):
                definition = CreateColumn(column).compile(dialect=connection.dialect)
                connection.execute(text(f"ALTER TABLE {column.table.name} ADD COLUMN {definition}"))

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An INSERT that may say what is to happen where the row is there already."""
        return sqlite.insert(table) if self._is_sqlite else postgresql.insert(table)

    def size_bytes(self) -> int:
        """The whole database."""
        with self.transaction() as connection:
            if not self._is_sqlite:
                return int(connection.scalar(select(func.pg_database_size(func.current_database()))) or 0)
            n_pages = connection.scalar(text("PRAGMA page_count")) or 0
            return int(n_pages) * int(connection.scalar(text("PRAGMA page_size")) or 0)

    def give_space_back(self) -> None:
        """Shrinks a SQLite file to what it holds; PostgreSQL does so by itself, in time."""
        if self._is_sqlite:
            with self.transaction() as connection:
                # VACUUM wants no transaction: Python's sqlite3 opens one only before what changes rows.
                connection.execute(text("VACUUM"))

    def close(self) -> None:
        self._engine.dispose()

    @property
    def _is_sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"


def _missing_columns(connection: Connection, metadata: MetaData) -> list[Column[Any]]:
    """Of its tables, which are there."""
    there = {
        table.name: {column["name"] for column in inspect(connection).get_columns(table.name)}
        for table in metadata.sorted_tables
    }
    return [column for name, names in there.items() for column in metadata.tables[name].c if column.name not in names]


def _location(url: str) -> URL:
    if "://" not in url:
        return URL.create("sqlite", database=str(Path(url).expanduser().absolute()))
    try:
        location = make_url(url)
        backend = location.get_backend_name()
    except (ArgumentError, ValueError):
        # Without a cause: it would show the URL as it stands, password and all.
        raise StoreUnusable(re.sub(r"://.*@", "://***@", url), "it is not the URL of a database") from None
    if backend not in ("sqlite", "postgresql"):
        raise StoreUnusable(_shown(location), f"{backend} is neither sqlite nor postgresql")
    if backend == "sqlite" and location.database in (None, "", ":memory:"):
        raise StoreUnusable(_shown(location), "what is kept in memory is not kept; name a file")
    # Older versions of SQLAlchemy understand the bare name as another driver than newer ones.
    return location.set(drivername="postgresql+psycopg") if location.drivername == "postgresql" else location


def _shown(location: URL) -> str:
    if location.get_backend_name() == "sqlite":
        return str(location.database or "sqlite://")
    return location.set(query={}).render_as_string(hide_password=True)  # the query, too, may hold a password


def _engine(location: URL) -> Engine:
    is_sqlite = location.get_backend_name() == "sqlite"
    waiting: dict[str, Any] = {"timeout": PATIENCE_SECONDS} if is_sqlite else {}
    try:
        engine = create_engine(location, hide_parameters=True, connect_args=waiting, pool_pre_ping=not is_sqlite)
    except ImportError as error:
        reason = f"{error.name} is not installed; pip install 'neuron-assets[postgres]'"
        raise StoreUnusable(_shown(location), reason) from error
    except ArgumentError as error:
        raise StoreUnusable(_shown(location), _first_line(error, location)) from error
    if is_sqlite:
        event.listen(engine, "connect", _write_through_at_checkpoints)
    return engine


def _engine_to_read(location: URL) -> Engine:
    if location.get_backend_name() == "sqlite":
        return _engine(location.set(database=f"file:{quote(_shown(location))}", query={"mode": "ro", "uri": "true"}))
    return _engine(location).execution_options(postgresql_readonly=True)


def _write_through_at_checkpoints(connection: Any, _: object) -> None:
    """What is committed survives the death of the process; the last moments before a power cut may be lost."""
    connection.execute("PRAGMA synchronous=NORMAL").close()


def _prepare_file(database: Database) -> None:
    path = Path(str(database.name))
    path.parent.mkdir(parents=True, exist_ok=True)
    # SQLite waits for nobody while it changes how it logs: two processes that open a new file at once need this lock.
    with FileLock(path.with_name(f"{path.name}.lock"), timeout=PATIENCE_SECONDS), database.transaction() as connection:
        connection.execute(text(f"PRAGMA page_size={_PAGE_BYTES}"))  # a file that has tables keeps its own
        mode = connection.scalar(text("PRAGMA journal_mode=WAL"))
    if mode != "wal":
        raise StoreUnusable(database.name, "its disk allows no write-ahead log; keep it on a disk of this machine")


def _first_line(error: Exception, location: URL) -> str:
    told = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    line = (str(told).strip() or type(told).__name__).splitlines()[0]
    return line.replace(location.password, "***") if location.password else line
