"""A model of one's own, in a folder, goes the whole way that the bundled one goes."""

import shutil
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file
from upath import UPath

from neuron_assets.cli import main
from neuron_assets.definitions import build_definitions
from neuron_assets.project import Project
from neuron_assets.tables.parquet import read_facts
from tests.scenario import DOCUMENTS, write_study
from tests.subjects.small_models import byte_level, small_config, small_model, write_model

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_study(tmp_path, "mine", subject="./llama", neurons={"per_layer": 2})
    tokenizer = byte_level(beginning=True, texts=list(DOCUMENTS.values()))
    write_model(tmp_path / "studies/mine/llama", small_model(small_config("llama")), tokenizer)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster_home"))
    for variable in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "dagster_home").mkdir()
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result


def test_a_llama_in_a_folder_goes_from_text_to_scores_and_is_known_by_its_contents(home: Path) -> None:
    first = run("materialize", "mine")
    tables = home / "data/mine"
    peaks = pl.read_parquet(tables / "activations/L00.parquet")
    shown = run("show", "mine", f"model.layers.1.mlp.down_proj[{_explained(tables)}]")

    assert "one forward pass" in first.output
    assert (peaks["neuron_index"].n_unique(), peaks["layer_index"].n_unique()) == (48, 1)
    assert pl.read_parquet(tables / "scores")["ev_correlation"].is_not_null().any()
    assert f"L1N{_explained(tables)}" in shown.output
    graph = build_definitions(Project.from_environment({}, home)).resolve_asset_graph()
    assert "subject: llama;" in str(graph.get(dg.AssetKey(["mine", "scores"])).description)

    shutil.move(home / "studies/mine/llama", home / "elsewhere")
    write_study(home, "mine", subject={"model": "../../elsewhere", "dtype": "float32"}, neurons={"per_layer": 2})

    assert "forward pass" not in run("materialize", "mine").output

    weights = home / "elsewhere/model.safetensors"
    doubled = {name: weight * 2 if "up_proj" in name else weight for name, weight in load_file(weights).items()}
    save_file(doubled, weights, metadata={"format": "pt"})
    before = read_facts(UPath(tables / "activations/L00.parquet")).notes["subject_files"]
    excerpts = (tables / "excerpts.parquet").stat().st_mtime_ns

    assert "activations, neuron_statistics of L0 to L1: one forward pass" in run("materialize", "mine").output
    assert read_facts(UPath(tables / "activations/L00.parquet")).notes["subject_files"] != before
    assert (tables / "excerpts.parquet").stat().st_mtime_ns == excerpts
    changed = pl.read_parquet(tables / "activations/L00.parquet")
    torch.testing.assert_close(
        torch.from_numpy(changed["peak"].sort().to_numpy().copy()),
        torch.from_numpy(peaks["peak"].sort().to_numpy() * 2),
        rtol=1e-4,
        atol=1e-4,
    )


def _explained(tables: Path) -> int:
    return int(pl.read_parquet(tables / "explanations/L01.parquet")["neuron_index"].min())  # type: ignore[arg-type]
