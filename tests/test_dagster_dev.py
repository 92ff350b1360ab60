"""What people meet who start `dagster dev`, or use Dagster's own command line: launches, pages, pictures."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import dagster as dg
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.dagster_server import BACKFILL, REPOSITORY, Server, key_of, serving, started, wait_for
from tests.scenario import write_study
from tests.visiting import Visit

pytestmark = pytest.mark.slow

BY_COMMAND, BY_BACKFILL = ("L04", "L05"), ("L01", "L02", "L03")
"""The layers whose forward pass Dagster's command line makes, and those of a backfill, asked of the server."""

FORWARD = ("activations", "neuron_statistics")
PICTURES = [("layer_summary", 0), ("layer_summary", 1), ("explanations", 0), ("simulations", 0), ("scores", 0)]
COLUMN_LINEAGE = """query($key: AssetKeyInput!) { found: assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetMaterializations(limit: 1) { metadataEntries { label ... on TableColumnLineageMetadataEntry {
    lineage { columnName columnDeps { assetKey { path } columnName } } } } } } } }"""
BY_LAYER = ("explanations", "candidates", "simulations", "scores")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DAGSTER_HOME of a project in which Dagster's command line has made the excerpts and two layers."""
    root = tmp_path_factory.mktemp("project")
    write_study(root)
    home = root / "dagster_home"
    home.mkdir()
    shutil.copy(REPOSITORY / "dagster_home" / "dagster.yaml", home)
    selection = ",".join(f"tiny/{table}" for table in ("excerpts", *FORWARD))
    command = ["asset", "materialize", "-m", "neuron_assets.definitions", "--select", selection]
    log = root / "materialize.log"
    with started([*command, "--partition-range", "...".join(BY_COMMAND)], home, log) as process:
        assert process.wait(timeout=120) == 0, log.read_text()
    return home


@pytest.fixture(scope="module")
def server(home: Path) -> Iterator[Server]:
    """As `make dev` starts it, on a free port."""
    with serving(home, home.parent / "dev.log") as server:
        yield server


@pytest.fixture(scope="module")
def backfill(server: Server) -> str:
    """The id of a backfill of the forward pass over three layers, which are there."""
    return server.backfill(FORWARD, BY_BACKFILL)


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


def test_a_range_of_layers_on_the_command_line_of_dagster_is_one_forward_pass(home: Path) -> None:
    assert _passes(home, BY_COMMAND) == {(1, 2)}
    assert len(_runs(home, BY_COMMAND)) == 1


def test_a_backfill_of_a_range_of_layers_is_one_run_with_one_forward_pass(scored: Server, backfill: str) -> None:
    scored.wait_until_it_ends_well(BACKFILL, backfill, "COMPLETED_SUCCESS", seconds=60)

    assert [scored.layers(table) for table in FORWARD] == [[*BY_BACKFILL, *BY_COMMAND]] * 2
    assert _passes(scored.home, BY_BACKFILL) == {(1, 3)}
    assert len(_runs(scored.home, BY_BACKFILL)) == 1


def test_one_layer_is_explained_and_scored_and_summarized(scored: Server) -> None:
    assert [scored.layers(table) for table in BY_LAYER] == [["L02"]] * 4
    with dg.DagsterInstance.from_config(str(scored.home)) as instance:
        event = instance.get_latest_materialization_event(_asset_key("layer_summary"))

    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["layers"].value == 1


def test_the_partitions_of_activations_show_the_layers_that_are_there(visit: Visit) -> None:
    visit.open("activations", "view=partitions&partition=L02")

    expect(visit.text("Materialized (5)")).to_be_visible()
    expect(visit.text("Missing (1)")).to_be_visible()
    expect(visit.text("layers_of_the_pass")).to_be_visible()
    assert visit.page.get_by_role("dialog").count() == 0


def test_the_page_of_scores_shows_columns_metadata_and_a_check_that_passed(visit: Visit) -> None:
    visit.open("scores", "view=overview")
    expect(visit.page.get_by_text("Correlation over all tokens at once; null if undefined.")).to_be_visible()
    expect(visit.text("shuffled_random_only")).to_be_visible()
    assert visit.page.get_by_role("dialog").count() == 0

    visit.open("scores", "view=checks")
    expect(visit.text("Succeeded")).to_be_visible()


