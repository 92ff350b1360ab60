"""Backfills on a real `dagster dev` that may be killed and started again, and the processes behind it.

Here: launching, looking, killing, mending as people do. Not here: what is expected of any of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.error import URLError

import dagster as dg
import psutil
import yaml
from dagster import RunsFilter

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project
from tests.dagster_server import LAUNCH_BACKFILL, Server, serving, wait_for

FAST: Mapping[str, Any] = {
    "telemetry": {"enabled": False},
    "nux": {"enabled": False},
    "concurrency": {"runs": {"max_concurrent_runs": 2}, "pools": {"granularity": "op", "default_limit": 1}},
    "run_queue": {"max_user_code_failure_retries": 20, "user_code_failure_retry_delay": 2},
    "run_monitoring": {"enabled": True, "poll_interval_seconds": 5, "free_slots_after_run_end_seconds": 1},
    "run_retries": {"enabled": True, "max_retries": 9, "retry_on_asset_or_op_failure": False},
}
"""Settings of an instance that soon notices what has died."""

AGAIN = """mutation($params: ReexecutionParams!) {
  launched: reexecutePartitionBackfill(reexecutionParams: $params) {
    __typename ... on LaunchBackfillSuccess { id: backfillId } ... on PythonError { message } } }"""
RELOAD = """mutation($name: String!) { reloaded: reloadRepositoryLocation(repositoryLocationName: $name) {
  __typename ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename } }
  ... on PythonError { message } } }"""
Service = Literal["run", "code server", "daemon"]
_COMMANDS: Mapping[Service, str] = {
    "run": "multiprocessing.spawn",
    "code server": " api grpc ",
    "daemon": "dagster._daemon",
}


@dataclass
class Dev:
    """`dagster dev` on one project, in as many lives as it takes."""

    home: Path
    server: Server | None = None
    n_lives: int = 0
    _life: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        """Where it does not run. Runs that an earlier life had begun go on by themselves."""
        if self.server is not None and self.server.process.poll() is None:
            return
        self.n_lives += 1
        self.server = self._life.enter_context(serving(self.home, self.home.parent / f"dev{self.n_lives}.log"))

    def stop(self) -> None:
        self._life.close()

    def ask(self, query: str, **variables: object) -> Any:
        assert self.server is not None
        [answer] = self.server.ask(query, variables).values()
        return answer

    def backfill(self, study: str, tables: Sequence[str], layers: Sequence[str] | None) -> str:
        """Launches what "Materialize" launches for these layers, or for all of them; gives its id."""
        partitions = {"allPartitions": True} if layers is None else {"partitionNames": list(layers)}
        keys = [{"path": [study, table]} for table in tables]
        launched = self.ask(LAUNCH_BACKFILL, params={"assetSelection": keys, "tags": [], **partitions})
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["id"])

    def failed_only(self, backfill_id: str) -> str:
        """Launches again what failed of a backfill that has ended; gives the id of the new one."""
        launched = self.ask(AGAIN, params={"parentRunId": backfill_id, "strategy": "FROM_FAILURE"})
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        return str(launched["id"])

    def status(self, backfill_id: str) -> str:
        with self.instance() as instance:
            backfill = instance.get_backfill(backfill_id)
        assert backfill is not None
        return backfill.status.value

    def ended(self, backfill_id: str) -> str:
        """How it ended; waits for that."""
        wait_for(lambda: self.status(backfill_id) not in _UNDER_WAY, 240, lambda: str(self.runs(backfill_id)))
        return self.status(backfill_id)

    def runs(self, backfill_id: str) -> list[dg.DagsterRun]:
        with self.instance() as instance:
            return list(instance.get_runs(RunsFilter(tags={"dagster/backfill": backfill_id})))

    def make_excerpts(self, study: str) -> None:
        """In this process, as the command line does."""
        project = Project.from_environment({}, self.home.parent)
        found = project.study(study)
        assets: Any = build_study(found).assets
        with self.instance() as instance:
            dg.materialize(
                assets,
                selection=dg.AssetSelection.assets(asset_key(found, "excerpts")),
                instance=instance,
                resources=table_resources(project.tables, project.requests),
            )

    def materialized(self, study: str, table: str) -> set[str]:
        with self.instance() as instance:
            return set(instance.get_materialized_partitions(dg.AssetKey([study, table])))

    def wait_for(self, study: str, tables: Sequence[str], layers: Sequence[str]) -> None:
        """Until these layers are there; the daemon notes the end of a backfill up to half a minute later."""
        wait_for(lambda: all(set(layers) <= self.materialized(study, table) for table in tables), 240, lambda: "")

    def metadata(self, study: str, table: str, layer: str | None) -> dict[str, Any]:
        """Of what was made last."""
        layers = None if layer is None else [layer]
        wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey([study, table]), asset_partitions=layers)
        with self.instance() as instance:
            made = instance.fetch_materializations(wanted, limit=1).records[0].asset_materialization
        assert made is not None
        return {name: value.value for name, value in made.metadata.items()}

    def kill(self, service: Service) -> list[int]:
        """SIGKILL; gives the ids of the processes, none where there was none."""
        killed = []
        for process in self._processes(service):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                killed.append(process.pid)
            if service == "run":
                break
        return killed

    def mend(self) -> None:
        """What people do when something has gone: start it again, or reload the code."""
        self.start()
        if not self._processes("code server"):
            with suppress(URLError):  # it is just ending
                self.ask(RELOAD, name="neuron_assets")

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def _processes(self, service: Service) -> list[psutil.Process]:
        """Of this life, but for those that have lost the process that started them."""
        assert self.server is not None
        found = []
        with suppress(psutil.NoSuchProcess):
            for process in psutil.Process(self.server.process.pid).children(recursive=True):
                with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                    if _COMMANDS[service] in " ".join(process.cmdline()):
                        found.append(process)
        return sorted(found, key=lambda process: process.pid)


_UNDER_WAY = {"REQUESTED", "CANCELING", "FAILING"}


@contextmanager
def dev(root: Path, settings: Mapping[str, Any] = FAST) -> Iterator[Dev]:
    """On the project at `root`, started, and gone afterwards."""
    home = root / "dagster_home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump(dict(settings)), encoding="utf-8")
    running = Dev(home)
    try:
        running.start()
        yield running
    finally:
        running.stop()
