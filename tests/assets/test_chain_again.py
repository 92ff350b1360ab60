"""The whole chain through Dagster once more: what stands, what is made again, and what is refused."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.checks import OF_TABLE
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study
from neuron_assets.errors import ChangedInput, ForeignLineage, UnreadableTable
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study, read_study
from neuron_assets.tables.store import TableStore
from tests.assets.chain_world import World, made_in, make, metadata, opened, read, resources_of
from tests.scenario import write_study

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_in(tmp_path_factory.mktemp("world"))


@pytest.fixture
def own_world(made: Path, tmp_path: Path) -> Iterator[World]:
    """A copy that a test may harm."""
    shutil.copytree(made, tmp_path / "own")
    with opened(tmp_path / "own") as world:
        yield world


def test_a_table_without_layers_has_its_checks_without_layers_also_in_a_run_of_one_layer(own_world: World) -> None:
    project, study, instance = own_world
    TableStore.at(project.tables).path("tiny", "excerpts").unlink()
    runs: list[Run] = []
    materialize(Wanted(study, (1,)), instance, resources_of(project), runs.append)

    assert [run.tables[0] for run in runs] == ["excerpts"]
    for name in OF_TABLE["excerpts"]:
        key = dg.AssetCheckKey(asset_key(study, "excerpts"), name)
        history = instance.event_log_storage.get_asset_check_execution_history(key, limit=20)

        assert [(record.partition, record.status.value) for record in history] == [(None, "SUCCEEDED")] * 2


def test_who_explains_is_looked_up_once_a_call(own_world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[str] = []
    look_up = RequestDesk.explainer

    def counted(desk: RequestDesk, study: Study) -> str:
        looked_up.append(study.name)
        return look_up(desk, study)

    monkeypatch.setattr(RequestDesk, "explainer", counted)

    assert make(*own_world) == []
    assert looked_up == ["tiny"]


def test_what_stands_is_not_made_again(own_world: World) -> None:
    assert make(*own_world) == []


def test_more_neurons_keep_the_explanations_that_are_there(own_world: World) -> None:
    before = read(own_world, "explanations", "L02")
    runs = make(*own_world, neurons=5)
    after = read(own_world, "explanations", "L02")

    assert [run.tables[0] for run in runs] == ["explanations", "explanations", "explanations", "layer_summary"]
    assert after.height == 5
    assert before.equals(after.filter(pl.col("neuron_index").is_in(before["neuron_index"].to_list())))
    assert tuple(
        metadata(own_world[2], own_world[1], "explanations", "L02")[key] for key in ("kept", "explained_now")
    ) == (3, 2)


def test_a_changed_explainer_changes_only_what_hangs_on_it(own_world: World) -> None:
    project, _, instance = own_world
    root = Path(project.tables).parent
    study = read_study(write_study(root, explainer={"provider": "rules", "n_rules": 2}))

    runs = make(project, study, instance)

    assert [run.tables[0] for run in runs] == ["explanations"] * 3 + ["layer_summary"]


def test_a_changed_text_is_noticed_and_makes_everything_anew(own_world: World) -> None:
    folder = Path(own_world[0].tables).parent / "studies" / "tiny" / "texts"
    (folder / "new.txt").write_text("A new document about sockets and files. " * 20, encoding="utf-8")

    runs = make(*own_world)

    assert [run.tables[0] for run in runs] == ["excerpts"] + ["explanations"] * 3 + ["layer_summary"]
    assert make(*own_world) == []


def run_one(world: World, study: Study, table: str) -> None:
    selection = dg.AssetSelection.assets(asset_key(study, table))
    assets: Any = build_study(study).assets
    dg.materialize(
        assets, selection=selection, instance=world[2], partition_key="L02", resources=resources_of(world[0])
    )


def test_upstream_of_another_lineage_is_refused(own_world: World) -> None:
    root = Path(own_world[0].tables).parent
    changed = read_study(write_study(root, explainer={"provider": "rules", "n_rules": 2}))

    with pytest.raises(ForeignLineage):
        run_one(own_world, changed, "candidates")


def test_upstream_made_from_content_that_has_changed_is_refused(own_world: World) -> None:
    make(*own_world, neurons=5)
    store = TableStore.at(own_world[0].tables)
    old = store.path("tiny", "candidates", "L02")
    kept = old.read_bytes()
    make(*own_world, neurons=7)
    old.write_bytes(kept)

    with pytest.raises(ChangedInput):
        run_one(own_world, own_world[1], "simulations")


def test_truncated_scores_are_named_and_never_left_out_of_the_summary(
    own_world: World, caplog: pytest.LogCaptureFixture
) -> None:
    project, study, instance = own_world
    store = TableStore.at(project.tables)
    path = store.path("tiny", "scores", "L02")
    path.write_bytes(path.read_bytes()[:100])
    store.path("tiny", "layer_summary").unlink()

    with pytest.raises(UnreadableTable, match=r"L02\.parquet is not a table of this package, or is damaged"):
        materialize(Wanted(study, (1,)), instance, resources_of(project), lambda _run: None)
    assert [run.tables[0] for run in make(*own_world)] == ["scores", "layer_summary"]
    assert "L02.parquet is not a table of this package, or is damaged" in caplog.text
    assert set(read(own_world, "layer_summary")["layer_index"]) == {1, 2, 3}


def test_a_truncated_upstream_file_is_refused_and_made_anew(own_world: World) -> None:
    path = TableStore.at(own_world[0].tables).path("tiny", "candidates", "L02")
    path.write_bytes(path.read_bytes()[:100])

    with pytest.raises(UnreadableTable):
        run_one(own_world, own_world[1], "simulations")
    assert [run.tables[0] for run in make(*own_world)] == ["candidates"]
    assert make(*own_world) == []
