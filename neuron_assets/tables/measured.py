"""Metrics beside the correlation as rows of the table `metrics`.

Here: the way from what was measured to rows. Not here: the arithmetic (`method/metrics.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from neuron_assets.method.intervals import Interval
from neuron_assets.method.metrics import Measured
from neuron_assets.method.records import NeuronId
from neuron_assets.method.samples import MeasuredOn
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import empty


@dataclass(frozen=True, slots=True)
class Of:
    """Whose metrics these are, and on what."""

    neuron: NeuronId
    candidate: int | None
    author: str
    scorer: str
    sample: MeasuredOn
    explainer: str
    simulator: str


SHOWN_AS = pl.when(sample="judged").then("scorer").otherwise("sample").alias("sample")
"""How people are told what a row of `metrics` was measured on: by the scorer, where it chooses excerpts of its own."""


def metrics_frame(measured: Sequence[tuple[Of, Measured, Sequence[Interval]]], scores: pl.DataFrame) -> pl.DataFrame:
    """One row a metric, each with its interval; `scores` of the same layer say which candidates stand."""
    stands = set(of_chosen(scores).select("neuron_index", "candidate").iter_rows())
    rows = [
        {
            "layer_index": of.neuron.layer_index,
            "neuron_index": of.neuron.neuron_index,
            "candidate": of.candidate,
            "author": of.author,
            "chosen": (of.neuron.neuron_index, of.candidate) in stands,
            "scorer": of.scorer,
            "sample": of.sample,
            "metric": metric.name,
            "explainer": of.explainer,
            "simulator": of.simulator,
            "value": metric.value,
            "value_low": interval.low,
            "value_high": interval.high,
            "chance": metric.chance,
            "n_excerpts": each.n_excerpts,
            "n_documents": each.n_documents,
            "failure": metric.failure,
            "interval_failure": interval.failure,
        }
        for of, each, ends in measured
        for metric, interval in zip(each.metrics, ends, strict=True)
    ]
    if not rows:
        return empty("metrics")
    return frame("metrics", {name: [row[name] for row in rows] for name in rows[0]}).sort(
        pl.col("candidate").is_null(), "neuron_index", "candidate", "scorer", "sample", "metric"
    )
