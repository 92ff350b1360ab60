"""The step from a neuron's train exemplars to an explanation.

Put here: the asset `explanations`. Keep out: how explanations are made (`method/`, `opening.py`).
"""

import time
from typing import Literal

import dagster as dg
import polars as pl
from pydantic import Field

from neuron_assets.assets.opening import open_explainer
from neuron_assets.assets.partitions import layer_index
from neuron_assets.assets.pictures import neuron_picture
from neuron_assets.assets.specs import Result, asset_key, hand_over, seconds_since, table_asset
from neuron_assets.lineage import lineages
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import shown_rows
from neuron_assets.study import Study
from neuron_assets.tables.explained import explanations_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import activations_of, corpus, neuron_records
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


def explanations_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "explanations", also_after=["explainer_model"])
    def explanations(
        context: dg.AssetExecutionContext,
        config: Neurons,
        table_store: dg.ResourceParam[TableStore],
        excerpts: pl.DataFrame,
        activations: StoredTable,
    ) -> Result:
        began = time.monotonic()
        layer = layer_index(context.partition_key)
        lineage = lineages(study)["explanations"]
        there = table_store.current(study.name, "explanations", lineage, context.partition_key)
        known = set() if there is None else set(there.filter(pl.col("failure").is_null())["neuron_index"])
        asked = [neuron for neuron in study.neuron_indices(layer, config.asked) if neuron not in known]
        explain = open_explainer(study)
        whole = neuron_records(activations_of(activations, "train", asked), corpus(excerpts))
        records = [record.only(shown_rows(record.exemplars)) for record in whole]
        answers = [explain(record) for record in records]
        made = explanations_frame(study.explainer_identity, [record.neuron for record in records], answers)
        kept = made.clear() if there is None else there.filter(pl.col("neuron_index").is_in(list(known)))
        frame = pl.concat([kept, made]).sort("neuron_index", "sample")
        facts = _facts(study, frame, made, records) | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "explanations"), context.partition_key)
        return hand_over(context, study, "explanations", frame)

    return explanations


def _facts(
    study: Study, frame: pl.DataFrame, made: pl.DataFrame, records: list[NeuronRecord]
) -> dict[str, dg.MetadataValue | int | str]:
    facts: dict[str, dg.MetadataValue | int | str] = {
        "explainer": study.explainer_identity,
        "explained_now": made.height,
        "kept": frame.height - made.height,
        "failures": frame["failure"].count(),
    }
    if records:
        facts["sample"] = neuron_picture(
            records[0], made["explanation"][0] or made["failure"][0], study.explainer.provider
        )
    return facts
