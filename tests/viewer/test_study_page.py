"""The page of a study: scores by depth, the layers, the best and the worst neurons."""

import html
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.plots import Line, Point, line_chart, lowest_and_highest, score_histogram
from neuron_assets.viewer.shelf import OpenStudy
from neuron_assets.viewer.word_index import WORD_INDEX, WordIndex


@pytest.fixture
def copied(made: Project, tmp_path: Path) -> Project:
    """The project `made`, to be damaged."""
    root = made.dagster_home.parent
    shutil.copytree(root, tmp_path / "copy")
    return Project.from_environment({}, tmp_path / "copy")


@pytest.fixture
def read_html() -> Callable[[Project, str], str]:
    def text(project: Project, address: str) -> str:
        with TestClient(create_app(project), base_url="http://127.0.0.1:8787") as asking:
            page = asking.get(address)
        assert page.status_code == 200
        return page.text

    return text


@pytest.fixture
def read(read_html: Callable[[Project, str], str]) -> Callable[[Project, str], str]:
    """What a reader of the page sees, as one line of words."""
    return lambda project, address: seen(read_html(project, address))


def seen(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def test_a_study_says_whose_numbers_these_are(client: TestClient) -> None:
    text = seen(client.get("/tiny").text)

    assert "subject bundled · explainer rules/1 · simulator rules/1" in text
    assert "neurons scored 6" in text
    assert "Spent nothing: no server is asked" in text


def test_a_study_shows_explanations_beside_their_controls_by_depth(client: TestClient) -> None:
    page = client.get("/tiny").text

    assert page.count('role="img"') == 3  # two samples, and the distribution
    legend = seen(page.partition('<ul class="legend"')[2].partition("</ul>")[0])
    assert all(name in legend for name in ("explanations", "shuffled texts", "unigram lookup"))


def test_a_study_is_two_clicks_from_a_neuron(client: TestClient) -> None:
    assert 'href="/tiny"' in client.get("/").text
    assert re.search(r'href="/tiny/[02]/\d+">L[02]N\d+', client.get("/tiny").text)


def test_layers_are_sorted_by_the_links_of_their_headers(client: TestClient) -> None:
    first = client.get("/tiny").text
    assert 'aria-sort="ascending"><a href="?by=layer&amp;order=desc"' in first

    turned = client.get("/tiny?by=layer&order=desc").text
    assert 'aria-sort="descending"' in turned
    assert turned.index('href="/tiny/2">L2') < turned.index('href="/tiny/0">L0')


def test_a_column_that_is_not_there_is_told_of(client: TestClient) -> None:
    page = client.get("/tiny?by=<b>&order=up")

    assert page.status_code == 200
    assert "There is no column '<b>' to sort by" in seen(page.text)
    assert "not 'up'" in seen(page.text)


def test_a_damaged_layer_is_left_out_and_named(copied: Project, read: Callable[[Project, str], str]) -> None:
    (Path(copied.tables) / "tiny" / "scores" / "L00.parquet").write_bytes(b"no table")

    text = read(copied, "/tiny")
    assert "Layer 0 is left out." in text
    assert "neurons scored 3" in text


@pytest.mark.parametrize("table", ["layer_summary.parquet", "excerpts.parquet"])
def test_a_study_without_or_with_a_damaged_table_still_shows_its_scores(
    copied: Project, read: Callable[[Project, str], str], table: str
) -> None:
    path = Path(copied.tables) / "tiny" / table
    path.write_bytes(b"no table")
    assert "is not a table of this package" in read(copied, "/tiny")

    path.unlink()
    text = read(copied, "/tiny")
    assert "neuron-assets materialize tiny" in text
    assert "Best explained" in text


def test_intervals_of_a_summary_of_older_scores_are_not_shown(
    copied: Project, read: Callable[[Project, str], str]
) -> None:
    folder = Path(copied.tables) / "tiny" / "scores"
    shutil.copy(folder / "L02.parquet", folder / "L00.parquet")

    assert "No intervals of the means of layer 0 yet" in read(copied, "/tiny")


def test_texts_that_were_made_again_since_they_were_scored_are_not_shown(
    copied: Project, read: Callable[[Project, str], str]
) -> None:
    for layer in ("L00", "L02"):
        path = Path(copied.tables) / "tiny" / "candidates" / f"{layer}.parquet"
        path.unlink()

    assert "explained again since it was scored" in read(copied, "/tiny")


def test_a_study_without_tables_says_what_to_run(tmp_path: Path, read: Callable[[Project, str], str]) -> None:
    assert "neuron-assets materialize bundled" in read(Project.from_environment({}, tmp_path), "/bundled")


def test_units_that_the_study_has_no_more_are_left_out(
    copied: Project, read: Callable[[Project, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("neuron_assets.study.Study.n_units", 1)

    assert "Nothing is scored yet" in read(copied, "/tiny")


def test_who_searches_after_looking_at_a_study_finds_its_words_in_order(
    copied: Project, read: Callable[[Project, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(_study: OpenStudy) -> WordIndex:
        raise AssertionError("it was not kept")

    read(copied, "/tiny")
    monkeypatch.setattr(WORD_INDEX, "_build", build)

    assert "Activates" in read(copied, "/-/search?study=tiny&q=activates&in=words")


def test_a_point_without_an_interval_is_drawn_without_a_band() -> None:
    line = Line("own", "explanations", (Point(0, 0.5, 0.4, 0.6), Point(1, 0.25)))

    drawn = line_chart([line], [0, 1], 0, 1).lines[0]
    assert (drawn.band, len(drawn.marks)) == ("", 2)
    assert drawn.marks[0].y < drawn.marks[1].y
    assert drawn.marks[1].told == "explanations, layer 1: 0.25"


def test_the_upright_axis_holds_all_that_is_drawn() -> None:
    assert lowest_and_highest([[Line("own", "x", (Point(0, 0.1, -0.21, 0.3),))]]) == (-0.4, 1.0)
    assert lowest_and_highest([]) == (0.0, 1.0)


def test_every_score_is_in_the_histogram() -> None:
    bars = score_histogram([-1.0, -0.95, 0.0, 0.31, 1.0]).bars

    assert [bar.told for bar in bars if not bar.told.startswith("0 of")] == [
        "2 of 5 from \N{MINUS SIGN}1.0 to \N{MINUS SIGN}0.9",
        "1 of 5 from 0.0 to 0.1",
        "1 of 5 from 0.3 to 0.4",
        "1 of 5 from 0.9 to 1.0",
    ]
    assert [bar.is_negative for bar in bars].count(True) == 10


def test_studies_and_layers_link_to_dagster_where_it_is_told(
    made: Project, read_html: Callable[[Project, str], str]
) -> None:
    told = replace(made, dagster="http://dagster.example")

    assert 'href="http://dagster.example/assets/tiny"' in read_html(told, "/tiny")
    scores = "http://dagster.example/assets/tiny/scores?view=partitions&amp;partition=L02"
    assert f'href="{scores}"' in read_html(told, "/tiny/2")
    assert "in Dagster" not in read_html(made, "/tiny")
