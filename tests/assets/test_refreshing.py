"""When layers are made again by themselves: decided as Dagster decides it, but without its daemon."""

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from neuron_assets.assets.refreshing import outdated_layers, schedule_name
from neuron_assets.assets.specs import Role
from neuron_assets.project import Project
from neuron_assets.study import read_study
from tests.assets.refreshed_world import DAY, FEWER_RULES, NIGHT, SUMMARIES, World, all_of
from tests.polite_server import asking, is_a_probe, polite_server
from tests.scenario import make_project
from tests.served_tables import make

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("refreshing")
    make(*make_project(root))
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path) -> Iterator[World]:
    shutil.copytree(made, tmp_path / "own")
    project = Project.from_environment({}, tmp_path / "own")
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        yield World(project, project.study_files()["tiny"], instance)


def test_the_first_observation_ever_of_the_same_models_requests_nothing(world: World) -> None:
    assert world.look(NIGHT - DAY) == {}
    world.tick()

    assert world.look(NIGHT) == {}
    assert world.look(NIGHT + DAY) == {}


def test_another_explainer_makes_exactly_explanations_simulations_and_scores_of_layers_that_are_there_again(
    world: World,
) -> None:
    world.change(explainer=FEWER_RULES)
    passes = world.n_events("activations")
    assert world.look(NIGHT) == {}  # nobody has seen it yet
    world.tick()

    requested = world.look(NIGHT)

    assert requested == all_of("L01", "L02")
    world.refreshed(requested)
    assert world.n_events("activations") == passes
    assert world.look(NIGHT + dt.timedelta(seconds=30)) == SUMMARIES
    world.refreshed(SUMMARIES)
    assert world.look(NIGHT + dt.timedelta(seconds=60)) == {}
    world.tick()
    assert world.look(NIGHT + DAY) == {}


def test_what_explanations_are_revised_by_is_refreshed_with_them_and_no_longer_when_they_are_not(
    tmp_path: Path,
) -> None:
    revising, both = {"rounds": 1}, ["counterexamples", "revised_explanations"]
    project, study = make_project(tmp_path, revision=revising)
    make(project, study)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        world = World(project, project.study_files()["tiny"], instance)
        world.change(explainer=FEWER_RULES)
        world.tick()
        requested = world.look(NIGHT)
        assert requested == all_of("L01", "L02") | {table: ["L01", "L02"] for table in both}
        world.refreshed(requested)
        assert world.look(NIGHT + dt.timedelta(seconds=30)) == SUMMARIES
        world.refreshed(SUMMARIES)

        world.change(explainer={"provider": "rules", "n_rules": 4}, revision={"rounds": 0})
        world.tick()
        requested = world.look(NIGHT + DAY)
        assert requested == all_of("L01", "L02")
        world.refreshed(requested)
        world.refreshed(SUMMARIES)
        world.tick()
        assert world.look(NIGHT + 2 * DAY) == {}


def test_tables_that_the_study_asks_for_since_then_are_made_with_what_needs_them(world: World) -> None:
    world.change(explainer=FEWER_RULES, revision={"rounds": 1}, meanings={"most": 2})
    world.tick()
    requested = world.look(NIGHT)

    new = ["counterexamples", "meanings", "revised_explanations"]
    assert requested == all_of("L01", "L02") | {table: ["L01", "L02"] for table in new}
    world.refreshed(requested)


def test_another_simulator_leaves_the_explanations_alone(world: World) -> None:
    study = read_study(world.path)

    def outdated(role: Role, now: str) -> list[str]:
        return outdated_layers(world.instance, study, role, now)

    assert outdated("simulator", study.simulator_identity) == []
    assert outdated("simulator", "rules/another") == ["L01", "L02"]
    key = dg.AssetKey(["tiny", "simulator_model"])
    metadata = {"observed_by": schedule_name("tiny")}
    tags = {"dagster/data_version": "rules/another"}
    world.instance.report_runless_asset_event(dg.AssetObservation(key, metadata=metadata, tags=tags))
    assert world.look(NIGHT) == {"scores": ["L01", "L02"], "simulations": ["L01", "L02"]}


def test_only_the_layer_that_another_model_made_is_requested(world: World) -> None:
    world.change(explainer=FEWER_RULES)
    world.make(all_of("L02"))
    world.tick()

    assert world.look(NIGHT) == all_of("L01")


def test_a_refresh_that_failed_is_requested_again_at_the_next_tick_and_not_before(world: World) -> None:
    world.change(explainer=FEWER_RULES)
    world.tick()
    wanted = all_of("L01", "L02")
    assert world.look(NIGHT) == wanted  # and nothing comes of it

    assert world.look(NIGHT + dt.timedelta(hours=5)) == {}
    assert world.look(NIGHT + DAY) == wanted


