"""Runs that ended long ago and that nothing rests on any more: Dagster keeps each for ever.

Here: finding them in the Dagster instance, and forgetting them. Not here: runs that never ended (`abandoned_runs.py`),
tables (`tables/leftovers.py`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus

# There are no public names for these three: the filter of checks by layer, what became of them, and the SQLite storage.
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES
from dagster._core.storage.event_log import SqliteEventLogStorage

_ENDED = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
_RESULTS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_OBSERVATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
}
_STUDY = "neuron_assets/study"
"""Tag of the runs of this package; a Dagster instance may have others."""


@dataclass(frozen=True, slots=True)
class OldRun:
    run_id: str
    size: int
    """Of its files in bytes; 0 where a database server keeps it."""


def old_runs(instance: DagsterInstance, before: datetime, wiped: Collection[dg.AssetKey] = ()) -> Iterator[OldRun]:
    """Runs of studies that ended before that, unless the latest result of an asset, a layer or a check is theirs.

    The results of the assets `wiped` do not count: their history goes anyway.
    """
    latest = cache(lambda *about: _latest(instance, *about))
    for run in instance.get_runs(dg.RunsFilter(statuses=_ENDED, updated_before=before)):
        if not is_of_a_study(run):
            continue
        if not any(latest(*about) == run.run_id for about in _results(instance, run.run_id, wiped)):
            yield OldRun(run.run_id, sum(path.stat().st_size for path in _files(instance, run.run_id)))


def is_of_a_study(run: dg.DagsterRun) -> bool:
    return _STUDY in run.tags


def forget(instance: DagsterInstance, run: OldRun) -> None:
    """Its events, its log, what its steps printed; with SQLite, its files."""
    files = _files(instance, run.run_id)
    instance.delete_run(run.run_id)
    instance.compute_log_manager.delete_logs(prefix=[run.run_id])
    for path in files:  # Dagster empties the run's own database, and leaves it
        path.unlink(missing_ok=True)


_About = tuple[dg.DagsterEventType, dg.AssetKey | dg.AssetCheckKey, str | None]
"""A kind of result, of what, and of which partition."""


def _results(instance: DagsterInstance, run_id: str, wiped: Collection[dg.AssetKey]) -> Iterator[_About]:
    for entry in instance.all_logs(run_id, of_type=_RESULTS):
        event = entry.get_dagster_event()
        if event.event_type is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if check.asset_key not in wiped:
                yield event.event_type, check.asset_check_key, check.partition
        elif event.asset_key is not None and event.asset_key not in wiped:
            yield event.event_type, event.asset_key, event.partition


def _latest(instance: DagsterInstance, kind: dg.DagsterEventType, key: Any, partition: str | None) -> str | None:
    """The run that the newest of these results comes from."""
    if kind is dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        checks = instance.event_log_storage.get_asset_check_execution_history(
            key,
            limit=1,
            status=COMPLETED_ASSET_CHECK_EXECUTION_RECORD_STATUSES,
            partition_filter=PartitionKeyFilter(key=partition),
        )
        return checks[0].run_id if checks else None
    fetch: Callable[..., dg.EventRecordsResult] = (
        instance.fetch_materializations
        if kind is dg.DagsterEventType.ASSET_MATERIALIZATION
        else instance.fetch_observations
    )
    of_partition = None if partition is None else [partition]
    found = fetch(dg.AssetRecordsFilter(asset_key=key, asset_partitions=of_partition), limit=1).records
    return found[0].run_id if found else None


def _files(instance: DagsterInstance, run_id: str) -> Sequence[Path]:
    storage = instance.event_log_storage
    if not isinstance(storage, SqliteEventLogStorage):
        return []
    database = Path(storage.path_for_shard(run_id))
    return [path for path in (database, *database.parent.glob(f"{database.name}-*")) if path.exists()]
