"""Facts on text as it comes: what is simulated and scored on it where a study asks for that, and what stays."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.scenario import STUDY, make_project
from tests.served_tables import ENDING, LAYERS, make, path_of, read

pytestmark = pytest.mark.slow

SCORERS = ("simulation", "unigram_lookup", "bigram_lookup")
N_NATURAL = 8
FEW_ARE_ENOUGH = {"active_share": 0.02}
"""In a small world hardly a neuron is active otherwise."""

World = tuple[Project, Study]


def study_with(root: Path, *scorers: str) -> World:
    scoring = {**dict(STUDY["scoring"]), "scorers": list(scorers)}  # type: ignore[call-overload]
    return make_project(root, scoring=scoring, activations=FEW_ARE_ENOUGH)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make(*study_with(root, *SCORERS))
    return root


@pytest.fixture(scope="module")
def before(root: Path) -> Mapping[str, bytes]:
    """The files of the study that does not ask for it."""
    project, _ = study_with(root, *SCORERS)
    return {
        table: path_of(project, table, LAYERS[0]).read_bytes() for table in ("explanations", "simulations", "scores")
    }


@pytest.fixture(scope="module")
def natural(root: Path, before: Mapping[str, bytes]) -> World:
    """The same study, once it asks for it."""
    assert before
    world = study_with(root, *SCORERS, "natural_rate")
    runs = make(*world)
    assert [run.tables for run in runs] == [("simulations", "scores", "metrics")] * len(LAYERS) + [ENDING]
    return world


def test_what_is_simulated_is_what_the_scorers_judge(natural: World) -> None:
    project, study = natural
    simulations, activations = read(project, "simulations"), read(project, "activations")
    keys = ["layer_index", "neuron_index", "excerpt_index"]
    kept = activations.join(simulations.select("layer_index", "neuron_index").unique(), on=keys[:2])
    rank = pl.col("rank") < study.scoring.top
    wanted = (
        kept.filter(pl.col("split").is_in(["valid", "calibration"]) & ((pl.col("kind") != "top") | rank))
        .select(keys)
        .unique()
    )

    assert set(simulations.select(keys).iter_rows()) == set(wanted.iter_rows())
    of_candidate = simulations.group_by("layer_index", "neuron_index", "candidate").agg(pl.col("excerpt_index").sort())
    assert of_candidate["excerpt_index"].list.n_unique().to_list() == of_candidate["excerpt_index"].list.len().to_list()


def test_a_score_at_the_natural_rate_is_the_correlation_on_the_natural_excerpts(natural: World) -> None:
    project, _ = natural
    scores = read(project, "scores").filter(pl.col("sample") == "natural_rate", pl.col("scorer") == "simulation")
    activations = read(project, "activations").filter(pl.col("kind") == "natural")
    simulations = read(project, "simulations")
    defined = scores.drop_nulls("ev_correlation")

    assert defined.height > 0
    assert (scores["n_excerpts"] == N_NATURAL).all()
    for row in defined.to_dicts():
        neuron = (pl.col("layer_index") == row["layer_index"]) & (pl.col("neuron_index") == row["neuron_index"])
        mine = simulations.filter(neuron, pl.col("candidate") == row["candidate"]).select("excerpt_index", "simulated")
        both = activations.filter(neuron).join(mine, on="excerpt_index")
        true, simulated = (
            both[column].explode().to_numpy().astype(np.float64) for column in ("activations", "simulated")
        )
        assert row["ev_correlation"] == pytest.approx(np.corrcoef(true, simulated)[0, 1], abs=1e-9)


def test_with_too_few_active_tokens_there_is_a_reason_and_no_score(natural: World) -> None:
    project, study = natural
    scores = read(project, "scores").filter(pl.col("sample") == "natural_rate")
    statistics = read(project, "neuron_statistics").select("layer_index", "neuron_index", "maximum")
    rows = (
        read(project, "activations")
        .filter(pl.col("kind") == "natural")
        .join(statistics, on=["layer_index", "neuron_index"])
    )
    n_active = {
        (layer, neuron): part.explode("activations")
        .select((pl.col("activations") > study.activations.active_share * pl.col("maximum")).sum())
        .item()
        for (layer, neuron), part in rows.partition_by("layer_index", "neuron_index", as_dict=True).items()
    }
    told = scores.filter(pl.col("failure").fill_null("").str.contains("active tokens"))

    assert 0 < told.height < scores.height
    assert {(row["layer_index"], row["neuron_index"]) for row in told.to_dicts()} == {
        (row["layer_index"], row["neuron_index"])
        for row in scores.to_dicts()
        if n_active[row["layer_index"], row["neuron_index"]] < 5
    }


def test_lookups_stand_beside_it_and_the_other_scores_stay(before: Mapping[str, bytes], natural: World) -> None:
    scores = pl.read_parquet(path_of(natural[0], "scores", LAYERS[0]))
    lookups = scores.filter(pl.col("sample") == "natural_rate")["scorer"].unique()

    assert set(lookups) == set(SCORERS)
    assert scores.filter(pl.col("sample") != "natural_rate").equals(pl.read_parquet(before["scores"]))
    assert path_of(natural[0], "explanations", LAYERS[0]).read_bytes() == before["explanations"]


def test_a_study_that_no_longer_asks_for_it_has_its_old_files_again(
    root: Path, before: Mapping[str, bytes], natural: World
) -> None:
    assert path_of(natural[0], "simulations", LAYERS[0]).read_bytes() != before["simulations"]
    project, study = study_with(root, *SCORERS)
    make(project, study)

    for table, content in before.items():
        assert path_of(project, table, LAYERS[0]).read_bytes() == content, table


@pytest.fixture(scope="module")
def measured(natural: World, root: Path) -> pl.DataFrame:
    """The metrics, once the study asks for what is calibrated, too."""
    assert natural
    project, study = study_with(root, *SCORERS, "natural_rate", "calibrated")
    make(project, study)
    return read(project, "metrics")


def test_every_prediction_has_every_metric_or_a_reason(measured: pl.DataFrame) -> None:
    per_sample = dict(measured.group_by("sample").agg(pl.col("metric").unique().sort()).iter_rows())

    calibrated = ["absolute_deviation", "r2"]
    assert per_sample == {
        "top_and_random": calibrated,
        "random_only": calibrated,
        "natural_rate": sorted([*calibrated, "auprc", "f1", "precision", "recall"]),
    }
    assert set(measured["author"]) == {"rules", "shuffled_control", "unigram_lookup", "bigram_lookup"}
    counts = measured.group_by("layer_index", "neuron_index", "candidate", "author").len()
    assert set(counts["len"]) == {10}
    defined = measured.drop_nulls("value")
    assert defined.height > measured.height / 2
    assert (defined["chance"].is_not_null() | (defined["metric"] == "recall")).all()


def test_r2_is_that_of_a_line_fitted_on_calibration(root: Path, measured: pl.DataFrame) -> None:
    project, _ = study_with(root, *SCORERS, "natural_rate", "calibrated")
    activations, simulations = read(project, "activations"), read(project, "simulations")
    keys = ["layer_index", "neuron_index", "excerpt_index"]
    both = simulations.join(activations.select(*keys, "kind", "split", "activations").unique([*keys, "kind"]), on=keys)
    rows = measured.filter(
        pl.col("metric") == "r2", pl.col("sample") == "natural_rate", pl.col("scorer") == "simulation"
    )
    checked = 0

    for row in rows.drop_nulls("value").to_dicts():
        mine = both.filter(
            *(pl.col(name) == row[name] for name in ("layer_index", "neuron_index", "candidate")),
        )
        fitted = mine.filter(pl.col("split") == "calibration").unique("excerpt_index", maintain_order=True)
        s, a = (fitted[name].explode().to_numpy().astype(np.float64) for name in ("simulated", "activations"))
        slope, intercept = np.polyfit(s, a, 1) if np.ptp(s) else (0.0, a.mean())
        if slope < 0:
            slope, intercept = 0.0, a.mean()
        drawn = mine.filter(pl.col("kind") == "natural")
        s, a = (drawn[name].explode().to_numpy().astype(np.float64) for name in ("simulated", "activations"))
        r2 = 1 - np.mean((a - slope * s - intercept) ** 2) / np.mean(a**2)
        assert row["value"] == pytest.approx(r2, abs=1e-6)
        checked += 1
    assert checked > 0


def test_what_stands_for_a_neuron_in_its_scores_does_so_in_its_metrics(root: Path, measured: pl.DataFrame) -> None:
    neuron = ["layer_index", "neuron_index", "candidate"]
    project = Project.from_environment({}, root)
    stands = read(project, "scores").filter("chosen").select(neuron).unique().sort(neuron)

    assert stands.height > 0
    assert measured.filter("chosen").select(neuron).unique().sort(neuron).equals(stands)
