"""The page that compares two studies, or two authors of one, on the same neurons."""

import html
import re
import shutil
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.viewer.app import create_app

HOME = "http://127.0.0.1:8787"


def seen(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


@pytest.fixture
def copied(made: Project, tmp_path: Path) -> Project:
    """The project `made`, and beside its study a twin of the same tables."""
    shutil.copytree(made.dagster_home.parent, tmp_path / "copy")
    project = Project.from_environment({}, tmp_path / "copy")
    shutil.copytree(project.study_files()["tiny"].parent, project.study_files()["tiny"].parents[1] / "twin")
    shutil.copytree(Path(project.tables) / "tiny", Path(project.tables) / "twin")
    return project


def page_of(project: Project, query: str) -> str:
    with TestClient(create_app(project), base_url=HOME) as client:
        page = client.get(f"/-/compare{query}")
    assert page.status_code == 200
    return seen(page.text)


def test_a_study_can_be_chosen_and_its_authors_with_it(client: TestClient) -> None:
    page = client.get("/-/compare?study=tiny")

    assert page.status_code == 200
    assert '<option value="tiny" selected>' in page.text
    assert '<option value="tiny:shuffled_control">' in page.text


def test_two_authors_are_compared_on_the_same_neurons(client: TestClient) -> None:
    page = client.get("/-/compare?a=tiny&b=tiny:shuffled_control")

    text = seen(page.text)
    assert "tiny:shuffled_control scores" in text
    assert "over 6 neurons" in text
    assert re.search(r'href="/tiny/[02]/\d+" aria-label="L[02]N\d+ in tiny, score', page.text)


def test_only_the_layer_that_is_asked_for_is_compared(client: TestClient) -> None:
    assert "over 3 neurons" in seen(client.get("/-/compare?a=tiny&b=tiny:unigram_lookup&layer=2").text)


def test_what_is_the_same_differs_by_nothing(copied: Project) -> None:
    assert "twin scores 0.000" in page_of(copied, "?a=tiny&b=twin")


def test_both_explanations_stand_side_by_side(client: TestClient) -> None:
    page = client.get("/-/compare?a=tiny&b=tiny:shuffled_control").text

    first_row = page.partition("Where they differ most")[2].partition("<tbody>")[2].partition("</tr>")[0]
    assert first_row.count("Activates on") == 2


def test_studies_that_cannot_be_compared_say_why(client: TestClient) -> None:
    text = seen(client.get("/-/compare?a=tiny&b=bundled").text)

    assert "bundled cannot be compared with tiny" in text
    assert "They differ in" in text


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?a=nowhere&b=tiny", "There is no study 'nowhere'"),
        ("?a=tiny&b=../x", "There is no study '../x'"),
        ("?a=tiny&b=tiny:nobody", "tiny:nobody has no scores here that stand."),
        ("?a=tiny&b=tiny&layer=<b>", "There is no layer '<b>' to compare"),
    ],
)
def test_what_cannot_be_compared_is_told(client: TestClient, query: str, told: str) -> None:
    page = client.get(f"/-/compare{query}")

    assert page.status_code == 200
    assert told in seen(page.text)


def test_a_damaged_layer_is_left_out_of_the_comparison_and_named(copied: Project) -> None:
    (Path(copied.tables) / "tiny" / "scores" / "L00.parquet").write_bytes(b"no table")

    text = page_of(copied, "?a=tiny&b=tiny:unigram_lookup")
    assert "Layer 0 of tiny is left out." in text
    assert "over 3 neurons" in text
