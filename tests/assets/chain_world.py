"""The small world of which three layers are made, for tests of the whole chain."""

from collections.abc import Iterator
from contextlib import contextmanager
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
from tests.scenario import make_project

LAYERS = (1, 2, 3)


def resources_of(project: Project) -> Any:
    return table_resources(project.tables, project.requests)


def make(project: Project, study: Study, instance: dg.DagsterInstance, neurons: Any = None) -> list[Run]:
    """Materializes layers 1 to 3; gives the runs that were made."""
    runs: list[Run] = []
    materialize(Wanted(study, LAYERS, neurons), instance, resources_of(project), runs.append)
    return runs


def metadata(instance: dg.DagsterInstance, study: Study, table: str, layer: str) -> dict[str, Any]:
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(asset_key=asset_key(study, table), asset_partitions=[layer]), limit=1
    ).records
    materialization = records[0].asset_materialization
    assert materialization is not None
    return {key: value.value for key, value in materialization.metadata.items()}


World = tuple[Project, Study, dg.DagsterInstance]


def made_in(root: Path) -> Path:
    """The same folder, with the chain run once for layers 1 to 3."""
    project, study = make_project(root)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        make(project, study, instance)
    return root


@contextmanager
def opened(root: Path) -> Iterator[World]:
    """The chain that was made there."""
    project, study = make_project(root)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        yield project, study, instance


def read(world: World, table: str, key: str | None = None) -> pl.DataFrame:
    return pl.read_parquet(str(TableStore.at(world[0].tables).path(world[1].name, table, key)))