def test_what_of_a_refresh_failed_half_way_is_requested_and_not_the_rest(world: World) -> None:
    world.change(explainer=FEWER_RULES)
    world.tick()
    world.look(NIGHT)
    world.refreshed({"explanations": ["L01", "L02"], "candidates": ["L01", "L02"], "simulations": ["L02"]})

    assert world.look(NIGHT + DAY) == {"scores": ["L01", "L02"], "simulations": ["L01"]}


def test_a_look_that_is_under_way_holds_nothing_up(world: World) -> None:
    world.change(explainer=FEWER_RULES)
    world.tick()
    world.instance.create_run_for_job(world.observation(), status=dg.DagsterRunStatus.STARTED)

    assert world.look(NIGHT) == all_of("L01", "L02")


@pytest.mark.parametrize("tables", [("activations", "neuron_statistics"), ("explanations",), ("scores",)])
def test_a_layer_that_a_run_is_at_is_left_alone_as_a_whole(world: World, tables: tuple[str, ...]) -> None:
    world.change(explainer=FEWER_RULES)
    world.tick()
    keys = frozenset(dg.AssetKey(["tiny", table]) for table in tables)
    job = world.definitions.resolve_implicit_global_asset_job_def().get_subset(asset_selection=keys)
    run = world.instance.create_run_for_job(
        job, status=dg.DagsterRunStatus.STARTED, asset_selection=keys, tags={"dagster/partition": "L01"}
    )

    assert world.look(NIGHT) == all_of("L02")
    world.instance.report_run_canceled(run)
    assert world.look(NIGHT + dt.timedelta(seconds=30)) == all_of("L01")


def test_a_lost_cursor_misses_nothing(world: World) -> None:
    world.look(NIGHT)
    world.change(explainer=FEWER_RULES)
    world.tick()

    assert world.look(NIGHT + DAY, forgotten=True) == all_of("L01", "L02")


def test_layers_made_by_hand_since_the_schedule_looked_are_left_alone(world: World) -> None:
    world.tick()
    world.change(explainer=FEWER_RULES)
    world.make(all_of("L01", "L02"))

    assert world.look(NIGHT) == {}
    assert world.look(NIGHT + DAY) == {}


def test_a_layer_with_lost_questions_is_asked_for_again_with_all_that_hangs_on_it(world: World) -> None:
    study = read_study(world.path)
    metadata: dict[str, Any] = {"made_by": dg.MetadataValue.json({"explainer": study.explainer_identity}), "lost": 3}
    made = dg.AssetMaterialization(["tiny", "explanations"], partition="L02", metadata=metadata)
    world.instance.report_runless_asset_event(made)
    world.tick()

    assert world.look(NIGHT) == all_of("L02")


def test_a_layer_that_tells_nobody_is_left_alone(world: World) -> None:
    world.instance.report_runless_asset_event(dg.AssetMaterialization(["tiny", "explanations"], partition="L05"))
    world.change(explainer=FEWER_RULES)
    world.tick()

    assert "L05" not in world.look(NIGHT)["explanations"]


def test_what_is_made_by_hand_is_followed_by_nothing(world: World) -> None:
    world.tick()
    world.look(NIGHT)
    world.make({"scores": ["L01"]})

    assert world.look(NIGHT + DAY) == {}


def test_an_observation_by_hand_tells_and_requests_nothing(world: World) -> None:
    world.change(explainer=FEWER_RULES)
    world.look(NIGHT)
    job = world.observation()

    assert job.execute_in_process(instance=world.instance).success

    latest = world.instance.fetch_observations(dg.AssetKey(["tiny", "explainer_model"]), limit=1).records[0]
    assert latest.asset_observation is not None
    told = latest.asset_observation.metadata
    assert (told["observed_by"].value, told["outdated_layers"].value) == ("hand", "L01, L02")
    assert world.look(NIGHT + DAY) == {}


def test_a_look_at_a_hosted_model_is_one_request_and_tells_what_a_refresh_would_take(world: World) -> None:
    with polite_server() as server:
        world.change(**asking(server.url))

        world.tick()

        assert [is_a_probe(body) for body in server.bodies] == [True]  # one, though it fills both roles
        latest = world.instance.fetch_observations(dg.AssetKey(["tiny", "explainer_model"]), limit=1).records[0]
        assert latest.asset_observation is not None
        told = {name: value.value for name, value in latest.asset_observation.metadata.items()}
        assert told["outdated_layers"] == "L01, L02"
        assert str(told["refresh_takes_explainer"]).startswith("6 requests to ")  # three neurons of two layers
        assert "price unknown" in str(told["refresh_takes_simulator"])
        assert world.look(NIGHT) == {}  # nobody has switched the schedule on
