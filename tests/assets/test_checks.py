"""What the checks find in the tables of a made study, and in the same tables damaged."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.checks import (
    CHECKS,
    Finding,
    control_near_zero,
    few_failures,
    few_undefined,
    has_all,
    not_dropped,
    one_pool_each,
    own_means,
    scored_apart,
)
from neuron_assets.assets.expected_rows import expected_candidates, expected_scores, expected_simulations, neurons
from neuron_assets.assets.explainers import SILENT, is_no_fault
from neuron_assets.assets.held_out import is_simulated
from neuron_assets.assets.predictions import LOOKUPS
from neuron_assets.assets.study_component import build_study
from neuron_assets.lineage import tables_of
from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.sections import ControlsSection
from neuron_assets.study import Study
from neuron_assets.tables.explained import of_chosen, of_explainer
from neuron_assets.tables.store import TableStore
from tests.scenario import make_project
from tests.served_tables import make

pytestmark = pytest.mark.slow

KEY = "L02"
SHUFFLED, NONE = (ControlsSection(shuffled=shuffled, over_broad=False) for shuffled in (True, False))
Tables = Mapping[str, pl.DataFrame]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Layer 2 of the small study."""
    project, study = make_project(tmp_path_factory.mktemp("world"))
    make(project, study)
    store = TableStore.at(project.tables)
    partitioned = ("activations", "explanations", "candidates", "simulations", "scores")
    paths = {table: store.path("tiny", table, KEY) for table in partitioned} | {
        "excerpts": store.path("tiny", "excerpts")
    }
    return {table: pl.read_parquet(str(path)) for table, path in paths.items()}


def failed(frame: pl.DataFrame, n: int, failure: str = "it broke") -> pl.DataFrame:
    """The first `n` rows failed."""
    is_first = pl.int_range(pl.len()) < n
    return frame.with_columns(failure=pl.when(is_first).then(pl.lit(failure)).otherwise("failure"))


def test_every_check_of_a_study_is_described_and_blocks_where_bad_numbers_would_flow_on(tmp_path: Path) -> None:
    study = make_project(tmp_path)[1]
    specs = [spec for asset in build_study(study).assets or () for spec in getattr(asset, "check_specs", ())]
    blocking = {spec.name for spec in specs if spec.blocking}
    tables = {spec.asset_key.path[-1] for spec in specs}

    assert blocking == {"schema", "documents_apart", "complete", "failures"}
    assert {spec.name for spec in specs} == set(CHECKS)
    assert tables == set(tables_of(study)) - {"spending"}
    assert all(spec.description for spec in specs)


def test_a_document_in_two_pools_is_found(tables: Tables) -> None:
    excerpts = tables["excerpts"]
    document = excerpts["document"][0]
    is_first = pl.int_range(pl.len()) == 0
    other = "valid" if excerpts["split"][0] != "valid" else "train"
    damaged = excerpts.with_columns(split=pl.when(is_first).then(pl.lit(other)).otherwise("split"))

    assert one_pool_each(excerpts).passed
    found = one_pool_each(damaged)
    assert not found.passed
    assert found.blocks
    assert [culprit.split(":")[0] for culprit in found.culprits] == [document]


def documents(tables: Tables, split: str) -> pl.Series:
    rows = tables["activations"].filter(pl.col("split") == split)
    return rows.join(tables["excerpts"], on="excerpt_index")["document_index"]


def test_a_scored_document_that_was_shown_is_found(tables: Tables) -> None:
    excerpts, shown, scored = tables["excerpts"], documents(tables, "train"), documents(tables, "valid")
    leaked = pl.concat([shown, scored.head(1)])

    assert scored_apart(excerpts, shown, scored).passed
    found = scored_apart(excerpts, leaked, scored)
    assert not found.passed
    assert len(found.culprits) == 1
    assert not scored_apart(excerpts, documents(tables, "test"), documents(tables, "test")).passed


def test_documents_of_no_other_pool_than_valid_may_be_scored(tables: Tables) -> None:
    nothing_shown = pl.Series([], dtype=pl.Int32)

    found = scored_apart(tables["excerpts"], nothing_shown, documents(tables, "calibration"))

    assert not found.passed
    assert {"calibration"} == {culprit.rsplit(" ", 1)[1] for culprit in found.culprits}


