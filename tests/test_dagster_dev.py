"""What people meet who start `dagster dev`, or use Dagster's own command line: launches, pages, pictures."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import dagster as dg
import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.scenario import write_study

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[1]
LAYERS = ("L01", "L02", "L03")
FORWARD = ("excerpts", "activations", "neuron_statistics")
BY_LAYER = ("explanations", "candidates", "simulations", "scores")

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

    def ask(self, query: str, variables: Mapping[str, object]) -> dict[str, Any]:
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=30) as response:
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer
        return dict(answer["data"])

    def backfill(self, tables: Sequence[str], layers: Sequence[str]) -> str:
        """Launches what "Materialize" launches for several layers; gives its id when it has ended well."""
        params = {"assetSelection": [_key(table) for table in tables], "partitionNames": list(layers), "tags": []}
        launched = self.ask(LAUNCH_BACKFILL, {"params": params})["launched"]
        assert launched["__typename"] == "LaunchBackfillSuccess", launched
        self._wait_until_it_ends_well(BACKFILL, launched["id"], "COMPLETED_SUCCESS", seconds=120)
        return str(launched["id"])

    def run(self, tables: Sequence[str], layer: str | None = None) -> None:
        """Launches what "Materialize" launches for one layer, or for a table without layers."""
        selector = {
            "repositoryLocationName": "neuron_assets",
            "repositoryName": "__repository__",
            "jobName": "__ASSET_JOB",
            "assetSelection": [_key(table) for table in tables],
        }
        tags = [{"key": "dagster/partition", "value": layer}] if layer else []
        params = {"selector": selector, "executionMetadata": {"tags": tags}, "runConfigData": {}}
        launched = self.ask(LAUNCH_RUN, {"params": params})["launched"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        self._wait_until_it_ends_well(RUN, launched["run"]["id"], "SUCCESS", seconds=90)

    def layers(self, table: str) -> list[str]:
        """The layers of a table that count as materialized."""
        found = self.ask(LAYERS_THAT_ARE_THERE, {"key": _key(table)})["found"]
        return list(found["assetPartitionStatuses"]["materializedPartitions"])

    def _wait_until_it_ends_well(self, query: str, run_id: str, end: str, seconds: float) -> None:
        found: dict[str, Any] = {}

        def has_ended() -> bool:
            found.update(self.ask(query, {"id": run_id})["found"])
            return any(word in found["status"] for word in ("SUCCESS", "FAIL", "CANCELED"))

        _wait_for(has_ended, seconds, lambda: f"{run_id}: {found}")
        assert found["status"] == end, found


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """As `make dev` starts it, on a free port."""
    root = tmp_path_factory.mktemp("project")
    home = make_home(root)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = ["dev", "-w", str(REPOSITORY / "workspace.yaml"), "-h", "127.0.0.1", "-p", str(port)]
    log = root / "dev.log"
    with _started(command, home, log) as process:

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                with urlopen(f"{url}/server_info", timeout=5):
                    return True
            except (URLError, OSError):
                return False

        _wait_for(answers, 90, log.read_text)
        yield Server(url, home)


@pytest.fixture(scope="module")
def backfill(server: Server) -> str:
    """The id of a backfill of the forward pass over three layers, which has ended well."""
    return server.backfill(FORWARD, LAYERS)


@pytest.fixture(scope="module")
def scored(server: Server, backfill: str) -> Server:
    """One of the layers explained and scored, and the summary."""
    server.run(BY_LAYER, "L02")
    server.run(["layer_summary"])
    return server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-component-update"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=options)
        yield opened
        opened.close()


@dataclass
class Visit:
    """A page of the UI, and what happened in it."""

    page: Page
    server: Server
    hosts: set[str | None] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("request", lambda request: self._note(request.url))
        self.page.on("websocket", lambda socket: self._note(socket.url))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("console", lambda line: self.problems.append(line.text) if line.type == "error" else None)
        self.page.on(
            "response", lambda got: self.problems.append(f"{got.status} {got.url}") if got.status >= 400 else None
        )

    def open(self, table: str, view: str) -> None:
        self.page.goto(f"{self.server.url}/assets/tiny/{table}?{view}")
        expect(self.page.get_by_role("button", name="Materialize").first).to_be_visible()

    def text(self, text: str) -> Locator:
        """The text where it is seen; the UI keeps invisible copies of some, to measure them."""
        return self.page.get_by_text(text, exact=True).filter(visible=True).first

    def picture(self, entry: int) -> Locator:
        """Opens the metadata entry of that number among those that are Markdown; gives the picture in it."""
        self.page.get_by_text("[Show Markdown]").nth(entry).click()
        return self.page.get_by_role("dialog").locator("img")

    def _note(self, url: str) -> None:
        if not url.startswith("data:"):
            self.hosts.add(urlsplit(url.removeprefix("blob:")).hostname)


@pytest.fixture
def visit(browser: Browser, scored: Server) -> Iterator[Visit]:
    """A first visit: nothing is remembered. Whatever was looked at, no error and no foreign host may have come up."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    context.set_default_timeout(20_000)
    visit = Visit(context.new_page(), scored)
    yield visit
    context.close()
    assert visit.hosts == {"127.0.0.1"}
    assert visit.problems == []


