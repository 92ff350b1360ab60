"""One forward pass for all layers of a backfill, though Dagster makes a run for each range of neighbouring layers.

The run that comes first harvests every layer that its backfill still wants, and sets aside what is not its own. The
others take their layers over from there, and make a pass only where nothing, or nothing that stands, lies there.

Put here: which layers a pass is for, and what lies aside. Keep out: the pass (`activations.py`).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import dagster as dg
import polars as pl
from upath import UPath

from neuron_assets.assets.partitions import layer_partitions
from neuron_assets.assets.specs import asset_key
from neuron_assets.errors import TableError
from neuron_assets.lineage import lineages
from neuron_assets.study import Study
from neuron_assets.tables.parquet import TableFacts, content_hash, read_table, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import checked

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

    @property
    def told(self) -> dict[str, dg.MetadataValue | int | float | str]:
        return {**self.facts, MADE_BY_RUN: dg.MetadataValue.dagster_run(str(self.facts[MADE_BY_RUN]))}


@dataclass(frozen=True, slots=True, eq=False)
class SharedPass:
    """The backfill that a run belongs to, or none."""

    study: Study
    store: TableStore
    instance: dg.DagsterInstance
    backfill_id: str | None
    excerpts: pl.DataFrame
    """What the pass reads: whatever was made from others is not taken over."""

    @property
    def folder(self) -> UPath:
        return self.store.set_aside(self.study.name)

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

    def taken_over(self, layers: Iterable[str]) -> Mapping[str, HarvestedTables] | None:
        """What another run of the backfill has set aside for these layers; None unless it stands for all of them."""
        if self.backfill_id is None:
            return None
        try:
            return {layer: self._read(layer) for layer in layers}
        except TableError:
            return None

    def set_aside(self, harvested: Mapping[str, HarvestedTables]) -> None:
        """For those runs whose layers these are; what lay there before is removed. Raises FailedWrite."""
        for path in self.folder.glob("*.parquet"):
            path.unlink(missing_ok=True)
        inputs = {self.store.name(self.store.path(self.study.name, "excerpts")): content_hash(self.excerpts)}
        for layer, made in harvested.items():
            notes = {_FACTS: json.dumps(dict(made.facts))}
            for table, frame in made.frames.items():
                facts = TableFacts(table, lineages(self.study)[table], inputs, notes)
                write_table(self._path(table, layer), checked(table, frame), facts)

    def remove(self, layers: Iterable[str]) -> None:
        """Once they stand where they belong."""
        for layer in layers:
            for table in FORWARD:
                self._path(table, layer).unlink(missing_ok=True)

    def _read(self, layer: str) -> HarvestedTables:
        frames = {}
        for table in FORWARD:
            path = self._path(table, layer)
            told = self.store.current_facts(path, lineages(self.study)[table]).notes
            frames[table] = read_table(path, table)
        return HarvestedTables(frames, json.loads(told[_FACTS]) | {"forward_passes": 0})

    def _path(self, table: str, layer: str) -> UPath:
        return self.folder / f"{self.backfill_id}-{table}-{layer}.parquet"

    def _is_made_since(self, timestamp: float, layer: str) -> bool:
        records = dg.AssetRecordsFilter(
            asset_key=asset_key(self.study, FORWARD[-1]), asset_partitions=[layer], after_timestamp=timestamp
        )
        return bool(self.instance.fetch_materializations(records, limit=1).records)
