"""Facts on ablation as a study asks for it: what is put in a neuron's place, what comes of it, what stays."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from transformers import GPT2LMHeadModel

from neuron_assets.assets.pools import pools_of
from neuron_assets.assets.predictions import Prediction
from neuron_assets.errors import NotReplaceable
from neuron_assets.method.calibration import Calibration, LinearCalibration
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.subject_opening import open_speaking
from neuron_assets.subjects.bundled.opening import FOLDER
from tests.scenario import STUDY, make_project, write_study
from tests.served_tables import LAYERS, make, metadata, path_of, read
from tests.subjects.plain_passes import said
from tests.test_units import DIRECTIONS, write_directions

pytestmark = pytest.mark.slow

World = tuple[Project, Study]
SCORERS = ("simulation", "unigram_lookup")
KEYS = ["layer_index", "neuron_index", "candidate", "excerpt_index"]


def scoring(*scorers: str, **changes: object) -> dict[str, Any]:
    return {**dict(STUDY["scoring"]), "scorers": list(scorers), **changes}  # type: ignore[call-overload]


def study_with(root: Path, *scorers: str, **changes: object) -> World:
    return make_project(root, scoring=scoring(*scorers, **changes))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make(*study_with(root, *SCORERS))
    return root


@pytest.fixture(scope="module")
def before(root: Path) -> Mapping[str, bytes]:
    """The files of the study that does not ask for it."""
    tables = ("neuron_statistics", "explanations", "simulations", "scores")
    project, _ = study_with(root, *SCORERS)
    return {table: path_of(project, table, LAYERS[0]).read_bytes() for table in tables}


@pytest.fixture(scope="module")
def ablated(root: Path, before: Mapping[str, bytes]) -> World:
    """The same study, once it asks for it."""
    assert before
    world = study_with(root, *SCORERS, "ablation")
    by_layer = ("simulations", "scores", "ablations", "metrics")
    assert [run.tables for run in make(*world)] == [by_layer] * len(LAYERS)  # the same scores, so the same summary
    return world


def of(table: pl.DataFrame, row: Mapping[str, Any], *keys: str) -> pl.DataFrame:
    return table.filter(*(pl.col(key) == row[key] for key in keys))


def flat(rows: pl.DataFrame, column: str) -> NDArray[np.float64]:
    return rows[column].explode().to_numpy().astype(np.float64)


def test_every_candidate_is_tried_on_every_excerpt_of_valid(ablated: World) -> None:
    project, study = ablated
    kept = read(project, "activations").filter(
        pl.col("split") == "valid",
        (pl.col("kind") == "random") | ((pl.col("kind") == "top") & (pl.col("rank") < study.scoring.top)),
    )
    wanted = read(project, "candidates").join(kept, on=KEYS[:2]).select(KEYS).unique()
    found = read(project, "ablations")

    assert set(found.select(KEYS).iter_rows()) == set(wanted.iter_rows())
    assert found["failure"].is_null().all()
    assert metadata(project, study, "ablations", LAYERS[0])["failures"] == 0


def test_divergences_are_those_of_plain_whole_passes(ablated: World) -> None:
    project, _ = ablated
    ablations, simulations = read(project, "ablations"), read(project, "simulations")
    activations, statistics = read(project, "activations"), read(project, "neuron_statistics")
    token_ids = dict(read(project, "excerpts").select("excerpt_index", "token_ids").iter_rows())
    model = GPT2LMHeadModel.from_pretrained(FOLDER, dtype="float32")
    neurons = ablations.unique(KEYS[:2], maintain_order=True).sort(KEYS[:2])[[0, -1]]
    tried = ablations.join(neurons, on=KEYS[:2], how="semi").filter(pl.col("candidate") == 0)

    for row in tried.to_dicts():
        mine = of(simulations, row, *KEYS[:3])
        true = of(activations, row, *KEYS[:2]).unique("excerpt_index")
        fitted = mine.join(true.filter(pl.col("split") == "calibration"), on="excerpt_index")
        s, a = flat(fitted, "simulated"), flat(fitted, "activations")
        slope, intercept = np.polyfit(s, a, 1) if np.ptp(s) else (0.0, a.mean())
        line = (slope, intercept) if slope > 0 else (0.0, a.mean())
        simulated = np.polyval(line, flat(of(mine, row, "excerpt_index"), "simulated"))
        mean = np.full_like(simulated, of(statistics, row, *KEYS[:2])["mean"].item())
        read_there = np.array(token_ids[row["excerpt_index"]])
        as_it_is, *others = (
            said(model, read_there, row["layer_index"], row["neuron_index"], put) for put in (None, simulated, mean)
        )
        expected = [(jensenshannon(as_it_is, other, axis=1) ** 2).mean() for other in others]

        assert [row["divergence_simulated"], row["divergence_mean"]] == pytest.approx(expected, rel=0.02, abs=1e-10)
        assert 0 < row["noise"] < expected[1]
    assert tried.height >= 12


def test_the_score_is_one_less_the_share_of_the_means_divergence(ablated: World) -> None:
    project, study = ablated
    metrics, ablations = read(project, "metrics"), read(project, "ablations")
    random = read(project, "activations").filter(pl.col("split") == "valid", pl.col("kind") == "random")
    candidates = read(project, "candidates")

    assert set(metrics["scorer"]) == {"ablation"}
    assert metrics.height == candidates.height * 2 * 2
    assert set(metrics["author"]) == set(candidates["author"]) == {"rules", "shuffled_control"}
    defined = metrics.filter(pl.col("sample") == "random_only").drop_nulls("value")
    for row in defined.to_dicts():
        on_random = of(ablations, row, *KEYS[:3]).join(of(random, row, *KEYS[:2]), on="excerpt_index")
        simulated, mean = (on_random[name].mean() for name in ("divergence_simulated", "divergence_mean"))
        assert isinstance(simulated, float)
        assert isinstance(mean, float)
        expected = {"ablation": 1 - simulated / mean, "mean_ablation": mean}
        assert row["value"] == pytest.approx(expected[row["metric"]], rel=1e-9)
        assert row["n_excerpts"] == on_random.height == 6
    assert defined.height == metrics.height / 2
    told = metadata(project, study, "metrics", LAYERS[0])
    assert {"ablation_top_and_random", "mean_ablation_random_only", "shuffled_ablation_random_only"} <= set(told)


def test_the_mean_in_the_place_of_a_simulation_is_worth_nothing(
    root: Path, ablated: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = read(ablated[0], "neuron_statistics").select("layer_index", "neuron_index", "mean").iter_rows()
    means = {(layer, neuron): mean for layer, neuron, mean in rows}

    def always_its_mean(_self: Prediction, _kind: str, fitted_on: NeuronRecord) -> Answer[Calibration]:
        mean = means[fitted_on.neuron.layer_index, fitted_on.neuron.neuron_index]
        return Answer(LinearCalibration(0.0, mean, mean))

    monkeypatch.setattr(Prediction, "calibration", always_its_mean)
    project, study = study_with(root, *SCORERS, "ablation", calibration="percentile")
    assert [run.tables for run in make(project, study)] == [("ablations", "metrics")] * len(LAYERS)
    scores = read(project, "metrics").filter(pl.col("metric") == "ablation")["value"].to_numpy()
    monkeypatch.undo()

    assert len(scores) >= 12
    np.testing.assert_allclose(scores, 0, atol=1e-5)


def test_a_study_that_no_longer_asks_for_it_has_its_old_files_again(
    root: Path, before: Mapping[str, bytes], ablated: World
) -> None:
    with_it = pl.read_parquet(path_of(ablated[0], "scores", LAYERS[0]))
    project, study = study_with(root, *SCORERS)
    make(project, study)

    for table, content in before.items():
        assert path_of(project, table, LAYERS[0]).read_bytes() == content, table
    assert pl.read_parquet(path_of(project, "scores", LAYERS[0])).equals(with_it)


def test_what_is_no_neuron_has_rows_that_say_so(tmp_path: Path) -> None:
    write_study(tmp_path)
    write_directions(tmp_path, n=3)
    project, study = make_project(tmp_path, units=DIRECTIONS, scoring=scoring("simulation", "ablation"))
    make(project, study)
    ablations, metrics = read(project, "ablations"), read(project, "metrics")
    divergences = ablations.select("divergence_simulated", "divergence_mean", "noise")

    assert ablations.height > 0
    assert all(column.is_null().all() for column in divergences)
    for table in (ablations, metrics):
        [said_there] = table["failure"].unique()
        assert "are no neurons of a language model" in said_there
    assert metrics["value"].is_null().all()


@pytest.mark.parametrize("units", [{"signed": False}, {"signed": True}])
def test_planted_units_are_refused_before_anything_is_opened(tmp_path: Path, units: dict[str, bool]) -> None:
    study = make_project(tmp_path, subject="planted", explainer={"provider": "planted"}, units=units)[1]

    with pytest.raises(NotReplaceable, match="planted"):
        open_speaking(study)


def test_it_runs_where_the_forward_pass_runs(ablated: World, tmp_path: Path) -> None:
    assert pools_of(ablated[1])["ablations"] == pools_of(ablated[1])["activations"]
    assert "ablations" not in pools_of(make_project(tmp_path)[1])


def test_it_needs_excerpts_of_calibration(tmp_path: Path) -> None:
    splits = {**dict(STUDY["splits"]), "calibration": {"top": 0, "random": 0}}  # type: ignore[call-overload]

    with pytest.raises(Exception, match=r"splits\.calibration"):
        make_project(tmp_path, scoring=scoring("simulation", "ablation"), splits=splits)
