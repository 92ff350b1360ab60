"""Explanations with characters that turn the direction of writing: tables of pages show them, and do not obey them."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from starlette.testclient import TestClient

from neuron_assets.project import Project
from neuron_assets.tables.parquet import read_facts, read_table, write_table
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.app import create_app
from neuron_assets.viewer.excerpts import shown_text

OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"


@pytest.fixture
def steered(made: Project, tmp_path: Path) -> Project:
    """As `made`, but every explanation steers, and was scored so."""
    shutil.copytree(made.dagster_home.parent, tmp_path / "own", ignore=shutil.ignore_patterns("history", "storage"))
    project = Project.from_environment({}, tmp_path / "own")
    store = TableStore.at(project.tables)
    for key in ("L00", "L02"):
        texts, scores = store.path("tiny", "candidates", key), store.path("tiny", "scores", key)
        said = read_table(texts, "candidates").with_columns(pl.col("explanation") + OVERRIDE)
        write_table(texts, said, read_facts(texts))
        facts = read_facts(scores)
        made_from = {**facts.inputs, store.name(texts): read_facts(texts).content}
        write_table(scores, read_table(scores, "scores"), replace(facts, inputs=made_from))
    return project


@pytest.mark.parametrize("address", ["/tiny", "/tiny/2", "/-/compare?a=tiny&b=tiny:shuffled_control"])
def test_an_explanation_does_not_turn_the_page_around(steered: Project, address: str) -> None:
    with TestClient(create_app(steered), base_url="http://127.0.0.1:8787") as client:
        page = client.get(address).text

    assert OVERRIDE not in page
    assert re.search(rf'<span class="clamped[^>]* dir="auto">[^<]*{re.escape(html_of(shown_text(OVERRIDE)))}', page)


def html_of(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")
