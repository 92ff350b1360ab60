"""The table `scores` of some layers as the table `layer_summary`.

Here: grouping and rows. Not here: the numbers (`method/summary.py`).
"""

from typing import Any

import polars as pl

from neuron_assets.method.intervals import NeuronSums
from neuron_assets.method.paired import layer_difference
from neuron_assets.method.records import NeuronId
from neuron_assets.method.summary import LayerScores, summarize
from neuron_assets.tables.explained import of_chosen, of_first, reported
from neuron_assets.tables.rows import frame, sums_from_lists
from neuron_assets.tables.schemas import empty

_GROUP = ("layer_index", "author", "scorer", "sample", "explainer", "simulator")
_NO_GAIN: dict[str, Any] = dict.fromkeys(("gain", "gain_low", "gain_high", "gain_failure"))

CHOSEN = "chosen"
"""As author: the candidates that stand for their neurons, whoever wrote them."""


def summary_frame(scores: pl.DataFrame, *, chooses: bool, seed: int, n_draws: int) -> pl.DataFrame:
    """One row a layer, author, scorer and sample; of several candidates of one author, the first.

    Where candidates were chosen between, the chosen ones are an author of their own, with what was gained by it.
    """
    first = first_of_each_author(scores)
    rows = [
        dict(zip(_GROUP, key, strict=True)) | _row(_summarized(group, seed, n_draws)) | _NO_GAIN
        for key, group in first.group_by(_GROUP, maintain_order=True)
    ]
    if chooses:
        rows += _rows_of_chosen(scores, seed, n_draws)
    if not rows:
        return empty("layer_summary")
    table = frame("layer_summary", {name: [row[name] for row in rows] for name in rows[0]})
    return table.sort("layer_index", "author", "scorer", "sample")


def final_summary(scores: pl.DataFrame, author: str, *, seed: int, n_draws: int) -> pl.DataFrame:
    """The table `final_scores` likewise: what stands for the neurons is the work of one author, who is named so."""
    told = scores.with_columns(author=pl.when(pl.col("chosen")).then(pl.lit(author)).otherwise("author"))
    return summary_frame(told, chooses=False, seed=seed, n_draws=n_draws)


def first_of_each_author(scores: pl.DataFrame) -> pl.DataFrame:
    """The reported scores of each neuron's lookups and, of each author's candidates, of the first."""
    candidate = pl.col("candidate")
    is_first = candidate == candidate.min().over("layer_index", "neuron_index", "author", "sample")
    return reported(scores).filter(candidate.is_null() | is_first)


def _rows_of_chosen(scores: pl.DataFrame, seed: int, n_draws: int) -> list[dict[str, Any]]:
    whose = [name for name in _GROUP if name != "explainer"]
    best = of_chosen(scores).with_columns(author=pl.lit(CHOSEN))
    rows = []
    for key, group in best.sort("neuron_index").group_by(whose, maintain_order=True):
        facts = dict(zip(whose, key, strict=True))
        explainers = " + ".join(group["explainer"].unique().sort())
        gain = gain_over_first(scores, group, seed=seed, n_draws=n_draws)
        rows.append(facts | {"explainer": explainers} | _row(_summarized(group, seed, n_draws)) | gain)
    return rows


def gain_over_first(scores: pl.DataFrame, chosen: pl.DataFrame, *, seed: int, n_draws: int) -> dict[str, Any]:
    """Of rows of one layer and sample: the mean difference to the first candidates of their neurons; docs/scores.md."""
    neurons = chosen.select("layer_index", "neuron_index", "sample")
    before = neurons.join(of_first(scores), on=neurons.columns, how="left", maintain_order="left")
    found = layer_difference(sums_of(before), sums_of(chosen), seed=seed, n_draws=n_draws)
    return {"gain": found.mean, "gain_low": found.low, "gain_high": found.high, "gain_failure": found.failure}


def _summarized(group: pl.DataFrame, seed: int, n_draws: int) -> LayerScores:
    sums = [each for each in sums_of(group) if each is not None]
    return summarize(
        group["neuron_index"].to_list(), group["ev_correlation"].to_list(), sums, seed=seed, n_draws=n_draws
    )


def sums_of(group: pl.DataFrame) -> list[NeuronSums | None]:
    """The sums of each row, None where it has no score."""
    return [None if row["ev_correlation"] is None else _sums(row) for row in group.to_dicts()]


def _sums(row: dict[str, Any]) -> NeuronSums:
    top, random = sums_from_lists(row["document_sums"])
    neuron = NeuronId(row["layer_index"], row["neuron_index"])
    return NeuronSums(neuron, top if len(top.sums) else None, random)


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
