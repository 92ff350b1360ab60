"""How the Dagster UI and the daemon start runs, named in dagster.yaml: as Dagster does by itself, but watched.

The code server notices when a run that it started dies, but not when it dies together with it; such a run would stay in
progress for ever. Here: what Dagster's monitoring asks. Not here: how it is found out (`abandoned_runs.py`).
https://docs.dagster.io/deployment/execution/run-monitoring
"""

import json

import dagster as dg

# There are no public names for what a health check gives, and for the tag that tells the code server of a run.
from dagster._core.launcher import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from neuron_assets.abandoned_runs import host_tags, inherited_tags, is_abandoned


class WatchedRunLauncher(dg.DefaultRunLauncher):
    def launch_run(self, context: LaunchRunContext) -> None:
        run_id = context.dagster_run.run_id
        if inherited := inherited_tags(context.dagster_run):
            self._instance.add_run_tags(run_id, dict.fromkeys(inherited, ""))
        super().launch_run(context)
        run = self._instance.get_run_by_id(run_id)
        # A port may lead anywhere, into a container too; a socket is Dagster's own code server on this machine.
        if run is not None and "socket" in json.loads(run.tags.get(GRPC_INFO_TAG, "{}")):
            self._instance.add_run_tags(run_id, host_tags())

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        if is_abandoned(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.FAILED, "its process is gone")
        return CheckRunHealthResult(WorkerStatus.RUNNING)
