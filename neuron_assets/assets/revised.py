"""The step from explanations to revised ones, in the light of where they go wrong.

Put here: the multi-asset `counterexamples` and `revised_explanations`. Keep out: who revises, and how (`revisers.py`),
and whether the new text is better (`choices.py`).
"""

import time
from collections.abc import Sequence
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk, count_lost, errand
from neuron_assets.assets.checks import has_all
from neuron_assets.assets.expected_rows import rounds_of
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.partitions import layer_partitions
from neuron_assets.assets.revisers import Measuring, open_reviser
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.several_tables import tables_out
from neuron_assets.assets.specs import Result, asking_notes, asset_key, check_specs, hand_over, made_by, seconds_since
from neuron_assets.assets.trying_again import ask_lost_again, trying_again
from neuron_assets.lineage import REVISED, inputs_of
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.revised import Round, counterexamples_frame, revised_frame


def revised_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    explainer = asset_key(study, "explainer_model")

    @dg.multi_asset(
        name=f"{study.name}__revised_explanations",
        outs=tables_out(study, REVISED),
        ins={name: dg.AssetIn(asset_key(study, name)) for name in inputs_of(study, REVISED[-1])},
        deps=[explainer] if study.revises_by_asking else [],
        partitions_def=layer_partitions(study),
        check_specs=[spec for table in REVISED for spec in check_specs(study, table)],
        pool=pool,
    )
    def revised_explanations(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        config: Measuring,
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        explanations: pl.DataFrame,
        **statistics: pl.DataFrame,  # neuron_statistics, where a model revises
    ) -> Result:
        tag_run(context, study)
        began, about = time.monotonic(), errand(context, desk, REVISED[-1])
        with trying_again(context, desk.waits), open_reviser(study, desk, about, config) as reviser:
            if study.revises_by_asking:
                seen_by_step(context, explainer, reviser.identity)
            rounds = reviser.revise(excerpts, activations, explanations, *statistics.values())
            n_lost = count_lost([each.revised] for each in rounds)
            ask_lost_again(context, desk.waits, n_lost)
            asking = {**reviser.facts(), "lost": n_lost}
        found, revised = counterexamples_frame(rounds), revised_frame(reviser.identity, rounds)
        whose = made_by(revised) | seconds_since(began)
        for table, facts in zip(REVISED, (_found(found), _changed(rounds, explanations) | asking), strict=True):
            context.add_asset_metadata(facts | whose, asset_key(study, table), context.partition_key)
        expected = rounds_of(explanations["neuron_index"].unique().sort().to_list(), study.revision.rounds)
        notes = [asking_notes(reviser.identity, n) if study.revises_by_asking else None for n in (0, n_lost)]
        yield from hand_over(context, study, REVISED[0], found, lambda rows: [has_all(rows, expected)], notes=notes[0])
        yield from hand_over(
            context, study, REVISED[1], revised, lambda rows: [has_all(rows, expected)], notes=notes[1]
        )

    return revised_explanations


def _found(counterexamples: pl.DataFrame) -> dict[str, Any]:
    faults = dict(counterexamples.drop_nulls("fault").group_by("fault").len().sort("fault").iter_rows())
    return {"counterexamples": counterexamples["activations"].count(), **faults}


def _changed(rounds: Sequence[Round], explanations: pl.DataFrame) -> dict[str, Any]:
    """How many neurons say something else after the last round."""
    texts = {
        tuple(key): text for *key, text in explanations.select("neuron_index", "sample", "explanation").iter_rows()
    }
    first = {each.neuron: texts[each.neuron.neuron_index, each.parent] for each in rounds if each.number == 1}
    last = {each.neuron: each.revised.value for each in rounds}
    changed = sum(text is not None and text != first[neuron] for neuron, text in last.items())
    return {"changed": changed, "failures": sum(each.revised.value is None for each in rounds)}
