"""What is said of some neurons in one line: the explanation that stands, and its score.

Here: reading these of many neurons at once, and refusing what was made from other activations. Not here: all that is
known of one neuron (`neuron.py`).
"""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl
from upath import UPath

from neuron_assets.errors import MissingTable
from neuron_assets.method.controls import CONTROLS
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.shelf import OpenStudy

_TEXTS = ("neuron_index", "candidate", "author", "explanation", "failure")
_SCORES = ("layer_index", "neuron_index", "candidate", "author", "scorer", "sample", "chosen", "ev_correlation")


@dataclass(frozen=True, slots=True)
class Told:
    """One neuron's line."""

    explanation: str | None
    failure: str | None
    """Why there is none."""
    score: float | None
    """Top-and-random, of this explanation; None where it is undefined or not scored yet."""


def told_of_layer(study: OpenStudy, layer_index: int, neuron_indices: Collection[int]) -> dict[int, Told]:
    """By neuron index; neurons that were not explained are left out.

    Raises UnreadableTable, or ChangedInput where the texts are of other activations than are there now.
    """
    _check_inputs(study.store, study.store.path(study.name, "candidates", study.key(layer_index)))
    texts = _rows(study, "candidates", layer_index, _TEXTS, neuron_indices)
    if texts is None:
        return {}
    scores = _rows(study, "scores", layer_index, _SCORES, neuron_indices)
    stands: dict[int, tuple[int, float | None]] = {}
    if scores is not None:
        of_sample = of_chosen(scores).filter(pl.col("sample") == "top_and_random")
        for neuron_index, *rest in of_sample.select("neuron_index", "candidate", "ev_correlation").iter_rows():
            stands[neuron_index] = (rest[0], rest[1])
    found: dict[int, Told] = {}
    for row in texts.filter(~pl.col("author").is_in(CONTROLS)).sort("candidate").to_dicts():
        candidate, score = stands.get(row["neuron_index"], (row["candidate"], None))
        if row["candidate"] == candidate:
            found.setdefault(row["neuron_index"], Told(row["explanation"], row["failure"], score))
    return found


def explained_of_layer(study: OpenStudy, layer_index: int) -> list[int]:
    """Indices of the neurons that have an explanation; raises UnreadableTable."""
    texts = study.layer("candidates", layer_index, ("neuron_index", "author", "explanation"))
    if texts is None:
        return []
    own = texts.filter(pl.col("explanation").is_not_null() & ~pl.col("author").is_in(CONTROLS))
    return own["neuron_index"].unique().sort().to_list()


def _rows(
    study: OpenStudy, table: str, layer_index: int, columns: tuple[str, ...], neuron_indices: Collection[int]
) -> pl.DataFrame | None:
    rows = study.layer(table, layer_index, columns)
    return None if rows is None else rows.filter(pl.col("neuron_index").is_in(list(neuron_indices)))


def _check_inputs(store: TableStore, path: UPath) -> None:
    """Raises ChangedInput where something that the table was made from was made anew since; UnreadableTable."""
    try:
        facts = store.current_facts(path, read_facts(path).lineage)
    except MissingTable:
        return
    for relative in facts.inputs:
        _check_inputs(store, store.root / relative)
