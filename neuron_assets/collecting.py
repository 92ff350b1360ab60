"""What a project no longer needs: tables and history of deleted studies, broken-off writes, old and killed runs.

Here: finding all of it, so that it can be told first, and removing it. Not here: each of the parts
(`tables/leftovers.py`, `old_runs.py`, `abandoned_runs.py`), and asking (`keeping_commands.py`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster import DagsterInstance
from upath import UPath

from neuron_assets.abandoned_runs import abandoned_runs, end_abandoned_runs
from neuron_assets.old_runs import OldRun, forget, old_runs
from neuron_assets.sections import NAME
from neuron_assets.tables.leftovers import File, StudyFolder, broken_off, folders_of_tables, remove
from neuron_assets.tables.schemas import SCHEMAS

_UNDER_WAY = timedelta(hours=1)
"""No write of a table takes as long."""


@dataclass(frozen=True, slots=True)
class DeletedStudy:
    name: str
    folder: StudyFolder
    assets: Sequence[dg.AssetKey]
    """Those that the Dagster instance remembers."""


@dataclass(frozen=True, slots=True)
class Garbage:
    studies: Sequence[DeletedStudy]
    broken_off: Sequence[File]
    old_runs: Sequence[OldRun]
    abandoned: Sequence[dg.DagsterRun]

    def __bool__(self) -> bool:
        return any((self.studies, self.broken_off, self.old_runs, self.abandoned))


def find_garbage(
    root: UPath, studies: Collection[str], instance: DagsterInstance, days: int, now: datetime | None = None
) -> Garbage:
    """What can go: below `root`, of other studies than `studies`, and runs that ended more than `days` ago."""
    now = now or datetime.now(UTC)
    deleted = _deleted_studies(root, studies, instance)
    wiped = {key for study in deleted for key in study.assets}
    return Garbage(
        studies=deleted,
        broken_off=list(broken_off(root, now - _UNDER_WAY)),
        old_runs=list(old_runs(instance, now - timedelta(days=days), wiped)),
        abandoned=abandoned_runs(instance),
    )


def remove_garbage(garbage: Garbage, root: UPath, instance: DagsterInstance) -> None:
    """Raises FailedRemoval; what was removed before is gone, and the rest is found again."""
    end_abandoned_runs(instance)
    remove(garbage.broken_off, root)
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
    keys = [key for key in instance.get_asset_keys() if len(key.path) > 1 and is_no_more(key.path[0])]
    names = {*folders, *(key.path[0] for key in keys if key.path[1] in SCHEMAS)}
    return [
        DeletedStudy(
            name, folders.get(name, StudyFolder(name, (), ())), sorted(key for key in keys if key.path[0] == name)
        )
        for name in sorted(names)
    ]
