"""The final report: what stands for each neuron, simulated and scored on `test`, where nobody has looked before.

Put here: its two assets, which no study's graph has: a click on "materialize all" must not open that pool. Keep out:
when it may be opened, and that it is written down (`final_report.py`).
"""

import time
import warnings
from collections.abc import Iterator, Sequence

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.checks import has_all, scored_apart
from neuron_assets.assets.expected_rows import expected_scores, expected_simulations
from neuron_assets.assets.held_out import Layer, final_rows_of
from neuron_assets.assets.predictions import LOOKUPS, of_candidates, of_lookups
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.scores import scored_documents, scored_on, with_intervals
from neuron_assets.assets.simulations import simulate_layer, unshown, whole_with_few_failures
from neuron_assets.assets.specs import Result, asset_key, hand_over, made_by, seconds_since, table_asset
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.samples import Sample
from neuron_assets.study import Study
from neuron_assets.tables.explained import Scored, standing
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import corpus, neuron_records, shown_documents
from neuron_assets.tables.store import TableStore

_SAMPLES: tuple[Sample, ...] = ("top_and_random", "random_only")
"""Natural excerpts are kept of `valid` alone."""


def final_assets(study: Study) -> Sequence[dg.AssetsDefinition]:
    """For the command that opens `test`, beside the assets of the study."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks, as in `study_component.py`
        return (_final_simulations_asset(study), _final_scores_asset(study))


def _final_simulations_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "final_simulations")
    def final_simulations(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        table_store: dg.ResourceParam[TableStore],
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        candidates: pl.DataFrame,
        scores: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        stand = standing(candidates, scores)
        rows = final_rows_of(study, activations, stand["neuron_index"].unique().to_list())
        records = neuron_records(rows, corpus(excerpts))
        made = simulate_layer(context, study, "final_simulations", stand, records, table_store, desk)
        apart = unshown(made.frame, excerpts, activations, ("test",))
        expected = expected_simulations(stand, rows)
        yield from hand_over(
            context,
            study,
            "final_simulations",
            made.frame,
            lambda rows: [apart, *whole_with_few_failures(study, rows, stand, expected)],
            notes=made.notes,
        )

    return final_simulations


def _final_scores_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "final_scores")
    def final_scores(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs as arguments
        context: dg.AssetExecutionContext,
        excerpts: pl.DataFrame,
        activations: StoredTable,
        neuron_statistics: pl.DataFrame,
        candidates: pl.DataFrame,
        scores: pl.DataFrame,
        final_simulations: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began, stand = time.monotonic(), standing(candidates, scores)
        layer = Layer(study, activations, corpus(excerpts), neuron_statistics)
        frame = with_intervals(study, list(_scored(layer, stand, final_simulations)))
        frame = frame.sort(pl.col("candidate").is_null(), "neuron_index", "candidate", "scorer", "sample")
        facts = made_by(frame) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "final_scores"), context.partition_key)
        shown = shown_documents(activations, excerpts, stand["neuron_index"].unique().to_list())
        apart = scored_apart(excerpts, shown, scored_documents(frame), pools=("test",))
        expected = expected_scores(stand, _lookups(study), _SAMPLES)
        yield from hand_over(context, study, "final_scores", frame, lambda rows: [apart, has_all(rows, expected)])

    return final_scores


def _scored(layer: Layer, stand: pl.DataFrame, simulations: pl.DataFrame) -> Iterator[Scored]:
    neurons, lookups = stand["neuron_index"].unique().sort().to_list(), _lookups(layer.study)
    predictions = of_candidates(stand, simulations)
    for shown, held in zip(layer.shown(neurons), layer.of_test(neurons), strict=True):
        for one in predictions(held.valid.neuron.neuron_index):
            yield from scored_on(layer, held, one, stands=one.author not in CONTROLS)
        for one in of_lookups(shown, lookups):
            yield from scored_on(layer, held, one)


def _lookups(study: Study) -> list[str]:
    return [name for name in LOOKUPS if name in study.scoring.scorers]