@pytest.mark.parametrize("table", ["activations", "explanations", "candidates", "simulations", "scores"])
def test_a_missing_row_is_found_and_named(tmp_path: Path, tables: Tables, table: str) -> None:
    study = make_project(tmp_path)[1]
    explained = tables["explanations"]["neuron_index"].to_list()
    of_neurons = pl.col("neuron_index").is_in(explained)
    held_out = tables["activations"].filter(is_simulated(study) & of_neurons)
    expected = {
        "activations": neurons(range(768)),
        "explanations": neurons(explained),
        "candidates": expected_candidates(tables["explanations"], study.controls),
        "simulations": expected_simulations(tables["candidates"], held_out),
        "scores": expected_scores(tables["candidates"], list(LOOKUPS), study.scoring.samples),
    }[table]
    frame = tables[table]
    last = frame["neuron_index"][-1]
    damaged = frame.filter(pl.col("neuron_index") != last) if table == "activations" else frame.head(-1)

    assert has_all(frame, expected).passed
    found = has_all(damaged, expected)
    assert not found.passed
    assert found.blocks
    assert [" ".join(culprit.split()[:2]) for culprit in found.culprits] == [f"neuron {last}"]


def test_a_row_that_nobody_asked_for_is_no_fault(tables: Tables) -> None:
    assert has_all(tables["explanations"], neurons([])).passed


def test_a_missing_control_is_found_but_not_where_none_was_wanted(tables: Tables) -> None:
    explanations, candidates = tables["explanations"], tables["candidates"]
    without = candidates.filter(pl.col("author") != SHUFFLED_CONTROL)

    assert not has_all(without, expected_candidates(explanations, SHUFFLED)).passed
    assert has_all(without, expected_candidates(explanations, NONE)).passed
    assert has_all(without.head(1), expected_candidates(explanations.head(1), SHUFFLED)).passed


def test_failures_may_be_as_many_as_the_limit_and_no_more(tables: Tables) -> None:
    simulations = tables["simulations"]
    most = 0.25
    n_allowed = int(simulations.height * most)

    assert simulations["failure"].null_count() == simulations.height
    assert few_failures(failed(simulations, n_allowed), 0, most).passed
    found = few_failures(failed(simulations, n_allowed + 1), 0, most)
    assert not found.passed
    assert found.blocks
    assert found.culprits[0].endswith("it broke")
    assert len(found.culprits) == min(10, n_allowed + 1)
    assert "checks.most_failures" in found.complaint


def test_where_nothing_could_fail_nothing_has(tables: Tables) -> None:
    found = few_failures(tables["simulations"].clear(), 12, 0.0)

    assert found.passed
    assert found.numbers["left_out"] == 12


@pytest.mark.parametrize("failure", [SILENT.failure, "texts.yaml has no explanation of L2N5"])
def test_silent_neurons_and_those_nobody_wrote_about_are_no_failures(tables: Tables, failure: str) -> None:
    explanations = tables["explanations"]

    def n_faults(frame: pl.DataFrame) -> int:
        return frame.filter(pl.col("failure").is_not_null() & ~is_no_fault()).height

    assert n_faults(failed(explanations, 2, failure)) == 0
    assert n_faults(failed(explanations, 2, "the reply says: he has no explanation of it")) == 2


def test_undefined_scores_beyond_the_limit_are_found_and_do_not_block(tables: Tables) -> None:
    scores = tables["scores"].with_columns(ev_correlation=pl.lit(0.5))
    without = scores.with_columns(ev_correlation=pl.lit(None, pl.Float64), failure=pl.lit("constant"))

    assert few_undefined(of_explainer(scores), 0, 0.0).passed
    found = few_undefined(of_explainer(without), 0, 0.9)
    assert not found.passed
    assert not found.blocks
    assert found.numbers["share"] == 1.0
    assert found.numbers["rows"] == 6  # three neurons in two samples: neither controls nor lookups


