"""Runs whose process was killed: they would stay in progress for ever, hold up others, and keep their place in a pool.

Here: how a run tells where and by which process it is made, and how one is ended whose process is gone. Not here:
making runs (`running.py`), and starting them (`run_launcher.py`).
"""

import socket
from collections.abc import Callable, Mapping, Sequence

import dagster as dg
import psutil
from dagster import DagsterInstance

_HOST, _PROCESS = "neuron_assets/host", "neuron_assets/process"
_NO_RETRIES = {"dagster/max_retries": "0"}
_CLOCK_MAY_BE_SET = 60
"""By so many seconds, without a process being taken for another one."""
_NOT_ENDED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def host_tags() -> Mapping[str, str]:
    """The tags of a run that a process of this machine will make; its log will tell which."""
    return {_HOST: socket.gethostname()}


def process_tags() -> Mapping[str, str]:
    """The tags of a run that this process makes; the daemon does not know its job, and could not start it again."""
    process = psutil.Process()
    return {**host_tags(), _PROCESS: f"{process.pid} of {_start(process):.2f}", **_NO_RETRIES}


def is_abandoned(instance: DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of the run is gone, as far as can be told from this machine."""
    return run.tags.get(_HOST) == socket.gethostname() and not _is_made(instance, run)


def abandoned_runs(instance: DagsterInstance) -> Sequence[dg.DagsterRun]:
    """The runs of this machine that have not ended though their process has."""
    not_ended = instance.get_runs(dg.RunsFilter(statuses=_NOT_ENDED, tags=dict(host_tags())))
    # It may have ended between the two looks; without its process, what it says now is its last word.
    last_words = [instance.get_run_by_id(run.run_id) for run in not_ended if is_abandoned(instance, run)]
    return [run for run in last_words if run is not None and not run.is_finished]


def end_abandoned_runs(instance: DagsterInstance) -> None:
    """Reports them as failed, and frees what they held of pools."""
    for run in abandoned_runs(instance):
        instance.report_run_failed(
            run,
            f"The process on {run.tags[_HOST]} that made this run is gone: killed, or the machine went down. "
            "What was made before it stays; materialize again to go on from there.",
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_made(instance: DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether its process still runs; another one may have got its number."""
    if _PROCESS in run.tags:
        number, _, start = run.tags[_PROCESS].partition(" of ")
        return _runs(int(number), lambda process: abs(_start(process) - float(start)) < 1)
    events = [
        (entry.get_dagster_event().engine_event_data.metadata.get("pid"), entry.timestamp)
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    ]
    told = [(int(str(number.value)), time) for number, time in events if number is not None]
    if not told:
        return True  # not yet
    number_told, time_told = told[-1]
    return _runs(number_told, lambda process: process.create_time() < time_told + _CLOCK_MAY_BE_SET)


def _runs(number: int, is_it: Callable[[psutil.Process], bool]) -> bool:
    try:
        process = psutil.Process(number)
        return process.status() != psutil.STATUS_ZOMBIE and is_it(process)
    except psutil.NoSuchProcess:
        return False


def _start(process: psutil.Process) -> float:
    """In seconds since the machine was started: unlike the time of day, nobody sets that."""
    return float(process.create_time() - psutil.boot_time())
