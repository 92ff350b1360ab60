"""Which explanations a study keeps, and which it asks for, when it is run again in another way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project
from neuron_assets.running import Wanted, materialize
from neuron_assets.study import Study
from tests.language_models.misbehaving_server import MisbehavingServer, refusal
from tests.polite_server import answer, asking, is_a_probe, polite_server
from tests.scenario import ALL_MAY_FAIL, make_project

pytestmark = pytest.mark.slow

LAYER = 1


@pytest.fixture
def server() -> Iterator[MisbehavingServer]:
    with polite_server() as found:
        yield found


def world(root: Path, server: MisbehavingServer, **changes: object) -> tuple[Project, Study]:
    """A study that the server explains, in words that the simulator cannot read; `changes` are of its explainer."""
    explainer: Any = asking(server.url)["explainer"]
    return make_project(root, explainer={**explainer, **changes}, layers=[LAYER], checks=ALL_MAY_FAIL)


def explain(project: Project, study: Study, per_layer: int) -> pl.DataFrame:
    """Runs what is missing of so many neurons of the layer; gives its explanations."""
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, (LAYER,), per_layer), instance, resources, lambda _run: None)
    return explanations(project)


def explain_by_the_asset(project: Project, study: Study, per_layer: int) -> pl.DataFrame:
    """The same as from Dagster's UI, whatever is there."""
    assets: Any = build_study(study).assets
    resources: Any = table_resources(project.tables, project.requests)
    dg.materialize(
        assets,
        selection=dg.AssetSelection.assets(asset_key(study, "explanations")),
        partition_key=f"L{LAYER:02d}",
        resources=resources,
        run_config={"ops": {"tiny__explanations": {"config": {"per_layer": per_layer}}}},
    )
    return explanations(project)


def explanations(project: Project) -> pl.DataFrame:
    return pl.read_parquet(f"{project.tables}/tiny/explanations/L{LAYER:02d}.parquet")


def test_more_samples_are_asked_for_beside_those_that_are_kept(server: MisbehavingServer, tmp_path: Path) -> None:
    one = explain(*world(tmp_path, server), 2)
    three = explain(*world(tmp_path, server, samples=3), 2)

    assert one.height == 2
    assert three.group_by("neuron_index").len()["len"].to_list() == [3, 3]
    assert one["explanation"].to_list() == three.filter(pl.col("sample") == 0)["explanation"].to_list()
    assert sum(not is_a_probe(body) for body in server.bodies) == 2 * 3


def test_failed_neurons_that_are_not_asked_now_keep_their_rows(server: MisbehavingServer, tmp_path: Path) -> None:
    server.behaviour = lambda body, _number: answer(body) if is_a_probe(body) else refusal(400, "too long")
    project, study = world(tmp_path, server)
    four = explain(project, study, 4)
    server.behaviour = lambda body, _number: answer(body)
    again = explain_by_the_asset(project, study, 2)
    explained = again.filter(pl.col("failure").is_null())

    assert four["failure"].null_count() == 0
    assert again["neuron_index"].to_list() == four["neuron_index"].to_list() == list(study.neuron_indices(LAYER, 4))
    assert explained["neuron_index"].to_list() == list(study.neuron_indices(LAYER, 2))
