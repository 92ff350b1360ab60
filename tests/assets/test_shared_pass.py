"""The runs of one backfill share a forward pass: what is set aside, taken over, left alone and removed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from upath import UPath

from neuron_assets.assets.shared_pass import FORWARD, SharedPass
from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.definitions import build_definitions
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.scenario import make_project

pytestmark = pytest.mark.slow

SCATTERED = ("L01", "L03", "L05")


@dataclass(frozen=True)
class Backfilled:
    """A project whose excerpts are there, and backfills of its forward pass."""

    project: Project
    study: Study
    instance: dg.DagsterInstance

    def begin(self, backfill_id: str) -> None:
        """What the daemon notes of a backfill when it is launched."""
        backfill = PartitionBackfill.from_asset_partitions(
            backfill_id=backfill_id,
            asset_graph=build_definitions(self.project).resolve_asset_graph(),
            partition_names=SCATTERED,
            asset_selection=[asset_key(self.study, table) for table in FORWARD],
            backfill_timestamp=time.time(),
            tags={},
            dynamic_partitions_store=self.instance,
            all_partitions=False,
            title=None,
            description=None,
            run_config=None,
        )
        self.instance.add_backfill(backfill)

    def end(self, backfill_id: str) -> None:
        """What the daemon notes once it was cancelled."""
        backfill = self.instance.get_backfill(backfill_id)
        assert backfill is not None
        self.instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))  # type: ignore[no-untyped-call]

    def run(self, *tables: str, layer: str | None = None, backfill: str | None = None) -> None:
        assets: Any = build_study(self.study).assets
        dg.materialize(
            assets,
            selection=dg.AssetSelection.assets(*(asset_key(self.study, table) for table in tables)),
            instance=self.instance,
            partition_key=layer,
            resources=table_resources(self.project.tables, self.project.requests),
            tags={"dagster/backfill": backfill} if backfill else {},
        )

    def passes(self, layer: str) -> tuple[Any, Any]:
        """How many passes the layer's last run made, and for how many layers the pass was."""
        records = dg.AssetRecordsFilter(asset_key=asset_key(self.study, FORWARD[0]), asset_partitions=[layer])
        made = self.instance.fetch_materializations(records, limit=1).records[0].asset_materialization
        assert made is not None
        return made.metadata["forward_passes"].value, made.metadata["layers_of_the_pass"].value

    def lying_aside(self) -> set[str]:
        return {path.name for path in self.folder.rglob("*") if path.is_file()}

    @property
    def folder(self) -> Path:
        return Path(self.project.tables) / self.study.name / ".set_aside"

    def content(self, layer: str) -> list[bytes]:
        folder = Path(self.project.tables) / self.study.name
        return [(folder / table / f"{layer}.parquet").read_bytes() for table in FORWARD]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Backfilled]:
    project, study = make_project(tmp_path)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        made = Backfilled(project, study, instance)
        made.run("excerpts")
        yield made


def aside(backfill: str, *layers: str) -> set[str]:
    return {f"{backfill}-{table}-{layer}.parquet" for table in FORWARD for layer in layers}


def test_scattered_layers_of_a_backfill_take_one_pass_and_nothing_stays_aside(world: Backfilled) -> None:
    world.begin("one")
    left = []
    for layer in SCATTERED:
        world.run(*FORWARD, layer=layer, backfill="one")
        left.append(world.lying_aside())
    shared = [world.content(layer) for layer in SCATTERED]
    passes = [world.passes(layer) for layer in SCATTERED]
    world.run(*FORWARD, layer="L05")

    assert left == [aside("one", "L03", "L05"), aside("one", "L05"), set()]
    assert passes == [(1, 3), (0, 3), (0, 3)]
    assert world.passes("L05") == (1, 1)
    assert shared[2] == world.content("L05")


def _cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize("harm", [Path.unlink, _cut_short])
def test_a_layer_of_which_nothing_whole_lies_aside_takes_a_pass_of_its_own(
    world: Backfilled, harm: Callable[[Path], None]
) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    harm(world.folder / "one-neuron_statistics-L03.parquet")
    world.run(*FORWARD, layer="L03", backfill="one")

    assert world.passes("L03") == (1, 1)
    assert world.lying_aside() == aside("one", "L05")


def test_what_was_made_from_other_excerpts_is_not_taken_over(world: Backfilled) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    text = world.study.folder / "texts" / "00.txt"
    text.write_text(text.read_text(encoding="utf-8").replace("file", "folder"), encoding="utf-8")
    world.run("excerpts")
    world.run(*FORWARD, layer="L03", backfill="one")

    assert world.passes("L03") == (1, 2)


def test_what_another_backfill_still_wants_stays_aside(world: Backfilled) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    world.run(*FORWARD, layer="L03")

    assert world.passes("L03") == (1, 1)
    assert world.lying_aside() == aside("one", "L03", "L05")


def test_what_a_backfill_left_that_is_over_is_taken_over_by_whoever_comes_next(world: Backfilled) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    world.end("one")
    world.run(*FORWARD, layer="L03")
    left = world.lying_aside()
    world.run(*FORWARD, layer="L05")

    assert (world.passes("L03"), world.passes("L05")) == ((0, 3), (0, 3))
    assert sorted(name.rpartition("-")[2] for name in left) == ["L05.parquet"] * 2
    assert world.lying_aside() == set()


def test_what_a_run_had_begun_to_write_is_removed_once_it_is_over(world: Backfilled) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    begun = [".one-checkpoint.safetensors.0123abcd.partial", ".one-activations-L03.parquet.0123abcd.partial"]
    for name in begun:
        (world.folder / name).write_bytes(b"begun")
    world.run(*FORWARD, layer="L03", backfill="two")
    under_way = world.lying_aside()
    world.end("one")
    world.run(*FORWARD, layer="L03")

    assert {*begun} < under_way
    assert not {*begun} & world.lying_aside()


def test_what_another_run_claims_first_is_left_to_it(world: Backfilled, monkeypatch: pytest.MonkeyPatch) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    world.end("one")
    kind = type(UPath(world.folder))
    rename = kind.rename

    def come_too_late(path: UPath, target: UPath) -> UPath:
        if path.name.startswith("one-"):
            path.unlink()
        return rename(path, target)

    monkeypatch.setattr(kind, "rename", come_too_late)
    world.run(*FORWARD, layer="L03")

    assert world.passes("L03") == (1, 1)
    assert world.lying_aside() == set()


def test_a_run_that_belongs_to_no_known_backfill_harvests_its_own_layers(world: Backfilled) -> None:
    world.run(*FORWARD, layer="L01", backfill="forgotten")

    assert world.passes("L01") == (1, 1)
    assert world.lying_aside() == set()


def test_a_write_that_fails_after_taking_over_leaves_the_layer_aside(
    world: Backfilled, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.begin("one")
    world.run(*FORWARD, layer="L01", backfill="one")
    before = world.lying_aside()
    (Path(world.project.tables) / world.study.name / "neuron_statistics" / "L03.parquet").mkdir()
    monkeypatch.setattr(SharedPass, "others", None)  # no pass is made

    with pytest.raises(Exception, match=r"L03\.parquet could not be written"):
        world.run(*FORWARD, layer="L03", backfill="one")
    assert world.lying_aside() == before
