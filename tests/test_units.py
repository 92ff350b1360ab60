"""Facts on studies of both signs, of directions and of latents: what is counted, how it is called, what is refused."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
import yaml
from click.testing import CliRunner
from safetensors.numpy import save_file
from upath import UPath

from neuron_assets.assets.study_component import table_resources
from neuron_assets.cli import main
from neuron_assets.errors import InvalidStudy, LayerWithoutUnits, NeuronOutOfRange, UnusableUnits
from neuron_assets.lineage import lineages
from neuron_assets.method.records import NeuronId
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study, read_study
from neuron_assets.subject_files import units_digest
from neuron_assets.tables.parquet import read_facts
from tests.scenario import make_project, write_study
from tests.subjects.autoencoders import arrays, write_autoencoder, written_config

WIDTH, N_NEURONS = 192, 768
"""Of the bundled subject."""
FILE = "directions.safetensors"
DIRECTIONS = {"provider": "directions", "file": FILE}
LATENTS = {"provider": "sparse_autoencoders", "folder": "saes"}


def write_directions(root: Path, layers: tuple[int, ...] = (0, 1, 2, 3, 4, 5), n: int = 5, seed: int = 0) -> None:
    """Random unit vectors, beside the study file."""
    random = np.random.default_rng(seed)
    matrices = {f"L{layer:02d}": random.normal(size=(n, WIDTH)) for layer in layers}
    units = {key: each / np.linalg.norm(each, axis=1, keepdims=True) for key, each in matrices.items()}
    save_file({key: each.astype(np.float32) for key, each in units.items()}, root / "studies" / "tiny" / FILE)


def write_latents(root: Path, layers: tuple[int, ...], n: int = 11) -> None:
    for layer in layers:
        config = written_config(WIDTH, n, f"blocks.{layer}.hook_resid_pre")
        write_autoencoder(root / "studies" / "tiny" / "saes" / f"layer_{layer}", config, arrays(WIDTH, n, seed=layer))


def study_of(root: Path, units: Any, **changes: Any) -> Study:
    return read_study(write_study(root, units=units, **changes))


@pytest.mark.parametrize("units", [{"signed": False}, "neurons"])
def test_a_study_that_says_nothing_of_units_is_of_neurons(tmp_path: Path, units: Any) -> None:
    silent, told = study_of(tmp_path / "a", None), study_of(tmp_path / "b", units)

    assert (silent.n_units, silent.layer_indices, silent.subject_label) == (N_NEURONS, (0, 1, 2, 3, 4, 5), "bundled")
    assert lineages(silent) == lineages(told)
    assert units_digest(silent) is None


def test_both_signs_are_counted_and_called(tmp_path: Path) -> None:
    study = study_of(tmp_path, {"signed": True})

    assert study.n_units == 2 * N_NEURONS
    assert study.subject_label == "bundled, neurons, both signs"
    assert study.unit_name(NeuronId(5, 131)) == "L5N131"
    assert study.unit_name(NeuronId(5, 899)) == "L5N899, the negative side of L5N131"
    assert (
        study.read_neuron("L5N899") == study.read_neuron("L5N131-") == study.read_neuron(" 5.131- ") == NeuronId(5, 899)
    )
    assert study.read_neuron("L5N131") == NeuronId(5, 131)
    assert max(study.neuron_indices(0, "all")) == 2 * N_NEURONS - 1
    with pytest.raises(NeuronOutOfRange):
        study.read_neuron("L5N1536")


def test_a_negative_side_is_only_there_where_both_signs_are(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has no `signed: true` under `units`"):
        study_of(tmp_path, None).read_neuron("L5N131-")


def test_directions_are_counted_by_the_files_header(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_directions(tmp_path, (1, 4))

    assert (study_of(tmp_path, DIRECTIONS).n_units, study_of(tmp_path, DIRECTIONS).layer_indices) == (5, (1, 4))
    assert study_of(tmp_path, DIRECTIONS | {"signed": True}).n_units == 10
    assert study_of(tmp_path, DIRECTIONS | {"n_units": 5}, layers=[4]).layer_indices == (4,)
    assert study_of(tmp_path, DIRECTIONS).subject_label == "bundled, directions at residual"


def test_latents_are_counted_by_their_configurations(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_latents(tmp_path, (0, 3))

    study = study_of(tmp_path, LATENTS)

    assert (study.n_units, study.layer_indices) == (11, (0, 3))
    assert study.subject_label == "bundled, latents of sparse autoencoders"


@pytest.mark.parametrize("units", [DIRECTIONS, LATENTS])
def test_a_layer_without_units_is_refused(tmp_path: Path, units: dict[str, Any]) -> None:
    write_study(tmp_path)
    write_directions(tmp_path, (1, 4))
    write_latents(tmp_path, (1, 4))

    place = tmp_path / "studies" / "tiny" / str(units.get("file", units.get("folder")))
    with pytest.raises(LayerWithoutUnits, match=f"Layer 2 has no units in {place}; layers that have: 1, 4"):
        study_of(tmp_path, units, layers=[1, 2])
    with pytest.raises(LayerWithoutUnits):
        study_of(tmp_path, units).check_layer(0)


@pytest.mark.parametrize("units", [DIRECTIONS, LATENTS])
def test_the_graph_loads_without_the_files_where_the_number_is_written(tmp_path: Path, units: dict[str, Any]) -> None:
    with pytest.raises(UnusableUnits):
        study_of(tmp_path, units)

    study = study_of(tmp_path, units | {"n_units": 40})

    assert (study.n_units, len(study.layer_indices)) == (40, 6)


@pytest.mark.parametrize("units", [DIRECTIONS, LATENTS])
def test_a_number_that_is_not_the_files_is_refused(tmp_path: Path, units: dict[str, Any]) -> None:
    write_study(tmp_path)
    write_directions(tmp_path)
    write_latents(tmp_path, (0,))

    with pytest.raises(UnusableUnits, match=r"it has (5|11) units a layer, the study says 40. Mend `n_units`"):
        study_of(tmp_path, units | {"n_units": 40})


@pytest.mark.parametrize(
    ("units", "said"),
    [
        ({"provider": "heads"}, "units"),
        ("directions", "`units.file`: Field required"),
        ("heads", "Input tag 'heads'"),
        (7, "`units`: keys and values belong here"),
        ({"fiel": FILE}, r"`units.fiel` is no key of a study; did you mean `file`, of the provider directions\?"),
        ({"folder": "saes"}, r"did you mean `folder`, of the provider sparse_autoencoders\?"),
        ({"signd": True}, r"`units.signd` is no key of a study; did you mean `signed`\?"),
        (DIRECTIONS | {"at": "logits"}, "units.at"),
        ({"provider": "directions"}, "`units.file`"),
        (LATENTS | {"signed": True}, "`units.signed` is no key"),
        (LATENTS | {"path": "layer"}, "it names a folder below `folder`"),
        (LATENTS | {"path": "../layer_{layer}"}, "it names a folder below `folder`"),
        (LATENTS | {"path": "/saes/{layer}"}, "it names a folder below `folder`"),
        (LATENTS | {"path": "a/../../{layer}"}, "it names a folder below `folder`"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, units: Any, said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        study_of(tmp_path, units)


def test_rules_are_no_model_to_be_listened_to(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="`planted` has no inner place"):
        study_of(tmp_path, DIRECTIONS, subject={"provider": "planted", "n_layers": 1, "n_neurons": 20})


def test_units_are_ingredients_of_what_is_harvested_and_files_count_by_content(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_directions(tmp_path)
    study = study_of(tmp_path, DIRECTIONS)
    others = [study_of(tmp_path, units) for units in (None, {"signed": True}, DIRECTIONS | {"at": "mlp_output"})]

    made = [lineages(each)["activations"] for each in (study, *others)]
    assert len(set(made)) == 4
    assert len({lineages(each)["excerpts"] for each in (study, *others)}) == 1
    (tmp_path / "studies" / "tiny" / FILE).rename(tmp_path / "studies" / "tiny" / "other.safetensors")
    renamed = study_of(tmp_path, DIRECTIONS | {"file": "other.safetensors"})
    assert (lineages(renamed), units_digest(renamed)) == (lineages(study), units_digest(renamed))
    before = units_digest(renamed)
    write_directions(tmp_path, seed=1)
    assert units_digest(study) not in {before, None}


def made_runs(root: Path, units: Any, layers: tuple[int, ...]) -> list[Run]:
    """Materializes these layers; gives the runs that were needed."""
    project, study = make_project(root, units=units)
    runs: list[Run] = []
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, layers), instance, table_resources(project.tables, project.requests), runs.append)
    return runs


def table(root: Path, name: str, layer: str) -> pl.DataFrame:
    return pl.read_parquet(root / "data" / "tiny" / name / f"{layer}.parquet")


@pytest.mark.slow
def test_directions_go_all_the_way_to_scores_and_a_changed_file_makes_them_anew(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_directions(tmp_path)

    made_runs(tmp_path, DIRECTIONS, (1, 2))

    assert table(tmp_path, "neuron_statistics", "L02")["neuron_index"].to_list() == [0, 1, 2, 3, 4]
    scores = table(tmp_path, "scores", "L02").filter(pl.col("scorer") == "simulation")
    assert scores["ev_correlation"].drop_nulls().len() > 0
    path = tmp_path / "data" / "tiny" / "activations" / "L02.parquet"
    facts, before = read_facts(UPath(path)), path.read_bytes()
    assert facts.notes["units"] == units_digest(study_of(tmp_path, DIRECTIONS))
    assert facts.notes["subject"] == "bundled, directions at residual"

    assert made_runs(tmp_path, DIRECTIONS, (1, 2)) == []
    write_directions(tmp_path, seed=1)
    again = made_runs(tmp_path, DIRECTIONS, (1, 2))

    assert again[0].tables == ("activations", "neuron_statistics")
    assert path.read_bytes() != before
    assert made_runs(tmp_path, DIRECTIONS, (1, 2)) == []


@pytest.mark.slow
def test_both_signs_go_all_the_way_to_scores_and_are_shown_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_study(tmp_path, units={"signed": True}, neurons=[131, 899])
    (tmp_path / "dagster_home").mkdir()
    monkeypatch.chdir(tmp_path)
    for variable in ("DAGSTER_HOME", "NEURON_ASSETS_DATA", "NEURON_ASSETS_REQUESTS", "NEURON_ASSETS_STUDIES"):
        monkeypatch.delenv(variable, raising=False)

    made = CliRunner().invoke(main, ["materialize", "tiny", "--layers", "2"], catch_exceptions=False)
    shown = CliRunner().invoke(main, ["show", "tiny", "L2N131-"], catch_exceptions=False)

    assert (made.exit_code, shown.exit_code) == (0, 0), made.output + shown.output
    assert "L2N899, the negative side of L2N131" in shown.output
    assert yaml.safe_load(path.read_text())["units"] == {"signed": True}
    statistics = table(tmp_path, "neuron_statistics", "L02")
    assert statistics.height == 2 * N_NEURONS
    positive, negative = statistics.head(N_NEURONS), statistics.tail(N_NEURONS)
    np.testing.assert_allclose(negative["mean"], -positive["mean"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(negative["variance"], positive["variance"], rtol=1e-4)
    scored = table(tmp_path, "scores", "L02").filter(pl.col("scorer") == "simulation")
    assert set(scored["neuron_index"]) == {131, 899}


@pytest.mark.slow
def test_latents_go_all_the_way_to_scores(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_latents(tmp_path, (2,))

    made_runs(tmp_path, LATENTS, (2,))

    rows = table(tmp_path, "activations", "L02")
    assert rows["neuron_index"].n_unique() == 11
    assert (rows["activations"].explode() >= 0).all()
    assert table(tmp_path, "scores", "L02").filter(pl.col("scorer") == "simulation").height > 0
