"""The step from excerpts to what every neuron did: one forward pass for all layers of the run, or of its backfill.

Put here: the multi-asset `activations` and `neuron_statistics`. Keep out: the passes (`forward_pass.py`), how they are
shared (`shared_pass.py`).
https://docs.dagster.io/guides/build/partitions-and-backfills/backfilling-data
"""

from functools import partial

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.checks import Finding, has_all
from neuron_assets.assets.expected_rows import neurons
from neuron_assets.assets.forward_pass import ForwardPasses, Progress, Speed
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.partitions import layer_partitions
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.several_tables import tables_out
from neuron_assets.assets.shared_pass import FORWARD, SharedPass
from neuron_assets.assets.specs import Result, asset_key, check_specs, hand_over
from neuron_assets.assets.subject_model import subject_version
from neuron_assets.study import Study
from neuron_assets.subject_files import forward_notes
from neuron_assets.tables.store import TableStore

BACKFILL_TAG = "dagster/backfill"


def activations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{study.name}__activations",
        outs=tables_out(study, FORWARD),
        ins={"excerpts": dg.AssetIn(asset_key(study, "excerpts"))},
        deps=[asset_key(study, "subject_model")],
        partitions_def=layer_partitions(study),
        check_specs=[spec for table in FORWARD for spec in check_specs(study, table)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=pool,
    )
    def activations(  # noqa: PLR0913, PLR0917  # Dagster hands over inputs and resources as arguments
        context: dg.AssetExecutionContext,
        config: Speed,
        progress: dg.ResourceParam[Progress],
        desk: dg.ResourceParam[RequestDesk],
        table_store: dg.ResourceParam[TableStore],
        excerpts: pl.DataFrame,
    ) -> Result:
        tag_run(context, study)
        desk.check(study, context.job_def.asset_layer.selected_asset_keys)
        own = sorted(context.partition_keys)
        notes = forward_notes(study)  # before they are opened
        backfill = context.run.tags.get(BACKFILL_TAG)
        shared = SharedPass(study, table_store, context.instance, context.run.run_id, backfill, excerpts, notes)
        shared.claim()
        if shared.missing(own):
            passes = ForwardPasses(study, shared, config, progress, context.log)
            passes.set_aside(shared.missing([*own, *shared.others(own)]))
        seen_by_step(context, asset_key(study, "subject_model"), subject_version(study))
        told = {key: shared.told(key) for key in own}
        for table in FORWARD:
            for key in own:
                context.add_asset_metadata(told[key], asset_key(study, table), key)
            every_neuron = partial(_has_every_neuron, study)
            yield from hand_over(context, study, table, shared.frames(table, own), every_neuron, notes=notes)
        shared.remove(own)  # they are written: Dagster goes on here only after that

    return activations


def _has_every_neuron(study: Study, frame: pl.DataFrame) -> list[Finding]:
    return [has_all(frame, neurons(range(study.n_units)))]
