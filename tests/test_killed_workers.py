"""A run that the UI started, and whose process dies: it is started again, and its place in the pool is freed."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import psutil
import pytest

from tests.dagster_server import LAUNCH_RUN, REPOSITORY, Server, serving, wait_for

pytestmark = pytest.mark.slow

DEFINITIONS = """
import os, time
from pathlib import Path
import dagster as dg
from neuron_assets.abandoned_runs import maker_tags

PIDS = Path(__file__).with_name("pids")

@dg.asset(pool="subject")
def sleeping(context: dg.AssetExecutionContext):
    context.instance.add_run_tags(context.run.run_id, maker_tags())  # as every step of a study
    with PIDS.open("a") as file:
        file.write(f"{os.getpid()}\\n")
    time.sleep(3600)

defs = dg.Definitions([sleeping], executor=dg.in_process_executor)
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """With one asset that sleeps."""
    home = tmp_path / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    (tmp_path / "sleeping.py").write_text(DEFINITIONS, encoding="utf-8")
    with serving(home, tmp_path / "dev.log", "-f", str(tmp_path / "sleeping.py")) as server:
        yield server
        for pid in workers(server):
            if psutil.pid_exists(pid):
                os.kill(pid, signal.SIGKILL)


def workers(server: Server) -> list[int]:
    """The processes of the runs, in their order."""
    pids = server.home.parent / "pids"
    return [int(line) for line in pids.read_text(encoding="utf-8").split()] if pids.exists() else []


def test_a_run_that_dies_is_started_again_and_one_that_dies_with_its_code_server_is_noticed(server: Server) -> None:
    selector = {
        "repositoryLocationName": "sleeping.py",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [{"path": ["sleeping"]}],
    }
    params = {"selector": selector, "executionMetadata": {"tags": []}, "runConfigData": {}}
    launched = server.ask(LAUNCH_RUN, {"params": params})["launched"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    with dg.DagsterInstance.from_config(str(server.home)) as instance:

        def statuses() -> list[str]:
            return [run.status.value for run in instance.get_runs(ascending=True)]

        def held() -> set[str]:
            return {slot.run_id for slot in instance.event_log_storage.get_concurrency_info("subject").claimed_slots}

        wait_for(lambda: len(workers(server)) == 1, 180, server.log.read_text)
        os.kill(workers(server)[0], signal.SIGKILL)
        wait_for(lambda: len(workers(server)) == 2, 180, server.log.read_text)
        second = instance.get_runs(limit=1)[0].run_id
        wait_for(lambda: held() == {second}, 60, lambda: str(held()))
        assert statuses() == ["FAILURE", "STARTED"]

        worker = psutil.Process(workers(server)[1])
        code_server = worker.parent()
        assert code_server is not None
        assert "grpc" in code_server.cmdline()
        code_server.kill()
        worker.kill()
        wait_for(lambda: statuses()[1] == "FAILURE", 120, lambda: str(statuses()))
        wait_for(lambda: second not in held(), 120, lambda: str(held()))
