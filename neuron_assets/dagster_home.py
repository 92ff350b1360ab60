"""What goes wrong with Dagster's own files, said in words: a home that cannot be written, a database that is full.

Here: naming the home as the culprit. Not here: our own tables and request store, which name themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from neuron_assets.errors import HomeUnusable, RunFailed


@contextmanager
def named_home(home: Path) -> Iterator[None]:
    """Raises HomeUnusable in place of the errors of the files below `home` and of Dagster's databases."""
    try:
        yield
    except (SQLAlchemyError, RunFailed) as error:
        told = _database_error(error)
        if told is None:
            raise
        raise HomeUnusable(home, told) from error
    except OSError as error:
        if not Path(str(error.filename)).is_relative_to(home):
            raise
        raise HomeUnusable(home, str(error)) from error


def _database_error(error: BaseException | None) -> str | None:
    """What Dagster's database said, if that is behind the error; our own raises StoreUnusable."""
    seen: set[int] = set()  # chains of contexts may be circles
    while error is not None and id(error) not in seen:
        if isinstance(error, SQLAlchemyError):
            return str(error.orig if isinstance(error, DBAPIError) else error).splitlines()[0]
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return None
