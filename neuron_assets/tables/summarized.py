"""The table `scores` of some layers as the table `layer_summary`.

Here: grouping and rows. Not here: the numbers (`method/summary.py`).
"""

from typing import Any

import polars as pl

from neuron_assets.method.intervals import NeuronSums
from neuron_assets.method.records import NeuronId
from neuron_assets.method.summary import LayerScores, summarize
from neuron_assets.tables.rows import frame, sums_from_lists
from neuron_assets.tables.schemas import empty

_GROUP = ("layer_index", "author", "scorer", "sample", "explainer", "simulator")


def summary_frame(scores: pl.DataFrame, *, seed: int, n_draws: int) -> pl.DataFrame:
    """One row a layer, author, scorer and sample; of several candidates of one author, the first."""
    first = scores.filter(
        pl.col("candidate").is_null()
        | (pl.col("candidate") == pl.col("candidate").min().over("layer_index", "neuron_index", "author", "sample"))
    )
    rows = []
    for key, group in first.group_by(_GROUP, maintain_order=True):
        found = summarize(
            group["neuron_index"].to_list(), group["ev_correlation"].to_list(), _sums(group), seed=seed, n_draws=n_draws
        )
        rows.append(dict(zip(_GROUP, key, strict=True)) | _row(found))
    if not rows:
        return empty("layer_summary")
    table = frame("layer_summary", {name: [row[name] for row in rows] for name in rows[0]})
    return table.sort("layer_index", "author", "scorer", "sample")


def _sums(group: pl.DataFrame) -> list[NeuronSums]:
    found = []
    for row in group.filter(pl.col("ev_correlation").is_not_null()).to_dicts():
        top, random = sums_from_lists(row["document_sums"])
        neuron = NeuronId(row["layer_index"], row["neuron_index"])
        found.append(NeuronSums(neuron, top if len(top.sums) else None, random))
    return found


def _row(found: LayerScores) -> dict[str, Any]:
    return {
        "n_neurons": found.n_neurons,
        "n_undefined": found.n_undefined,
        "mean": found.interval.mean,
        "mean_low": found.interval.low,
        "mean_high": found.interval.high,
        "interval_failure": found.interval.failure,
        "quantile_10": found.quantile_10,
        "median": found.median,
        "quantile_90": found.quantile_90,
        "share_above_half": found.share_above_half,
        "best_neuron": found.best_neuron,
        "worst_neuron": found.worst_neuron,
    }
