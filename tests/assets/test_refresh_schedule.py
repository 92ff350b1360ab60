"""When the schedule of a study looks at its models, and when it is off."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from neuron_assets.assets.refreshing import schedule_name
from neuron_assets.assets.study_component import build_study
from neuron_assets.definitions import build_definitions
from neuron_assets.errors import InvalidStudy
from neuron_assets.study import read_study
from tests.assets.refreshed_world import World
from tests.scenario import make_project

pytestmark = pytest.mark.slow


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Nothing is made of it."""
    project, _ = make_project(tmp_path)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        yield World(project, project.study_files()["tiny"], instance)


def test_a_time_that_is_none_is_told_and_leaves_other_studies_alone(world: World) -> None:
    world.change(refresh={"cron": "every night"})

    with pytest.raises(InvalidStudy, match=r"refresh\.cron.*'every night' is no cron expression"):
        build_study(read_study(world.path))
    keys = build_definitions(world.project).resolve_all_asset_keys()
    assert {dg.AssetKey(["tiny", "unreadable_study"]), dg.AssetKey(["bundled", "scores"])} <= set(keys)


def test_the_schedule_is_off_only_where_a_refresh_costs_money(world: World) -> None:
    def status(**sections: Any) -> dg.DefaultScheduleStatus:
        world.change(**sections)
        schedule = world.definitions.get_repository_def().get_schedule_def(schedule_name("tiny"))
        assert isinstance(schedule, dg.ScheduleDefinition)
        return schedule.default_status

    hosted = {"provider": "openai_compatible", "model": "some-model", "base_url": "http://127.0.0.1:1/v1"}
    free = {"some-model": {"tokens_in": 0, "tokens_out": 0}}
    assert status() == dg.DefaultScheduleStatus.RUNNING
    assert status(explainer=hosted) == dg.DefaultScheduleStatus.STOPPED
    assert status(prices=free) == dg.DefaultScheduleStatus.RUNNING
    assert status(simulator=hosted | {"model": "other"}) == dg.DefaultScheduleStatus.STOPPED


def test_a_schedule_follows_the_study(world: World) -> None:
    world.change(refresh={"cron": "15 4 * * 1", "timezone": "Europe/Berlin"})
    schedule = world.definitions.get_repository_def().get_schedule_def(schedule_name("tiny"))

    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 4 * * 1", "Europe/Berlin")
