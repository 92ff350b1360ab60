"""Facts on the tokens that neurons push up and down, as `neuron_statistics` has them and people see them."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.subjects.bundled.opening import FOLDER
from neuron_assets.tables.reading import see_neuron
from neuron_assets.tables.store import TableStore
from neuron_assets.terminal import neuron_text
from tests.scenario import DOCUMENTS, STUDY, make_project, write_study
from tests.served_tables import LAYERS, make, path_of, read
from tests.subjects.small_models import byte_level, small_config, small_model, write_model
from tests.test_units import DIRECTIONS, write_directions

pytestmark = pytest.mark.slow

COLUMNS = ("pushes_up", "pushes_up_weights", "pushes_down", "pushes_down_weights")
N_NEURONS = 768
World = tuple[Project, Study]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_project(tmp_path_factory.mktemp("world"))
    make(*world)
    return world


@pytest.mark.parametrize("neuron", [0, 767])
def test_the_tokens_are_those_of_the_products_of_the_files_weights(world: World, neuron: int) -> None:
    weights = {
        name.removeprefix("transformer."): weight.astype(np.float32)
        for name, weight in load_file(FOLDER / "model.safetensors").items()
    }
    vocabulary = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    row = read(world[0], "neuron_statistics").row(
        by_predicate=(pl.col("layer_index") == 2) & (pl.col("neuron_index") == neuron), named=True
    )
    pushed = weights["wte.weight"] @ (weights["ln_f.weight"] * weights["h.2.mlp.c_proj.weight"][neuron])
    by_weight = np.argsort(pushed)

    for way, token_ids in (("up", by_weight[::-1][:10]), ("down", by_weight[:10])):
        assert row[f"pushes_{way}_weights"] == pytest.approx(pushed[token_ids], rel=1e-4)
        assert row[f"pushes_{way}"] == [vocabulary.decode([token_id]) for token_id in token_ids]


def test_people_see_them_in_a_line_each(world: World) -> None:
    project, _ = world
    neuron = read(project, "explanations").row(0, named=True)
    named = NeuronId(neuron["layer_index"], neuron["neuron_index"])
    seen = see_neuron(TableStore.at(project.tables), "tiny", "L01", named)
    lines = neuron_text(seen).plain.splitlines()

    assert len(seen.pushes_up) == len(seen.pushes_down) == 10
    assert [line.split("'")[0].strip() for line in lines[2:4]] == ["pushes up", "pushes down"]
    assert all(line.count("'") >= 20 for line in lines[2:4])


def test_a_study_may_leave_them_away_and_everything_else_stays(world: World, tmp_path: Path) -> None:
    shutil.copytree(world[1].folder.parents[1], tmp_path / "own")
    project, study = make_project(tmp_path / "own", activations={"output_side": False})
    layer = path_of(project, "activations", LAYERS[0])
    before, statistics = pl.read_parquet(layer), read(project, "neuron_statistics")
    explained = path_of(project, "explanations", LAYERS[0]).read_bytes()
    make(project, study)
    without = read(project, "neuron_statistics")

    assert pl.read_parquet(layer).equals(before)
    assert without.drop(COLUMNS).equals(statistics.drop(COLUMNS))
    assert path_of(project, "explanations", LAYERS[0]).read_bytes() == explained
    assert all(without[column].is_null().all() for column in COLUMNS)
    assert not any(statistics[column].is_null().any() for column in COLUMNS)


def test_the_negative_side_pushes_the_other_way(tmp_path: Path, world: World) -> None:
    project, study = make_project(tmp_path, units={"signed": True}, neurons=[0])
    make(project, study)
    statistics = read(project, "neuron_statistics").select("layer_index", "neuron_index", *COLUMNS)
    positive = statistics.filter(pl.col("neuron_index") < N_NEURONS)
    negative = statistics.filter(pl.col("neuron_index") >= N_NEURONS)

    assert positive.equals(read(world[0], "neuron_statistics").select(positive.columns))
    assert negative["pushes_up"].equals(positive["pushes_down"].alias("pushes_up"))
    assert negative["pushes_down"].equals(positive["pushes_up"].alias("pushes_down"))
    assert (negative["pushes_up_weights"].list.first() == -positive["pushes_down_weights"].list.first()).all()


def test_directions_push_nothing(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_directions(tmp_path, n=3)
    project, study = make_project(tmp_path, units=DIRECTIONS)
    make(project, study)

    assert all(read(project, "neuron_statistics")[column].is_null().all() for column in COLUMNS)


@pytest.mark.parametrize("has_head", [True, False])
def test_a_subject_without_a_head_is_harvested_all_the_same(tmp_path: Path, *, has_head: bool) -> None:
    model = small_model(small_config("llama", num_hidden_layers=3, tie_word_embeddings=False))
    headless = model.base_model
    assert isinstance(headless, PreTrainedModel)
    folder = tmp_path / "studies" / "tiny" / "llama"
    write_model(folder, model if has_head else headless, byte_level(texts=list(DOCUMENTS.values())))
    splits = {**dict(STUDY["splits"]), "natural": 0}  # type: ignore[call-overload]
    project, study = make_project(tmp_path, subject="./llama", splits=splits)
    make(project, study)

    statistics = read(project, "neuron_statistics")
    assert statistics.height == len(LAYERS) * 48
    assert {statistics[column].null_count() for column in COLUMNS} == {0 if has_head else statistics.height}
