"""Tables as Parquet files: written aside and renamed, with the lineage, the content hash and the inputs inside.

Here: one file. Not here: which file belongs to which asset (`assets/io_manager.py`), what columns mean (`schemas.py`).
Equal frames with equal facts give equal bytes: no time, no run, no machine is written.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from neuron_assets.errors import FailedWrite, MissingTable, UnreadableTable
from neuron_assets.tables.writing_aside import written_aside

_PREFIX = "neuron_assets."
_GROUP_BYTES = 1 << 20
"""Of a row group's values before compression."""


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a file says of its table beside the rows."""

    table: str
    lineage: str
    """Fingerprint of the study's fields that its rows depend on."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """The content hash of each file it was made from, by the file's path below the study's folder."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What a reader of the rows should know: explainer, Python version, ..."""
    content: str = ""
    """Hash of the rows; filled in on writing."""


def content_hash(frame: pl.DataFrame) -> str:
    """Sixteen hexadecimal digits of the rows in their order: equal rows give equal hashes, however they were made."""
    digest = hashlib.sha256()
    for column in frame.iter_columns():
        digest.update(column.name.encode())
        for part in _values(column):
            digest.update(part)
    return digest.hexdigest()[:16]


def write_table(path: UPath, frame: pl.DataFrame, facts: TableFacts) -> TableFacts:
    """Writes aside, then renames: a write that fails leaves the old file as it was. Raises FailedWrite.

    What a process that was killed had begun to write of the same file is removed.
    """
    facts = TableFacts(facts.table, facts.lineage, facts.inputs, facts.notes, content_hash(frame))
    rows = _rows_in_a_group(frame, facts.table)
    try:
        with written_aside(path) as aside, aside.open("wb") as file:
            frame.rechunk().write_parquet(  # how rows lie in memory would be seen in the bytes
                file, compression="zstd", statistics=True, row_group_size=rows, metadata=_encoded(facts)
            )
    except (OSError, pl.exceptions.PolarsError) as error:
        raise FailedWrite(path, _first_line(error)) from error
    return facts


@contextmanager
def damage_named(path: UPath) -> Iterator[None]:
    """Whatever reading the file meets is raised as MissingTable or UnreadableTable."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingTable(path, f"{path.parent.name}/{path.stem}") from error
    except KeyError as error:
        raise UnreadableTable(path, f"it does not say its {str(error).strip(chr(39)).removeprefix(_PREFIX)}") from error
    except (pa.ArrowException, pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise UnreadableTable(path, _first_line(error)) from error


def table_in(footer: pq.FileMetaData) -> str:
    """Which table the file holds; raises KeyError where it does not say."""
    return _plain(footer)[_PREFIX + "table"]


def read_facts(path: UPath) -> TableFacts:
    """What the file says of itself; raises MissingTable or UnreadableTable."""
    with damage_named(path), path.open("rb") as file:
        return facts_in(pq.read_metadata(file))


def facts_in(footer: pq.FileMetaData) -> TableFacts:
    """Raises KeyError where the file does not say them, and ValueError where they are damaged."""
    plain = _plain(footer)
    return TableFacts(
        table=plain[_PREFIX + "table"],
        lineage=plain[_PREFIX + "lineage"],
        inputs=json.loads(plain[_PREFIX + "inputs"]),
        notes=json.loads(plain[_PREFIX + "notes"]),
        content=plain[_PREFIX + "content"],
    )


def read_table(
    path: UPath, table: str, where: pl.Expr | None = None, columns: Sequence[str] | None = None
) -> pl.DataFrame:
    """The rows of the file, or those where `where` holds; raises MissingTable or UnreadableTable."""
    return read_with_facts(path, table, where, columns)[1]


def read_with_facts(
    path: UPath, table: str, where: pl.Expr | None = None, columns: Sequence[str] | None = None
) -> tuple[TableFacts, pl.DataFrame]:
    """As `read_table`, with what the same file says of itself: it is opened once, and may be replaced meanwhile."""
    with damage_named(path), path.open("rb") as file:
        facts = facts_in(pq.read_metadata(file))
        if facts.table != table:
            raise UnreadableTable(path, f"it holds the table {facts.table}, not {table}")
        file.seek(0)
        frame = pl.scan_parquet(file)
        rows = frame if where is None else frame.filter(where)
        return facts, (rows if columns is None else rows.select(columns)).collect()


def _plain(footer: pq.FileMetaData) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in (footer.metadata or {}).items()}


def _rows_in_a_group(frame: pl.DataFrame, table: str) -> int:
    """So many that one neuron's rows are read with few others; told by the values, so that equal rows lie equally.

    The excerpts of one neuron are scattered over their table: its groups are as small as a footer of a thousand bears.
    """
    if table == "excerpts":
        return min(max(frame.height // 1000, 32), 1024)
    size = sum(_size(column) for column in frame.iter_columns())
    rows = _GROUP_BYTES * max(frame.height, 1) // max(size, 1)
    return min(max(rows, 256), 16384)


def _size(column: pl.Series) -> int:
    """Bytes of the values, roughly."""
    if isinstance(column.dtype, pl.List):
        return 8 * len(column) + _size(column.drop_nulls().explode())
    if column.dtype == pl.String:
        return 8 * len(column) + int(column.str.len_bytes().sum())
    return 4 * len(column)


def _values(column: pl.Series) -> Iterator[bytes]:
    """The type, which values are null, and the others; what memory holds beside them is left out."""
    yield f"{column.dtype};{len(column)};".encode()
    yield column.is_null().to_numpy().tobytes()
    there = column.drop_nulls()
    if isinstance(there.dtype, pl.List):
        yield there.list.len().to_numpy().tobytes()
        yield from _values(there.filter(there.list.len() > 0).explode())
    elif there.dtype == pl.String:
        yield there.str.len_bytes().to_numpy().tobytes()
        yield "".join(there).encode()
    else:
        yield there.to_numpy().tobytes()


def _encoded(facts: TableFacts) -> dict[str, str]:
    values: dict[str, Any] = {"table": facts.table, "lineage": facts.lineage, "content": facts.content}
    values["inputs"] = json.dumps(dict(facts.inputs), sort_keys=True)
    values["notes"] = json.dumps(dict(facts.notes), sort_keys=True)
    return {_PREFIX + key: value for key, value in values.items()}


@dataclass(frozen=True, slots=True)
class StoredTable:
    """A table that is large, and of which a step reads only some rows."""

    path: UPath
    table: str

    def read(self, where: pl.Expr, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows where `where` holds; raises MissingTable or UnreadableTable."""
        return read_table(self.path, self.table, where, columns)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
