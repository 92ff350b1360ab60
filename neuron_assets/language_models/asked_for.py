"""For which neuron of which study every answer was used: how a neuron's prompts and replies are found again.

Here: these notes, whoever paid for the answer, and who reads them. Not here: the answers (`request_store.py`).
"""

import threading
from dataclasses import dataclass

from sqlalchemy import Column, Integer, MetaData, String, Table, inspect, select

from neuron_assets.language_models.asker import Used
from neuron_assets.language_models.database import Database
from neuron_assets.method.records import NeuronId

NOTES = MetaData()

ASKED_FOR = Table(
    "asked_for",
    NOTES,
    Column("study", String, primary_key=True),
    Column("layer_index", Integer, primary_key=True, autoincrement=False),
    Column("neuron_index", Integer, primary_key=True, autoincrement=False),
    Column("asset", String, primary_key=True),
    Column("about", String, primary_key=True),  # what is said behind the neuron: `candidate 0 excerpt 17`
    Column("key", String(64), primary_key=True),  # of `answers`
    Column("excerpts", String, primary_key=True),
    Column("activations", String, primary_key=True),
    sqlite_with_rowid=False,  # the rows of a neuron lie together
)

_GATHERED = 500
"""Notes a transaction; a process that is killed loses no more, and notes them when it uses the answers again."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What a neuron was asked about: with another one, other excerpts are in its pools."""

    excerpts: str
    """Content hash of the table."""
    activations: str
    """Lineage of the table."""


@dataclass(frozen=True, slots=True)
class AskedFor:
    """One note."""

    asset: str
    about: str
    """`candidate 0 excerpt 17`; nothing where the neuron says it all."""
    key: str
    """Of the answer, in the request store."""
    cut: Cut


class Notes:
    """What one step of a study uses; told of it on any thread."""

    def __init__(self, database: Database, study: str, asset: str, cut: Cut) -> None:
        self._database = database
        self._step = {"study": study, "asset": asset, "excerpts": cut.excerpts, "activations": cut.activations}
        self._insert = database.insert(ASKED_FOR).on_conflict_do_nothing()
        self._rows: list[dict[str, object]] = []
        self._lock = threading.Lock()

    def note(self, used: Used) -> None:
        """It is written soon, and by `write` at the latest; what is about no neuron is not. Raises StoreUnusable."""
        name, _, about = used.about.partition(" ")
        try:
            neuron = NeuronId.parse(name)
        except ValueError:
            return
        row = {"layer_index": neuron.layer_index, "neuron_index": neuron.neuron_index, "about": about, "key": used.key}
        with self._lock:
            self._rows.append(self._step | row)
            is_full = len(self._rows) >= _GATHERED
        if is_full:
            self.write()

    def write(self) -> None:
        """All that has been gathered, now; raises StoreUnusable."""
        with self._lock:
            rows, self._rows = self._rows, []
        if rows:
            with self._database.transaction() as connection:
                connection.execute(self._insert, rows)


def asked_for(database: Database, study: str, neuron: NeuronId) -> tuple[AskedFor, ...]:
    """All notes of one neuron, by asset; none in a store of a time before there were any. Raises StoreUnusable."""
    columns = ASKED_FOR.c
    of_neuron = select(ASKED_FOR).where(
        columns.study == study,
        columns.layer_index == neuron.layer_index,
        columns.neuron_index == neuron.neuron_index,
    )
    with database.transaction() as connection:
        if not inspect(connection).has_table(ASKED_FOR.name):
            return ()
        rows = connection.execute(of_neuron.order_by(columns.asset, columns.about, columns.key))
        return tuple(AskedFor(row.asset, row.about, row.key, Cut(row.excerpts, row.activations)) for row in rows)
