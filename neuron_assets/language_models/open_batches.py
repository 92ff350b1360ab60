"""Which requests lie in which batch of a provider, noted before anything is waited for: a restart finds them again.

Here: noting and forgetting. Not here: what the batches say (`provider_batches.py`), when to look (`batching.py`), and
answers (`request_store.py`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Column, DateTime, MetaData, String, Table, delete, select, update

from neuron_assets.language_models.database import Database

_TABLES = MetaData()

_BATCHED = Table(
    "batched_requests",
    _TABLES,
    Column("key", String(64), primary_key=True),  # of the request store
    Column("file_id", String, nullable=False, index=True),
    Column("batch_id", String),  # null: the file is uploaded, and nobody knows yet of a batch made of it
    Column("submitted_at", DateTime, nullable=False),  # UTC
)


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """A batch that is not collected as a whole."""

    file_id: str
    """Of the requests, at the provider."""
    batch_id: str | None
    """None: the file is uploaded, and it is not known whether a batch was made of it."""
    submitted_at: datetime
    """UTC."""


class OpenBatches:
    """The table of a database. Its operations raise StoreUnusable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.create(_TABLES)

    def find(self, key: str) -> OpenBatch | None:
        """The batch that holds the request; None where it is in none."""
        with self._database.transaction() as connection:
            row = connection.execute(select(_BATCHED).where(_BATCHED.c.key == key)).one_or_none()
        return None if row is None else OpenBatch(row.file_id, row.batch_id, row.submitted_at.replace(tzinfo=UTC))

    def note_file(self, file_id: str, keys: Iterable[str]) -> OpenBatch:
        """Notes the requests of an uploaded file."""
        now = datetime.now(UTC)
        rows = [{"key": key, "file_id": file_id, "submitted_at": now.replace(tzinfo=None)} for key in keys]
        row = self._database.insert(_BATCHED)
        newest = row.on_conflict_do_update(
            index_elements=[_BATCHED.c.key],
            set_={"file_id": row.excluded.file_id, "batch_id": None, "submitted_at": row.excluded.submitted_at},
        )
        with self._database.transaction() as connection:
            connection.execute(newest, rows)
        return OpenBatch(file_id, None, now)

    def note_batch(self, file_id: str, batch_id: str) -> None:
        """Notes the batch that was made of a file."""
        with self._database.transaction() as connection:
            connection.execute(update(_BATCHED).where(_BATCHED.c.file_id == file_id).values(batch_id=batch_id))

    def forget(self, keys: Iterable[str]) -> None:
        """Forgets requests of which all is known that their batch can tell."""
        with self._database.transaction() as connection:
            for key in keys:
                connection.execute(delete(_BATCHED).where(_BATCHED.c.key == key))

    def forget_file(self, file_id: str) -> None:
        """Forgets all requests of a file."""
        with self._database.transaction() as connection:
            connection.execute(delete(_BATCHED).where(_BATCHED.c.file_id == file_id))
