"""The step from simulations and judgements to all that beside the correlation says how good explanations are.

Put here: the asset `metrics`. Keep out: the arithmetic (`method/calibrated_scores.py`, `method/natural_rate.py`).
"""

import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.ablation_metrics import expected_of_ablation, of_ablation
from neuron_assets.assets.checks import has_all
from neuron_assets.assets.expected_rows import expected_judged_metrics, expected_metrics
from neuron_assets.assets.held_out import HeldOut, Layer
from neuron_assets.assets.judged_metrics import judged_metrics
from neuron_assets.assets.predictions import LOOKUPS, Prediction, of_candidates, of_lookups
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.scores import REFERENCES
from neuron_assets.assets.specs import (
    SCORERS,
    Result,
    asset_key,
    hand_over,
    made_by,
    scorers_in_words,
    seconds_since,
    table_asset,
)
from neuron_assets.method.calibrated_scores import measure_calibrated
from neuron_assets.method.metrics import Measured, metric_intervals
from neuron_assets.method.natural_rate import fit_threshold, measure_at_natural_rate
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import Rows, Sample, every_row, sampled_rows
from neuron_assets.study import Study
from neuron_assets.tables.measured import SHOWN_AS, Of, metrics_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import corpus


def metrics_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "metrics")
    def metrics(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs as arguments
        context: dg.AssetExecutionContext,
        excerpts: pl.DataFrame,
        activations: StoredTable,
        neuron_statistics: pl.DataFrame,
        candidates: pl.DataFrame,
        simulations: pl.DataFrame,
        scores: pl.DataFrame,
        **evidence: pl.DataFrame,  # judgements and ablations, where a scorer needs them
    ) -> Result:
        tag_run(context, study)
        began = time.monotonic()
        layer = Layer(study, activations, corpus(excerpts), neuron_statistics)
        scoring = study.scoring
        measured = list(_measured(layer, candidates, simulations)) if scoring.calibrates else []
        if scoring.ablates:
            measured += of_ablation(layer, candidates, simulations, evidence["ablations"])
        found = [
            (whose, each, metric_intervals(each, seed=scoring.seed, n_draws=scoring.draws)) for whose, each in measured
        ]
        if "judgements" in evidence:
            found += judged_metrics(layer, candidates, simulations, evidence["judgements"])
        frame = metrics_frame(found, scores)
        facts = _means(frame) | {"undefined": frame["failure"].count()} | made_by(frame) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "metrics"), context.partition_key)
        expected = _expected(study, candidates)
        yield from hand_over(
            context,
            study,
            "metrics",
            frame,
            lambda rows: [has_all(rows, expected)],
            notes={SCORERS: scorers_in_words(study)},
        )

    return metrics


def _expected(study: Study, candidates: pl.DataFrame) -> pl.DataFrame:
    """The rows that must be there."""
    scoring, lookups = study.scoring, [name for name in LOOKUPS if name in study.scoring.scorers]
    parts = [
        expected_metrics(candidates, lookups, scoring.metrics),
        expected_judged_metrics(candidates, scoring.judged),
        *([expected_of_ablation(candidates)] if scoring.ablates else []),
    ]
    return pl.concat(parts)


def _measured(layer: Layer, candidates: pl.DataFrame, simulations: pl.DataFrame) -> Iterator[tuple[Of, Measured]]:
    """Of each neuron all candidates, then the lookups."""
    lookups = [name for name in LOOKUPS if name in layer.study.scoring.scorers]
    neurons = candidates["neuron_index"].unique().sort().to_list()
    of_neuron = of_candidates(candidates, simulations)
    for shown, held in zip(layer.shown(neurons), layer.held_out(neurons), strict=True):
        for prediction in (*of_neuron(shown.neuron.neuron_index), *of_lookups(shown, lookups)):
            for sample, measured in _samples(layer, held, prediction):
                yield (
                    Of(
                        shown.neuron,
                        prediction.candidate,
                        prediction.author,
                        prediction.scorer,
                        sample,
                        prediction.explainer,
                        prediction.simulator,
                    ),
                    measured,
                )


def _samples(layer: Layer, held: HeldOut, prediction: Prediction) -> Iterator[tuple[Sample, Measured]]:
    """What is fitted on `calibration` is measured on `valid`."""
    fitted, scoring = held.calibration, layer.study.scoring
    assert fitted is not None
    calibration = prediction.calibration(scoring.calibration, fitted)
    rows_of: list[tuple[Sample, NeuronRecord, Rows]] = [
        (sample, held.valid, rows)
        for sample, rows in sampled_rows(held.valid.exemplars, scoring.top, scoring.random).items()
    ]
    if (drawn := held.natural) is not None:
        rows_of.append(("natural_rate", drawn, every_row(drawn.exemplars)))
    if "calibrated" in scoring.scorers:
        for sample, record, rows in rows_of:
            yield sample, measure_calibrated(record, rows, prediction.expected(record), calibration)
    if drawn is not None:
        threshold = fit_threshold(layer.active(held, fitted), prediction.expected(fitted))
        documents = drawn.exemplars.document_indices
        active, expected = layer.active(held, drawn), prediction.expected(drawn)
        yield "natural_rate", measure_at_natural_rate(drawn.neuron, active, expected, documents, threshold)


def _means(frame: pl.DataFrame) -> dict[str, Any]:
    """Means of what is defined, with the mean of the chance levels beside.

    The explainer's own are of the candidates that stand for their neurons; then its references'.
    """
    told = frame.filter(pl.col("chosen") | pl.col("author").is_in(list(REFERENCES)))
    whose = told.with_columns(pl.col("author").replace_strict(REFERENCES, default=""))
    names = pl.concat_str("author", "metric", SHOWN_AS, separator="_").str.strip_chars("_")
    means = whose.group_by(name=names, maintain_order=True).agg(pl.col("value").mean()).drop_nulls()
    own = whose.filter(pl.col("author") == "")
    chances = own.group_by("metric", SHOWN_AS, maintain_order=True).agg(pl.col("chance").mean()).drop_nulls()
    by_chance = {f"chance_{metric}_{sample}": mean for metric, sample, mean in chances.iter_rows()}
    return {name: float(f"{mean:.4g}") for name, mean in (dict(means.iter_rows()) | by_chance).items()}
