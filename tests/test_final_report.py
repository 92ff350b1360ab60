"""Facts on the final report: `test` is opened by a person, for what stands then, and that is written down."""

from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from scipy.stats import pearsonr

from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.cli import main
from neuron_assets.errors import NothingKeptOfTest, NotReadyForFinal, PoolWasOpened
from neuron_assets.final_report import FinalReport, report_finally
from neuron_assets.lineage import FINAL
from neuron_assets.method.controls import CONTROLS
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, materialize
from neuron_assets.study import Study, read_study
from tests.polite_server import asking, polite_server
from tests.scenario import ALL_MAY_FAIL, STUDY, make_project, write_study
from tests.served_tables import LAYERS, make, path_of, read

SPLITS = {**dict(STUDY["splits"]), "calibration": {"top": 4, "random": 6}, "test": {"top": 4, "random": 5}}  # type: ignore[call-overload]
REVISING = {"splits": SPLITS, "layers": list(LAYERS), "revision": {"rounds": 1, "counterexamples": 3}}

pytestmark = pytest.mark.slow

World = tuple[Project, Study]


def report(world: World, *, again: bool = False, runs: list[Run] | None = None) -> FinalReport:
    project, study = world
    resources: Any = table_resources(project.tables, project.requests)
    heard = [] if runs is None else runs
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        return report_finally(Wanted(study, LAYERS), instance, resources, heard.append, again=again)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = make_project(tmp_path_factory.mktemp("final"), **REVISING)
    make(*world)
    return world


@pytest.fixture(scope="module")
def opened(made: World) -> tuple[World, FinalReport, list[Run]]:
    runs: list[Run] = []
    return made, report(made, runs=runs), runs


Opened = tuple[World, FinalReport, list[Run]]


def test_no_graph_of_a_study_has_its_tables(made: World) -> None:
    definitions: Any = build_study(made[1]).assets
    there = {spec.key.path[-1] for each in definitions for spec in each.specs}

    assert "scores" in there
    assert there.isdisjoint({*FINAL, "openings"})


def test_only_what_stands_for_a_neuron_is_scored_and_its_controls(opened: Opened) -> None:
    (project, _), found, runs = opened
    stands = read(project, "scores").filter("chosen").select("layer_index", "neuron_index", "candidate").unique()
    own = found.scores.filter(pl.col("scorer") == "simulation", ~pl.col("author").is_in(CONTROLS))

    assert [run.tables for run in runs] == [FINAL] * len(LAYERS)
    assert stands.height == own.height / 2 == 6
    assert own["chosen"].all()
    assert own.join(stands, on=stands.columns, how="anti").is_empty()
    assert set(found.scores["author"]) >= {"shuffled_control", "unigram_lookup", "bigram_lookup"}
    assert set(own["sample"]) == {"top_and_random", "random_only"}


def test_every_document_is_of_the_pool_test(opened: Opened) -> None:
    (project, _), found, _ = opened
    pools = dict(read(project, "excerpts").select("document_index", "split").iter_rows())
    documents = found.scores["document_sums"].explode().drop_nulls().list.get(1).cast(pl.Int64)
    simulated = read(project, "final_simulations").join(read(project, "excerpts"), on="excerpt_index")

    assert {pools[document] for document in documents} == {"test"}
    assert set(simulated["split"]) == {"test"}


def test_a_score_is_the_correlation_on_those_excerpts(opened: Opened) -> None:
    (project, study), found, _ = opened
    true = read(project, "activations").filter(pl.col("split") == "test")
    chosen = (pl.col("kind") == "random") | (pl.col("rank") < study.scoring.top)
    of_random = true.filter(chosen, pl.col("kind") == "random")
    own = found.scores.filter(pl.col("sample") == "random_only", pl.col("scorer") == "simulation").drop_nulls(
        "ev_correlation"
    )
    assert own.height > 0
    for row in own.to_dicts():
        of_neuron = [pl.col(name) == row[name] for name in ("layer_index", "neuron_index")]
        simulated = read(project, "final_simulations").filter(*of_neuron, pl.col("candidate") == row["candidate"])
        pairs = of_random.filter(*of_neuron).join(simulated, on="excerpt_index")
        a, s = (np.concatenate([np.asarray(each) for each in pairs[name]]) for name in ("activations", "simulated"))
        assert row["ev_correlation"] == pytest.approx(pearsonr(a, s).statistic, abs=1e-5)


def test_a_second_call_opens_nothing_and_makes_nothing(opened: Opened) -> None:
    world, found, _ = opened
    before = {table: path_of(world[0], table, LAYERS[0]).read_bytes() for table in FINAL}
    runs: list[Run] = []
    second = report(world, runs=runs)

    assert runs == []
    assert second.looks.equals(found.looks)
    assert second.looks["opening"].to_list() == [1, 1]
    assert second.looks["n_neurons"].to_list() == [3, 3]
    assert before == {table: path_of(world[0], table, LAYERS[0]).read_bytes() for table in FINAL}


def test_materializing_the_study_leaves_it_as_it_is(opened: Opened) -> None:
    world, _, _ = opened

    assert make(*world) == []


@pytest.fixture
def changed(tmp_path: Path) -> World:
    """A study that was opened, and explains otherwise since."""
    world = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS))
    make(*world)
    report(world)
    other = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS), explainer={"provider": "rules", "n_rules": 1})
    make(*other)
    return other


