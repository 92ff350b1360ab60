"""The step from what neurons did to the tokens on which they fire, by which they are found.

Put here: the asset `token_index`. Keep out: the rows (`tables/token_index.py`) and the search (`viewer/`).
"""

import time

import dagster as dg
import polars as pl

from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import Result, asset_key, hand_over, seconds_since, table_asset
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import activations_of, corpus
from neuron_assets.tables.schemas import KEYS
from neuron_assets.tables.token_index import token_index_frame

_AT_ONCE = 4096
"""Neurons, so that memory does not grow with the layer."""


def token_index_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "token_index")
    def token_index(
        context: dg.AssetExecutionContext,
        excerpts: pl.DataFrame,
        activations: StoredTable,
        neuron_statistics: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        began, texts, neuron_indices = time.monotonic(), corpus(excerpts), range(study.n_units)
        parts = [
            token_index_frame(
                activations_of(activations, "train", neuron_indices[start : start + _AT_ONCE]),
                texts,
                neuron_statistics,
                active_share=study.activations.active_share,
            )
            for start in range(0, study.n_units, _AT_ONCE)
        ]
        frame = pl.concat(parts).sort(KEYS["token_index"])
        facts = {"tokens": frame["token"].n_unique(), "neurons": frame["neuron_index"].n_unique()}
        context.add_asset_metadata(facts | seconds_since(began), asset_key(study, "token_index"), context.partition_key)
        yield from hand_over(context, study, "token_index", frame)

    return token_index
