"""A few rows of a table, read without reading its file: the footer tells which row groups can hold them.

Here: the rows of one neuron, of some excerpts, of one token. Not here: whole tables, and how large their row groups are
(`parquet.py`). Tables are sorted by neuron (`scores` and `metrics` in two parts, candidates and lookups; `token_index`
by token), so that few groups hold what is asked for; of a table that is not, more are read.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import polars as pl
import pyarrow.parquet as pq
from upath import UPath

from neuron_assets.errors import UnreadableTable
from neuron_assets.tables.parquet import TableFacts, damage_named, facts_in, table_in
from neuron_assets.tables.writing_aside import is_local

_FOOTERS = 96
"""How many are kept: those of some layers, each of some hundred kilobytes."""
_FACTS = 2048
"""What files say of themselves is small, and asked of all layers at once."""


def excerpt_rows(path: UPath, excerpt_indices: Sequence[int], columns: Sequence[str] | None = None) -> pl.DataFrame:
    """These rows of the table `excerpts`, ascending, each once; raises MissingTable or UnreadableTable."""
    return rows_of(path, "excerpts", "excerpt_index", excerpt_indices, columns)


def kept_facts(path: UPath) -> TableFacts:
    """As `read_facts`, but kept while the file is the same; raises MissingTable or UnreadableTable."""
    with damage_named(path), path.open("rb") as file:
        return (
            _kept_facts(_Opened(*_identity(path, file), file)) if is_local(path) else facts_in(pq.read_metadata(file))
        )


def rows_of(
    path: UPath, table: str, key: str, values: Sequence[int] | Sequence[str], columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """The rows whose column `key` holds one of the values, in the order of the table.

    A file that is replaced meanwhile gives its old rows or its new ones. Raises MissingTable or UnreadableTable.
    """
    try:
        return _read(path, table, key, values, columns)
    except UnreadableTable:  # elsewhere than on a disk a file may have been replaced between two reads of it
        return _read(path, table, key, values, columns)


def _read(
    path: UPath, table: str, key: str, values: Sequence[int] | Sequence[str], columns: Sequence[str] | None
) -> pl.DataFrame:
    """Opened once: names change owners, an open file does not."""
    with damage_named(path), path.open("rb") as file:
        footer = _footer(path, file)
        if (found := table_in(footer)) != table:
            raise UnreadableTable(path, f"it holds the table {found}, not {table}")
        file.seek(0)
        wanted = None if columns is None else [*columns, *({key} - {*columns})]
        held = pl.scan_parquet(file) if is_local(path) else _groups_that_hold(file, footer, key, values, wanted)
        rows = held.filter(pl.col(key).is_in(list(values)))
        return (rows if columns is None else rows.select(columns)).collect()


def _footer(path: UPath, file: Any) -> pq.FileMetaData:
    return _kept_footer(_Opened(*_identity(path, file), file)) if is_local(path) else pq.read_metadata(file)


@dataclass(frozen=True, slots=True)
class _Opened:
    """A file on a disk, as it was when it was opened: what is renamed into its place is another."""

    path: str
    inode: int
    changed_ns: int
    size: int
    file: Any = field(compare=False)


def _identity(path: UPath, file: Any) -> tuple[str, int, int, int]:
    status = os.fstat(file.fileno())
    return str(path), status.st_ino, status.st_mtime_ns, status.st_size


@lru_cache(maxsize=_FACTS)
def _kept_facts(opened: _Opened) -> TableFacts:
    return facts_in(pq.read_metadata(opened.file))


@lru_cache(maxsize=_FOOTERS)
def _kept_footer(opened: _Opened) -> pq.FileMetaData:
    return pq.read_metadata(opened.file)


def _groups_that_hold(
    file: Any, footer: pq.FileMetaData, key: str, values: Sequence[int] | Sequence[str], columns: Sequence[str] | None
) -> pl.LazyFrame:
    """What polars does by itself with a file on a disk; of any other it would read all."""
    place = footer.schema.names.index(key)
    found = []
    for group in range(footer.num_row_groups):
        bounds = footer.row_group(group).column(place).statistics
        known = bounds is not None and bounds.has_min_max
        if not known or any(bounds.min <= value <= bounds.max for value in values):
            found.append(group)
    read = pl.from_arrow(pq.ParquetFile(file, metadata=footer).read_row_groups(found, columns))
    assert isinstance(read, pl.DataFrame)
    return read.lazy()
