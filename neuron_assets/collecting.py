"""What a project no longer needs: data of deleted studies, broken-off writes, what passes set aside, old runs.

Here: finding all of it, so that it can be told first, and removing it. Not here: each of the parts
(`tables/leftovers.py`, `old_runs.py`, `abandoned_runs.py`), and asking (`keeping_commands.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg
from dagster import DagsterInstance
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES  # there is no public name for them
from upath import UPath

from neuron_assets.abandoned_runs import abandoned_runs, end_abandoned_runs
from neuron_assets.old_runs import OldRun, forget, is_of_a_study, old_runs
from neuron_assets.sections import NAME
from neuron_assets.tables.leftovers import File, StudyFolder, broken_off, folders_of_tables, remove, set_aside
from neuron_assets.tables.schemas import SCHEMAS

_UNDER_WAY = timedelta(hours=1)
"""No write of a table takes as long."""

_ASSETS = {*SCHEMAS, "corpus", "subject_model", "explainer_model", "simulator_model"}
_MARKS = {"content", "made_by", "seen", "documents"}
"""Metadata, of which what this package records has at least one."""


@dataclass(frozen=True, slots=True)
class DeletedStudy:
    name: str
    folder: StudyFolder
    assets: Sequence[dg.AssetKey]
    """Those that the Dagster instance remembers."""


@dataclass(frozen=True, slots=True)
class Garbage:
    studies: Sequence[DeletedStudy]
    spared: Sequence[DeletedStudy]
    """Those that look deleted, too, and that nobody wants removed."""
    broken_off: Sequence[File]
    set_aside: Sequence[File]
    old_runs: Sequence[OldRun]
    abandoned: Sequence[dg.DagsterRun]

    def __bool__(self) -> bool:
        return any((self.studies, self.broken_off, self.set_aside, self.old_runs, self.abandoned))


def find_garbage(  # noqa: PLR0913  # where to look, and three bounds of what may go
    root: UPath,
    studies: Collection[str],
    instance: DagsterInstance,
    days: int,
    *,
    only: Collection[str] | None = None,
    now: datetime | None = None,
) -> Garbage:
    """What can go: below `root`, of other studies than `studies`, and runs that ended more than `days` ago.

    Of the studies that are no more, only those named in `only` go, or all of them.
    """
    now = now or datetime.now(UTC)
    deleted = _deleted_studies(root, studies, instance)
    going = [study for study in deleted if only is None or study.name in only]
    wiped = {key for study in going for key in study.assets}
    return Garbage(
        studies=going,
        spared=[study for study in deleted if study not in going],
        broken_off=list(broken_off(root, now - _UNDER_WAY)),
        set_aside=list(set_aside(root, studies, cache(lambda backfill_id: _is_over(instance, backfill_id)))),
        old_runs=list(old_runs(instance, now - timedelta(days=days), wiped)),
        abandoned=abandoned_runs(instance),
    )


def remove_garbage(garbage: Garbage, root: UPath, instance: DagsterInstance) -> None:
    """Raises FailedRemoval; what was removed before is gone, and the rest is found again."""
    end_abandoned_runs(instance)
    remove([*garbage.broken_off, *garbage.set_aside], root)
    for study in garbage.studies:
        remove(study.folder.tables, root)
        instance.wipe_assets(list(study.assets))
    for run in garbage.old_runs:
        forget(instance, run)


def _deleted_studies(root: UPath, studies: Collection[str], instance: DagsterInstance) -> Sequence[DeletedStudy]:
    """By the tables that they left, or by the history of their assets alone."""

    def is_no_more(name: str) -> bool:
        return name not in studies and NAME.fullmatch(name) is not None

    folders = {folder.name: folder for folder in folders_of_tables(root, is_no_more)}
    keys = [key for key in instance.get_asset_keys() if is_no_more(key.path[0]) and _is_ours(instance, key)]
    names = {*folders, *(key.path[0] for key in keys)}
    return [
        DeletedStudy(
            name, folders.get(name, StudyFolder(name, (), ())), sorted(key for key in keys if key.path[0] == name)
        )
        for name in sorted(names)
    ]


def _is_ours(instance: DagsterInstance, key: dg.AssetKey) -> bool:
    """Whether what was made or seen last of it comes from this package; others may have assets of such names."""
    if len(key.path) != 2 or key.path[1] not in _ASSETS:  # study and asset
        return False
    made = instance.fetch_materializations(key, limit=1).records
    for record in made or instance.fetch_observations(key, limit=1).records:
        run = instance.get_run_by_id(record.run_id)
        event = record.asset_materialization or record.asset_observation
        return (run is not None and is_of_a_study(run)) or (event is not None and not _MARKS.isdisjoint(event.metadata))
    return False


def _is_over(instance: DagsterInstance, backfill_id: str) -> bool:
    backfill = instance.get_backfill(backfill_id)
    return backfill is None or backfill.status in BULK_ACTION_TERMINAL_STATUSES
