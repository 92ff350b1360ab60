"""Whether a frame keeps the schema of its table: columns, types, bounds, unique keys, no NaN.

Here: the check that runs before a table is handed on and after one is read. Not here: the schemas (`schemas.py`).
"""

from collections.abc import Mapping
from typing import Any

import pandera.errors
import polars as pl
from polars import selectors

from neuron_assets.errors import InvalidTable
from neuron_assets.tables.schemas import KEYS, SCHEMAS


def problems(table: str, frame: pl.DataFrame) -> list[str]:
    """Every way in which `frame` is not a valid `table`, in words; empty if there is none."""
    found = []
    try:
        SCHEMAS[table].validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        lines = error.failure_cases.select("schema_context", "column", "check", "failure_case").to_dicts()
        found = list(dict.fromkeys(_problem(line) for line in lines))
    except pandera.errors.SchemaError as error:
        found = [str(error)]
    if found:
        return found
    if (n_repeated := frame.select(KEYS[table]).is_duplicated().sum()) > 0:
        found.append(f"{n_repeated} rows share their key ({', '.join(KEYS[table])})")
    nan_counts = frame.select(selectors.float().is_nan().sum())
    found += [f"{column.name}: {column[0]} values are NaN" for column in nan_counts.iter_columns() if column[0]]
    return found


def checked(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` itself; raises InvalidTable if it does not keep the schema of `table`."""
    found = problems(table, frame)
    if found:
        raise InvalidTable(table, found)
    return frame


def _problem(line: Mapping[str, Any]) -> str:
    """One of pandera's findings. Of a column that is missing or too much, it has the name as the failing case."""
    if line["check"] in {"column_in_dataframe", "column_in_schema"}:
        return f"{line['failure_case']}: {line['check']}"
    of_column = line["schema_context"] == "Column"
    return f"{line['column']}: {line['check']}" if of_column else str(line["check"])
