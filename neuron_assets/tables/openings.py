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


def looks_at(openings: pl.DataFrame, excerpts: str) -> pl.DataFrame:
    """Those at the `test` pool of these excerpts: another corpus has another one, which nobody has seen."""
    return openings.filter(pl.col("excerpts") == excerpts)


def is_last(looks: pl.DataFrame, stands: Mapping[int, Stand]) -> bool:
    """Whether the last look was at these texts in all these layers."""
    last = looks.filter(pl.col("opening") == looks["opening"].max())
    return dict(last.select("layer_index", "stand").iter_rows()) == {
        layer: stand.texts for layer, stand in stands.items()
    }


def opening_rows(  # noqa: PLR0913, PLR0917  # all that is to be known of a look
    looks: pl.DataFrame, stands: Mapping[int, Stand], now: datetime, excerpts: str, explainer: str, simulator: str
) -> pl.DataFrame:
    """One more look after these, a row a layer."""
    number = max(looks["opening"], default=0) + 1
    rows = [
        {
            "opening": number,
            "layer_index": layer,
            "opened_at": now,
            "excerpts": excerpts,
            "n_neurons": stand.n_neurons,
            "stand": stand.texts,
            "explainer": explainer,
            "simulator": simulator,
        }
        for layer, stand in sorted(stands.items())
    ]
    return pl.DataFrame(rows, empty("openings").schema)
