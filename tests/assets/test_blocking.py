"""What a failed check stops, and what it does not: in runs, at the next call, and when a table is read."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from click.testing import CliRunner

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.cli import main
from neuron_assets.errors import CheckFailed, InvalidTable
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study, read_study
from neuron_assets.tables.explained import candidates_frame
from tests.scenario import make_project, write_study
from tests.served_tables import ENDING

pytestmark = pytest.mark.slow

NEURONS = (0, 1, 2)
BAD, GOOD = (1, 2)
"""The layer whose new explanations nobody can read, and the one beside it."""
READABLE = 'Activates on " file" (8). Otherwise about 0.'
WRITTEN = {"provider": "written", "file": "texts.yaml"}
TEXTS = {f"L{BAD}N{neuron}": "something about files" for neuron in NEURONS} | {
    f"L{GOOD}N{neuron}": READABLE for neuron in NEURONS
}


@dataclass
class World:
    root: Path
    instance: dg.DagsterInstance
    runs: list[Run] = field(default_factory=list)

    def write(self, **changes: Any) -> Study:
        path = write_study(self.root, neurons=list(NEURONS), layers=[BAD, GOOD], **changes)
        (path.parent / "texts.yaml").write_text(yaml.safe_dump(TEXTS), encoding="utf-8")
        return read_study(path)

    @property
    def project(self) -> Project:
        return Project.from_environment({}, self.root)

    @property
    def resources(self) -> Any:
        return table_resources(self.project.tables, self.project.requests)

    def make(self, study: Study) -> list[tuple[str, ...]]:
        """The tables of each run that was made, or begun."""
        self.runs.clear()
        materialize(Wanted(study, study.layer_indices), self.instance, self.resources, self.runs.append)
        return [run.tables for run in self.runs]

    def file(self, table: str, layer: int | None) -> Path:
        name = f"{table}.parquet" if layer is None else f"{table}/L0{layer}.parquet"
        return Path(self.project.tables) / "tiny" / name

    def checks(self, table: str, name: str, layer: int) -> list[Any]:
        """How the check went for the layer where it was evaluated, the newest first."""
        key = dg.AssetCheckKey(dg.AssetKey(["tiny", table]), name)
        history = self.instance.event_log_storage.get_asset_check_execution_history(key, limit=50)
        return [record for record in history if record.partition == f"L0{layer}" and record.status.value != "PLANNED"]


@contextmanager
def opened(root: Path) -> Iterator[World]:
    with dg.DagsterInstance.local_temp(str(root / "dagster_home")) as instance:
        yield World(root, instance)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers explained by rules, and made again with explanations that cannot be read in one of them."""
    root = tmp_path_factory.mktemp("world")
    make_project(root)
    with opened(root) as world:
        world.make(world.write())
        shutil.copy(world.file("scores", BAD), root / "scores_before.parquet")
        with pytest.raises(CheckFailed):
            world.make(world.write(explainer=WRITTEN))
    return root


@pytest.fixture
def world(made: Path, tmp_path: Path) -> Iterator[World]:
    """A copy of its own, as it is after that."""
    shutil.copytree(made, tmp_path / "own")
    with opened(tmp_path / "own") as world:
        yield world


def test_a_check_that_blocks_leaves_its_table_and_what_was_below_it(world: World) -> None:
    simulations = pl.read_parquet(world.file("simulations", BAD))

    assert simulations["failure"].null_count() == 0
    assert [record.status.value for record in world.checks("simulations", "failures", BAD)] == ["FAILED", "SUCCEEDED"]
    assert world.file("scores", BAD).read_bytes() == (world.root / "scores_before.parquet").read_bytes()


def test_a_check_that_fails_in_one_layer_stops_no_other(world: World) -> None:
    assert [record.status.value for record in world.checks("simulations", "failures", GOOD)] == ["SUCCEEDED"] * 2
    assert set(pl.read_parquet(world.file("scores", GOOD))["explainer"]) != set(
        pl.read_parquet(world.file("scores", BAD))["explainer"]
    )


def test_the_next_call_makes_the_table_again_and_nothing_below_it_and_says_why(world: World) -> None:
    with pytest.raises(CheckFailed) as caught:
        world.make(world.write(explainer=WRITTEN))

    assert [run.tables[0] for run in world.runs if run.first_layer] == ["simulations"]
    assert len(world.checks("scores", "complete", BAD)) == 1
    for word in ("tiny", "simulations of L01", "`failures`", "limit 50%", "neuron 0 candidate 0", "most_failures"):
        assert word in str(caught.value)
    assert caught.value.__notes__ == ["1 of 2 layers failed; the others were gone on with."]


def test_a_warning_stops_nothing(world: World) -> None:
    """The one text does worse than what rules found before."""
    newest, first = world.checks("scores", "not_dropped", GOOD)

    assert (first.status.value, newest.status.value) == ("SUCCEEDED", "FAILED")
    assert newest.evaluation.severity is dg.AssetCheckSeverity.WARN
    assert set(pl.read_parquet(world.file("layer_summary", None))["author"]) > {"written"}


def test_a_limit_that_is_raised_lets_the_layer_go_on(world: World) -> None:
    study = world.write(explainer=WRITTEN, checks={"most_failures": 1.0})
    runs = world.make(study)

    assert runs == [("simulations", "scores"), ENDING]
    assert world.file("scores", BAD).read_bytes() != (world.root / "scores_before.parquet").read_bytes()
    assert world.make(study) == []


def test_what_a_check_blocks_is_not_read_in_a_run_of_its_own_either(world: World) -> None:
    study = world.write(explainer=WRITTEN)
    assets: Any = build_study(study).assets
    selection = dg.AssetSelection.assets(asset_key(study, "scores"))

    with pytest.raises(CheckFailed, match=r"simulations of L01 .* `failures`"):
        dg.materialize(
            assets, selection=selection, instance=world.instance, partition_key="L01", resources=world.resources
        )


def test_a_table_that_breaks_its_schema_is_not_written_and_its_check_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def doubled(*arguments: Any, **named: Any) -> pl.DataFrame:
        return pl.concat([candidates_frame(*arguments, **named)] * 2)

    study = world.write(explainer=WRITTEN)
    before = world.file("candidates", GOOD).read_bytes()
    monkeypatch.setattr("neuron_assets.assets.candidates.candidates_frame", doubled)
    assets: Any = build_study(study).assets
    selection = dg.AssetSelection.assets(asset_key(study, "candidates"))

    with pytest.raises(InvalidTable, match="L02 12 rows share their key"):
        dg.materialize(
            assets, selection=selection, instance=world.instance, partition_key="L02", resources=world.resources
        )
    assert world.file("candidates", GOOD).read_bytes() == before
    assert [record.status.value for record in world.checks("candidates", "schema", GOOD)] == ["FAILED"] + [
        "SUCCEEDED"
    ] * 2
    assert len(world.checks("candidates", "complete", GOOD)) == 2


def test_the_command_line_says_what_failed_and_how_many_layers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(explainer=WRITTEN)
    monkeypatch.chdir(world.root)
    for name in ("DAGSTER_HOME", "NEURON_ASSETS_STUDIES", "NEURON_ASSETS_DATA", "NEURON_ASSETS_REQUESTS"):
        monkeypatch.delenv(name, raising=False)

    done = CliRunner().invoke(main, ["materialize", "tiny"])

    assert done.exit_code == 1
    assert "Error: tiny: the table simulations of L01" in done.output
    assert "1 of 2 layers failed" in done.output
    assert "Traceback" not in done.output
