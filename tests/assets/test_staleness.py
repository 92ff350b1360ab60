"""What the Dagster UI marks as outdated: what is, all at once where the study changed, and nothing else."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.definitions.data_version import CachingStaleStatusResolver  # what the UI asks
from dagster._core.loader import LoadingContextForTest

from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from tests.scenario import make_project
from tests.served_tables import make

pytestmark = pytest.mark.slow

OBSERVED = ("corpus", "subject_model", "explainer_model", "simulator_model")
CHAIN = [
    *("excerpts", "activations", "neuron_statistics", "explanations", "candidates", "simulations", "scores"),
    *("layer_summary", "trends"),
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layers 1 and 2, in one pass."""
    root = tmp_path_factory.mktemp("staleness")
    make(*make_project(root))
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path) -> Iterator[tuple[Project, dg.DagsterInstance]]:
    shutil.copytree(made, tmp_path / "own")
    project = Project.from_environment({}, tmp_path / "own")
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        yield project, instance


World = tuple[Project, dg.DagsterInstance]


def study_of(world: World, **changes: Any) -> Study:
    path = world[0].study_files()["tiny"]
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))
    return read_study(path)


def definitions(world: World, study: Study) -> dg.Definitions:
    resources = table_resources(world[0].tables, world[0].requests)
    return dg.Definitions.merge(
        build_study(study), dg.Definitions(resources=resources, executor=dg.in_process_executor)
    )


def stale(world: World, study: Study) -> dict[str, str]:
    """Of the tables that are outdated in layer 2, why."""
    graph = definitions(world, study).get_repository_def().asset_graph
    resolver = CachingStaleStatusResolver(world[1], graph, LoadingContextForTest(world[1]))
    found = {}
    for table in CHAIN:
        key = dg.AssetKey(["tiny", table])
        layer = "L02" if graph.get(key).is_partitioned else None
        status = resolver.get_status(key, layer).value
        assert status in {"FRESH", "STALE"}, (table, status)
        if status == "STALE":
            found[table] = " + ".join(cause.reason for cause in resolver.get_stale_causes(key, layer))
    return found


def run(world: World, study: Study, *tables: str, layers: tuple[str, str] | None = None) -> None:
    assets: Any = build_study(study).assets
    tags = {}
    if layers:
        tags = dict(
            zip(("dagster/asset_partition_range_start", "dagster/asset_partition_range_end"), layers, strict=True)
        )
    result = dg.materialize(
        assets,
        selection=dg.AssetSelection.assets(*(["tiny", table] for table in tables)),
        instance=world[1],
        resources=table_resources(world[0].tables, world[0].requests),
        partition_key=layers[0] if layers and layers[0] == layers[1] else None,
        tags=tags if layers and layers[0] != layers[1] else {},
    )
    assert result.success


def observe(world: World, study: Study) -> None:
    """Looks at all that is outside the study, as the button in the UI does."""
    look = dg.define_asset_job("look", dg.AssetSelection.assets(*(["tiny", name] for name in OBSERVED)))
    job = dg.Definitions.merge(definitions(world, study), dg.Definitions(jobs=[look])).resolve_job_def("look")
    assert job.execute_in_process(instance=world[1]).success


def test_a_study_that_was_just_made_is_fresh(world: World) -> None:
    assert stale(world, study_of(world)) == {}


def test_other_splits_make_all_below_stale_at_once(world: World) -> None:
    study = study_of(world)
    splits = study.splits.model_dump() | {"train": {"top": 4, "random": 6}}

    found = stale(world, study_of(world, splits=splits))

    assert list(found) == CHAIN[1:]
    assert set(found.values()) == {"has a new code version"}


def test_another_simulator_makes_simulations_and_what_hangs_on_them_stale(world: World) -> None:
    hosted = {"provider": "openai_compatible", "model": "some-model", "base_url": "http://127.0.0.1:1/v1"}

    found = stale(world, study_of(world, simulator=hosted))

    assert list(found) == ["simulations", "scores", "layer_summary", "trends"]


def test_more_neurons_layers_and_scorers_make_nothing_stale(world: World) -> None:
    scoring = {"top": 3, "random": 3, "draws": 100, "scorers": ["simulation"]}

    assert stale(world, study_of(world, neurons={"per_layer": 9}, layers=[1, 2], scoring=scoring)) == {}


def test_a_layer_made_again_by_itself_or_in_another_range_leaves_what_is_below_it_fresh(world: World) -> None:
    study = study_of(world)
    forward = ("activations", "neuron_statistics")
    run(world, study, "excerpts")
    run(world, study, *forward, layers=("L02", "L02"))
    assert stale(world, study) == {}

    run(world, study, *forward, layers=("L01", "L03"))
    # made from the statistics of all layers, of which L03 is new
    assert stale(world, study) == {"trends": "has a new dependency data version"}


def test_explanations_made_again_with_the_same_content_leave_what_is_below_them_fresh(world: World) -> None:
    study = study_of(world)
    run(world, study, "explanations", layers=("L02", "L02"))

    assert stale(world, study) == {}


def test_a_changed_document_makes_the_excerpts_stale_once_the_corpus_is_observed(world: World) -> None:
    study = study_of(world)
    (study.folder / "texts" / "00.txt").write_text("Another text altogether. " * 30, encoding="utf-8")
    assert stale(world, study) == {}
    observe(world, study)

    assert list(stale(world, study)) == ["excerpts"]
    run(world, study, "excerpts")
    assert {"activations", "neuron_statistics"} <= set(stale(world, study))


def test_who_answers_is_known_to_dagster_from_the_first_run_on(world: World) -> None:
    """Nobody has observed the models of this layer before; looking at them later makes nothing stale."""
    study = study_of(world)
    world[1].wipe_assets([dg.AssetKey(["tiny", name]) for name in OBSERVED])
    run(world, study, "excerpts")
    run(world, study, "activations", "neuron_statistics", layers=("L02", "L02"))
    run(world, study, "explanations", "candidates", "simulations", "scores", layers=("L02", "L02"))
    run(world, study, "layer_summary", "trends")

    observe(world, study)

    assert stale(world, study) == {}
