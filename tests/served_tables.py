"""Two layers of the one small study, made as the command line makes them, and what came of it."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import table_resources
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore

LAYERS = (1, 2)
ENDING = ("layer_summary", "trends")
"""The tables of all layers, which the last run makes."""


def make(project: Project, study: Study, *, offline: bool = False) -> list[Run]:
    """Materializes layers 1 and 2; gives the runs that were made."""
    runs: list[Run] = []
    resources: Any = table_resources(project.tables, project.requests, offline=offline)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, LAYERS), instance, resources, runs.append)
    return runs


def path_of(project: Project, table: str, layer: int) -> Path:
    key = None if table in {"excerpts", *ENDING} else f"L{layer:02d}"
    return Path(str(TableStore.at(project.tables).path("tiny", table, key)))


def read(project: Project, table: str) -> pl.DataFrame:
    return pl.concat(pl.read_parquet(path) for path in sorted({path_of(project, table, layer) for layer in LAYERS}))


def metadata(project: Project, study: Study, table: str, layer: int) -> dict[str, Any]:
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        wanted = dg.AssetRecordsFilter(asset_key=asset_key(study, table), asset_partitions=[f"L{layer:02d}"])
        materialization = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
    assert materialization is not None
    return {key: value.value for key, value in materialization.metadata.items()}
