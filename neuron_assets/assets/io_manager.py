"""Dagster's face of the Parquet tables: one file a table and layer, refused when it is not what the study now says.

Put here: how Dagster hands tables over. Keep out: what a file holds (`tables/`).
https://docs.dagster.io/guides/build/io-managers

An asset says in its metadata which table it is and of which lineage (`specs.py`). What a step has read is remembered
until it writes, so that every file names the content it was made from.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, get_args

import dagster as dg
import polars as pl
from dagster import UPathIOManager
from pydantic import PrivateAttr
from upath import UPath

from neuron_assets.assets.handed_over import HandedOver
from neuron_assets.assets.history import blocked_by
from neuron_assets.assets.specs import LINEAGE, TABLE, column_lineage
from neuron_assets.errors import CheckFailed, MissingTable, TableError, UnreadableTable
from neuron_assets.tables.parquet import StoredTable, TableFacts, read_table, write_table
from neuron_assets.tables.store import TableStore, table_of
from neuron_assets.tables.validation import checked


class ParquetTables(dg.ConfigurableIOManager, UPathIOManager):
    """Tables below `root`: a folder, or a URL that fsspec knows, such as s3://bucket/neurons."""

    extension: ClassVar[str] = ".parquet"  # type: ignore[misc]  # the base class declares it on instances
    root: str
    _base_path: Any = PrivateAttr()
    _read: dict[tuple[str, str], dict[str, str]] = PrivateAttr(default_factory=dict)

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002  # Dagster's signature
        self._base_path = UPath(self.root)

    @property
    def store(self) -> TableStore:
        return TableStore.at(self.root)

    def load_from_path(self, context: dg.InputContext, path: UPath) -> pl.DataFrame | StoredTable:
        """The rows, or the way to them where the asset takes a StoredTable; raises TableError, naming the file."""
        upstream = context.upstream_output
        metadata = (upstream.definition_metadata if upstream else None) or {}
        try:
            facts = self.store.current_facts(path, metadata[LINEAGE])
            self._refuse_blocked(context, path, metadata[TABLE])
        except UnreadableTable:
            raise  # one that is damaged is not one that is missing
        except TableError as error:
            if (context.definition_metadata or {}).get("allow_missing_partitions"):
                context.log.warning(str(error))
                raise MissingTable(path, metadata[TABLE]) from error
            raise
        self._read.setdefault(_step(context), {})[self.store.name(path)] = facts.content
        asked_for = context.dagster_type.typing_type
        if StoredTable in {asked_for, *get_args(asked_for)}:
            return StoredTable(path, metadata[TABLE])
        return checked(facts.table, read_table(path, metadata[TABLE]))

    @staticmethod
    def _refuse_blocked(context: dg.InputContext, path: UPath, table: str) -> None:
        """Raises CheckFailed where a blocking check of what is to be read has failed."""
        layer = path.stem if context.has_asset_partitions else None
        if complaint := blocked_by(context.instance, context.asset_key, layer):
            raise CheckFailed(context.asset_key.path[0], table, layer, complaint)

    def dump_to_path(self, context: dg.OutputContext, obj: HandedOver, path: UPath) -> None:
        """Writes the table, and puts its row count, path and content hash into the metadata of its layer."""
        metadata = context.definition_metadata
        facts = TableFacts(
            table=metadata[TABLE],
            lineage=metadata[LINEAGE],
            inputs=self._read.get(_step(context), {}),
            notes=obj.notes,
        )
        written = write_table(path, checked(facts.table, obj.frame), facts)
        key = path.stem if context.has_asset_partitions else None
        context.step_context.add_asset_metadata(
            {
                "dagster/partition_row_count" if key else "dagster/row_count": obj.frame.height,
                "dagster/column_lineage": column_lineage(
                    context.asset_key.path[0], facts.table, set(map(table_of, facts.inputs))
                ),
                "path": self._shown(path),
                "content": written.content,
            },
            context.asset_key,
            key,
        )

    def get_metadata(self, context: dg.OutputContext, obj: HandedOver) -> dict[str, dg.MetadataValue]:  # noqa: ARG002
        """In place of the whole path, which the base class would show."""
        paths = (
            self._get_paths_for_partitions(context) if context.has_asset_partitions else {"": self._get_path(context)}
        )
        return {"path": self._shown(*paths.values())}

    def _shown(self, path: UPath) -> dg.PathMetadataValue:
        """Below the root: pages are narrow, and show the folder of each table beside."""
        return dg.MetadataValue.path(self.store.name(path))

    def make_directory(self, path: UPath) -> None:
        """Nothing: `write_table` makes the folder, and says so in words if it cannot."""

    def handle_output(self, context: dg.OutputContext, obj: Mapping[str, HandedOver] | HandedOver) -> None:
        """One frame, or one a layer of the run; a run that covers layers without a frame is an error."""
        if isinstance(obj, HandedOver):
            super().handle_output(context, obj)
            return
        paths = self._get_paths_for_partitions(context)
        if set(paths) != set(obj):
            raise dg.DagsterInvariantViolationError(f"returned {sorted(obj)}, the run covers {sorted(paths)}")
        for key in sorted(obj):
            self.dump_to_path(context, obj[key], paths[key])

    def load_input(self, context: dg.InputContext) -> Any:
        """A frame, or frames by layer where the asset's parameter is a dict."""
        value = super().load_input(context)
        if getattr(context.dagster_type.typing_type, "__origin__", None) is not dict:
            return value
        if isinstance(value, dict):
            return {key: value[key] for key in sorted(value)}
        return {} if value is None else {context.asset_partition_keys[0]: value}


def _step(context: dg.InputContext | dg.OutputContext) -> tuple[str, str]:
    step = context.step_context
    return step.run_id, step.step.key
