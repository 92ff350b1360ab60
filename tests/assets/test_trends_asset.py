"""The asset `trends` of a small study, as the command line makes it."""

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.specs import asset_key
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.tables.parquet import read_facts
from tests.scenario import make_project
from tests.served_tables import ENDING, LAYERS, make, path_of, read

pytestmark = pytest.mark.slow

World = tuple[Project, Study]
PLACE = ["layer_index", "author", "sample"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two of six layers, of twelve neurons each."""
    world = make_project(tmp_path_factory.mktemp("world"), neurons={"per_layer": 12})
    assert make(*world)[-1].tables == ENDING
    return world


def metadata_of(world: World) -> dict[str, Any]:
    project, study = world
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        [record] = instance.fetch_materializations(asset_key(study, "trends"), limit=1).records
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_score_by_depth_is_that_of_the_summary(world: World) -> None:
    depth = read(world[0], "trends").unique().filter(pl.col("trend") == "depth").sort(PLACE)
    summary = read(world[0], "layer_summary").unique().sort(PLACE)
    columns = [*PLACE, "n_neurons", "n_undefined", "share_above_half"]

    assert depth.select(columns).equals(summary.select(columns))
    assert depth["mean"].to_list() == pytest.approx(summary["mean"].to_list(), abs=1e-12)


def test_bins_are_of_the_statistics_of_the_neurons_that_were_scored(world: World) -> None:
    project, _ = world
    scored = read(project, "scores").select("layer_index", "neuron_index").unique()
    known = read(project, "neuron_statistics").join(scored, on=scored.columns)
    bins = read(project, "trends").unique().filter(pl.col("trend") == "kurtosis", pl.col("author") == "rules")

    assert scored.height == 24
    assert bins["bin_low"].min() == known["kurtosis"].min()
    assert bins["bin_high"].max() == known["kurtosis"].max()
    assert set(bins["bin"]) == {0, 1}


def test_the_file_names_all_that_it_was_made_from(world: World) -> None:
    facts = read_facts(path_of(world[0], "trends", LAYERS[0]))  # type: ignore[arg-type]
    layers = {"L01.parquet", "L02.parquet"}

    assert set(facts.inputs) == {
        f"tiny/{table}/{layer}" for table in ("neuron_statistics", "scores") for layer in layers
    }


def test_its_page_has_the_plots_and_tells_the_layers_that_are_not_there(world: World) -> None:
    metadata = metadata_of(world)
    plots = {name for name, value in metadata.items() if str(value).startswith("![](data:image/svg+xml;base64,")}

    assert plots == {"by_depth", "by_density", "by_kurtosis", "by_explainer", "by_shares"}
    assert (metadata["layers"], metadata["missing"]) == (2, "L0, L3, L4, L5")


def test_it_is_made_again_alone_where_it_is_missing(world: World) -> None:
    path = path_of(world[0], "trends", LAYERS[0])
    before = path.read_bytes()
    Path(path).unlink()

    assert [run.tables for run in make(*world)] == [("trends",)]
    assert path.read_bytes() == before
    assert make(*world) == []
