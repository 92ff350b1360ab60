"""What people wrote of neurons, as rows of the table `labels`, and what has become of it.

Here: the way from the store's explanations to rows and candidates, for people to look at. Not here: the store
(`label_store.py`), simulations by hand (`hand_simulated.py`).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.method.labels import PersonsExplanation, distinct
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.explained import reported
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.parquet import read_table
from neuron_assets.tables.reading import NOT_EXPLAINED
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore

NOT_TAKEN_IN = "kept, and not scored yet; score it with: neuron-assets materialize STUDY --layers N"
OF_NO_CANDIDATE = f"kept, but the neuron is {NOT_EXPLAINED}"


def labels_frame(explanations: Sequence[PersonsExplanation]) -> pl.DataFrame:
    """One row a neuron, person and text."""
    told, so_far, numbers = distinct(explanations), Counter[NeuronId](), list[int]()
    for one in told:
        numbers.append(so_far[one.neuron])
        so_far[one.neuron] += 1
    return frame(
        "labels",
        {
            "layer_index": [one.neuron.layer_index for one in told],
            "neuron_index": [one.neuron.neuron_index for one in told],
            "label": numbers,
            "author": [one.author for one in told],
            "explanation": [one.text for one in told],
        },
    )


@dataclass(frozen=True, slots=True)
class SeenLabel:
    """One explanation by a person, and what has become of it."""

    label: PersonsExplanation
    candidate: int | None
    """Its number among the neuron's candidates; None while it is none."""
    scores: tuple[Mapping[str, Any], ...]
    """Its reported rows of the table `scores`; of a row without a score `failure` tells why."""
    waits: str | None
    """Why there are no scores yet, and what to do."""


def labels_of(store: TableStore, study: str, key: str, neuron: NeuronId) -> tuple[SeenLabel, ...]:
    """What people say of a neuron, in the order of time, each person's text once; `key` is the layer's.

    Raises UnreadableTable.
    """
    of_neuron = pl.col("neuron_index") == neuron.neuron_index
    candidates, scores = (_rows(store, study, table, key, of_neuron) for table in ("candidates", "scores"))
    told = distinct(LabelStore(store, study).of_neuron(neuron).of(PersonsExplanation))
    return tuple(_seen(label, candidates, reported(scores)) for label in told)


def _seen(label: PersonsExplanation, candidates: pl.DataFrame, scores: pl.DataFrame) -> SeenLabel:
    written = candidates.filter(author=label.author, explanation=label.text)["candidate"].to_list()
    candidate = written[0] if written else None
    own = pl.col("candidate").is_in(written[:1]) & (pl.col("author") == label.author)
    rows = scores.filter(own).drop("document_sums").to_dicts()
    waits = None if rows else OF_NO_CANDIDATE if candidates.is_empty() else NOT_TAKEN_IN
    return SeenLabel(label, candidate, tuple(rows), waits)


def _rows(store: TableStore, study: str, table: str, key: str, where: pl.Expr) -> pl.DataFrame:
    path = store.path(study, table, key)
    return read_table(path, table, where) if path.exists() else empty(table)
