"""The table `openings`: what was written down of each look at the pool `test`.

Here: its rows, and which of them still count. Not here: when the pool may be opened (`final_report.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import content_hash
from neuron_assets.tables.schemas import empty


@dataclass(frozen=True, slots=True)
class Stand:
    """What stands for the neurons of one layer when `test` is opened."""

    n_neurons: int
    texts: str
    """Their hash."""


def stand_of(candidates: pl.DataFrame, scores: pl.DataFrame) -> Stand:
    """Of one layer, by its tables."""
    stands = candidates.join(of_chosen(scores), on=("neuron_index", "candidate"), how="semi").sort("neuron_index")
    return Stand(stands.height, content_hash(stands.select("neuron_index", "explanation", "failure")))


@dataclass(frozen=True, slots=True)
class Look:
    """All that decides what a look at `test` shows: another of these is another look."""

    excerpts: str
    """Content hash of `excerpts`."""
    lineage: str
    """Of `final_scores`."""
    explainer: str
    simulator: str
    """Who they were observed to be."""
    stands: Mapping[int, Stand]
    """By layer."""


def is_last(openings: pl.DataFrame, look: Look) -> bool:
    """Whether the last look was this one."""
    last = openings.filter(pl.col("opening") == max(openings["opening"], default=0))
    return openings.height > 0 and last.drop("opening", "opened_at").equals(_rows(look))


def opening_rows(openings: pl.DataFrame, look: Look, now: datetime) -> pl.DataFrame:
    """One more look after these, a row a layer."""
    number, columns = max(openings["opening"], default=0) + 1, empty("openings").schema
    when = {"opening": pl.lit(number, pl.Int32), "opened_at": pl.lit(now, columns["opened_at"])}
    return _rows(look).with_columns(**when).select(columns.names())


def _rows(look: Look) -> pl.DataFrame:
    rows = [
        {
            "layer_index": layer,
            "excerpts": look.excerpts,
            "lineage": look.lineage,
            "n_neurons": stand.n_neurons,
            "stand": stand.texts,
            "explainer": look.explainer,
            "simulator": look.simulator,
        }
        for layer, stand in sorted(look.stands.items())
    ]
    schema = {name: dtype for name, dtype in empty("openings").schema.items() if name not in {"opening", "opened_at"}}
    return pl.DataFrame(rows, schema)