def test_a_backfill_of_a_range_of_layers_is_one_run_with_one_forward_pass(server: Server, backfill: str) -> None:
    for table in ("activations", "neuron_statistics"):
        assert server.layers(table) == list(LAYERS)
        assert _passes(server.home, table) == dict.fromkeys(LAYERS, (1, 3))
    assert len(_runs_of(server.home, "activations")) == 1


def test_one_layer_is_explained_and_scored_and_summarized(scored: Server) -> None:
    assert [scored.layers(table) for table in BY_LAYER] == [["L02"]] * 4
    with dg.DagsterInstance.from_config(str(scored.home)) as instance:
        event = instance.get_latest_materialization_event(_asset_key("layer_summary"))

    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["layers"].value == 1


def test_the_partitions_of_activations_show_the_layers_that_are_there(visit: Visit) -> None:
    visit.open("activations", "view=partitions&partition=L02")

    expect(visit.text("Materialized (3)")).to_be_visible()
    expect(visit.text("Missing (3)")).to_be_visible()
    expect(visit.text("layers_of_the_pass")).to_be_visible()
    assert visit.page.get_by_role("dialog").count() == 0


def test_the_page_of_scores_shows_columns_metadata_and_a_check_that_passed(visit: Visit) -> None:
    visit.open("scores", "view=overview")
    expect(visit.text("Correlation over all tokens at once; null if undefined.")).to_be_visible()
    expect(visit.text("mean random_only of shuffled_control")).to_be_visible()
    assert visit.page.get_by_role("dialog").count() == 0

    visit.open("scores", "view=checks")
    expect(visit.text("Succeeded")).to_be_visible()


@pytest.mark.parametrize(("table", "entry"), [("layer_summary", 0), ("layer_summary", 1), ("explanations", 0)])
def test_a_picture_in_the_metadata_is_drawn(visit: Visit, table: str, entry: int) -> None:
    visit.open(table, "view=overview")
    assert visit.page.get_by_role("dialog").count() == 0

    picture = visit.picture(entry)

    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500


def test_a_range_of_layers_on_the_command_line_of_dagster_is_one_forward_pass(tmp_path: Path) -> None:
    home = make_home(tmp_path)
    selection = ",".join(f"tiny/{table}" for table in FORWARD)
    command = ["asset", "materialize", "-m", "neuron_assets.definitions", "--select", selection]
    log = tmp_path / "materialize.log"
    with _started([*command, "--partition-range", f"{LAYERS[0]}...{LAYERS[-1]}"], home, log) as process:
        assert process.wait(timeout=120) == 0, log.read_text()

    assert _passes(home, "activations") == dict.fromkeys(LAYERS, (1, 3))
    assert len(_runs_of(home, "activations")) == 1


def make_home(root: Path) -> Path:
    """A project with the tiny study and the repository's settings of Dagster; gives its DAGSTER_HOME."""
    write_study(root)
    (root / "dagster_home").mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", root / "dagster_home")
    return root / "dagster_home"


@contextmanager
def _started(arguments: Sequence[str], home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
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


def _wait_for(is_so: Callable[[], bool], seconds: float, what_is: Callable[[], str]) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds} s: {what_is()}"
        time.sleep(0.5)


def _key(table: str) -> dict[str, list[str]]:
    return {"path": ["tiny", table]}


def _asset_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(["tiny", table])


def _materializations(home: Path, table: str) -> list[tuple[str, dg.AssetMaterialization]]:
    """Each with the id of its run."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        records = instance.fetch_materializations(_asset_key(table), limit=100).records
    return [(record.run_id, record.asset_materialization) for record in records if record.asset_materialization]


def _runs_of(home: Path, table: str) -> set[str]:
    return {run_id for run_id, _ in _materializations(home, table)}


def _passes(home: Path, table: str) -> dict[str | None, tuple[Any, Any]]:
    """By layer: how many forward passes its run made, and for how many layers."""
    return {
        made.partition: (made.metadata["forward_passes"].value, made.metadata["layers_of_the_pass"].value)
        for _, made in _materializations(home, table)
    }
