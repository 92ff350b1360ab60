"""`neuron-assets gc`: it tells, asks, and removes what nobody needs, and nothing else."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

import dagster as dg
import polars as pl
import pytest
from click.testing import CliRunner, Result
from upath import UPath

from neuron_assets.abandoned_runs import process_tags
from neuron_assets.assets.study_component import table_resources
from neuron_assets.cli import main
from neuron_assets.collecting import find_garbage, remove_garbage
from neuron_assets.project import BUNDLED_STUDIES, Project
from neuron_assets.running import Wanted, materialize
from neuron_assets.study import read_study
from tests.scenario import assets_of, make_project, write_study

pytestmark = pytest.mark.slow

N_ASSETS = len(assets_of(read_study(BUNDLED_STUDIES / "planted" / "study.yaml")))
"""Of any study that asks no model: each of them has a history once it was materialized."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose studies `tiny` and `gone` were materialized, `tiny` twice; `gone` was deleted then."""
    root = tmp_path_factory.mktemp("made")
    project, tiny = make_project(root, layers=[1])
    gone = read_study(write_study(root, "gone", layers=[1]))
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        for wanted in (Wanted(tiny, (1,)), Wanted(gone, (1,)), Wanted(tiny, (1,), 5)):
            materialize(wanted, instance, resources, lambda _run: None)
    shutil.rmtree(root / "studies" / "gone")
    aside = root / "data" / "gone" / ".set_aside"
    aside.mkdir(exist_ok=True)
    shutil.copy(root / "data" / "gone" / "activations" / "L01.parquet", aside / "backfill-activations-L01.parquet")
    (root / "data" / "requests.sqlite").write_bytes(b"answers")
    return root


