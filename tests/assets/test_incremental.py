"""A study that asks for more: what is there is kept, what is new is made, and both are what one run would have made."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from upath import UPath

from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.parquet import read_facts, read_table, write_table
from tests.scenario import make_project
from tests.served_tables import ENDING, LAYERS, make, metadata, path_of, read

pytestmark = pytest.mark.slow

SCORERS = ["simulation", "unigram_lookup"]


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three neurons a layer, one lookup beside the simulation."""
    root = tmp_path_factory.mktemp("few")
    make(*make_project(root, scoring={"top": 3, "random": 3, "draws": 100, "scorers": SCORERS}))
    return root


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Five neurons a layer with both lookups, made at once."""
    project, study = make_project(tmp_path_factory.mktemp("many"), neurons={"per_layer": 5})
    make(project, study)
    return project


@pytest.fixture
def grown(few: Path, tmp_path: Path) -> Project:
    shutil.copytree(few, tmp_path / "own")
    return Project.from_environment({}, tmp_path / "own")


def change(project: Project, **sections: Any) -> Study:
    path = project.study_files()["tiny"]
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | sections))
    return read_study(path)


def same(one: Project, other: Project, table: str) -> bool:
    return all(path_of(one, table, layer).read_bytes() == path_of(other, table, layer).read_bytes() for layer in LAYERS)


def test_more_neurons_leave_what_is_there_and_give_what_one_run_gives(grown: Project, many: Project) -> None:
    before = read(grown, "explanations")
    study = change(grown, neurons={"per_layer": 5}, scoring={"top": 3, "random": 3, "draws": 100})

    runs = make(grown, study)

    assert [run.tables[0] for run in runs] == ["explanations", "explanations", "layer_summary"]
    assert metadata(grown, study, "explanations", 1) | {"explained_now": 2, "kept": 3} == metadata(
        grown, study, "explanations", 1
    )
    for table in ("explanations", "candidates", "simulations", "scores", *ENDING):
        assert same(grown, many, table), table
    after = read(grown, "explanations")
    assert before.join(after, on=before.columns, how="semi", nulls_equal=True).height == before.height


def test_simulations_of_the_same_text_are_kept(grown: Project) -> None:
    candidates = read(grown, "candidates")
    study = change(grown, neurons={"per_layer": 5})

    make(grown, study)

    n_kept = sum(metadata(grown, study, "simulations", layer)["kept"] for layer in LAYERS)
    same_text = candidates.join(
        read(grown, "candidates"), on=["layer_index", "neuron_index", "candidate", "explanation"], how="semi"
    )
    assert n_kept == same_text.height
    assert 6 <= n_kept < read(grown, "candidates").height


def test_another_scorer_is_scored_beside_those_that_are_there(grown: Project, many: Project) -> None:
    before = read(grown, "scores")
    study = change(grown, scoring={"top": 3, "random": 3, "draws": 100})

    runs = make(grown, study)

    assert [run.tables for run in runs] == [("scores",), ("scores",), ENDING]
    after = read(grown, "scores")
    assert set(after["scorer"]) - set(before["scorer"]) == {"bigram_lookup"}
    assert after.filter(pl.col("scorer") != "bigram_lookup").equals(before)
    assert metadata(grown, study, "scores", 1)["kept"] == before.filter(pl.col("layer_index") == 1).height
    again = read(many, "scores").join(after, on=["layer_index", "neuron_index"], how="semi")
    assert again.filter(pl.col("scorer") == "bigram_lookup").equals(after.filter(pl.col("scorer") == "bigram_lookup"))


def test_a_scorer_less_takes_its_rows_away(grown: Project) -> None:
    study = change(grown, scoring={"top": 3, "random": 3, "draws": 100, "scorers": ["simulation"]})

    make(grown, study)

    assert set(read(grown, "scores")["scorer"]) == {"simulation"}


def test_a_simulation_that_failed_is_made_again(grown: Project) -> None:
    path = UPath(path_of(grown, "simulations", 1))
    rows = read_table(path, "simulations")
    first = pl.int_range(pl.len()) == 0
    damaged = rows.with_columns(
        pl.when(first).then(None).otherwise(pl.col("simulated")).alias("simulated"),
        pl.when(first).then(pl.lit("nobody answered")).otherwise(pl.col("failure")).alias("failure"),
    )
    write_table(path, damaged, read_facts(path))
    study = change(grown, neurons={"per_layer": 4})

    make(grown, study)

    assert read(grown, "simulations")["failure"].null_count() == read(grown, "simulations").height
