"""The step from excerpts to what every neuron did: one forward pass for all layers of the run.

Put here: the multi-asset `activations` and `neuron_statistics`. Keep out: the pass itself (`subjects/harvest.py`).
https://docs.dagster.io/guides/build/partitions-and-backfills/backfilling-data
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.checks import Finding, has_all, neurons
from neuron_assets.assets.opening import open_subject
from neuron_assets.assets.partitions import layer_index, layer_partitions
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.specs import IO_MANAGER_KEY, Result, asset_attributes, asset_key, check_specs, hand_over
from neuron_assets.method.records import SPLITS
from neuron_assets.study import Study

Progress = Callable[[logging.Logger], Callable[[int, int], None]]
"""Takes the run's log; gives what hears, after each batch, how many excerpts are done and of how many."""


class Speed(dg.Config):
    """What changes the speed of the pass, not its result (but for rounding)."""

    batch_size: int = 32


def activations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{study.name}__activations",
        outs={table: _out(study, table) for table in ("activations", "neuron_statistics")},
        ins={"excerpts": dg.AssetIn(asset_key(study, "excerpts"))},
        partitions_def=layer_partitions(study),
        check_specs=[spec for table in ("activations", "neuron_statistics") for spec in check_specs(study, table)],
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=pool,
    )
    def activations(
        context: dg.AssetExecutionContext,
        config: Speed,
        progress: dg.ResourceParam[Progress],
        desk: dg.ResourceParam[RequestDesk],
        excerpts: pl.DataFrame,
    ) -> Result:
        from neuron_assets.assets.harvested import activations_frame, harvest_plan, statistics_frame
        from neuron_assets.subjects.harvest import harvest

        tag_run(context, study)
        desk.check(study, context.job_def.asset_layer.selected_asset_keys)
        keys = {layer_index(key): key for key in sorted(context.partition_keys)}
        token_ids = excerpts["token_ids"].explode().to_numpy().reshape(excerpts.height, -1)
        pools = excerpts["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()
        began = time.monotonic()
        harvested = harvest(
            open_subject(study),
            token_ids,
            pools,
            list(keys),
            harvest_plan(study),
            batch_size=config.batch_size,
            on_progress=progress(context.log),
        )
        for index, layer in harvested.items():
            facts = {
                "forward_passes": layer.n_forward_passes,
                "layers_of_the_pass": len(keys),
                "tokens": layer.n_tokens,
                "seconds_of_the_pass": round(time.monotonic() - began, 1),
            }
            for table in ("activations", "neuron_statistics"):
                context.add_asset_metadata(facts, asset_key(study, table), keys[index])
        every_neuron = partial(_has_every_neuron, study)
        rows = {keys[index]: activations_frame(index, layer) for index, layer in harvested.items()}
        yield from hand_over(context, study, "activations", rows, every_neuron)
        statistics = {keys[index]: statistics_frame(index, layer) for index, layer in harvested.items()}
        yield from hand_over(context, study, "neuron_statistics", statistics, every_neuron)

    return activations


def _has_every_neuron(study: Study, frame: pl.DataFrame) -> list[Finding]:
    return [has_all(frame, neurons(range(study.subject.n_neurons)))]


def _out(study: Study, table: str) -> dg.AssetOut:
    """Without partitions: a multi-asset has them once, for all its tables."""
    attributes: dict[str, Any] = asset_attributes(study, table)
    del attributes["partitions_def"]
    return dg.AssetOut(key=asset_key(study, table), io_manager_key=IO_MANAGER_KEY, **attributes)


def log_progress(log: logging.Logger) -> Callable[[int, int], None]:
    """Tells the run's log about each tenth of the pass."""
    told = 0

    def on_progress(done: int, total: int) -> None:
        nonlocal told
        if done * 10 // total > told:
            told = done * 10 // total
            log.info("%d of %d excerpts", done, total)

    return on_progress
