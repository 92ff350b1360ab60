"""Facts on revision by rules and on the choice between candidates, in the tables of a study that asks for both."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from neuron_assets.errors import InvalidStudy
from neuron_assets.method.choosing import Contender, chosen, half_of
from neuron_assets.method.scoring import Score
from neuron_assets.project import Project
from neuron_assets.study import Study
from tests.polite_server import asking, polite_server
from tests.scenario import ALL_MAY_FAIL, STUDY, make_project
from tests.served_tables import ENDING, LAYERS, make, path_of, read

pytestmark = pytest.mark.slow

ROUNDS, MOST = 2, 3
NEURON = ["layer_index", "neuron_index"]
CANDIDATE = [*NEURON, "candidate"]
SPLITS = {**dict(STUDY["splits"]), "calibration": {"top": 4, "random": 6}}  # type: ignore[call-overload]
TABLES = ("explanations", "candidates", "simulations", "scores")

World = tuple[Project, Study]


def study_with(root: Path, rounds: int, **changes: object) -> World:
    revision = {"rounds": rounds, "counterexamples": MOST}
    return make_project(root, splits=SPLITS, neurons={"per_layer": 5}, revision=revision, **changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make(*study_with(root, 0))
    return root


@pytest.fixture(scope="module")
def before(root: Path) -> Mapping[str, bytes]:
    """The files of the study that revises nothing."""
    project, _ = study_with(root, 0)
    files = {table: path_of(project, table, LAYERS[0]).read_bytes() for table in TABLES}
    assert not path_of(project, "revised_explanations", LAYERS[0]).exists()
    return files


@pytest.fixture(scope="module")
def revised(root: Path, before: Mapping[str, bytes]) -> World:
    """The same study, once it revises."""
    assert before
    world = study_with(root, ROUNDS)
    chain = ("counterexamples", "revised_explanations", "labels", "candidates", "simulations", "scores")
    assert [run.tables for run in make(*world)] == [chain] * len(LAYERS) + [ENDING]
    assert make(*world) == []
    return world


def test_a_counterexample_is_of_the_half_that_may_be_looked_at(revised: World) -> None:
    project, study = revised
    found = read(project, "counterexamples").drop_nulls("excerpt_index")
    excerpts = read(project, "excerpts").select("excerpt_index", "document_index", "split", told="tokens")
    rows = found.join(excerpts, on="excerpt_index")
    halves = {half_of(document, study.scoring.choosing_seed) for document in rows["document_index"]}

    assert rows.height == found.height > 0
    assert set(rows["split"]) == {"calibration"}
    assert halves == {"look"}
    assert (rows["tokens"] == rows["told"]).all()
    assert found.group_by(*NEURON, "round").len()["len"].max() == MOST


def test_every_neuron_has_every_round_and_each_was_made_from_the_one_before(revised: World) -> None:
    project, _ = revised
    rounds, candidates = read(project, "revised_explanations"), read(project, "candidates")
    own = candidates.filter(pl.col("author").is_in(["rules", "revision"]))
    numbers = own.group_by(NEURON).agg(pl.col("candidate", "author", "parent").sort_by("candidate"))

    assert numbers["candidate"].to_list() == [[0, 1, 2]] * 10
    assert numbers["author"].to_list() == [["rules", "revision", "revision"]] * 10
    assert numbers["parent"].to_list() == [[None, 0, 1]] * 10
    texts = own.filter(pl.col("author") == "revision").with_columns(round=pl.col("candidate"))
    both = texts.join(rounds, on=[*NEURON, "round", "parent", "explainer", "explanation"])
    assert both.height == rounds.height == 10 * ROUNDS
    first = own.filter(pl.col("candidate") == 0).select(*NEURON, first="explanation")
    assert rounds.join(first, on=NEURON).filter(pl.col("explanation") != pl.col("first")).height > 0


def choosing_scores(project: Project, study: Study) -> dict[tuple[int, int, int], float | None]:
    """By candidate, the correlation on the choosing half, from the tables alone."""
    keys = [*NEURON, "excerpt_index"]
    excerpts = read(project, "excerpts").select("excerpt_index", "document_index", "split")
    kept = read(project, "activations").select(*keys, "activations").unique(keys)
    rows = read(project, "simulations").join(excerpts, on="excerpt_index").join(kept, on=keys)
    choose = [half_of(document, study.scoring.choosing_seed) == "choose" for document in rows["document_index"]]
    rows = rows.filter(pl.col("split") == "calibration", pl.Series(choose))
    assert rows["excerpt_index"].n_unique() > 1
    scores = {}
    for key, part in rows.partition_by(CANDIDATE, as_dict=True).items():
        true, simulated = (part[name].explode().to_numpy().astype(float) for name in ("activations", "simulated"))
        varies = np.ptp(true) > 0 and np.ptp(simulated) > 0
        scores[key] = float(np.corrcoef(true, simulated)[0, 1]) if varies else None
    return scores


def test_the_choice_is_that_of_the_correlations_on_the_choosing_half(revised: World) -> None:
    project, study = revised
    by_hand, scores = choosing_scores(project, study), read(project, "scores")
    own = read(project, "candidates").filter(pl.col("author").is_in(["rules", "revision"]))
    told = scores.filter(pl.col("sample") == "choosing")

    assert set(told.select(CANDIDATE).iter_rows()) == set(own.select(CANDIDATE).iter_rows())
    for row in told.to_dicts():
        r = by_hand[row["layer_index"], row["neuron_index"], row["candidate"]]
        assert row["ev_correlation"] == (None if r is None else pytest.approx(r, abs=1e-6))
    stands = set()
    for (layer, neuron), part in own.partition_by(NEURON, as_dict=True).items():
        contenders = [
            Contender(number, author, has_text, Score(by_hand[layer, neuron, number], None, None))
            for number, author, has_text in part.select(
                "candidate", "author", pl.col("explanation").is_not_null()
            ).iter_rows()
        ]
        stands.add((layer, neuron, chosen(contenders).candidate))
    assert set(scores.filter("chosen").select(CANDIDATE).iter_rows()) == stands
    assert {number for *_, number in stands} > {0}
    assert scores.group_by([*CANDIDATE, "scorer"]).agg(pl.col("chosen").n_unique())["chosen"].max() == 1


def test_the_summary_holds_nothing_that_was_chosen_by(revised: World) -> None:
    project, _ = revised
    scores = read(project, "scores")
    choosing = scores.filter(pl.col("sample") == "choosing")

    assert choosing.height > 0
    assert choosing["document_sums"].list.len().max() == 0
    assert choosing["n_documents"].min() > 0  # type: ignore[operator]
    assert "choosing" not in set(read(project, "layer_summary")["sample"])
    documents = scores["document_sums"].explode().drop_nulls().list.get(1).cast(pl.Int32)
    excerpts = read(project, "excerpts").filter(pl.col("document_index").is_in(documents.implode()))
    assert set(excerpts["split"]) == {"valid"}


def test_the_gain_is_the_mean_difference_of_the_chosen_and_the_first(revised: World) -> None:
    project, _ = revised
    scores = read(project, "scores").filter(pl.col("scorer") == "simulation", pl.col("sample") != "choosing")
    first = scores.filter(pl.col("candidate") == 0).select(*NEURON, "sample", before="ev_correlation")
    both = scores.filter("chosen").join(first, on=[*NEURON, "sample"])
    by_hand = both.group_by("layer_index", "sample").agg(
        gain=(pl.col("ev_correlation") - pl.col("before")).mean(), mean=pl.col("ev_correlation").mean(), n=pl.len()
    )
    summary = read(project, "layer_summary")
    told = summary.filter(pl.col("author") == "chosen")
    pairs = told.join(by_hand, on=["layer_index", "sample"], suffix="_by_hand")

    assert pairs.height == told.height == len(LAYERS) * 2
    assert pairs["gain"].to_list() == pytest.approx(pairs["gain_by_hand"].to_list(), abs=1e-9)
    assert pairs["mean"].to_list() == pytest.approx(pairs["mean_by_hand"].to_list(), abs=1e-9)
    assert pairs["n_neurons"].to_list() == pairs["n"].to_list() == [5] * pairs.height
    assert (pairs["gain"] != 0).any()
    with_interval = told.drop_nulls("gain_low")
    assert with_interval.height > 0
    assert (with_interval["gain_low"] <= with_interval["gain_high"]).all()
    assert (told["gain_low"].is_null() == told["gain_failure"].is_not_null()).all()
    assert summary.filter(pl.col("author") != "chosen")["gain"].null_count() == summary.height - told.height


def test_a_study_that_no_longer_revises_has_its_old_files_again(
    root: Path, before: Mapping[str, bytes], revised: World
) -> None:
    assert path_of(revised[0], "candidates", LAYERS[0]).read_bytes() != before["candidates"]
    project, study = study_with(root, 0)
    make(project, study)

    for table, content in before.items():
        assert path_of(project, table, LAYERS[0]).read_bytes() == content, table
    own = read(project, "scores").filter(pl.col("author") == "rules")
    assert own["chosen"].all()
    assert not read(project, "scores").filter(pl.col("author") != "rules")["chosen"].any()
    assert set(read(project, "layer_summary")["gain_failure"]) == {None}


def test_who_cannot_revise_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="the explainer written cannot revise"):
        study_with(tmp_path, 1, explainer={"provider": "written", "file": "texts.yaml"})


def test_without_excerpts_to_choose_by_nothing_is_chosen(tmp_path: Path) -> None:
    nothing = {**SPLITS, "calibration": {"top": 0, "random": 0}}

    with pytest.raises(InvalidStudy, match=r"splits\.calibration"):
        make_project(tmp_path, splits=nothing, revision={"rounds": 1})


def test_of_several_explanations_by_a_model_one_is_chosen(tmp_path: Path) -> None:
    with polite_server() as server:
        sections = asking(server.url)
        sections["explainer"] = {**dict(sections["explainer"]), "samples": 2}  # type: ignore[call-overload]
        project, study = make_project(tmp_path, splits=SPLITS, checks=ALL_MAY_FAIL, **sections)
        make(project, study)
    scores, excerpts = read(project, "scores"), read(project, "excerpts").select("excerpt_index", "split")
    own = scores.filter(pl.col("author") == study.explainer.label)
    by_neuron = own.group_by(NEURON).agg(chosen=pl.col("candidate").filter("chosen").unique())
    told = read(project, "layer_summary").filter(pl.col("author") == "chosen")

    assert set(own["candidate"]) == {0, 1}
    assert by_neuron["chosen"].list.len().to_list() == [1] * by_neuron.height
    assert own.filter(pl.col("sample") == "choosing").height == 2 * by_neuron.height > 0
    simulated = read(project, "simulations").join(excerpts, on="excerpt_index")
    assert set(simulated["split"]) == {"valid", "calibration"}
    assert told["gain"].drop_nulls().len() > 0
    assert set(told["explainer"]) == set(own["explainer"])
