"""Where columns come from, as the tables' pages tell it."""

import pytest

from neuron_assets.lineage import INPUTS
from neuron_assets.tables.column_sources import SOURCES
from neuron_assets.tables.schemas import SCHEMAS


def columns(table: str) -> set[str]:
    return set(SCHEMAS[table].to_schema().columns)


def test_every_table_says_where_its_columns_come_from() -> None:
    assert set(SOURCES) == set(SCHEMAS)
    assert {table for table, sources in SOURCES.items() if not sources} == {
        "excerpts",
        "openings",
        "spending",
        "labels",
    }


@pytest.mark.parametrize("table", [table for table, sources in SOURCES.items() if sources])
def test_columns_and_their_sources_exist_and_all_inputs_are_used(table: str) -> None:
    sources = {source for each in SOURCES[table].values() for source in each}

    assert set(SOURCES[table]) <= columns(table)
    assert sources <= {f"{name}.{column}" for name in INPUTS[table] for column in columns(name)}
    assert {source.partition(".")[0] for source in sources} == set(INPUTS[table])
