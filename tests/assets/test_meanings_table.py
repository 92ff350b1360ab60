"""Facts on lists of meanings, in the tables of a study that asks for them."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl
import pytest

from neuron_assets.assets.counting import count_explanations, count_simulations
from neuron_assets.assets.held_out import most_excerpts
from neuron_assets.errors import InvalidStudy
from neuron_assets.lineage import lineages
from neuron_assets.method.meanings import NOT_PARTED, as_list
from neuron_assets.method.rules.language import parse_meanings
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.tables.meant import helped
from neuron_assets.tables.store import TableStore
from tests.polite_server import asking, polite_server
from tests.scenario import ALL_MAY_FAIL, STUDY, make_project
from tests.served_tables import LAYERS, make, metadata, path_of, read

pytestmark = pytest.mark.slow

MEANINGS = {"most": 3, "fewest_excerpts": 2}
NEURON = ["layer_index", "neuron_index"]
LIST = [*NEURON, "n_meanings"]
SPLITS = {
    **dict(STUDY["splits"]),  # type: ignore[call-overload]
    "train": {"top": 12, "random": 12},
    "calibration": {"top": 4, "random": 6},
}
TABLES = ("explanations", "candidates", "simulations", "scores")

World = tuple[Project, Study]


def study_with(root: Path, **changes: object) -> World:
    return make_project(root, splits=SPLITS, neurons={"per_layer": 5}, **changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make(*study_with(root))
    return root


@pytest.fixture(scope="module")
def before(root: Path) -> Mapping[str, bytes]:
    """The files of the study without lists."""
    project, _ = study_with(root)
    files = {table: path_of(project, table, LAYERS[0]).read_bytes() for table in TABLES}
    assert not path_of(project, "meanings", LAYERS[0]).exists()
    return files


@pytest.fixture(scope="module")
def listed(root: Path, before: Mapping[str, bytes]) -> World:
    """The same study, once it asks for lists."""
    assert before
    world = study_with(root, meanings=MEANINGS)
    chain = ("meanings", "labels", "candidates", "simulations", "scores")
    assert [run.tables for run in make(*world)] == [chain] * len(LAYERS) + [("layer_summary", "trends")]
    assert make(*world) == []
    return world


def test_each_list_has_its_entries_or_says_why_there_is_none(listed: World) -> None:
    meanings = read(listed[0], "meanings")
    lists = meanings.group_by(LIST).agg("meaning", "n_excerpts", "explanation", "failure")
    made, missing = (
        lists.filter(pl.col("n_excerpts").list.max() > 0),
        lists.filter(pl.col("n_excerpts").list.max() == 0),
    )

    assert lists.height == 2 * 5 * len(LAYERS)
    assert made.height > missing.height > 0
    for row in made.to_dicts():
        assert row["meaning"] == list(range(row["n_meanings"]))
        assert min(row["n_excerpts"]) >= 2
        assert sum(row["n_excerpts"]) <= 12
        assert all(row["explanation"])
    for row in missing.to_dicts():
        assert row["meaning"] == [0]
        assert str(row["failure"][0]).startswith(NOT_PARTED)


def test_how_many_neurons_could_be_parted_is_told_of_each_length(listed: World) -> None:
    made = read(listed[0], "meanings").filter(pl.col("n_excerpts") > 0, pl.col("layer_index") == LAYERS[0])
    by_hand = {n: made.filter(pl.col("n_meanings") == n)["neuron_index"].n_unique() for n in (2, 3)}
    facts = metadata(*listed, "meanings", LAYERS[0])

    assert by_hand == {n: facts[f"parted_in_{n}"] for n in (2, 3)}
    assert facts["failures"] == 0


def test_the_tokens_told_fire_in_top_excerpts_of_train(listed: World) -> None:
    rows = read(listed[0], "meanings").filter(pl.col("n_excerpts") > 0).explode("tokens")
    excerpts = read(listed[0], "excerpts").select("excerpt_index", "split", read="tokens")
    kept = read(listed[0], "activations").filter(pl.col("kind") == "top", pl.col("split") == "train")
    loud = kept.join(excerpts, on="excerpt_index").explode("activations", "read")
    fires = loud.filter(pl.col("activations") > 0.5 * pl.col("peak")).select(*NEURON, tokens="read").unique()

    assert rows.height > 0
    assert rows.join(fires, on=[*NEURON, "tokens"], how="anti").is_empty()


def test_a_list_is_a_candidate_after_all_explanations_made_from_the_first(listed: World) -> None:
    meanings, candidates = read(listed[0], "meanings"), read(listed[0], "candidates")
    own = candidates.filter(pl.col("author").is_in(["rules", "meanings"])).sort(*NEURON, "candidate")
    numbers = own.group_by(NEURON, maintain_order=True).agg("candidate", "author", "parent")

    assert numbers["candidate"].to_list() == [[0, 1, 2]] * 10
    assert numbers["author"].to_list() == [["rules", "meanings", "meanings"]] * 10
    assert numbers["parent"].to_list() == [[None, 0, 0]] * 10
    entries = meanings.group_by(LIST, maintain_order=True).agg(pl.col("explanation").sort_by("meaning"), "failure")
    lists = own.filter(pl.col("author") == "meanings").with_columns(n_meanings=pl.col("candidate") + 1)
    both = lists.join(entries, on=LIST, suffix="_of_entries")
    assert both.height == 20
    for row in both.to_dicts():
        told = row["explanation_of_entries"]
        assert row["explanation"] == (None if None in told else as_list(told))
        assert row["failure"] == row["failure_of_entries"][0]
        assert row["explanation"] is None or len(parse_meanings(row["explanation"])) == row["n_meanings"]


def test_how_many_meanings_helped_is_told_by_the_scores_alone(listed: World) -> None:
    project, study = listed
    scores = read(project, "scores").filter(pl.col("scorer") == "simulation", pl.col("sample") != "choosing")
    first = scores.filter(pl.col("candidate") == 0).select(*NEURON, "sample", before="ev_correlation")
    lists = scores.filter(pl.col("author") == "meanings").join(first, on=[*NEURON, "sample"])
    by_hand = {
        (layer, candidate + 1, sample): part.filter("chosen")
        for (layer, candidate, sample), part in lists.partition_by(
            "layer_index", "candidate", "sample", as_dict=True
        ).items()
    }
    told = helped(read(project, "scores"), seed=0, n_draws=100)

    assert [(row["layer_index"], row["n_meanings"], row["sample"]) for row in told] == sorted(
        by_hand, key=lambda key: (*key[:2], key[2] != "top_and_random")
    )
    assert sum(row["n_chosen"] for row in told) > 0
    for row in told:
        chosen = by_hand[row["layer_index"], row["n_meanings"], row["sample"]]
        gains = (chosen["ev_correlation"] - chosen["before"]).drop_nulls()
        assert (row["n_chosen"], row["n_neurons"]) == (chosen.height, 5)
        assert row["gain"] == (pytest.approx(gains.mean(), abs=1e-9) if gains.len() else None)
        assert (row["gain_low"] is None) == (row["gain_failure"] is not None)
    facts = metadata(project, study, "scores", LAYERS[0])
    assert {n: facts[f"chosen_{n}_meanings"] for n in (2, 3)} == {
        row["n_meanings"]: row["n_chosen"] for row in told if row["layer_index"] == LAYERS[0]
    }


def test_a_study_that_no_longer_lists_meanings_has_its_old_files_again(
    root: Path, before: Mapping[str, bytes], listed: World
) -> None:
    assert path_of(listed[0], "candidates", LAYERS[0]).read_bytes() != before["candidates"]
    project, study = study_with(root)
    make(project, study)

    for table, content in before.items():
        assert path_of(project, table, LAYERS[0]).read_bytes() == content, table


def test_lists_come_after_revised_explanations(tmp_path: Path) -> None:
    project, study = study_with(tmp_path, meanings={"most": 2}, revision={"rounds": 1})
    make(project, study)
    candidates = read(project, "candidates").group_by(NEURON).agg(pl.col("author", "parent").sort_by("candidate"))

    assert candidates["author"].to_list() == [["rules", "revision", "meanings", "shuffled_control"]] * 10
    assert candidates["parent"].list.head(3).to_list() == [[None, 0, 0]] * 10


@pytest.mark.parametrize("change", [{"most": 3}, {"most": 2, "fewest_excerpts": 4}], ids=["most", "fewest"])
def test_what_changes_a_list_changes_the_lineage_from_there_on(tmp_path: Path, change: Mapping[str, int]) -> None:
    first, second = (lineages(make_project(tmp_path, meanings=each)[1]) for each in ({"most": 2}, change))

    assert first["explanations"] == second["explanations"]
    assert all(first[table] != second[table] for table in ("meanings", "candidates", "simulations", "scores"))


def test_who_sees_no_excerpts_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="the explainer must see top excerpts"):
        study_with(tmp_path, meanings=MEANINGS, explainer={"provider": "written", "file": "texts.yaml"})


def test_without_excerpts_to_choose_by_there_are_no_lists(tmp_path: Path) -> None:
    nothing = {**SPLITS, "calibration": {"top": 0, "random": 0}}

    with pytest.raises(InvalidStudy, match=r"splits\.calibration"):
        make_project(tmp_path, splits=nothing, meanings={"most": 2})


def test_what_lists_may_take_is_counted_before(tmp_path: Path) -> None:
    neurons, store = {1: range(5), 2: range(4)}, TableStore.at(str(tmp_path / "nothing"))
    studies = [study_with(tmp_path, meanings=each)[1] for each in ({"most": 1}, {"most": 2}, MEANINGS)]
    explained = [count_explanations(study, neurons) for study in studies]
    simulated = [count_simulations(study, neurons, store) for study in studies]
    a_text = most_excerpts(studies[1])  # on both pools: with lists there is something to choose

    assert [each.n_questions for each in explained] == [9, 9 * (1 + 2), 9 * (1 + 2 + 3)]
    assert [each.is_exact for each in explained] == [True, False, False]
    assert [each.n_questions for each in simulated[1:]] == [9 * (2 + 1) * a_text, 9 * (3 + 1) * a_text]
    assert not any(each.is_exact for each in simulated[1:])


def test_a_model_is_asked_for_each_group_once_and_its_sentences_are_listed(tmp_path: Path) -> None:
    with polite_server() as server:
        sections = asking(server.url)
        sections["explainer"] = {**dict(sections["explainer"]), "samples": 2}  # type: ignore[call-overload]
        project, study = study_with(tmp_path, checks=ALL_MAY_FAIL, meanings=MEANINGS, **sections)
        make(project, study)
    meanings, candidates = read(project, "meanings"), read(project, "candidates")
    told = meanings.filter(pl.col("n_excerpts") > 0)
    lists = candidates.filter(pl.col("author") == "meanings")
    asked = sum(metadata(project, study, "meanings", layer)["requests"] for layer in LAYERS)

    assert told["explanation"].null_count() == 0 < told.height
    first = read(project, "explanations")["explanation"]  # a group may show what the first question showed
    assert len(set(told["explanation"]) - set(first)) == asked < told.height
    assert set(told["explainer"]) == set(read(project, "explanations")["explainer"])
    assert lists["candidate"].unique().sort().to_list() == [2, 3]
    assert any(str(text).startswith("Any of these: 1. words that go with") for text in lists["explanation"])
    spending = pl.read_parquet(f"{project.tables}/tiny/spending.parquet")
    assert spending.filter(pl.col("asset") == "meanings")["answered"].sum() == asked
