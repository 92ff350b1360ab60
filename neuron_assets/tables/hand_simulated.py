"""Simulations by hand beside the tables: which excerpts a person may still simulate, and what the others are worth.

Here: reading. Not here: keeping them (`label_store.py`), which count (`method/labels.py`), and how they are scored
(`method/hand_simulations.py`).
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import polars as pl
from jaxtyping import Float

from neuron_assets.errors import ChangedInput, TableError
from neuron_assets.method.hand_simulations import BesideTheModel, beside_the_model
from neuron_assets.method.labels import HandSimulation, ReadExcerpt, counted, excerpts_of
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord
from neuron_assets.tables.explained import simulated_matrix
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.parquet import StoredTable, read_facts, read_table
from neuron_assets.tables.rows import activations_of, corpus, matrix
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore

CUT_ANEW = "the corpus was cut anew since: that excerpt is not the one of that number any more"
NOT_KEPT = "it is none of the neuron's excerpts of `valid` any more"
NOTHING_LEFT = "none of its excerpts can be scored any more"


@dataclass(frozen=True, slots=True, eq=False)
class PersonsSimulation:
    """All that one person simulated of one neuron by one explanation."""

    person: str
    explanation: str
    """That was read."""
    excerpt_indices: tuple[int, ...]
    """What is scored."""
    left_out: Mapping[str, int]
    """How many excerpts are not, by the reason."""
    candidate: int | None
    """The first of the neuron's candidates that says the same; None where none does any more."""
    simulator: str | None
    """The model that simulated it; None where none did."""
    found: BesideTheModel | None
    failure: str | None
    """Why `found` is None."""


def excerpts_to_simulate(
    store: TableStore, study: str, key: str, neuron: NeuronId, person: str
) -> tuple[ReadExcerpt, ...]:
    """Excerpts of `valid` of the neuron that this person has not simulated yet, in an order that tells nothing.

    Where the model has simulated the neuron, only excerpts that it did; without what the neuron does on them. Raises
    MissingTable, UnreadableTable, InvalidTable or ChangedInput.
    """
    neurons = _Neuron.read(store, study, key, neuron)
    done = excerpts_of(person, LabelStore(store, study).of_neuron(neuron).of(HandSimulation), neuron)
    simulated = set(neurons.simulations["excerpt_index"])
    rows = neurons.rows.filter(pl.col("excerpt_index").is_in(list(simulated))) if simulated else neurons.rows
    offered = [
        ReadExcerpt(excerpts=neurons.excerpts, excerpt_index=index, document=document, tokens=tuple(tokens))
        for index, document, tokens in rows.select("excerpt_index", "document", "tokens").iter_rows()
        if tuple(tokens) not in done
    ]
    return tuple(sorted(offered, key=lambda excerpt: _shuffling(person, excerpt)))


def human_simulations(  # noqa: PLR0913  # of what, and how intervals are drawn
    store: TableStore, study: str, key: str, neuron: NeuronId, *, seed: int = 0, n_draws: int = 1000
) -> tuple[PersonsSimulation, ...]:
    """What people simulated of a neuron, by person and explanation, beside the model; nothing where nobody did.

    `key` is the layer's; `seed` and `n_draws` are those of the study's scoring. Raises MissingTable, UnreadableTable or
    InvalidTable.
    """
    made = counted(LabelStore(store, study).of_neuron(neuron).of(HandSimulation))
    if not made:
        return ()
    there = _Neuron.read(store, study, key, neuron)
    by_person = groupby(sorted(made, key=_whose), key=_whose)
    return tuple(_scored(there, tuple(group), seed, n_draws) for _, group in by_person)