@pytest.mark.parametrize(("table", "entry"), PICTURES)
def test_a_picture_in_the_metadata_is_drawn(visit: Visit, table: str, entry: int) -> None:
    visit.open(table, "view=overview")
    assert visit.page.get_by_role("dialog").count() == 0

    picture = visit.picture(entry)

    expect(picture).to_be_visible()
    visit.keep(f"{table}_picture_{entry}")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 500


@pytest.mark.parametrize("table", ["excerpts", *FORWARD, *BY_LAYER, "layer_summary"])
def test_every_page_tells_what_its_asset_is_where_it_lies_and_where_its_code_is(visit: Visit, table: str) -> None:
    visit.page.set_viewport_size({"width": 1400, "height": 2400})
    visit.open(table, "view=overview")

    for what in ("Made", "Look at", "Costs"):
        expect(visit.text(what)).to_be_visible()
    expect(visit.page.get_by_text("Study tiny").first).to_be_visible()
    expect(visit.page.get_by_text(f"data/tiny/{table}").first).to_be_visible()
    expect(visit.page.get_by_role("link", name=re.compile(r"\w+\.py in editor"))).to_be_visible()
    visit.keep(table)


def test_the_page_of_a_table_tells_of_each_column_where_it_comes_from(visit: Visit) -> None:
    visit.open("scores", "view=overview")

    sources = visit.page.get_by_role("row").filter(has_text="ev_correlation_low").locator("code")
    expect(sources).to_have_text(
        ["activations.activations", "simulations.simulated", "excerpts.tokens", "excerpts.document_index"]
    )


def test_dagster_knows_where_columns_come_from(scored: Server) -> None:
    """The open-source UI leaves this out of its pages; GraphQL and Dagster+ do not."""
    found = scored.ask(COLUMN_LINEAGE, {"key": key_of("scores")})["found"]["assetMaterializations"][0]
    (lineage,) = (entry["lineage"] for entry in found["metadataEntries"] if entry["label"] == "dagster/column_lineage")
    sources = {entry["columnName"]: entry["columnDeps"] for entry in lineage}

    assert sources["simulator"] == [{"assetKey": {"path": ["tiny", "simulations"]}, "columnName": "simulator"}]


def test_two_layers_are_materialized_by_clicking_and_then_looked_at(visit: Visit) -> None:
    visit.materialize("explanations", ["L04", "L05"])
    wait_for(lambda: visit.server.layers("explanations") == ["L02", "L04", "L05"], 120, lambda: "no layers")

    visit.open("explanations", "view=partitions&partition=L05")
    expect(visit.text("Materialized (3)")).to_be_visible()
    expect(visit.text("explained_now")).to_be_visible()
    visit.keep("explanations_two_layers")

    visit.open("explanations", "view=overview")
    visit.page.get_by_role("button", name="Plots").click()
    plots = visit.page.locator("canvas")
    expect(plots.first).to_be_visible()
    assert plots.count() >= 3
    plots.last.scroll_into_view_if_needed()
    visit.keep("explanations_plots")

    visit.open("explanations", "view=overview")
    expect(visit.picture(0)).to_be_visible()
    visit.keep("explanations_sample")


def test_no_process_that_waits_for_work_has_torch_loaded(scored: Server) -> None:
    """Of `dagster dev`; those that carry out a run may."""
    waiting = [maps for command, maps in scored.processes() if "execute_run" not in command]

    assert len(waiting) >= 4
    assert any("polars" in maps for maps in waiting)
    assert not any("torch" in maps for maps in waiting)


def _asset_key(table: str) -> dg.AssetKey:
    return dg.AssetKey(["tiny", table])


def _made(home: Path, layers: Sequence[str]) -> list[tuple[str, Mapping[str, dg.MetadataValue]]]:
    """Of all that was ever made of these layers' activations: the run's id and the metadata."""
    records = dg.AssetRecordsFilter(asset_key=_asset_key("activations"), asset_partitions=list(layers))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        found = instance.fetch_materializations(records, limit=100).records
    return [(record.run_id, record.asset_materialization.metadata) for record in found if record.asset_materialization]


def _runs(home: Path, layers: Sequence[str]) -> set[str]:
    return {run_id for run_id, _ in _made(home, layers)}


def _passes(home: Path, layers: Sequence[str]) -> set[tuple[object, object]]:
    """How many forward passes were made, and for how many layers: one answer if it was the same for all."""
    return {
        (metadata["forward_passes"].value, metadata["layers_of_the_pass"].value) for _, metadata in _made(home, layers)
    }
