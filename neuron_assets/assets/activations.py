"""The step from excerpts to what every neuron did: one forward pass for all layers of the run, or of its backfill.

Put here: the multi-asset `activations` and `neuron_statistics`. Keep out: the pass itself (`subjects/harvest.py`), how
the runs of a backfill share it (`shared_pass.py`).
https://docs.dagster.io/guides/build/partitions-and-backfills/backfilling-data
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.checks import Finding, has_all, neurons
from neuron_assets.assets.observing import seen_by_step
from neuron_assets.assets.opening import open_subject
from neuron_assets.assets.partitions import layer_index, layer_partitions
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.assets.shared_pass import FORWARD, MADE_BY_RUN, HarvestedTables, SharedPass
from neuron_assets.assets.specs import IO_MANAGER_KEY, Result, asset_attributes, asset_key, check_specs, hand_over
from neuron_assets.assets.subject_model import SUBJECT_FILES, noted, subject_files, subject_version
from neuron_assets.assets.units import UNITS, units_digest
from neuron_assets.method.records import SPLITS
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore

BACKFILL_TAG = "dagster/backfill"
Progress = Callable[[logging.Logger], Callable[[int, int], None]]
"""Takes the run's log; gives what hears, after each batch, how many excerpts are done and of how many."""


class Speed(dg.Config):
    """What changes the speed of the pass, not its result (but for rounding)."""

    batch_size: int = 32
    device: str = "auto"
    """cpu, cuda, cuda:1, mps, or cuda:all for several GPUs; auto takes a GPU where one is."""


def activations_asset(study: Study, pool: str | None) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"{study.name}__activations",
        outs={table: _out(study, table) for table in FORWARD},
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
        shared = SharedPass(study, table_store, context.instance, context.run.tags.get(BACKFILL_TAG), excerpts)
        notes = noted({SUBJECT_FILES: subject_files(study), UNITS: units_digest(study)})  # before they are opened
        layers = shared.taken_over(own)
        if layers is None:
            keys = [*own, *shared.others(own)]
            layers = _harvested(context, study, keys, excerpts, config, progress(context.log))
            shared.set_aside({key: layers[key] for key in shared.others(own) if key in layers})  # some may be made now
        every_neuron = partial(_has_every_neuron, study)
        seen_by_step(context, asset_key(study, "subject_model"), subject_version(study))
        for table in FORWARD:
            for key in own:
                context.add_asset_metadata(layers[key].told, asset_key(study, table), key)
            frames = {key: layers[key].frames[table] for key in own}
            yield from hand_over(context, study, table, frames, every_neuron, notes=notes)
        shared.remove(own)  # they are written: Dagster goes on here only after that

    return activations


def _has_every_neuron(study: Study, frame: pl.DataFrame) -> list[Finding]:
    return [has_all(frame, neurons(range(study.n_units)))]


def _harvested(  # noqa: PLR0913, PLR0917  # the last two change nothing of the result
    context: dg.AssetExecutionContext,
    study: Study,
    keys: Sequence[str],
    excerpts: pl.DataFrame,
    speed: Speed,
    on_progress: Callable[[int, int], None],
) -> Mapping[str, HarvestedTables]:
    """The tables of these layers, by key, from one forward pass."""
    from neuron_assets.assets.harvested import activations_frame, harvest_plan, statistics_frame
    from neuron_assets.subjects.harvest import harvest

    token_ids = excerpts["token_ids"].explode().to_numpy().reshape(excerpts.height, -1)
    pools = excerpts["split"].cast(pl.Enum(SPLITS)).to_physical().to_numpy()
    began = time.monotonic()
    by_index = harvest(
        open_subject(study, speed.device),
        token_ids,
        pools,
        [layer_index(key) for key in keys],
        harvest_plan(study),
        batch_size=speed.batch_size,
        on_progress=on_progress,
    )
    facts: dict[str, int | float | str] = {
        "layers_of_the_pass": len(keys),
        "seconds_of_the_pass": round(time.monotonic() - began, 1),
        MADE_BY_RUN: context.run.run_id,
    }
    harvested = {}
    for key in keys:
        index = layer_index(key)
        layer = by_index[index]
        frames = {"activations": activations_frame(index, layer), "neuron_statistics": statistics_frame(index, layer)}
        counts = {"forward_passes": layer.n_forward_passes, "tokens": layer.n_tokens}
        harvested[key] = HarvestedTables(frames, counts | facts)
    return harvested


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