@dataclass(frozen=True, slots=True, eq=False)
class _Neuron:
    """What the tables say of it now."""

    neuron: NeuronId
    excerpts: str
    """Content hash of the table."""
    rows: pl.DataFrame
    """Of `activations`, of the pool `valid`, each excerpt once, with document and tokens."""
    simulations: pl.DataFrame

    @classmethod
    def read(cls, store: TableStore, study: str, key: str, neuron: NeuronId) -> "_Neuron":
        texts, activations = store.path(study, "excerpts"), store.path(study, "activations", key)
        content = read_facts(texts).content
        kept = activations_of(StoredTable(activations, "activations"), "valid", [neuron.neuron_index])
        if read_facts(activations).inputs.get(store.name(texts)) != content:
            kept = kept.clear()
        kept = kept.unique("excerpt_index", keep="first", maintain_order=True)
        wanted = pl.col("excerpt_index").is_in(kept["excerpt_index"].to_list())
        columns = ["excerpt_index", "document_index", "document", "tokens"]
        rows = kept.join(read_table(texts, "excerpts", wanted, columns), on="excerpt_index", maintain_order="left")
        if read_facts(texts).content != content:  # replaced meanwhile
            raise ChangedInput(activations, texts)
        return cls(neuron, content, rows, _simulations(store, study, key, neuron, content))

    def record(self, excerpt_indices: Sequence[int]) -> NeuronRecord:
        rows = self.rows.filter(pl.col("excerpt_index").is_in(excerpt_indices))
        texts = corpus(rows)
        return NeuronRecord(
            self.neuron,
            Exemplars(
                tokens=texts.tokens,
                activations=matrix(rows["activations"]),
                is_top=(rows["kind"] == "top").to_numpy(),
                document_indices=texts.document_indices,
                excerpt_indices=rows["excerpt_index"].to_numpy(),
            ),
        )


def _simulations(store: TableStore, study: str, key: str, neuron: NeuronId, excerpts: str) -> pl.DataFrame:
    """The model's, if they are of the excerpts that are there now."""
    path = store.path(study, "simulations", key)
    try:
        if read_facts(path).inputs.get(store.name(store.path(study, "excerpts"))) == excerpts:
            return read_table(path, "simulations", pl.col("neuron_index") == neuron.neuron_index)
    except TableError:
        return empty("simulations")
    return empty("simulations")


def _scored(there: _Neuron, made: Sequence[HandSimulation], seed: int, n_draws: int) -> PersonsSimulation:
    """Of those of one person who read one explanation."""
    person, explanation = made[0].person, made[0].text
    tokens_of = dict(there.rows.select("excerpt_index", "tokens").iter_rows())
    left_out = Counter(filter(None, (_why_left_out(one, there.excerpts, tokens_of) for one in made)))
    by_index = {one.excerpt.excerpt_index: one for one in made if not _why_left_out(one, there.excerpts, tokens_of)}
    same = there.simulations.filter(pl.col("explanation") == explanation)
    same = same.filter(pl.col("candidate") == pl.col("candidate").min())
    candidate, simulator = next(same.select("candidate", "simulator").iter_rows(), (None, None))
    found = None
    if by_index:
        record = there.record(list(by_index))
        by_hand = _by_hand(record, by_index)
        found = beside_the_model(record, by_hand, simulated_matrix(same, record), seed=seed, n_draws=n_draws)
    return PersonsSimulation(
        person=person,
        explanation=explanation,
        excerpt_indices=tuple(by_index),
        left_out=dict(left_out),
        candidate=candidate,
        simulator=simulator,
        found=found,
        failure=None if found else NOTHING_LEFT,
    )


def _why_left_out(one: HandSimulation, excerpts: str, tokens_of: Mapping[int, Sequence[str]]) -> str | None:
    if one.excerpt.excerpts != excerpts:
        return CUT_ANEW
    if one.excerpt.excerpt_index not in tokens_of:
        return NOT_KEPT
    return None if tuple(tokens_of[one.excerpt.excerpt_index]) == one.excerpt.tokens else CUT_ANEW


def _by_hand(record: NeuronRecord, by_index: Mapping[int, HandSimulation]) -> Float[np.ndarray, "excerpt token"]:
    return np.array([by_index[index].values for index in record.exemplars.excerpt_indices.tolist()], np.float32)


def _whose(one: HandSimulation) -> tuple[str, str]:
    return one.by, one.text


def _shuffling(person: str, excerpt: ReadExcerpt) -> bytes:
    return hashlib.sha256("\0".join((person, *excerpt.tokens)).encode()).digest()
