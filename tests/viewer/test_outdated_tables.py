"""Tables that no longer belong together: every page still answers, and joins nothing that is not of one piece."""

import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app

_OF_THE_NEURON = ("", "?pool=valid&all=1", ".json?pool=valid", "/evidence", "/asked", "/similar", "/label")
PAGES = (
    *("/tiny", "/tiny/2", *(f"/tiny/{{}}/{{}}{below}" for below in _OF_THE_NEURON)),
    *("/tiny/{}/{}/simulate?person=Ann", "/-/search?study=tiny&q=activates"),
    "/-/compare?a=tiny&b=tiny:shuffled_control",
)

pytestmark = pytest.mark.slow


@pytest.fixture
def own(made: Project, tmp_path: Path) -> Project:
    root = tmp_path / "own"
    shutil.copytree(made.dagster_home.parent, root)
    return Project.from_environment({}, root)


def _shown(project: Project, page: str, explained: tuple[int, int]) -> str:
    with TestClient(create_app(project), base_url="http://127.0.0.1:8787") as asking:
        answer = asking.get(page.format(*explained))
    assert answer.status_code == 200, answer.text
    return unescape(answer.text)


def _rewrite(project: Project, name: str, rows: pl.DataFrame, facts: TableFacts | None = None) -> None:
    path = TableStore.at(project.tables).path("tiny", name, None if name == "excerpts" else "L02")
    write_table(path, rows, facts or read_facts(path))


def _read(project: Project, name: str) -> pl.DataFrame:
    return read_table(TableStore.at(project.tables).path("tiny", name, None if name == "excerpts" else "L02"), name)


@pytest.mark.parametrize("page", PAGES)
def test_nothing_that_was_made_from_an_earlier_harvest_is_shown_beside_the_new_one(
    own: Project, explained: tuple[int, int], page: str
) -> None:
    texts = _read(own, "candidates").filter(pl.col("neuron_index") == explained[1])["explanation"].drop_nulls()
    activations = _read(own, "activations")
    _rewrite(own, "activations", activations.with_columns(pl.col("peak") + 1))

    shown = _shown(own, page, explained)

    assert not [text for text in texts if text in shown]


def test_scores_stand_under_the_names_of_those_who_made_them(own: Project, explained: tuple[int, int]) -> None:
    file = own.study_files()["tiny"]
    asked = "explainer: {provider: openai_compatible, model: gpt-5-mini}\n"
    file.write_text(file.read_text(encoding="utf-8") + asked, encoding="utf-8")
    path = TableStore.at(own.tables).path("tiny", "activations", "L02")
    facts = read_facts(path)
    write_table(path, _read(own, "activations"), replace(facts, notes={**facts.notes, "subject": "an earlier one"}))

    of_study = _shown(own, "/tiny", explained)
    told = "made by an earlier version of study.yaml, or of this package: neuron-assets materialize tiny"
    assert of_study.count(f"The scores of layers 0, 2 were {told}") == 1
    for page in (of_study, _shown(own, "/tiny/2", explained)):
        assert "explainer rules/1 · simulator rules/1" in page
        assert told in page
        assert "gpt-5-mini" not in page
    of_neuron = _shown(own, "/tiny/{}/{}.json", explained)
    assert f"Tables of layer 2 (candidates, scores) were {told}" in of_neuron
    assert '"subject":"an earlier one"' in of_neuron


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["candidates", "scores", "activations", "neuron_statistics", "simulations"])
def test_a_table_of_another_version_breaks_no_page(
    own: Project, explained: tuple[int, int], page: str, name: str
) -> None:
    path = TableStore.at(own.tables).path("tiny", name, "L02")
    rows = _read(own, name)
    write_table(path, rows.drop(rows.columns[-2]).with_columns(pl.col("neuron_index").cast(pl.Int64)), read_facts(path))

    _shown(own, page, explained)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", ["candidates", "scores", "activations", "token_index"])
def test_units_that_the_study_has_no_more_break_no_page(
    own: Project, explained: tuple[int, int], page: str, name: str
) -> None:
    path = TableStore.at(own.tables).path("tiny", name, "L02")
    rows = _read(own, name)
    more = rows.filter(pl.col("neuron_index") == rows["neuron_index"][0]).with_columns(
        neuron_index=pl.lit(100_000, pl.Int32)
    )
    write_table(path, pl.concat([rows, more]), read_facts(path))

    assert "L2N100000" not in _shown(own, page, explained)
