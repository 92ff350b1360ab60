"""Runs whose process was killed: they would stay in progress for ever, hold up others, and keep their place in a pool.

Here: how a run tells where and by which process it is made, and how one is ended whose process is gone. Not here:
making runs (`running.py`), and starting them (`run_launcher.py`).
"""

import hashlib
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import dagster as dg
import psutil
from dagster import DagsterInstance

_HOST, _PROCESS = "neuron_assets/host", "neuron_assets/process"
_NO_RETRIES = {"dagster/max_retries": "0"}
_SAME_START = 2
"""Seconds: the time since the machine was started is known to about one."""
_NOT_ENDED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)


def host_tags() -> Mapping[str, str]:
    """The tags of a run that a process of this machine will make; the run, or else its log, will tell which."""
    return {_HOST: _this_host()}


def maker_tags() -> Mapping[str, str]:
    """The tags of a run that this process makes, whoever launched it."""
    process = psutil.Process()
    return {**host_tags(), _PROCESS: f"{process.pid} of {_start(process):.2f}"}


def process_tags() -> Mapping[str, str]:
    """The same of a run that no daemon launched: it does not know the job, and could not start it again."""
    return {**maker_tags(), **_NO_RETRIES}


def inherited_tags(run: dg.DagsterRun) -> Collection[str]:
    """Those tags of a run not yet launched that tell of a process: of the run that it repeats."""
    return {_HOST, _PROCESS} & run.tags.keys()


def is_abandoned(instance: DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the process of the run is gone, as far as can be told from this machine."""
    return run.tags.get(_HOST) == _this_host() and not _is_made(instance, run)


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
            f"The process on {socket.gethostname()} that made this run is gone: killed, or the machine went down. "
            "What was made before it stays; materialize again to go on from there.",
        )
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def _is_made(instance: DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether its process still runs, as far as is known; another one may have got its number."""
    if told := run.tags.get(_PROCESS):
        number, _, start = told.partition(" of ")
        return _runs(int(number), lambda process: abs(_start(process) - float(start)) < _SAME_START)
    # No step has begun yet. The log tells the number, and the time of day, which is no proof: clocks are set.
    logged = [
        entry.get_dagster_event().engine_event_data.metadata.get("pid")
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ENGINE_EVENT)
    ]
    numbers = [int(str(number.value)) for number in logged if number is not None]
    return not numbers or _runs(numbers[-1], lambda _process: True)


def _runs(number: int, is_it: Callable[[psutil.Process], bool]) -> bool:
    try:
        process = psutil.Process(number)
        return process.status() != psutil.STATUS_ZOMBIE and is_it(process)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True  # another user's, and nothing more can be said


def _start(process: psutil.Process) -> float:
    """In seconds since the machine was started: unlike the time of day, nobody sets that."""
    return float(process.create_time() - psutil.boot_time())


@cache
def _this_host() -> str:
    """Machine and space of process numbers: containers and copies of a machine often have one host name."""
    known = [socket.gethostname()]
    with suppress(OSError):
        known.append(Path("/etc/machine-id").read_text(encoding="utf-8"))
    with suppress(OSError):
        known.append(str(Path("/proc/self/ns/pid").readlink()))
    return f"{known[0]} {hashlib.sha256(repr(known).encode()).hexdigest()[:12]}"
