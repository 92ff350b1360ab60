"""The synthetic study that the viewer is measured with is like a real one, only smaller here."""

from pathlib import Path

import polars as pl
import pytest

from benchmarks.large_study import NAME, Size, write_large_study
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.validation import problems
from neuron_assets.viewer.search import alike_in_firing, alike_in_words, search_token, search_words
from neuron_assets.viewer.shelf import OpenStudy, Shelf

pytestmark = pytest.mark.slow

SIZE = Size(layers=2, neurons=200, excerpts=2000)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> OpenStudy:
    return Shelf(write_large_study(tmp_path_factory.mktemp("large"), SIZE)).study(NAME)


def test_every_table_keeps_its_schema(large: OpenStudy) -> None:
    paths = sorted(Path(str(large.store.root)).rglob("*.parquet"))
    tables = [path.stem if path.parent.name == NAME else path.parent.name for path in paths]

    assert len(set(tables)) == 9
    assert [problems(table, pl.read_parquet(path)) for table, path in zip(tables, paths, strict=True)] == [[]] * 16


def test_its_neurons_are_found_by_what_they_fire_on(large: OpenStudy) -> None:
    text = large.rows("explanations", NeuronId(1, 17), ["explanation"])
    assert text is not None
    word = text["explanation"][0].removeprefix("the word ").split(", ")[0].split()[-1]

    assert NeuronId(1, 17) in [hit.neuron for hit in search_words(large, word).hits]
    assert NeuronId(1, 17) in [hit.neuron for hit in search_token(large, word, most=SIZE.neurons).found.hits]


def test_some_of_its_neurons_are_alike(large: OpenStudy) -> None:
    alike = [alike_in_words(large, NeuronId(0, 3)), alike_in_firing(large, NeuronId(0, 3))]

    assert all(found.n_total > 0 and not found.left_out for found in alike)


def test_it_lies_where_the_project_keeps_its_tables(large: OpenStudy) -> None:
    assert TableStore.at(str(large.store.root)).path(NAME, "activations", "L01").exists()
