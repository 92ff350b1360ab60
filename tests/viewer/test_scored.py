"""What is read of a layer's scores and explanations: of one piece, and of the study's own."""

import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from upath import UPath

from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.tables.parquet import TableFacts, read_facts, read_table, read_with_facts, write_table
from neuron_assets.tables.schemas import empty
from neuron_assets.viewer import scored
from neuron_assets.viewer.neuron import Desk, see_neuron
from neuron_assets.viewer.scored import layer_scores
from neuron_assets.viewer.shelf import OpenStudy, Shelf
from neuron_assets.viewer.told_neurons import explained_of_layer, told_of_layer


@pytest.fixture
def study(made: Project, tmp_path: Path) -> OpenStudy:
    """As it is in `made`, to be changed."""
    shutil.copytree(made.dagster_home.parent, tmp_path / "copy")
    return Shelf(Project.from_environment({}, tmp_path / "copy")).study("tiny")


def path_of(study: OpenStudy, table: str) -> UPath:
    return study.store.path("tiny", table, "L02")


def mean(study: OpenStudy) -> Any:
    found = layer_scores(study, 2)
    assert found is not None
    return found.means["own", "top_and_random"]["mean"]


def test_scores_that_are_replaced_while_they_are_read_are_kept_under_no_other(
    study: OpenStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(study, "scores")
    scores, facts, before = read_table(path, "scores"), read_facts(path), path.read_bytes()

    def replaced_first(*asked: Any) -> tuple[TableFacts, pl.DataFrame]:
        write_table(path, scores.with_columns(ev_correlation=pl.lit(0.125)), facts)
        return read_with_facts(*asked)

    scored._read.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(scored, "read_with_facts", replaced_first)
        assert mean(study) == 0.125

    path.write_bytes(before)
    assert mean(study) != 0.125


def test_texts_beside_which_labels_were_made_again_are_still_told(study: OpenStudy) -> None:
    neuron = study.study.neuron_indices(2)[0]
    write_table(path_of(study, "labels"), empty("labels"), TableFacts("labels", "another"))
    path = path_of(study, "candidates")
    facts = read_facts(path)
    inputs = {**facts.inputs, study.store.name(path_of(study, "labels")): "another"}
    write_table(path, read_table(path, "candidates"), TableFacts("candidates", facts.lineage, inputs))

    assert told_of_layer(study, 2, [neuron])[neuron].explanation


def test_explained_is_what_has_a_text_of_the_studys_own(study: OpenStudy) -> None:
    path = path_of(study, "candidates")
    candidates = read_table(path, "candidates")
    first, second, third = study.study.neuron_indices(2)
    of_first = pl.col("neuron_index") == first
    failed = candidates.filter(of_first).with_columns(explanation=pl.lit(None, pl.String), failure=pl.lit("refused"))
    label = candidates.filter(of_first).head(1).with_columns(candidate=pl.lit(99, pl.Int32), author=pl.lit("human:Ann"))
    write_table(path, pl.concat([failed, label, candidates.filter(~of_first)]), read_facts(path))

    assert explained_of_layer(study, 2) == [second, third]
    neighbours = see_neuron(Desk(study, NeuronId(2, second))).neighbours
    assert (neighbours.explained_before, neighbours.explained_after) == (None, NeuronId(2, third))
