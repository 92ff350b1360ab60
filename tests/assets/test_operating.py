"""How the steps behave among other runs: what they wait for, when they are tried again, what their runs are called."""

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from starlette.responses import Response

from neuron_assets.assets.pools import pools_of
from neuron_assets.assets.run_tags import run_tags
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.dagster_server import wait_for
from tests.language_models.misbehaving_server import Body, refusal, running
from tests.polite_server import answer, asking, is_a_probe
from tests.scenario import make_project

LAYER = "L01"
FORWARD = ("excerpts", "activations", "neuron_statistics")
AT_ONCE = (0.0, 0.0)
"""Two further tries, without waiting."""
POOLED = """concurrency:
  pools: {granularity: op, default_limit: 1}
"""


@dataclass
class Weak:
    """A server that fails at the first so many requests that it must fail at, and answers from then on."""

    n_failures: int = 0
    at_probes: bool = True
    """Else at the study's questions."""
    asked: list[str] = field(default_factory=list)
    """The questions that were answered."""

    def __call__(self, body: Body, _number: int) -> Response:
        if is_a_probe(body) == self.at_probes and self.n_failures:
            self.n_failures -= 1
            return refusal(503, "out of order")
        if not is_a_probe(body):
            self.asked.append(str(body["messages"]))
        return answer(body)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which one layer's forward pass was made, and no more than one step may be in a pool."""
    root = tmp_path_factory.mktemp("operating")
    project, study = make_project(root)
    (project.dagster_home / "dagster.yaml").write_text(POOLED, encoding="utf-8")
    with instance_of(root) as instance:
        assert made(instance, project, study, FORWARD).success
    return root


def instance_of(root: Path) -> dg.DagsterInstance:
    return dg.DagsterInstance.from_config(str(root / "dagster_home"))


def made(
    instance: dg.DagsterInstance,
    project: Project,
    study: Study,
    tables: Sequence[str],
    waits: tuple[float, ...] = (),
) -> dg.ExecuteInProcessResult:
    """The run that makes these tables of one layer; it may fail."""
    assets: Any = build_study(study).assets
    resources: Any = table_resources(project.tables, project.requests, waits=waits)
    selection = dg.AssetSelection.assets(*(asset_key(study, table) for table in tables))
    return dg.materialize(
        assets,
        selection=selection,
        instance=instance,
        resources=resources,
        partition_key=LAYER,
        raise_on_error=False,
    )


def explained(home: Path, tmp_path: Path, server: Weak, waits: tuple[float, ...], **changes: object) -> tuple[Any, ...]:
    """Whether the step ended well, how often it was tried again, and why it failed, if it did."""
    with running(behaviour=server) as address, dg.DagsterInstance.ephemeral() as instance:
        _, study = make_project(home, **asking(address.url, asking={"most_tries": 1}, **changes))
        project = Project(tmp_path, str(home / "data"), str(tmp_path / "requests.sqlite"), ())
        result = made(instance, project, study, ["explanations"], waits)
    kinds = [event.event_type for event in result.all_events]
    failures = [str(event.step_failure_data.error) for event in result.all_events if event.is_step_failure]
    return result.success, kinds.count(dg.DagsterEventType.STEP_UP_FOR_RETRY), failures


def test_what_holds_a_model_in_this_process_shares_a_pool_and_each_server_has_its_own(tmp_path: Path) -> None:
    local = {"provider": "local", "model": "somewhere"}
    hosted = {"provider": "openai_compatible", "model": "a", "base_url": "http://127.0.0.1:8000/v1"}
    assert pools_of(make_project(tmp_path)[1]) == {"activations": "device"}
    study = make_project(tmp_path, explainer=hosted, simulator=local)[1]

    pools = {"activations": "device", "explanations": "127.0.0.1:8000", "simulations": "device"}
    assert pools == pools_of(study)
    openai = {"provider": "openai_compatible", "model": "a"}
    assert pools_of(make_project(tmp_path, simulator=openai)[1])["simulations"] == "api.openai.com"
    assets: Any = build_study(study).assets
    found = {key.path[-1]: asset.op.pool for asset in assets for key in asset.keys if asset.op.pool}
    assert found == {**pools, "neuron_statistics": "device"}


@pytest.mark.slow
def test_a_step_whose_server_is_down_is_tried_again_and_asks_nothing_twice(home: Path, tmp_path: Path) -> None:
    server = Weak(n_failures=2)

    assert explained(home, tmp_path, server, AT_ONCE) == (True, 2, [])
    assert len(server.asked) == len(set(server.asked)) == 3


@pytest.mark.slow
def test_questions_that_got_no_answer_are_asked_in_another_try_and_no_others(home: Path, tmp_path: Path) -> None:
    server = Weak(n_failures=1, at_probes=False)

    assert explained(home, tmp_path, server, AT_ONCE) == (True, 1, [])
    assert len(server.asked) == len(set(server.asked)) == 3
    assert pl.read_parquet(home / "data/tiny/explanations/L01.parquet")["failure"].count() == 0


