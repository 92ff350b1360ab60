"""For which neurons the answers of one step are used, noted beside the answers.

Put here: what the notes of a step say. Keep out: the notes themselves (`language_models/asked_for.py`), asking
(`asked.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from neuron_assets.assets.books import Errand
from neuron_assets.errors import TableError
from neuron_assets.language_models.asked_for import Cut, Notes
from neuron_assets.language_models.asker import Used, nothing
from neuron_assets.language_models.database import Database
from neuron_assets.lineage import lineages
from neuron_assets.study import Study
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.store import TableStore


@contextmanager
def noting(
    database: Database, study: Study, errand: Errand, tables: TableStore | None
) -> Iterator[Callable[[Used], None]]:
    """Takes each answer that is used; without tables there is no neuron that it could be about. Raises StoreUnusable.

    In `database` stands a request store.
    """
    try:
        facts = None if tables is None else read_facts(tables.path(study.name, "excerpts"))
    except TableError:
        facts = None
    if facts is None:
        yield nothing
        return
    notes = Notes(database, study.name, errand.asset, Cut(facts.content, lineages(study)["activations"]))
    try:
        yield notes.note
    finally:
        notes.write()