def controls(scores: Sequence[float | None], sample: str = "top_and_random") -> pl.DataFrame:
    return pl.DataFrame(
        [(SHUFFLED_CONTROL, sample, score) for score in scores],
        {"author": pl.String, "sample": pl.String, "ev_correlation": pl.Float64},
        orient="row",
    )


def test_a_control_far_from_zero_is_found_only_beyond_its_doubt() -> None:
    steady, unsteady = [0.30, 0.32] * 20, [0.9, -0.4, 0.4]

    found = control_near_zero(controls(steady), 0.1)
    assert not found.passed
    assert not found.blocks
    assert CHECKS["control_near_zero"].severity is dg.AssetCheckSeverity.ERROR
    assert not control_near_zero(controls([-score for score in steady]), 0.1).passed
    assert control_near_zero(controls(steady), 0.35).passed
    assert control_near_zero(controls(unsteady), 0.1).passed  # mean 0.3, but who knows


def test_one_sample_far_from_zero_is_enough() -> None:
    both = pl.concat([controls([0.01, -0.01] * 9), controls([0.6, 0.61] * 9, "random_only")])

    assert not control_near_zero(both, 0.1).passed


def test_without_two_scores_of_controls_there_is_nothing_to_say(tables: Tables) -> None:
    for scores in (controls([]), controls([0.9]), controls([0.9, None]), of_explainer(tables["scores"])):
        found = control_near_zero(scores, 0.0)

        assert found.passed
        assert "no two scores" in found.said


def test_a_mean_that_dropped_is_a_warning_and_the_first_one_passes(tables: Tables) -> None:
    now = own_means(tables["scores"])
    higher = {name: mean + 0.2 for name, mean in now.items()} | {"path": "somewhere"}

    assert set(now) <= {"score_top_and_random", "score_random_only"}
    assert now
    first = not_dropped(now, {}, 0.1)
    assert (first.passed, "nothing to compare" in first.said) == (True, True)
    found = not_dropped(now, higher, 0.1)
    assert not found.passed
    assert not found.blocks
    assert CHECKS["not_dropped"].severity is dg.AssetCheckSeverity.WARN
    assert not_dropped(now, higher, 0.3).passed
    assert not_dropped({name: mean + 0.5 for name, mean in now.items()}, now, 0.1).passed


def test_the_mean_is_of_what_stands_for_its_neuron() -> None:
    rows = [
        ("rules", 0, 0, True, "simulation", "random_only", 0.25),
        ("rules", 1, 0, False, "simulation", "random_only", 0.5),
        ("revision", 1, 1, True, "simulation", "random_only", 0.75),
        ("revision", 1, 1, True, "simulation", "choosing", 0.875),
        (SHUFFLED_CONTROL, 1, 2, False, "simulation", "random_only", -1.0),
        ("unigram_lookup", 1, None, False, "unigram_lookup", "random_only", 1.0),
        ("rules", 2, 0, False, "simulation", "random_only", None),
    ]
    columns = ["author", "neuron_index", "candidate", "chosen", "scorer", "sample", "ev_correlation"]
    scores = pl.DataFrame(rows, columns, orient="row").with_columns(layer_index=pl.lit(0))

    assert own_means(scores) == {"score_random_only": 0.5}
    assert of_chosen(scores)["neuron_index"].to_list() == [0, 1, 2]  # of the third nobody had a text to choose


def test_ten_culprits_are_told_and_the_rest_counted() -> None:
    found = has_all(pl.DataFrame({"neuron_index": []}, {"neuron_index": pl.Int32}), neurons(range(30)))

    assert found.numbers["missing"] == 30
    assert len(found.culprits) == 10
    assert len(Finding("schema", passed=False, said="", culprits=["x"] * 30).metadata["culprits"].split("\n")) == 10


def test_the_limits_are_in_no_lineage(tmp_path: Path) -> None:
    from neuron_assets.lineage import lineages

    def lineages_of(root: str, **changes: object) -> dict[str, str]:
        study: Study = make_project(tmp_path / root, **changes)[1]
        return lineages(study)

    strict = {"most_failures": 0.0, "most_undefined": 0.1, "most_control": 0.2, "most_drop": 0.3}
    assert lineages_of("one") == lineages_of("two", checks=strict)
