"""The step from an explanation to expected activations on excerpts that nobody was shown.

Put here: the asset `simulations`. Keep out: how a simulator works (`method/`, `opening.py`).
"""

import time

import dagster as dg
import polars as pl

from neuron_assets.assets.opening import open_simulator
from neuron_assets.assets.specs import Result, asset_key, hand_over, seconds_since, table_asset
from neuron_assets.method.records import Answer
from neuron_assets.method.samples import simulated_rows
from neuron_assets.study import Study
from neuron_assets.tables.explained import simulations_frame
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import activations_of, corpus, neuron_records
from neuron_assets.tables.schemas import empty


def simulations_asset(study: Study) -> dg.AssetsDefinition:
    @table_asset(study, "simulations", also_after=["simulator_model"])
    def simulations(
        context: dg.AssetExecutionContext, excerpts: pl.DataFrame, activations: StoredTable, candidates: pl.DataFrame
    ) -> Result:
        began = time.monotonic()
        simulate = open_simulator(study)
        rows = activations_of(activations, "valid", candidates["neuron_index"].unique().to_list())
        texts = candidates.partition_by("neuron_index", as_dict=True)
        made = [empty("simulations")]
        for whole in neuron_records(rows, corpus(excerpts)):
            record = whole.only(simulated_rows(whole.exemplars, study.scoring.top))
            for candidate in texts[(record.neuron.neuron_index,)].to_dicts():
                text = candidate["explanation"]
                answer = simulate(text, record.exemplars.tokens) if text else Answer(None, candidate["failure"])
                made.append(simulations_frame(study.simulator_identity, record, candidate["candidate"], answer))
        frame = pl.concat(made)
        facts = {"simulator": study.simulator_identity, "failures": frame["failure"].count()} | seconds_since(began)
        context.add_asset_metadata(facts, asset_key(study, "simulations"), context.partition_key)
        return hand_over(context, study, "simulations", frame)

    return simulations
