"""Meanings as rows of the table `meanings`, as lists that are candidates, and what those lists were worth.

Here: the way from groups to rows, to lists, and from scores to how many meanings helped. Not here: how excerpts are
grouped (`method/meanings.py`), and which candidate is chosen (`method/choosing.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.method.meanings import as_list
from neuron_assets.method.records import Answer, NeuronId
from neuron_assets.method.samples import SAMPLES
from neuron_assets.tables.explained import MEANINGS, of_chosen, of_explainer
from neuron_assets.tables.rows import frame
from neuron_assets.tables.summarized import gain_over_first


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


def helped(scores: pl.DataFrame, *, seed: int, n_draws: int) -> list[dict[str, Any]]:
    """By layer, number of meanings and sample: of how many neurons such a list was chosen, and its gain there.

    `n_neurons` are all, `n_chosen` those for which the list did best on `calibration`; `gain` is the mean difference of
    these to their first explanation on held-out excerpts, with `gain_low`, `gain_high`, `gain_failure` as in
    `layer_summary`. Nothing where there are no lists.
    """
    of_neuron = ("layer_index", "neuron_index")
    lists = of_explainer(scores).filter(pl.col("author") == MEANINGS)
    lists = lists.with_columns(n_meanings=pl.col("candidate") - pl.col("candidate").min().over(of_neuron) + 2)
    stands = of_chosen(scores).select(*of_neuron, "candidate", "sample")
    rows = []
    for key, of_length in lists.sort("neuron_index").group_by("layer_index", "n_meanings", "sample"):
        chosen = of_length.join(stands, on=stands.columns, how="semi", maintain_order="left")
        counts = {"n_neurons": of_length["neuron_index"].n_unique(), "n_chosen": chosen.height}
        facts = dict(zip(("layer_index", "n_meanings", "sample"), key, strict=True))
        rows.append(facts | counts | gain_over_first(scores, chosen, seed=seed, n_draws=n_draws))
    return sorted(rows, key=lambda row: (row["layer_index"], row["n_meanings"], SAMPLES.index(row["sample"])))
