"""A model of one's own, in a folder, goes the whole way that the bundled one goes."""

import shutil
from pathlib import Path

import dagster as dg
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner, Result
from dagster._core.definitions.data_version import CachingStaleStatusResolver  # what the UI asks
from dagster._core.loader import LoadingContextForTest
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file

from neuron_assets.cli import main
from neuron_assets.definitions import build_definitions
from neuron_assets.project import Project
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
    tables, model = home / "data/mine", home / "studies/mine/llama"
    peaks = _peaks(tables)
    shown = run("show", "mine", f"model.layers.1.mlp.down_proj[{_explained(tables)}]")

    assert "one forward pass" in first.output
    assert len(peaks) % 48 == 0
    assert pl.read_parquet(tables / "scores")["ev_correlation"].is_not_null().any()
    assert f"L1N{_explained(tables)}" in shown.output
    assert "subject: llama;" in _described(home)
    assert _outdated(home) == []

    shutil.move(model, home / "elsewhere")
    write_study(home, "mine", subject={"model": "../../elsewhere", "dtype": "float32"}, neurons={"per_layer": 2})

    assert "forward pass" not in run("materialize", "mine").output

    _double(home / "elsewhere/model.safetensors", "up_proj")
    excerpts = (tables / "excerpts.parquet").stat().st_mtime_ns

    assert {"activations", "neuron_statistics"} <= set(_outdated(home))
    assert "activations, neuron_statistics of L0 to L1: one forward pass" in run("materialize", "mine").output
    assert (tables / "excerpts.parquet").stat().st_mtime_ns == excerpts
    np.testing.assert_allclose(_peaks(tables), 2 * peaks, rtol=1e-4, atol=1e-4)


def _double(weights: Path, part: str) -> None:
    changed = {name: weight * 2 if part in name else weight for name, weight in load_file(weights).items()}
    save_file(changed, weights, metadata={"format": "pt"})


def _peaks(tables: Path) -> NDArray[np.float32]:
    """Of all exemplars of the first layer, ascending."""
    return np.sort(pl.read_parquet(tables / "activations/L00.parquet")["peak"].to_numpy())


def _outdated(home: Path) -> list[str]:
    """What the Dagster UI marks in the first layer, once it has looked at the subject."""
    definitions = build_definitions(Project.from_environment({}, home))
    look = dg.define_asset_job("look", dg.AssetSelection.assets(["mine", "subject_model"]))
    job = dg.Definitions.merge(definitions, dg.Definitions(jobs=[look])).resolve_job_def("look")
    graph = definitions.get_repository_def().asset_graph
    with dg.DagsterInstance.local_temp(str(home / "dagster_home")) as instance:
        assert job.execute_in_process(instance=instance).success
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        keys = [dg.AssetKey(["mine", table]) for table in ("excerpts", "activations", "neuron_statistics")]
        layers = {key: "L00" if graph.get(key).is_partitioned else None for key in keys}
        return [key.path[-1] for key in keys if resolver.get_status(key, layers[key]).value == "STALE"]


def _described(home: Path) -> str:
    graph = build_definitions(Project.from_environment({}, home)).resolve_asset_graph()
    return str(graph.get(dg.AssetKey(["mine", "scores"])).description)


def _explained(tables: Path) -> int:
    return int(pl.read_parquet(tables / "explanations/L01.parquet")["neuron_index"].min())  # type: ignore[arg-type]
