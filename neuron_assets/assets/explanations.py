"""The step from a neuron's train exemplars to an explanation.

Put here: the asset `explanations`. Keep out: how explanations are made (`method/`, `explainers.py`).
"""

import time
from collections.abc import Sequence
from typing import Any, Literal

import dagster as dg
import polars as pl
from pydantic import Field

from neuron_assets.assets.asked import RequestDesk, count_lost, errand
from neuron_assets.assets.checks import Finding, few_failures, has_all
from neuron_assets.assets.expected_rows import neurons
from neuron_assets.assets.explainers import is_no_fault, open_explainer
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.partitions import layer_index
from neuron_assets.assets.pictures import exemplars_picture
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import (
    Result,
    asking_notes,
    asset_key,
    hand_over,
    made_by,
    seconds_since,
    table_asset,
)
from neuron_assets.assets.trying_again import ask_lost_again, trying_again
from neuron_assets.lineage import lineages
from neuron_assets.method.explaining.output_side import OutputSide
from neuron_assets.method.records import NeuronRecord
from neuron_assets.model_sections import brief
from neuron_assets.study import Study
from neuron_assets.tables.explained import explanations_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import activations_of, corpus, neuron_records
from neuron_assets.tables.schemas import empty
from neuron_assets.tables.store import TableStore


class Neurons(dg.Config):
    """Which neurons of the layer to explain, where not those of the study. Rows that are there already are kept."""

    per_layer: int | None = Field(
        default=None, ge=1, description="So many, by the study's seed; none: as the study says."
    )
    all: bool = Field(default=False, description="Every neuron of the layer.")

    @property
    def asked(self) -> int | Literal["all"] | None:
        return "all" if self.all else self.per_layer


def explanations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @table_asset(study, "explanations", also_after=["explainer_model"], pool=pool)
    def explanations(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        config: Neurons,
        table_store: dg.ResourceParam[TableStore],
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
        activations: StoredTable,
        **output_side: pl.DataFrame,  # neuron_statistics, where the explainer is told what neurons make the model say
    ) -> Result:
        tag_run(context, study)
        began, layer = time.monotonic(), context.partition_key
        wanted = study.neuron_indices(layer_index(layer), config.asked)
        there = table_store.current(study.name, "explanations", lineages(study)["explanations"], layer)
        about, said = errand(context, desk, "explanations"), _said(study, output_side.get("neuron_statistics"))
        with trying_again(context, desk.waits), open_explainer(study, desk, about, output_sides=said) as explainer:
            seen_by_step(context, asset_key(study, "explainer_model"), explainer.identity)
            kept = _kept(there, explainer.identity, wanted)
            asked = sorted(set(wanted) - set(kept["neuron_index"]))
            whole = neuron_records(activations_of(activations, "train", asked), corpus(excerpts))
            records = [record.only(explainer.rows(record.exemplars)) for record in whole]
            answers = list(explainer.explain(records))
            made = explanations_frame(explainer.identity, [record.neuron for record in records], answers)
            frame = pl.concat([kept, made]).sort("neuron_index", "sample")
            n_lost = count_lost(answers)
            ask_lost_again(context, desk.waits, n_lost)
            facts = _facts(study, frame, made, records) | {"lost": n_lost}
            facts |= {"explainer": brief(explainer.identity), **explainer.facts()}
        facts |= made_by(frame) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "explanations"), layer)
        notes = asking_notes(explainer.identity, n_lost)
        yield from hand_over(
            context, study, "explanations", frame, lambda rows: _found(study, rows, wanted), notes=notes
        )

    return explanations


def _said(study: Study, statistics: pl.DataFrame | None) -> dict[int, OutputSide]:
    """By neuron_index what it makes the model say, where that is to be told and it makes it say something."""
    if statistics is None:
        return {}
    columns = statistics.select("neuron_index", "pushes_up", "pushes_down").drop_nulls().iter_rows()
    return {index: OutputSide(tuple(up), tuple(down)).first(study.shown_output_side) for index, up, down in columns}


def _kept(there: pl.DataFrame | None, explainer: str, wanted: Sequence[int]) -> pl.DataFrame:
    """The rows of those neurons that this explainer has explained already; with a failure, those not wanted now."""
    if there is None:
        return empty("explanations")
    mine = there.filter(pl.col("explainer") == explainer)
    explained = pl.col("failure").is_null().all().over("neuron_index")
    return mine.filter(explained | ~pl.col("neuron_index").is_in(wanted))


def _found(study: Study, frame: pl.DataFrame, wanted: Sequence[int]) -> list[Finding]:
    judged = frame.filter(~is_no_fault())
    return [
        has_all(frame, neurons(wanted)),
        few_failures(judged, frame.height - judged.height, study.checks.most_failures),
    ]


def _facts(study: Study, frame: pl.DataFrame, made: pl.DataFrame, records: list[NeuronRecord]) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "explained_now": made.height,
        "kept": frame.height - made.height,
        "failures": frame["failure"].count(),
    }
    if records:
        facts["sample"] = exemplars_picture(
            records[0], made["explanation"][0] or made["failure"][0], study.explainer.label, study.unit_name
        )
    return facts