@pytest.fixture
def root(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, which is the current project."""
    shutil.copytree(made, tmp_path / "own")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "own" / "dagster_home"))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES", "NEURON_ASSETS_REQUESTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "own"


@pytest.fixture
def instance(root: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(root / "dagster_home")) as instance:
        yield instance


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(main, ["gc", *arguments], input=answer)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def metadata(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Of the newest explanations of layer 1."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(["tiny", "explanations"]), asset_partitions=["L01"])
    (record,) = instance.fetch_materializations(wanted, limit=1).records
    assert record.asset_materialization is not None
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def test_what_is_found_is_told_and_nothing_goes_without_a_yes(root: Path) -> None:
    before = {name: (root / "data" / name).read_bytes() for name in files(root / "data")}
    results = [run("--days", "0", answer="n\n"), run("--days", "0", "--dry-run"), run("--days", "0")]

    assert [result.exit_code for result in results] == [0, 0, 1]  # the last was asked, and had nobody to answer
    for result in results:
        assert f"Looked for among the bundled ones, and in:\n  {root / 'studies'}" in result.output
        assert "NEURON_ASSETS_STUDIES names no other folder" in result.output
        assert f"They left, below {root / 'data'}:" in result.output
        assert "  gone: 12 tables (" in result.output
        assert f"the history of {N_ASSETS} assets" in result.output
        assert "Runs that ended more than 0 days ago, and that no latest result is from: 4 (" in result.output
        assert "tiny" not in result.output.replace(str(root), "")
        assert "Removed." not in result.output
    assert {name: (root / "data" / name).read_bytes() for name in files(root / "data")} == before
    assert run("--days", "0", "--dry-run").output == results[1].output


def test_a_deleted_study_goes_with_its_history_and_the_others_stay(root: Path) -> None:
    others = {name for name in files(root / "data") if not name.startswith("gone/")}
    result = run(answer="y\n")
    with dg.DagsterInstance.local_temp(str(root / "dagster_home")) as instance:
        studies = {key.path[0] for key in instance.get_asset_keys()}

    assert result.exit_code == 0, result.output
    assert result.output.endswith("Removed.\n")
    assert files(root / "data") == others
    assert not (root / "data" / "gone").exists()
    assert studies == {"tiny"}
    assert run("--yes").output == "There is nothing to remove.\n"


def test_a_yes_in_advance_takes_no_study_but_those_named(root: Path) -> None:
    before = files(root / "data")
    unnamed, wrong, live = run("--yes"), run("--yes", "--study", "gonne"), run("--yes", "--study", "tiny")
    kept = files(root / "data")
    named = run("--yes", "--study", "gone")

    assert unnamed.exit_code == 0
    assert "  gone: stays; remove it with --study gone\n" in unnamed.output
    assert unnamed.output.endswith("There is nothing to remove.\n")
    assert (wrong.exit_code, live.exit_code) == (2, 2)
    assert "gonne is not among the studies that are no more. It left no tables and no history." in wrong.output
    assert "tiny is not among the studies that are no more. It is there: remove its file first." in live.output
    assert kept == before
    assert named.exit_code == 0, named.output
    assert files(root / "data") == {name for name in before if not name.startswith("gone/")}


def test_only_runs_that_nothing_rests_on_are_forgotten_and_their_files_are_gone(
    root: Path, instance: dg.DagsterInstance
) -> None:
    @dg.job
    def nothing() -> None: ...

    runs = {each.run_id: each for each in instance.get_runs()}
    not_ours = nothing.execute_in_process(instance=instance).run_id
    shown = metadata(instance)
    size = sum(path.stat().st_size for path in (root / "dagster_home" / "history" / "runs").iterdir())
    result = run("--days", "0", "--yes", "--study", "gone")
    left = {each.run_id for each in instance.get_runs()} - {not_ours}
    steps = sorted(runs[run_id].tags["neuron_assets/step"] for run_id in left)

    assert result.exit_code == 0, result.output
    assert len(runs) == 8
    assert steps == ["neuron_statistics", "scores", "token_index", "trends"]
    assert {runs[run_id].tags["neuron_assets/study"] for run_id in left} == {"tiny"}
    assert shown["explained_now"] == 2  # of the run that went from three neurons to five
    assert metadata(instance) == shown
    history = root / "dagster_home" / "history" / "runs"
    assert {path.name for path in history.iterdir()} >= {f"{run_id}.db" for run_id in left}
    assert not [name for name in files(root / "dagster_home") if any(each in name for each in set(runs) - left)]
    assert instance.get_run_by_id(not_ours) is not None
    assert {path.name for path in (root / "dagster_home" / "storage").iterdir()} - {not_ours} == left
    assert sum(path.stat().st_size for path in history.iterdir()) < 0.8 * size
    again = CliRunner().invoke(main, ["materialize", "tiny", "--neurons", "5"])
    assert "everything asked for is there" in again.output


def test_a_run_that_ended_lately_stays(root: Path, instance: dg.DagsterInstance) -> None:
    shutil.rmtree(root / "data" / "gone")
    instance.wipe_assets([key for key in instance.get_asset_keys() if key.path[0] == "gone"])

    assert run("--days", "1").output == "There is nothing to remove.\n"


def test_the_newest_check_of_a_layer_keeps_its_run(root: Path, instance: dg.DagsterInstance) -> None:
    """One that is evaluated apart from the table, as the button `Execute` does."""

    @dg.asset_check(asset=dg.AssetKey(["tiny", "scores"]))
    def apart() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=True)

    tags = {"neuron_assets/study": "tiny"}
    checked = [
        dg.Definitions(asset_checks=[apart])
        .resolve_implicit_global_asset_job_def()
        .execute_in_process(instance=instance, tags=tags)
        .run_id
        for _ in range(2)
    ]
    assert run("--days", "0", "--yes").exit_code == 0

    assert [instance.get_run_by_id(run_id) is not None for run_id in checked] == [False, True]


def test_files_of_others_stay_and_are_named_and_damaged_tables_go(root: Path) -> None:
    folder = root / "data" / "gone"
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "scores" / "deep").mkdir()
    shutil.copy(folder / "scores" / "L01.parquet", folder / "scores" / "deep")
    pl.DataFrame({"mine": [1]}).write_parquet(folder / "scores" / "L02.parquet")
    (folder / "scores" / "L01.parquet").write_bytes((folder / "scores" / "L01.parquet").read_bytes()[:-9])
    (folder / "candidates" / "L01.parquet").write_bytes(b"")
    foreign = {"notes.txt", "scores/L02.parquet", "scores/deep/L01.parquet"}
    result = run("--yes", "--study", "gone")

    told = {line.removeprefix("    not of this package, stays: ") for line in result.output.splitlines()}
    assert told >= {str(folder / name) for name in foreign}
    assert "gone: 12 tables" in result.output
    assert files(folder) == foreign


def test_a_folder_that_can_be_no_study_is_let_be(root: Path) -> None:
    shutil.copytree(root / "data" / "gone", root / "data" / "gone.bak")
    assert run("--yes").exit_code == 0

    assert len(files(root / "data" / "gone.bak")) == 12


def test_a_study_that_lies_elsewhere_or_cannot_be_read_is_not_deleted(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "more" / "gone").mkdir(parents=True)
    (tmp_path / "more" / "gone" / "study.yaml").write_text("layers: [", encoding="utf-8")
    looked = run("--dry-run").output
    monkeypatch.setenv("NEURON_ASSETS_STUDIES", str(tmp_path / "more"))

    assert "gone: 12 tables" in looked
    assert "gone" not in run("--dry-run").output
    assert run(answer="y\n").exit_code == 0
    # what was set aside for a backfill that nobody knows
    assert len(files(root / "data" / "gone")) == 11
    assert run().output == "There is nothing to remove.\n"


def test_the_history_of_a_study_goes_even_if_its_tables_went_before(root: Path, instance: dg.DagsterInstance) -> None:
    shutil.rmtree(root / "data" / "gone")
    instance.report_runless_asset_event(dg.AssetMaterialization(["somebody", "elses"]))
    result = run("--yes", "--study", "gone")

    assert f"gone: 0 tables, the history of {N_ASSETS} assets" in result.output
    assert {key.path[0] for key in instance.get_asset_keys()} == {"tiny", "somebody"}


def test_a_write_that_was_broken_off_goes_and_one_that_may_be_under_way_stays(root: Path) -> None:
    folder = root / "data" / "tiny" / "scores"
    names = [".L01.parquet.0123abcd.partial", ".L01.parquet.4567cdef.partial", ".mine.partial"]
    for name in names:
        (folder / name).write_bytes(b"x" * 200_000)
    for name in (names[0], names[2]):
        os.utime(folder / name, (0, 0))
    result = run("--yes")

    assert "Writes that were broken off: 1 (0.2 MB)\n" in result.output
    assert files(folder) == {"L01.parquet", *names[1:]}


def test_runs_whose_process_is_gone_are_ended(root: Path, instance: dg.DagsterInstance) -> None:
    @dg.job
    def nothing() -> None: ...

    tags = {**process_tags(), "neuron_assets/process": f"{os.getpid()} of 0.00"}
    killed = instance.create_run_for_job(nothing, tags=tags).run_id
    told, done = run("--dry-run"), run("--yes")

    assert all("Runs whose process is gone, to be reported as failed: 1\n" in each.output for each in (told, done))
    ended = instance.get_run_by_id(killed)
    assert ended is not None
    assert ended.status is dg.DagsterRunStatus.FAILURE


def test_tables_behind_a_url_go_too(root: Path, instance: dg.DagsterInstance) -> None:
    bucket = UPath("memory://bucket/neurons")
    for name in files(root / "data"):
        (bucket / name).parent.mkdir(parents=True, exist_ok=True)
        (bucket / name).write_bytes((root / "data" / name).read_bytes())
    (bucket / "gone" / "notes.txt").write_bytes(b"mine")
    (bucket / "tiny" / ".excerpts.parquet.0123abcd.partial").write_bytes(b"x")
    studies = Project.from_environment({}, root).study_files()
    now = datetime.now(UTC)
    early = find_garbage(bucket, studies, instance, 30, now=now)
    late = find_garbage(bucket, studies, instance, 30, now=now + timedelta(hours=2))
    remove_garbage(late, bucket, instance)

    assert not early.broken_off
    assert [file.path.name for file in late.broken_off] == [".excerpts.parquet.0123abcd.partial"]
    assert [(study.name, len(study.folder.tables)) for study in late.studies] == [("gone", 12)]
    left = {str(path).partition("/neurons/")[2] for path in bucket.rglob("*") if path.is_file()}
    assert left == {"gone/notes.txt"} | {name for name in files(root / "data") if not name.startswith("gone/")}


def test_a_file_that_cannot_be_removed_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: UPath, *, missing_ok: bool) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(UPath(root)), "unlink", refuse)
    result = run("--yes", "--study", "gone")

    assert result.exit_code == 1
    assert ".parquet could not be removed (Permission denied)" in result.output
    assert "Traceback" not in result.output