def test_other_explanations_open_it_only_where_a_person_says_so_and_every_look_stays(changed: World) -> None:
    with pytest.raises(PoolWasOpened, match="--again"):
        report(changed)
    looks = report(changed, again=True).looks

    assert looks["opening"].to_list() == [1, 1, 2, 2]
    assert (
        looks.filter(pl.col("opening") == 1)["stand"].to_list()
        != looks.filter(pl.col("opening") == 2)["stand"].to_list()
    )
    assert report(changed).looks.equals(looks)


def test_another_corpus_shares_documents_with_the_first_and_is_another_look(changed: World) -> None:
    project, study = changed
    folder = project.study_files()[study.name].parent / "texts"
    (folder / "24.txt").write_text("One more document was written since, about loaders and caches.\n" * 8, "utf-8")
    resources: Any = table_resources(project.tables, project.requests)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, LAYERS), instance, resources, lambda _run: None)

    with pytest.raises(PoolWasOpened):
        report(changed)
    assert report(changed, again=True).looks["opening"].to_list() == [1, 1, 2, 2]


def test_the_same_texts_scored_otherwise_are_another_look(tmp_path: Path) -> None:
    world = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS))
    make(*world)
    report(world)
    other = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS), scoring={"top": 2, "random": 3, "draws": 100})
    make(*other)

    with pytest.raises(PoolWasOpened):
        report(other)


def test_a_model_that_simulates_is_asked_once_and_the_report_can_be_read_again(tmp_path: Path) -> None:
    with polite_server() as server:
        world = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS), **asking(server.url), checks=ALL_MAY_FAIL)
        make(*world)
        n_before = server.n_requests
        first = report(world)
        n_asked = server.n_requests - n_before
        runs: list[Run] = []
        second = report(world, runs=runs)

        assert n_asked > 0
        assert server.n_requests == n_before + n_asked
    assert runs == []
    assert second.looks.equals(first.looks)
    assert second.scores.equals(first.scores)


def test_it_is_written_down_before_anything_is_simulated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS))
    make(*world)

    def killed(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("neuron_assets.final_report.make_run", killed)
        with pytest.raises(KeyboardInterrupt):
            report(world)
    written = pl.read_parquet(tmp_path / "data" / "tiny" / "openings.parquet")
    runs: list[Run] = []

    assert written["opening"].to_list() == [1, 1]
    assert report(world, runs=runs).looks.equals(written)
    assert len(runs) == len(LAYERS)


def test_a_study_that_is_not_whole_is_not_opened(tmp_path: Path) -> None:
    world = make_project(tmp_path, splits=SPLITS, layers=list(LAYERS))
    with pytest.raises(NotReadyForFinal, match="neuron-assets materialize tiny"):
        report(world)

    assert not (tmp_path / "data" / "tiny" / "openings.parquet").exists()


@pytest.mark.parametrize("kept", [{"top": 2, "random": 5}, {"top": 3, "random": 2}])
def test_a_study_that_keeps_too_little_of_test_is_not_opened(tmp_path: Path, kept: dict[str, int]) -> None:
    world = make_project(tmp_path, splits={**SPLITS, "test": kept}, layers=list(LAYERS))
    make(*world)
    with pytest.raises(NothingKeptOfTest, match="at least 3"):
        report(world)

    assert not (tmp_path / "data" / "tiny" / "openings.parquet").exists()


def test_the_command_prints_scores_on_test_beside_valid_and_when_it_was_opened(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project, study), found, _ = opened
    monkeypatch.setenv("DAGSTER_HOME", str(project.dagster_home))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(main, ["report", study.name, "--final"])
    scores = found.scores.filter("chosen", pl.col("sample") == "random_only")["ev_correlation"].drop_nulls().to_list()
    own = sum(scores) / len(scores)

    assert result.exit_code == 0, result.output
    assert f"random-only: {own:.3f} on `test`" in result.output
    assert "(look 1 of 1)" in result.output
    assert "Without --final" in CliRunner().invoke(main, ["report", study.name]).output


def test_the_untrained_twin_is_reported_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"splits": SPLITS, "layers": list(LAYERS)}
    untrained = {"provider": "bundled_untrained", "n_layers": 6, "n_neurons": 768}
    twin = read_study(write_study(tmp_path, "twin", **changes, subject=untrained))
    project, study = make_project(tmp_path, **changes, controls={"over_broad": False, "untrained": "twin"})
    for each in (study, twin):
        make(project, each)
    monkeypatch.setenv("DAGSTER_HOME", str(project.dagster_home))
    for name in ("NEURON_ASSETS_DATA", "NEURON_ASSETS_STUDIES"):
        monkeypatch.delenv(name, raising=False)

    result = CliRunner().invoke(main, ["report", study.name, "--final"])
    scores = pl.read_parquet(tmp_path / "data" / "twin" / "final_scores" / "L01.parquet")
    random = scores.filter("chosen", pl.col("sample") == "random_only")["ev_correlation"].drop_nulls().to_list()

    assert result.exit_code == 0, result.output
    line = [line for line in result.output.splitlines() if line.startswith("L1")][1]
    assert f"{sum(random) / len(random):.2f}".removeprefix("0") in line
    assert (tmp_path / "data" / "twin" / "openings.parquet").exists()
