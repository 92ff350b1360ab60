"""What goes wrong with Dagster's own files, said in words: an unwritable home, a database full or lost.

Here: naming the home as the culprit, or the database server where that keeps the history. Not here: our own tables
and request store, which name themselves.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from neuron_assets.errors import HistoryUnusable, HomeUnusable, NeuronAssetsError, RunFailed


@contextmanager
def named_home(home: Path) -> Iterator[None]:
    """Raises HomeUnusable or HistoryUnusable in place of errors of files below `home` and of Dagster's databases."""
    try:
        yield
    except OSError as error:
        if not Path(str(error.filename)).is_relative_to(home):
            raise
        raise HomeUnusable(home, str(error)) from error
    except Exception as error:  # after some tries, Dagster wraps what a lost server's driver raises
        told = _database_error(error)
        if told is None or (isinstance(error, NeuronAssetsError) and not isinstance(error, RunFailed)):
            raise
        origin = told.orig if isinstance(told, DBAPIError) else told
        reason = str(origin).partition("\n")[0] or type(origin).__name__
        if isinstance(origin, sqlite3.Error):
            raise HomeUnusable(home, reason) from error
        raise HistoryUnusable(home / "dagster.yaml", reason) from error


def _database_error(error: BaseException | None) -> SQLAlchemyError | None:
    """What Dagster's database said, if that is behind the error; our own raises StoreUnusable."""
    seen: set[int] = set()  # chains of contexts may be circles
    while error is not None and id(error) not in seen:
        if isinstance(error, SQLAlchemyError):
            return error
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
