"""Meanings as rows of the table `meanings`, as lists that are candidates, and what those lists were worth.

Here: the way from groups to rows, to lists, and from scores to how many meanings helped. Not here: how excerpts are
grouped (`method/meanings.py`), and which candidate is chosen (`method/choosing.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from neuron_assets.method.meanings import as_list
from neuron_assets.method.records import Answer, NeuronId
from neuron_assets.tables.rows import frame


@dataclass(frozen=True, slots=True)
class Meaning:
    """One entry of a list, or why there is no such list."""

    neuron: NeuronId
    n_meanings: int
    """Of the list."""
    number: int
    """Of the entry, from 0."""
    n_excerpts: int
    tokens: tuple[str, ...]
    """That fire most."""
    explained: Answer[str]


def meanings_frame(explainer: str, meanings: Sequence[Meaning]) -> pl.DataFrame:
    """One row a meaning, in the order given."""
    return frame(
        "meanings",
        {
            "layer_index": [one.neuron.layer_index for one in meanings],
            "neuron_index": [one.neuron.neuron_index for one in meanings],
            "n_meanings": [one.n_meanings for one in meanings],
            "meaning": [one.number for one in meanings],
            "n_excerpts": [one.n_excerpts for one in meanings],
            "tokens": [list(one.tokens) for one in meanings],
            "explainer": [explainer for _ in meanings],
            "explanation": [one.explained.value for one in meanings],
            "failure": [one.explained.failure for one in meanings],
        },
    )


def lists_frame(meanings: pl.DataFrame) -> pl.DataFrame:
    """The rows of each list as one: its text, or the first reason why an entry has none; its parent is candidate 0.

    The column `list` counts the lists of a neuron from 1, the shortest first.
    """
    keys = ["layer_index", "neuron_index", "n_meanings"]
    joined = meanings.group_by(keys, maintain_order=True).agg(
        "explanation", pl.col("explainer").first(), pl.col("failure").drop_nulls().first()
    )
    texts = [
        None if failure else as_list(entries)
        for entries, failure in joined.select("explanation", "failure").iter_rows()
    ]
    return joined.with_columns(
        pl.lit(0, pl.Int32).alias("parent"),
        (pl.col("n_meanings") - 1).alias("list"),
        pl.Series("explanation", texts, pl.String),
    )
