"""What forward passes set aside: layers that wait to be handed over, and how far a pass under way has come.

All layers of a pass go this way, those of its own run too: so however many there are, memory holds one of them at a
time, and what a killed run had ready is not computed again. Dagster makes a run for each range of neighbouring layers
of a backfill; the run that comes first makes the pass for every layer that its backfill still wants, and the others
take theirs over from here.

Put here: which layers a pass is for, what lies aside, and whose it is. Keep out: the pass (`forward_pass.py`), what a
checkpoint holds (`checkpoint_file.py`).
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import dagster as dg
import polars as pl
from dagster._core.execution.backfill import BULK_ACTION_TERMINAL_STATUSES  # there is no public name for them
from upath import UPath

from neuron_assets.assets.partitions import layer_partitions
from neuron_assets.assets.specs import asset_key
from neuron_assets.errors import TableError
from neuron_assets.lineage import lineages
from neuron_assets.study import Study
from neuron_assets.tables.parquet import TableFacts, content_hash, read_table, write_table
from neuron_assets.tables.store import CHECKPOINT, TableStore, owner_of
from neuron_assets.tables.validation import checked
from neuron_assets.tables.writing_aside import begun_for

FORWARD = ("activations", "neuron_statistics")
MADE_BY_RUN = "run_of_the_pass"
_FACTS = "facts"
"""Note of what is set aside: the facts of the pass, as JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class HarvestedTables:
    """What a pass gave of one layer."""

    frames: Mapping[str, pl.DataFrame]
    """By the table's name."""
    facts: Mapping[str, int | float | str]
    """What is told of the pass in the layer's metadata; each is a number, but for the run that made it."""


@dataclass(frozen=True, slots=True, eq=False)
class SharedPass:
    """What a run can share: with the other runs of its backfill, and with those before it that were broken off."""

    study: Study
    store: TableStore
    instance: dg.DagsterInstance
    run_id: str
    backfill_id: str | None
    excerpts: pl.DataFrame
    """What the pass reads: whatever was made from others is not taken over."""
    notes: Mapping[str, str]
    """What else it is made from; the tables have the same notes."""

    @property
    def folder(self) -> UPath:
        return self.store.set_aside(self.study.name)

    @property
    def owner(self) -> str:
        """Whose files these are: those of all runs of a backfill belong to it."""
        return self.backfill_id or self.run_id

    @property
    def checkpoint(self) -> UPath:
        return self.folder / f"{self.owner}-{CHECKPOINT}"

    @property
    def made_from(self) -> Mapping[str, str]:
        """Nothing that was made from anything else may be gone on from."""
        return {"lineage": lineages(self.study)[FORWARD[0]], "excerpts": content_hash(self.excerpts), **self.notes}

    def others(self, own: Iterable[str]) -> list[str]:
        """The keys of those layers that other runs of the backfill are still to make."""
        # Half private: Dagster tells nobody else which partitions a backfill is for.
        backfill = self.instance.get_backfill(self.backfill_id) if self.backfill_id else None
        if backfill is None or backfill.asset_backfill_data is None:
            return []
        key = asset_key(self.study, FORWARD[0])
        data = backfill.asset_backfill_data
        failed = data.failed_and_downstream_subset.partitions_subsets_by_asset_key.get(key)
        wanted = set(data.get_target_partitions_subset(key).get_partition_keys())
        wanted -= {*own, *(failed.get_partition_keys() if failed else ())}
        return [
            layer
            for layer in layer_partitions(self.study).get_partition_keys()
            if layer in wanted and not self._is_made_since(backfill.backfill_timestamp, layer)
        ]

    def claim(self) -> None:
        """Makes this run's own what runs and backfills left that are over; removes what nobody can use."""
        for path in list(self.folder.iterdir()) if self.folder.exists() else ():
            whole = begun_for(path) or path
            owner = owner_of(whole)
            if owner is None or owner == self.owner or not is_over(self.instance, owner):
                continue
            if path == whole and (path.name.endswith(CHECKPOINT) or self._stands(path)):
                with suppress(FileNotFoundError):  # another run was first
                    path.rename(path.with_name(self.owner + path.name.removeprefix(owner)))
            else:
                path.unlink(missing_ok=True)

    def missing(self, layers: Iterable[str]) -> list[str]:
        """Those of these layers that do not lie aside, whole and made from what the study now says."""
        return [key for key in layers if not all(self._stands(self._path(table, key)) for table in FORWARD)]

    def set_aside(self, layer: str, harvested: HarvestedTables) -> None:
        """Raises FailedWrite."""
        inputs = {self.store.name(self.store.path(self.study.name, "excerpts")): content_hash(self.excerpts)}
        notes = {**self.notes, _FACTS: json.dumps(dict(harvested.facts))}
        for table, frame in harvested.frames.items():
            facts = TableFacts(table, lineages(self.study)[table], inputs, notes)
            write_table(self._path(table, layer), checked(table, frame), facts)

    def frames(self, table: str, layers: Sequence[str]) -> Mapping[str, pl.DataFrame]:
        """What lies aside of a table, by layer, each read when it is asked for."""
        return _LyingAside(table, {layer: self._path(table, layer) for layer in layers})

    def told(self, layer: str) -> dict[str, dg.MetadataValue | int | float | str]:
        """What the layer's metadata says of the pass that it comes from."""
        path = self._path(FORWARD[0], layer)
        facts = json.loads(self.store.current_facts(path, lineages(self.study)[FORWARD[0]]).notes[_FACTS])
        if facts[MADE_BY_RUN] != self.run_id:
            facts["forward_passes"] = 0
        return {**facts, MADE_BY_RUN: dg.MetadataValue.dagster_run(str(facts[MADE_BY_RUN]))}

    def remove(self, layers: Iterable[str]) -> None:
        """Once they stand where they belong."""
        for layer in layers:
            for table in FORWARD:
                self._path(table, layer).unlink(missing_ok=True)

    def _stands(self, path: UPath) -> bool:
        table = next(table for table in FORWARD if f"-{table}-" in path.name)
        try:
            facts = self.store.current_facts(path, lineages(self.study)[table])
        except TableError:
            return False
        return {*self.notes.items()} <= {*facts.notes.items()} and _FACTS in facts.notes

    def _path(self, table: str, layer: str) -> UPath:
        return self.folder / f"{self.owner}-{table}-{layer}.parquet"

    def _is_made_since(self, timestamp: float, layer: str) -> bool:
        records = dg.AssetRecordsFilter(
            asset_key=asset_key(self.study, FORWARD[-1]), asset_partitions=[layer], after_timestamp=timestamp
        )
        return bool(self.instance.fetch_materializations(records, limit=1).records)


def is_over(instance: dg.DagsterInstance, owner: str) -> bool:
    """Whether the run or backfill of this id has ended, or nobody knows of it."""
    backfill, run = instance.get_backfill(owner), instance.get_run_by_id(owner)
    if backfill is not None:
        return backfill.status in BULK_ACTION_TERMINAL_STATUSES
    return run is None or run.is_finished


@dataclass(frozen=True, slots=True, eq=False)
class _LyingAside(Mapping[str, pl.DataFrame]):
    table: str
    paths: Mapping[str, UPath]

    def __getitem__(self, layer: str) -> pl.DataFrame:
        return read_table(self.paths[layer], self.table)

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)
