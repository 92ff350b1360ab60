"""A real `dagster dev` for tests: started in a process group of its own, asked over GraphQL, gone afterwards."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

REPOSITORY = Path(__file__).parents[1]
LAUNCH_BACKFILL = """mutation($params: LaunchBackfillParams!) {
  launched: launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { id: backfillId } ... on PythonError { message } } }"""
LAUNCH_RUN = """mutation($params: ExecutionParams!) {
  launched: launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { id } } ... on PythonError { message } } }"""
BACKFILL = """query($id: String!) {
  found: partitionBackfillOrError(backfillId: $id) {
    __typename ... on PartitionBackfill { status } ... on PythonError { message } } }"""
RUN = "query($id: ID!) { found: runOrError(runId: $id) { __typename ... on Run { status } } }"
LAYERS_THAT_ARE_THERE = """query($key: AssetKeyInput!) {
  found: assetNodeOrError(assetKey: $key) { __typename ... on AssetNode { assetPartitionStatuses {
    ... on DefaultPartitionStatuses { materializedPartitions } } } } }"""


@dataclass(frozen=True)
class Server:
    """A running `dagster dev` with a project of its own."""

    url: str
    home: Path
    log: Path
    process: "subprocess.Popen[bytes]"

    def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request, timeout=120) as response:
                answer: dict[str, Any] = json.load(response)
        except HTTPError as error:
            pytest.fail(f"{error}: {error.read().decode()}")
        assert "errors" not in answer, answer
        return dict(answer["data"])

    def backfill(self, tables: Sequence[str], layers: Sequence[str]) -> str:
        """Launches what "Materialize" launches for several layers; gives its id as soon as the layers are there.

        The daemon looks at backfills twice a minute only, so it has not ended yet.
        """
        params = {"assetSelection": [key_of(table) for table in tables], "partitionNames": list(layers), "tags": []}
        launched = self.ask(LAUNCH_BACKFILL, {"params": params})["launched"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        wait_for(lambda: all(set(layers) <= set(self.layers(table)) for table in tables), 120, lambda: "no layers")
        return str(launched["id"])

    def run(self, tables: Sequence[str], layer: str | None = None) -> None:
        """Launches what "Materialize" launches for one layer, or for a table without layers."""
        selector = {
            "repositoryLocationName": "neuron_assets",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [key_of(table) for table in tables],
        }
        tags = [{"key": "dagster/partition", "value": layer}] if layer else []
        params = {"selector": selector, "executionMetadata": {"tags": tags}, "runConfigData": {}}
        launched = self.ask(LAUNCH_RUN, {"params": params})["launched"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        self.wait_until_it_ends_well(RUN, launched["run"]["id"], "SUCCESS", seconds=90)

    def layers(self, table: str) -> list[str]:
        """The layers of a table that count as materialized."""
        found = self.ask(LAYERS_THAT_ARE_THERE, {"key": key_of(table)})["found"]
        return list(found["assetPartitionStatuses"]["materializedPartitions"])

    def processes(self) -> list[tuple[str, str]]:
        """Of each process: its command line, and what files it has mapped into its memory."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):  # it may have ended meanwhile
                if self.process.pid in {os.getpgid(int(folder.name)), os.getsid(int(folder.name))}:
                    found.append(((folder / "cmdline").read_text(), (folder / "maps").read_text()))
        return found

    def wait_until_it_ends_well(self, query: str, run_id: str, end: str, seconds: float) -> None:
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(self.ask(query, {"id": run_id})["found"])
            return any(word in found["status"] for word in ("SUCCESS", "FAIL", "CANCELED"))

        wait_for(has_ended, seconds, lambda: f"{run_id}: {found}")
        assert found["status"] == end, self.log.read_text()


@contextmanager
def serving(home: Path, log: Path, *code: str) -> Iterator[Server]:
    """`dagster dev` on a free port, as soon as it answers; `code`: options that name the code, else the studies'."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = ["dev", *(code or ("-w", str(REPOSITORY / "workspace.yaml"))), "-h", "127.0.0.1", "-p", str(port)]
    with started(command, home, log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                with urlopen(f"{url}/server_info", timeout=5):
                    return True
            except (URLError, OSError):
                return False

        wait_for(answers, 180, log.read_text)
        yield Server(url, home, log, process)


@contextmanager
def started(arguments: Sequence[str], home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`dagster` in a process group of its own, which is gone afterwards."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NEURON_", "DAGSTER_"))}
    command = [sys.executable, "-m", "dagster", *arguments]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child would inherit that it is ignored
    try:
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=home.parent,
                env=environment | {"DAGSTER_HOME": str(home)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            os.killpg(process.pid, signal.SIGINT)
            process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def wait_for(is_so: Callable[[], bool], seconds: float, what_is: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds} s: {what_is()}"
        time.sleep(0.5)


def key_of(table: str) -> dict[str, list[str]]:
    return {"path": ["tiny", table]}
