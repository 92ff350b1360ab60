"""What goes wrong with Dagster's own files, said in words: a home that cannot be written, a database that is full.

Here: naming the home as the culprit. Not here: our own tables and request store, which name themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from neuron_assets.errors import HomeUnusable


@contextmanager
def named_home(home: Path) -> Iterator[None]:
    """Raises HomeUnusable in place of the errors of the files below `home` and of Dagster's databases."""
    try:
        yield
    except SQLAlchemyError as error:  # our own database raises StoreUnusable
        told = error.orig if isinstance(error, DBAPIError) else error
        raise HomeUnusable(home, str(told).splitlines()[0]) from error
    except OSError as error:
        if not Path(str(error.filename)).is_relative_to(home):
            raise
        raise HomeUnusable(home, str(error)) from error
