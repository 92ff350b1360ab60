"""The page of a layer: all its neurons, sorted, filtered, and a page at a time."""

import html
import re
import shutil
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer import layer_page
from neuron_assets.viewer.app import create_app

NEURON = re.compile(r'<th scope="row"><a href="/tiny/2/(\d+)">')


def seen(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def shown(client: TestClient, query: str = "") -> list[int]:
    """The neurons of one page, in their order."""
    page = client.get(f"/tiny/2{query}")
    assert page.status_code == 200
    return [int(neuron) for neuron in NEURON.findall(page.text)]


@pytest.fixture
def explained_neurons(made: Project) -> list[int]:
    return list(made.study("tiny").neuron_indices(2))


def of_layer(made: Project, table: str) -> pl.DataFrame:
    return pl.read_parquet(f"{made.tables}/tiny/{table}/L02.parquet")


def test_a_layer_shows_the_best_explained_first(client: TestClient, explained_neurons: list[int]) -> None:
    neurons = shown(client)

    assert len(neurons) == layer_page.N_A_PAGE
    assert sorted(neurons[:3]) == explained_neurons


def test_a_layer_is_sorted_by_density_over_all_its_pages(client: TestClient, made: Project) -> None:
    density = of_layer(made, "neuron_statistics").sort("share_active", "neuron_index", descending=[True, False])

    expected = density["neuron_index"].to_list()
    assert shown(client, "?by=density") == expected[:50]
    assert shown(client, "?by=density&page=16") == expected[750:]


@pytest.mark.parametrize(
    ("query", "n"), [("?state=explained", 3), ("?least=-1", 3), ("?least=1,5", 0), ("?words=ACTIVATES on", 3)]
)
def test_a_layer_is_filtered(client: TestClient, query: str, n: int) -> None:
    assert len(shown(client, query)) == n


@pytest.mark.parametrize(
    ("query", "column", "ends"),
    [
        ("least_density=0,5&most_density=2 %25", "share_active", (0.005, 0.02)),
        ("least_kurtosis=10&most_kurtosis=12.5", "kurtosis", (10, 12.5)),
    ],
)
def test_a_layer_is_filtered_by_ranges_of_what_its_neurons_do(
    client: TestClient, made: Project, query: str, column: str, ends: tuple[float, float]
) -> None:
    rows = of_layer(made, "neuron_statistics").filter(pl.col(column).is_between(*ends)).sort("neuron_index")

    page = client.get(f"/tiny/2?by=neuron&{query}").text
    assert 0 < rows.height < 768
    assert [int(neuron) for neuron in NEURON.findall(page)] == rows["neuron_index"].head(50).to_list()
    assert f"{rows.height} neurons" in seen(page)


def test_what_is_told_of_a_layer_may_speak_of_twins(made: Project, tmp_path: Path) -> None:
    shutil.copytree(made.dagster_home.parent, tmp_path / "twin")
    project = Project.from_environment({}, tmp_path / "twin")
    file = project.study_files()["tiny"]
    told = file.read_text(encoding="utf-8").replace("over_broad: false", "over_broad: false\n  untrained: nowhere")
    file.write_text(told, encoding="utf-8")
    (Path(project.tables) / "tiny" / "layer_summary.parquet").write_bytes(b"no table")

    with TestClient(create_app(project), base_url="http://127.0.0.1:8787") as client:
        of_study, of_layer = (seen(client.get(address).text) for address in ("/tiny", "/tiny/2"))
    assert "The untrained twin nowhere is not shown" in of_study
    assert "The untrained twin nowhere" not in of_layer
    assert "Means have no intervals." in of_layer


def test_a_filter_holds_on_the_next_page(client: TestClient) -> None:
    page = client.get("/tiny/2?state=unexplained&by=neuron").text

    assert 'href="?state=unexplained&amp;by=neuron&amp;page=2"' in page
    assert '<option value="unexplained" selected>' in page


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?least=<i>", "not '<i>'; it is not looked at"),
        ("?most=nan", "Score to: a number such as 0.5 is meant, not 'nan'"),
        ("?least_density=few", "Active tokens from: a number such as 2.5 is meant, not 'few'"),
        ("?state=odd", "There is no state 'odd'"),
        ("?page=0", "There is no page '0'; there are 16."),
        ("?page=99", "There is no page '99'"),
        ("?by=x", "There is no column 'x'"),
    ],
)
def test_what_cannot_be_meant_is_told(client: TestClient, query: str, told: str) -> None:
    page = client.get(f"/tiny/2{query}")

    assert page.status_code == 200
    assert told in seen(page.text)
    assert "<i>" not in page.text


def test_a_neuron_is_offered_to_be_labelled_without_having_seen_more_of_it(
    client: TestClient, explained_neurons: list[int]
) -> None:
    start = client.get("/tiny/2?by=neuron&page=16").text.partition("start here")[2]

    found = re.search(r'href="/tiny/2/(\d+)/label"', start)
    assert found is not None
    assert int(found[1]) in explained_neurons


@pytest.mark.parametrize("address", ["/tiny/1x", "/tiny/99", "/nowhere/0"])
def test_a_layer_that_is_not_there_is_a_friendly_404(client: TestClient, address: str) -> None:
    page = client.get(address)

    assert page.status_code == 404
    assert "All studies" in page.text


def test_a_layer_that_was_not_harvested_says_what_to_run(client: TestClient) -> None:
    assert "neuron-assets materialize tiny --layers 1" in seen(client.get("/tiny/1").text)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("scores", "Without scores."),
        ("candidates", "Without explanations."),
        ("neuron_statistics", "Without density and kurtosis."),
    ],
)
def test_a_damaged_table_is_named_and_the_rest_stands(made: Project, tmp_path: Path, table: str, told: str) -> None:
    shutil.copytree(made.dagster_home.parent, tmp_path / "copy")
    project = Project.from_environment({}, tmp_path / "copy")
    (Path(project.tables) / "tiny" / table / "L02.parquet").write_bytes(b"no table")

    with TestClient(create_app(project), base_url="http://127.0.0.1:8787") as client:
        page = client.get("/tiny/2")
    assert page.status_code == 200
    assert told in seen(page.text)
    assert len(NEURON.findall(page.text)) == 50


def test_scores_of_other_texts_stand_without_a_text(made: Project, tmp_path: Path) -> None:
    shutil.copytree(made.dagster_home.parent, tmp_path / "copy")
    project = Project.from_environment({}, tmp_path / "copy")
    folder = Path(project.tables) / "tiny" / "candidates"
    shutil.copy(folder / "L00.parquet", folder / "L02.parquet")

    with TestClient(create_app(project), base_url="http://127.0.0.1:8787") as client:
        text = seen(client.get("/tiny/2").text)
    assert "The explanations were made again since they were scored" in text
    assert "Activates on" not in text
