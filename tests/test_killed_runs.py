"""A command that is killed leaves a run in progress; the next command ends it, and goes on from there."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import dagster as dg
import psutil
import pytest
from click.testing import CliRunner
from dagster._core.events import EngineEventData  # there is no public name for what tells a run's process
from dagster._core.storage.tags import GRPC_INFO_TAG  # nor for this tag

import neuron_assets.abandoned_runs as abandoned_runs_module
from neuron_assets.abandoned_runs import (
    abandoned_runs,
    end_abandoned_runs,
    host_tags,
    is_abandoned,
    maker_tags,
    process_tags,
)
from neuron_assets.assets.run_tags import tag_run
from neuron_assets.cli import main
from neuron_assets.run_launcher import WatchedRunLauncher
from tests.dagster_server import wait_for
from tests.scenario import make_project

pytestmark = pytest.mark.slow

PASS_THAT_NEVER_ENDS = """
import sys, time
from pathlib import Path
import neuron_assets.subjects.harvest
from neuron_assets.cli import main

def never_end(*_arguments, **_options):
    Path(sys.argv[1]).touch()
    time.sleep(3600)

neuron_assets.subjects.harvest.harvest = never_end
main(["materialize", "tiny"])
"""
FAILURE, STARTED = dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.STARTED


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def run_of(instance: dg.DagsterInstance, **tags: str) -> str:
    """A run that has started, made by this process unless the tags say otherwise."""

    @dg.job
    def nothing() -> None: ...

    told = {**process_tags(), **{f"neuron_assets/{name}": value for name, value in tags.items()}}
    run = instance.create_run_for_job(nothing, tags=told)
    instance.report_dagster_event(dg.DagsterEvent("PIPELINE_START", "nothing"), run.run_id)
    return run.run_id


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_whose_process_lives_goes_on(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance)
    end_abandoned_runs(instance)

    assert status_of(instance, run_id) is STARTED


def test_a_run_of_another_machine_is_nobody_elses_to_judge(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, host=f"not-{host_tags()['neuron_assets/host']}", process="1 of 0.00")
    end_abandoned_runs(instance)

    assert status_of(instance, run_id) is STARTED


def test_a_run_that_dagster_watches_itself_is_left_to_it(instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None: ...

    run_id = instance.create_run_for_job(nothing).run_id
    end_abandoned_runs(instance)

    assert status_of(instance, run_id) is dg.DagsterRunStatus.NOT_STARTED


def test_a_process_that_got_the_number_of_a_dead_one_is_not_taken_for_it(instance: dg.DagsterInstance) -> None:
    run_id = run_of(instance, process=f"{os.getpid()} of {psutil.Process().create_time() - psutil.boot_time() - 5}")
    end_abandoned_runs(instance)

    assert status_of(instance, run_id) is FAILURE


def test_a_process_that_nobody_has_buried_is_dead(instance: dg.DagsterInstance) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        process = psutil.Process(child.pid)
        tag = f"{child.pid} of {process.create_time() - psutil.boot_time():.2f}"
        run_id = run_of(instance, process=tag)
        living = abandoned_runs(instance)
        child.kill()
        wait_for(lambda: process.status() == psutil.STATUS_ZOMBIE, 60, lambda: "it lives")
        dead = abandoned_runs(instance)

    assert [run.run_id for run in (*living, *dead)] == [run_id]
    assert not living


def started_by_dagster(instance: dg.DagsterInstance, pid: int | None, **tags: str) -> dg.DagsterRun:
    """A run as the UI starts it: its log tells its process."""
    run_id = run_of(instance, **tags)
    if pid is not None:
        data = EngineEventData.in_process(pid)
        instance.report_engine_event("Started process", instance.get_run_by_id(run_id), data)
    instance.add_run_tags(run_id, {"neuron_assets/process": ""})
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def test_dagsters_monitoring_is_told_of_runs_whose_process_is_gone_and_of_no_other(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "dagster_home" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        launcher = instance.run_launcher
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
            runs = [
                started_by_dagster(instance, child.pid),
                started_by_dagster(instance, os.getpid()),
                started_by_dagster(instance, None),
                started_by_dagster(instance, child.pid, host=f"not-{host_tags()['neuron_assets/host']}"),
            ]
            before = [launcher.check_run_worker_health(run).status.value for run in runs]
            child.kill()
        after = [launcher.check_run_worker_health(run).status.value for run in runs]

    assert launcher.supports_check_run_worker_health
    assert before == ["RUNNING"] * 4
    assert after == ["FAILED", "RUNNING", "RUNNING", "RUNNING"]


def test_a_live_run_is_no_dead_one_though_the_clock_was_set(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, logged = run_of(instance), started_by_dagster(instance, os.getpid())
    now, created, booted = time.time(), psutil.Process.create_time, psutil.boot_time
    monkeypatch.setattr(psutil, "boot_time", lambda: booted() + 9_000)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: created(process) + 9_000)
    moved = psutil.Process().create_time()

    assert moved > now  # seemingly begun after all that the log says
    assert not abandoned_runs(instance)
    assert not is_abandoned(instance, logged)
    assert status_of(instance, told) is STARTED


def test_a_process_that_may_not_be_looked_at_is_not_gone(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_process: psutil.Process) -> NoReturn:
        raise psutil.AccessDenied

    run_id = run_of(instance, process=f"{os.getpid()} of 0.00")
    monkeypatch.setattr(psutil.Process, "status", refuse)
    untouched = abandoned_runs(instance)
    monkeypatch.undo()

    assert not untouched
    assert [run.run_id for run in abandoned_runs(instance)] == [run_id]


def test_equal_host_names_do_not_make_one_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    def host(space_of_numbers: str) -> str:
        abandoned_runs_module._this_host.cache_clear()
        monkeypatch.setattr(Path, "readlink", lambda _path: space_of_numbers)
        return host_tags()["neuron_assets/host"]

    hosts = [host("pid:[1]"), host("pid:[2]"), host("pid:[1]")]
    monkeypatch.undo()
    abandoned_runs_module._this_host.cache_clear()

    assert hosts[0] != hosts[1]
    assert hosts[0] == hosts[2]
    assert all(name.startswith(f"{socket.gethostname()} ") for name in hosts)


@pytest.mark.parametrize(
    ("server", "is_judged"),
    [({"host": "localhost", "socket": "/tmp/s"}, True), ({"host": "localhost", "port": 4000}, False)],
)
def test_only_a_run_behind_a_socket_is_of_this_machine_and_none_inherits_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: dict[str, object], *, is_judged: bool
) -> None:
    def launch(launcher: dg.DefaultRunLauncher, context: Any) -> None:
        launcher._instance.add_run_tags(context.dagster_run.run_id, {GRPC_INFO_TAG: json.dumps(server)})

    monkeypatch.setattr(dg.DefaultRunLauncher, "launch_run", launch)
    shutil.copy(Path(__file__).parents[1] / "dagster_home" / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        run_id = run_of(instance, process=f"{os.getpid()} of 0.00")  # as of the run that this one repeats
        assert abandoned_runs(instance)
        assert isinstance(instance.run_launcher, WatchedRunLauncher)
        instance.run_launcher.launch_run(SimpleNamespace(dagster_run=instance.get_run_by_id(run_id)))  # type: ignore[arg-type]
        run = instance.get_run_by_id(run_id)

        assert run is not None
        assert run.tags["neuron_assets/process"] == ""
        assert (run.tags["neuron_assets/host"] == host_tags()["neuron_assets/host"]) == is_judged
        assert not abandoned_runs(instance)


def test_a_step_tells_by_which_process_its_run_is_made(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    _project, study = make_project(tmp_path / "project", layers=[1])

    @dg.asset
    def step(context: dg.AssetExecutionContext) -> None:
        tag_run(context, study)

    run_id = dg.materialize([step], instance=instance).run_id
    run = instance.get_run_by_id(run_id)

    assert run is not None
    assert maker_tags().items() <= run.tags.items()
    assert "dagster/max_retries" not in run.tags  # the daemon may start it again


@pytest.mark.slow
def test_a_command_that_was_killed_holds_up_nobody_and_the_next_one_goes_on(tmp_path: Path) -> None:
    make_project(tmp_path, layers=[1])
    home = tmp_path / "dagster_home"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEURON_")}
    environment["DAGSTER_HOME"] = str(home)
    began, log = tmp_path / "began", tmp_path / "log"
    command = [sys.executable, "-c", PASS_THAT_NEVER_ENDS, str(began)]
    with log.open("wb") as output, subprocess.Popen(command, env=environment, stdout=output, stderr=output) as child:
        try:
            wait_for(lambda: began.exists() or child.poll() is not None, 300, log.read_text)
            with dg.DagsterInstance.from_config(str(home)) as instance:
                (run,) = instance.get_runs()
                untouched = abandoned_runs(instance)
                storage = instance.event_log_storage
                storage.set_concurrency_slots("subject", 1)
                storage.claim_concurrency_slot("subject", run.run_id, "activations")
        finally:
            child.kill()
    assert child.returncode == -signal.SIGKILL, log.read_text()
    with dg.DagsterInstance.from_config(str(home)) as instance:
        before = status_of(instance, run.run_id)
        held = instance.event_log_storage.get_concurrency_info("subject").claimed_slots

    again = CliRunner(env=environment).invoke(main, ["materialize", "tiny"])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        statuses = [each.status for each in instance.get_runs(limit=10)]
        failed = instance.get_run_by_id(run.run_id)
        message = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)[0].message
        freed = instance.event_log_storage.get_concurrency_info("subject")

    assert untouched == []
    assert failed is not None
    assert (before, failed.status) == (STARTED, FAILURE)
    assert failed.tags["dagster/will_retry"] == "false"  # the daemon could not, and nobody waits for it
    assert [slot.run_id for slot in held] == [run.run_id]
    assert (freed.slot_count, freed.claimed_slots) == (1, [])
    assert f"The process on {socket.gethostname()} that made this run is gone" in message
    assert again.exit_code == 0, again.output
    assert sorted(status.value for status in statuses) == ["FAILURE", "SUCCESS", "SUCCESS", "SUCCESS"]
