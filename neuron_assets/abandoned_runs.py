"""Runs whose process was killed: they would stay in progress for ever, hold up others, and keep their place in a pool.

Here: how a run tells which process makes it, and how one is ended whose process is gone. Not here: making runs
(`running.py`). Runs that the Dagster UI starts are watched by the code server that started them.
"""

import socket
from collections.abc import Mapping, Sequence

import dagster as dg
import psutil
from dagster import DagsterInstance

_HOST, _PROCESS = "neuron_assets/host", "neuron_assets/process"
_NO_RETRIES = {"dagster/max_retries": "0"}
"""The daemon could not start them again: it does not know their job."""
_NOT_ENDED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def process_tags() -> Mapping[str, str]:
    """The tags of a run that this process makes."""
    process = psutil.Process()
    return {_HOST: socket.gethostname(), _PROCESS: f"{process.pid} of {_start(process):.2f}", **_NO_RETRIES}


def abandoned_runs(instance: DagsterInstance) -> Sequence[dg.DagsterRun]:
    """The runs of this host that have not ended though their process has."""
    of_this_host = dg.RunsFilter(statuses=_NOT_ENDED, tags={_HOST: socket.gethostname()})
    orphans = [run for run in instance.get_runs(of_this_host) if not _is_alive(run.tags[_PROCESS])]
    # It may have ended between the two looks; without its process, what it says now is its last word.
    last_words = [instance.get_run_by_id(run.run_id) for run in orphans]
    return [run for run in last_words if run is not None and not run.is_finished]


def end_abandoned_runs(instance: DagsterInstance) -> None:
    """Reports them as failed, and frees what they held of pools."""
    for run in abandoned_runs(instance):
        process = run.tags[_PROCESS].partition(" ")[0]
        instance.report_run_failed(
            run,
            f"The process {process} on {run.tags[_HOST]}, which made this run, is gone: killed, or the machine went "
            "down. What was made before it stays; the same command goes on from there.",
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_alive(told: str) -> bool:
    """Whether the process of that tag still runs; another one may have got its number."""
    number, _, start = told.partition(" of ")
    try:
        process = psutil.Process(int(number))
        return process.status() != psutil.STATUS_ZOMBIE and abs(_start(process) - float(start)) < 1
    except psutil.NoSuchProcess:
        return False


def _start(process: psutil.Process) -> float:
    """In seconds since the machine was started: unlike the time of day, nobody sets that."""
    return float(process.create_time() - psutil.boot_time())
