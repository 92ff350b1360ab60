"""What came of replacing neurons as rows of the table `ablations`, and back.

Here: the way between. Not here: replacing (`subjects/ablation.py`), the score made of it (`method/ablation.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float64, Int

from neuron_assets.method.ablation import Divergences
from neuron_assets.method.records import NeuronId, NeuronRecord
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import empty

NOT_FINITE = "not finite"


@dataclass(frozen=True, slots=True, eq=False)
class Replaced:
    """Divergences in nats, where the simulations of a neuron's candidates, and its mean, stood in its place."""

    neuron: NeuronId
    candidates: Sequence[int]
    excerpt_indices: Int[np.ndarray, " excerpt"]
    by_simulation: Float64[np.ndarray, "candidate excerpt"]
    """NaN where there was nothing to put there."""
    by_mean: Float64[np.ndarray, " excerpt"]
    by_rounding: Float64[np.ndarray, " excerpt"]
    failures: Sequence[Sequence[str | None]]
    """Of each candidate on each excerpt: why there was nothing to put there."""


def ablations_frame(replaced: Sequence[Replaced]) -> pl.DataFrame:
    """One row a candidate and excerpt."""
    rows = [row for one in replaced for row in _rows(one)]
    if not rows:
        return empty("ablations")
    table = frame("ablations", {name: [row[name] for row in rows] for name in rows[0]})
    finite = [
        pl.when(pl.col(name).is_finite()).then(name) for name in ("divergence_simulated", "divergence_mean", "noise")
    ]
    told = pl.when(pl.col("divergence_simulated").is_null()).then(pl.col("failure").fill_null(NOT_FINITE))
    return table.with_columns(finite).with_columns(failure=told)


def _rows(one: Replaced) -> Iterator[dict[str, Any]]:
    for candidate, divergences, failures in zip(one.candidates, one.by_simulation, one.failures, strict=True):
        for place, excerpt_index in enumerate(one.excerpt_indices.tolist()):
            yield {
                "layer_index": one.neuron.layer_index,
                "neuron_index": one.neuron.neuron_index,
                "candidate": candidate,
                "excerpt_index": excerpt_index,
                "divergence_simulated": float(divergences[place]),
                "divergence_mean": float(one.by_mean[place]),
                "noise": float(one.by_rounding[place]),
                "failure": failures[place],
            }


def divergences_of(ablations: pl.DataFrame, record: NeuronRecord) -> Divergences:
    """One candidate's rows by the exemplars of the record; NaN where there is none."""
    columns = ablations.select("divergence_simulated", "divergence_mean", "noise").to_numpy().astype(np.float64)
    row_of = {excerpt: row for row, excerpt in enumerate(ablations["excerpt_index"].to_list())}
    found = np.full((len(record.exemplars.excerpt_indices), 3), np.nan)
    for row, excerpt in enumerate(record.exemplars.excerpt_indices.tolist()):
        if excerpt in row_of:
            found[row] = columns[row_of[excerpt]]
    return Divergences(*found.T)
