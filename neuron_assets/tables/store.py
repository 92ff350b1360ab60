"""Where each table of each study lies below one root: ROOT/STUDY/TABLE.parquet or ROOT/STUDY/TABLE/L03.parquet.

Here: paths, and reading what is still true of the study. Not here: Dagster's face of it (`assets/io_manager.py`).
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import PurePosixPath

import polars as pl
from upath import UPath

from neuron_assets.errors import ChangedInput, ForeignLineage, TableError
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table
from neuron_assets.tables.schemas import SCHEMAS

SET_ASIDE = ".set_aside"
CHECKPOINT = "checkpoint.safetensors"
_OF_A_PASS = re.compile(rf"(.+)-(?:(?:{'|'.join(SCHEMAS)})-L\d+\.parquet|{re.escape(CHECKPOINT)})")


def owner_of(path: UPath) -> str | None:
    """The id of the run or backfill that a file was set aside by, with which its name begins; None of other files."""
    named = _OF_A_PASS.fullmatch(path.name)
    return named[1] if named else None


@dataclass(frozen=True, slots=True)
class TableStore:
    root: UPath

    @classmethod
    def at(cls, root: str) -> "TableStore":
        """`root` is a folder, or a URL that fsspec knows."""
        return cls(UPath(root))

    def path(self, study: str, table: str, key: str | None = None) -> UPath:
        """`key` is the layer's partition key; None for a table that has no layers."""
        folder = self.root / study
        return folder / f"{table}.parquet" if key is None else folder / table / f"{key}.parquet"

    def set_aside(self, study: str) -> UPath:
        """The folder of tables that wait for the run that takes them over."""
        return self.root / study / SET_ASIDE

    def current_facts(self, path: UPath, lineage: str, but_for: Container[str] = ()) -> TableFacts:
        """What the file says of itself, if it still stands: made by this lineage, from what its inputs hold now.

        The tables of `but_for` may hold something else by now. Raises MissingTable, UnreadableTable, ForeignLineage or
        ChangedInput.
        """
        facts = read_facts(path)
        if facts.lineage != lineage:
            raise ForeignLineage(path, facts.lineage, lineage)
        for relative, content in facts.inputs.items():
            input_path = self.root / relative
            if table_of(relative) not in but_for and input_path.exists() and read_facts(input_path).content != content:
                raise ChangedInput(path, input_path)
        return facts

    def current(
        self, study: str, table: str, lineage: str, key: str | None = None, but_for: Container[str] = ()
    ) -> pl.DataFrame | None:
        """The table's rows if it is there and still stands, else None; `but_for` as above."""
        path = self.path(study, table, key)
        try:
            self.current_facts(path, lineage, but_for)
            return read_table(path, table)
        except TableError:
            return None

    def name(self, path: UPath) -> str:
        """The path below the root, as it is written into the files made from it."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name


def table_of(relative: str) -> str:
    """TABLE of STUDY/TABLE/L03.parquet or STUDY/TABLE.parquet; nothing of a path that is no such one."""
    return PurePosixPath(*PurePosixPath(relative).parts[1:2]).stem
