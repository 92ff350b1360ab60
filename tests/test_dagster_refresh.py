"""A nightly refresh, every minute: a real `dagster dev`, a model behind a server that changes, what is made again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from starlette.responses import JSONResponse, Response

from neuron_assets.assets.specs import MADE_BY
from tests.dagster_server import REPOSITORY, Server, serving, wait_for
from tests.language_models.misbehaving_server import Body, MisbehavingServer, running
from tests.polite_server import answer, asking, is_a_probe
from tests.scenario import write_study

pytestmark = pytest.mark.slow

BY_LAYER = ("explanations", "candidates", "simulations", "scores")
SCHEDULE = {
    "repositoryName": "__repository__",
    "repositoryLocationName": "neuron_assets",
    "scheduleName": "tiny__refresh",
}
STATUS = """query($schedule: ScheduleSelector!) {
  found: scheduleOrError(scheduleSelector: $schedule) {
    __typename ... on Schedule { description scheduleState { status } } } }"""
SWITCH_ON = """mutation($schedule: ScheduleSelector!) {
  done: startSchedule(scheduleSelector: $schedule) {
    __typename ... on ScheduleStateResult { scheduleState { status } } ... on PythonError { message } } }"""


@dataclass
class World:
    """A project of which layers 1 and 2 were made on the command line, and who answers there."""

    home: Path
    model: MisbehavingServer

    def made_by(self, table: str) -> dict[str, str]:
        """Of each layer that is there, who wrote the explanations behind it."""
        key = dg.AssetKey(["tiny", table])
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            found = {}
            for layer in instance.get_materialized_partitions(key):
                wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[layer])
                made = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
                assert made is not None
                whose = made.metadata[MADE_BY].value
                assert isinstance(whose, dict)
                found[layer] = str(whose["explainer"])
        return found

    def n_events(self, table: str) -> int:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            return len(instance.fetch_materializations(dg.AssetKey(["tiny", table]), limit=1000).records)

    def n_looks(self) -> int:
        """How often the schedule had it looked who explains."""
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            found = instance.fetch_observations(dg.AssetKey(["tiny", "explainer_model"]), limit=1000).records
        seen = [record.asset_observation for record in found]
        return sum(one is not None and "observed_by" in one.metadata for one in seen)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    def behaviour(body: Body, _number: int) -> Response:
        reply = json.loads(bytes(answer(body).body))
        return JSONResponse(reply | {"model": model.served})

    with running(behaviour=behaviour, served="model-a") as model:
        neurons = {"per_layer": 2}
        write_study(tmp_path, neurons=neurons, refresh={"cron": "* * * * *"}, **asking(model.url))
        home = tmp_path / "dagster_home"
        home.mkdir()
        shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
        command = [sys.executable, "-c", "from neuron_assets.cli import main; main()"]
        done = subprocess.run(
            [*command, "materialize", "tiny", "--layers", "1-2"],
            cwd=tmp_path,
            env=os.environ | {"DAGSTER_HOME": str(home)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield World(home, model)


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    with serving(world.home, world.home.parent / "dev.log") as server:
        yield server


def test_once_switched_on_the_layers_of_another_model_are_made_again_and_no_others(
    world: World, server: Server
) -> None:
    schedule = server.ask(STATUS, {"schedule": SCHEDULE})["found"]
    assert schedule["scheduleState"]["status"] == "STOPPED"
    assert "Off until you switch it on" in schedule["description"]
    passes, scores, summaries = (world.n_events(table) for table in ("activations", "scores", "layer_summary"))
    before = world.made_by("scores")
    assert set(before) == {"L01", "L02"}
    world.model.bodies.clear()

    done = server.ask(SWITCH_ON, {"schedule": SCHEDULE})["done"]
    assert done["scheduleState"]["status"] == "RUNNING", done
    wait_for(lambda: world.n_looks() >= 1, 300, server.log.read_text)

    assert world.n_events("scores") == scores  # the same model answers: nothing is to be done
    assert all(is_a_probe(body) for body in world.model.bodies)
    assert len(world.model.bodies) <= world.n_looks() + 1  # the next tick may be under way

    world.model.served = "model-b"
    wait_for(lambda: all("model-b" in who for who in world.made_by("scores").values()), 600, server.log.read_text)
    wait_for(lambda: world.n_events("layer_summary") > summaries, 300, server.log.read_text)

    assert world.n_events("activations") == passes
    for table in BY_LAYER:
        assert {layer: "model-b" in who for layer, who in world.made_by(table).items()} == {"L01": True, "L02": True}
    assert not any("model-b" in who for who in before.values())
