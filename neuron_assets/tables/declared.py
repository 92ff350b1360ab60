"""Whether what was read of a table has the columns that the table is declared with.

Here: names and types, which cost nothing. Not here: what values may be (`validation.py`).
"""

import polars as pl
from upath import UPath

from neuron_assets.errors import UnreadableTable
from neuron_assets.tables.schemas import empty


def as_declared(path: UPath, table: str, rows: pl.DataFrame, *, is_whole: bool = False) -> pl.DataFrame:
    """The rows themselves; `is_whole` says that no column was left out on purpose.

    Raises UnreadableTable where another version of the package wrote the file, or somebody else.
    """
    declared = empty(table).schema
    missing = [name for name in declared if is_whole and name not in rows.columns]
    if missing:
        raise UnreadableTable(path, f"it lacks the columns {', '.join(missing)}")
    for name, dtype in rows.schema.items():
        if name in declared and dtype != declared[name]:
            raise UnreadableTable(path, f"its column {name} holds {dtype}, not {declared[name]}")
    return rows
