"""The asset `token_index` of a small study, as the command line makes it."""

import polars as pl
import pytest

from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.tables.token_index import MOST_TOKENS
from tests.scenario import make_project
from tests.served_tables import LAYERS, make, path_of, read

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Study]:
    world = make_project(tmp_path_factory.mktemp("world"), neurons={"per_layer": 3})
    assert all("token_index" in run.tables for run in make(*world)[1:-1])
    return world


def test_every_neuron_that_ever_fires_is_found_by_the_tokens_of_its_excerpts(world: tuple[Project, Study]) -> None:
    index, statistics = read(world[0], "token_index"), read(world[0], "neuron_statistics")
    of_neuron = ["layer_index", "neuron_index"]
    fires = statistics.filter(pl.col("maximum") > 0).select(of_neuron)
    known = set(read(world[0], "excerpts")["tokens"].explode())

    assert index.select(of_neuron).unique().sort(of_neuron).equals(fires.sort(of_neuron))
    assert max(index.group_by(of_neuron).len()["len"]) <= MOST_TOKENS
    assert set(index["token"]) <= known


def test_the_peak_of_a_neuron_is_on_one_of_its_tokens(world: tuple[Project, Study]) -> None:
    of_neuron = ["layer_index", "neuron_index"]
    shown = read(world[0], "activations").filter(pl.col("split") == "train", pl.col("kind") == "top")
    highest = shown.group_by(of_neuron).agg(pl.col("peak").max()).filter(pl.col("peak") > 0)
    found = read(world[0], "token_index").group_by(of_neuron).agg(pl.col("peak").max().alias("found"))
    both = highest.join(found, on=of_neuron)

    assert both.height == highest.height
    assert both["found"].to_list() == pytest.approx(both["peak"].to_list(), rel=0.001)


def test_one_that_is_missing_is_made_alone(world: tuple[Project, Study]) -> None:
    path_of(world[0], "token_index", LAYERS[0]).unlink()

    assert [(run.tables, run.title) for run in make(*world)] == [(("token_index",), "token_index of L1")]
