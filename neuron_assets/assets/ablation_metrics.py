"""From what replacing neurons did to the subject to the score `ablation` of every candidate.

Put here: which rows of `ablations` each metric is made of. Keep out: replacing (`ablations.py`), the arithmetic
(`method/ablation.py`), intervals and rows (`metrics.py`).
"""

from collections.abc import Iterator
from dataclasses import replace

import polars as pl

from neuron_assets.assets.held_out import Layer
from neuron_assets.assets.predictions import of_candidates
from neuron_assets.method.ablation import ABLATION_METRICS, measure_ablation
from neuron_assets.method.metrics import Measured
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import Rows, Sample, sampled_rows
from neuron_assets.tables.ablated import divergences_of
from neuron_assets.tables.measured import Of

ABLATION = "ablation"
"""The scorer, as `metrics` names it."""
SAMPLES: tuple[Sample, ...] = ("top_and_random", "random_only")


def of_ablation(
    layer: Layer, candidates: pl.DataFrame, simulations: pl.DataFrame, ablations: pl.DataFrame
) -> Iterator[tuple[Of, Measured]]:
    """Of each neuron all candidates, in both samples."""
    predictions = of_candidates(candidates, simulations)
    replaced = ablations.partition_by("neuron_index", "candidate", as_dict=True)
    for held in layer.held_out(candidates["neuron_index"].unique().sort().to_list()):
        neuron, scoring = held.valid.neuron, layer.study.scoring
        samples = sampled_rows(held.valid.exemplars, scoring.top, scoring.random)
        for prediction in predictions(neuron.neuron_index):
            whose = (prediction.candidate, prediction.author, ABLATION)
            models = (prediction.explainer, prediction.simulator)
            mine = replaced[neuron.neuron_index, prediction.candidate]
            for sample in SAMPLES:
                measured = _measured(held.valid, samples[sample], mine)
                yield Of(neuron, *whose, sample, *models), measured


def _measured(record: NeuronRecord, rows: Rows, ablations: pl.DataFrame) -> Measured:
    """Where nothing at all could be put in the neuron's place, the reason is the table's."""
    measured, reasons = measure_ablation(record, rows, divergences_of(ablations, record)), ablations["failure"].unique()
    if len(reasons) != 1 or reasons[0] is None:
        return measured
    told = tuple(replace(metric, failure=reasons[0]) if metric.value is None else metric for metric in measured.metrics)
    return replace(measured, metrics=told)


def expected_of_ablation(candidates: pl.DataFrame) -> pl.DataFrame:
    """The rows that must be there."""
    rows = [
        {"scorer": ABLATION, "sample": sample, "metric": metric} for sample in SAMPLES for metric in ABLATION_METRICS
    ]
    return candidates.select("neuron_index", "candidate").join(pl.DataFrame(rows), how="cross")
