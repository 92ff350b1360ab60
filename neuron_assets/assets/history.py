"""What the Dagster instance remembers of a table: its last materialization, and whether a check of it blocks.

Put here: looking it up. Keep out: what the checks say (`checks.py`), what the files say (`tables/store.py`).
"""

import dagster as dg

BLOCKED_BY = "blocked_by"
"""Metadata of a materialization: what its blocking checks complained of. Nothing is made from such a table."""


def last_materialization(
    instance: dg.DagsterInstance, asset: dg.AssetKey, layer: str | None
) -> dg.AssetMaterialization | None:
    """`layer` is its partition key; None for a table without layers."""
    record = last_record(instance, asset, layer)
    return None if record is None else record.asset_materialization


def last_record(instance: dg.DagsterInstance, asset: dg.AssetKey, layer: str | None) -> dg.EventLogRecord | None:
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=None if layer is None else [layer])
    return next(iter(instance.fetch_materializations(wanted, limit=1).records), None)


def blocked_by(instance: dg.DagsterInstance, asset: dg.AssetKey, layer: str | None) -> str | None:
    """The complaint of the blocking checks of what was made last, if there is one."""
    last = last_materialization(instance, asset, layer)
    complaint = None if last is None else last.metadata.get(BLOCKED_BY)
    return None if complaint is None else str(complaint.value)