@pytest.mark.slow
def test_what_gets_no_answer_in_a_second_try_stays_a_row(home: Path, tmp_path: Path) -> None:
    server = Weak(n_failures=4, at_probes=False)  # three, and one again

    assert explained(home, tmp_path, server, AT_ONCE) == (True, 1, [])
    assert len(server.asked) == 2
    assert pl.read_parquet(home / "data/tiny/explanations/L01.parquet")["failure"].count() == 1


@pytest.mark.slow
def test_a_server_that_stays_down_fails_the_step_after_the_last_try(home: Path, tmp_path: Path) -> None:
    success, n_more_tries, failures = explained(home, tmp_path, Weak(n_failures=9), AT_ONCE)

    assert (success, n_more_tries) == (False, 2)
    assert "does not answer" in failures[0]


@pytest.mark.slow
def test_without_waits_a_server_that_is_down_fails_the_step_at_once(home: Path, tmp_path: Path) -> None:
    success, n_more_tries, failures = explained(home, tmp_path, Weak(n_failures=9), ())

    assert (success, n_more_tries) == (False, 0)
    assert "ServerUnreachable" in failures[0]


@pytest.mark.slow
def test_a_spent_budget_and_a_missing_key_are_tried_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    success, n_more_tries, failures = explained(home, tmp_path, Weak(), AT_ONCE, budget={"requests": 1})

    assert (success, n_more_tries) == (False, 0)
    assert "BudgetSpent" in failures[0]
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    without_key = {"provider": "openai_compatible", "model": "a", "api_key_env": "NO_SUCH_KEY"}
    success, n_more_tries, failures = explained(home, tmp_path, Weak(), AT_ONCE, explainer=without_key)
    assert (success, n_more_tries) == (False, 0)
    assert "KeyMissing" in failures[0]


@pytest.mark.slow
def test_a_step_waits_until_the_step_that_asks_the_same_server_has_ended(home: Path, tmp_path: Path) -> None:
    """Two runs at once; the second may ask nothing, not even who answers, while the first is held up."""
    is_asked, go_on, n_asked_early = threading.Event(), threading.Event(), []

    def held_up(body: Body, number: int) -> Response:
        if not go_on.is_set():
            n_asked_early.append(number)
        is_asked.set()
        assert go_on.wait(120)
        return answer(body)

    with running(behaviour=held_up) as address, instance_of(home) as instance, ThreadPoolExecutor(2) as threads:
        _, study = make_project(home, **asking(address.url, asking={"timeout": 300}))
        projects = [Project(tmp_path, str(home / "data"), str(tmp_path / f"{name}.sqlite"), ()) for name in "ab"]
        first = threads.submit(made, instance, projects[0], study, ["explanations"])
        assert is_asked.wait(60)
        second = threads.submit(made, instance, projects[1], study, ["explanations"])
        try:
            wait_for(lambda: is_waiting(instance), 60, lambda: "no run waits for the pool")
            assert n_asked_early == [0]
        finally:
            go_on.set()

        assert first.result().success
        assert second.result().success


@pytest.mark.slow
def test_a_step_that_fails_gives_its_place_in_the_pool_back(home: Path, tmp_path: Path) -> None:
    with running(behaviour=Weak(n_failures=1)) as address, instance_of(home) as instance:
        _, study = make_project(home, **asking(address.url, asking={"most_tries": 1}))
        project = Project(tmp_path, str(home / "data"), str(tmp_path / "requests.sqlite"), ())
        assert not made(instance, project, study, ["explanations"]).success
        pool = instance.event_log_storage.get_concurrency_info(pools_of(study)["explanations"])

        assert (pool.slot_count, pool.active_slot_count, pool.pending_step_count) == (1, 0, 0)
        assert made(instance, project, study, ["explanations"]).success


@pytest.mark.slow
def test_every_run_can_be_found_by_its_study_and_its_models_whoever_launched_it(home: Path) -> None:
    long = {"provider": "openai_compatible", "model": "m" * 200}
    with instance_of(home) as instance:
        first = instance.get_runs()[-1]

    told = {name: value for name, value in first.tags.items() if name.startswith("neuron_assets/")}
    assert told.pop("neuron_assets/host")
    assert told.pop("neuron_assets/process")
    assert told == {
        "neuron_assets/study": "tiny",
        "neuron_assets/explainer": "rules",
        "neuron_assets/simulator": "rules",
    }
    assert run_tags(make_project(home, explainer=long)[1])["neuron_assets/explainer"] == "m" * 63


def is_waiting(instance: dg.DagsterInstance) -> bool:
    """Whether a step of a run that has not ended waits for its place in a pool."""
    runs = instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED]))
    messages = [entry.message or "" for run in runs for entry in instance.all_logs(run.run_id)]
    return any("blocked by limit for pool" in message for message in messages)
