"""Passes that memory, an interruption or a tight batch cut into parts: the same tables, and the metadata tells."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
import pytest
import torch

from neuron_assets.assets import forward_pass
from neuron_assets.assets.forward_pass import OnePass, Speed, log_progress
from neuron_assets.assets.shared_pass import FORWARD
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.subjects.hooked import HookedSubject
from tests.scenario import make_project

pytestmark = pytest.mark.slow

LAYERS = ("L01", "L02", "L03")
ONE_LAYER: dict[str, Any] = {"most_memory_gb": 1e-6}
EVERY_BATCH: dict[str, Any] = {"checkpoint_minutes": 0, "batch_size": 16}


class World:
    """A project whose excerpts are there."""

    def __init__(self, project: Project, study: Study, instance: dg.DagsterInstance) -> None:
        self.project, self.study, self.instance = project, study, instance
        self.assets: Any = build_study(study).assets
        self.folder = study.folder.parents[1] / "data" / study.name
        self.run("excerpts", raises=True)

    def run(self, *tables: str, raises: bool = False, **speed: Any) -> bool:
        first, last = (
            ("dagster/asset_partition_range_start", LAYERS[0]),
            ("dagster/asset_partition_range_end", LAYERS[-1]),
        )
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        ops = {"ops": {f"{self.study.name}__activations": {"config": speed}}} if speed else {}
        return dg.materialize(
            self.assets,
            selection=dg.AssetSelection.assets(*(asset_key(self.study, table) for table in tables)),
            instance=self.instance,
            resources=table_resources(self.project.tables, self.project.requests),
            tags=dict([first, last]) if tables == FORWARD else {},
            run_config=quiet | ops,
            raise_on_error=raises,
        ).success

    def told(self, layer: str) -> dict[str, Any]:
        records = dg.AssetRecordsFilter(asset_key=asset_key(self.study, FORWARD[0]), asset_partitions=[layer])
        made = self.instance.fetch_materializations(records, limit=1).records[0].asset_materialization
        assert made is not None
        return {name: value.value for name, value in made.metadata.items()}

    def files(self) -> dict[str, bytes]:
        return {
            f"{table}/{layer}": (self.folder / table / f"{layer}.parquet").read_bytes()
            for table in FORWARD
            for layer in LAYERS
        }

    def aside(self) -> list[str]:
        folder = self.folder / ".set_aside"
        return sorted(path.name[37:] for path in folder.iterdir()) if folder.exists() else []  # without the run's id


@pytest.fixture
def world(tmp_path: Any) -> Iterator[World]:
    project, study = make_project(tmp_path)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        yield World(project, study, instance)


class NoMoreError(Exception):
    """Stands for whatever ends a run."""


def test_passes_that_are_cut_and_broken_off_give_the_tables_of_one_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.run(*FORWARD, raises=True, batch_size=16)
    whole, told_of_one = world.files(), world.told("L02")
    n_runs, run = 0, HookedSubject.run

    def run_some(subject: HookedSubject, token_ids: Any, layers: Sequence[int], receive: Any) -> None:
        nonlocal n_runs
        n_runs += list(layers) == [2]
        if n_runs == 3:
            raise NoMoreError
        run(subject, token_ids, layers, receive)

    with monkeypatch.context() as patched:
        patched.setattr(HookedSubject, "run", run_some)
        broke_off = not world.run(*FORWARD, **ONE_LAYER, **EVERY_BATCH)
    left = world.aside()
    assert world.run(*FORWARD, **ONE_LAYER, **EVERY_BATCH)
    told = {layer: world.told(layer) for layer in LAYERS}

    assert (told_of_one["passes"], told_of_one["layers_of_the_pass"], told_of_one["batch_size"]) == (1, 3, 16)
    assert broke_off
    assert left == ["activations-L01.parquet", "checkpoint.safetensors", "neuron_statistics-L01.parquet"]
    assert [told[layer]["forward_passes"] for layer in LAYERS] == [0, 1, 1]
    assert [told[layer]["layers_of_the_pass"] for layer in LAYERS] == [1, 1, 1]
    assert told["L01"]["passes"] == 3
    assert [told[layer].get("resumed_at_excerpt") for layer in LAYERS] == [None, 30, None]  # train's 16 + 14
    assert world.files() == whole
    assert world.aside() == []


def test_with_another_memory_limit_the_layers_are_cut_anew(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    n_runs, run = 0, HookedSubject.run

    def run_some(subject: HookedSubject, token_ids: Any, layers: Sequence[int], receive: Any) -> None:
        nonlocal n_runs
        n_runs += len(layers) == 3
        if n_runs == 3:
            raise NoMoreError
        run(subject, token_ids, layers, receive)

    with monkeypatch.context() as patched:
        patched.setattr(HookedSubject, "run", run_some)
        broke_off = not world.run(*FORWARD, **EVERY_BATCH)
    left = world.aside()
    assert world.run(*FORWARD, **ONE_LAYER, **EVERY_BATCH)

    assert broke_off
    assert left == ["checkpoint.safetensors"]
    assert [world.told(layer)["layers_of_the_pass"] for layer in LAYERS] == [1, 1, 1]
    assert "resumed_at_excerpt" not in world.told(LAYERS[0])


def test_a_batch_that_was_too_large_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run = HookedSubject.run

    def run_few(subject: HookedSubject, token_ids: Any, layers: Sequence[int], receive: Any) -> None:
        if len(token_ids) > 20:
            raise torch.OutOfMemoryError("too much")
        run(subject, token_ids, layers, receive)

    monkeypatch.setattr(HookedSubject, "run", run_few)
    world.run(*FORWARD, raises=True)
    told = world.told("L03")

    assert (told["batch_size"], told["batch_size_lowered_from"], told["forward_passes"]) == (16, 32, 1)


def test_the_log_tells_of_each_tenth_and_each_minute(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = ((0, 100), (1, 110), (30, 190), (40, 220), (59, 230), (61, 231), (101, 240), (105, 1000))
    seconds = [float(second) for second, _done in moments]
    on_progress = log_progress(logging.getLogger(__name__), OnePass((0, 1, 2), 2, 4))
    monkeypatch.setattr("time.monotonic", lambda: seconds.pop(0))
    with caplog.at_level(logging.INFO):
        for _second, done in moments:
            on_progress(done, 1000)

    assert caplog.messages == [
        "220 of 1000 excerpts, 3 a second, 0:04:20 left: 3 layers, L0 to L2, pass 2 of 4",
        "240 of 1000 excerpts, 1 a second, 0:09:08 left: 3 layers, L0 to L2, pass 2 of 4",
        "1000 of 1000 excerpts, 9 a second, 0:00:00 left: 3 layers, L0 to L2, pass 2 of 4",
    ]


def test_a_pass_finds_its_batch_by_itself_and_sets_down_every_five_minutes() -> None:
    assert (Speed().batch_size, Speed().checkpoint_minutes, Speed().most_memory_gb) == (None, 5, None)
    assert forward_pass.OnePass((7,), 1, 1).__str__() == "L7"
