"""`neuron-assets gc` in a project that has no tables yet: what is not surely ours, and over, stays."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

# There is no public way to make a backfill without a daemon.
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from neuron_assets.cli import main
from tests.scenario import make_project


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of the current project, with the study `tiny`."""
    project, _tiny = make_project(tmp_path, layers=[1])
    project.dagster_home.mkdir(exist_ok=True)
    monkeypatch.setenv("DAGSTER_HOME", str(project.dagster_home))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES", "NEURON_ASSETS_REQUESTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def instance(root: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(root / "dagster_home")) as instance:
        yield instance


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["gc", *arguments])


def test_assets_of_others_in_the_same_instance_are_no_deleted_studies(root: Path, instance: dg.DagsterInstance) -> None:
    ours = dg.AssetMaterialization(["gone", "scores"], metadata={"content": "0123"})
    others: list[dg.AssetMaterialization | dg.AssetObservation] = [
        dg.AssetMaterialization(["sales", "scores"], metadata={"rows": 3}),
        dg.AssetMaterialization(["gone", "dashboard"], metadata={"content": "x"}),
        dg.AssetObservation(["weather", "corpus"]),
    ]
    for event in (ours, dg.AssetObservation(["gone", "explainer_model"], metadata={"seen": "gpt"}), *others):
        instance.report_runless_asset_event(event)
    result = run("--yes", "--study", "gone")

    assert "  gone: 0 tables, the history of 2 assets\n" in result.output
    assert set(instance.get_asset_keys()) == {event.asset_key for event in others}
    assert not [line for line in result.output.splitlines() if "sales" in line or "weather" in line]
    assert (root / "studies" / "tiny" / "study.yaml").exists()


def test_a_folder_of_studies_that_is_missing_ends_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "data" / "gone" / "scores").mkdir(parents=True)
    monkeypatch.setenv("NEURON_ASSETS_STUDIES", str(root / "not_mounted"))
    result = run("--yes", "--study", "gone")

    assert result.exit_code == 2
    assert f"{root / 'not_mounted'}, named in NEURON_ASSETS_STUDIES, does not exist" in result.output
    assert (root / "data" / "gone" / "scores").exists()


def test_what_a_pass_set_aside_goes_once_its_backfill_is_over(root: Path, instance: dg.DagsterInstance) -> None:
    aside = root / "data" / "tiny" / ".set_aside"
    aside.mkdir(parents=True)
    backfill = PartitionBackfill("running", BulkActionStatus.REQUESTED, False, {}, 0.0)  # noqa: FBT003
    instance.add_backfill(backfill)
    instance.add_backfill(PartitionBackfill("ended", BulkActionStatus.COMPLETED_FAILED, False, {}, 0.0))  # noqa: FBT003
    for name in ("running", "ended", "no-body-knows"):
        (aside / f"{name}-neuron_statistics-L01.parquet").write_bytes(b"x")
        (aside / f"{name}-checkpoint.safetensors").write_bytes(b"x")
    (aside / "mine.parquet").write_bytes(b"x")
    first = run("--yes")
    left = {path.name for path in aside.iterdir()}
    instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]
    second = run("--yes")

    assert "Set aside by forward passes, for runs or backfills that are over: 4 (" in first.output
    assert left == {"running-neuron_statistics-L01.parquet", "running-checkpoint.safetensors", "mine.parquet"}
    assert "backfills that are over: 2 (" in second.output
    assert {path.name for path in aside.iterdir()} == {"mine.parquet"}


def test_where_there_is_no_project_nothing_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "nowhere"))
    result = run("--yes")

    assert result.exit_code == 0
    assert result.output.startswith("There is no project here: ")
    assert not list(tmp_path.iterdir())
