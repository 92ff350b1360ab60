"""Facts on what judges say of excerpts, and on the metrics made of it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from neuron_assets.errors import InvalidStudy
from neuron_assets.method.judging.activity import Known, NaturalCounts, known_from, natural_counts
from neuron_assets.method.judging.by_simulation import detection_by_simulation, fuzzing_by_simulation
from neuron_assets.method.judging.choosing import STRATA, choose_excerpts, marked_tokens
from neuron_assets.method.judging.metrics import Judgements, judging_metrics
from neuron_assets.method.records import NeuronId, NeuronRecord
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.rows import corpus, neuron_records
from tests.scenario import ALL_MAY_FAIL, STUDY, make_project, write_study
from tests.served_tables import LAYERS, make, path_of, read

pytestmark = pytest.mark.slow

PLAIN = ("simulation", "unigram_lookup", "bigram_lookup")
JUDGED = (*PLAIN, "detection", "fuzzing")
SPLITS = {**dict(STUDY["splits"]), "natural": 16}  # type: ignore[call-overload]
JUDGING = {"active_share": 0.3, "detection": {"active": 6, "plain": 4, "hard": 2}, "seed": 5}
OF_CLAIM = ["layer_index", "neuron_index", "candidate", "scorer"]

World = tuple[Project, Study]


def study_with(root: Path, *scorers: str, **changes: object) -> World:
    scoring = {**dict(STUDY["scoring"]), "scorers": list(scorers)}  # type: ignore[call-overload]
    parts = {"scoring": scoring, "splits": SPLITS, "controls": {"over_broad": True}}
    return make_project(root, **parts, **changes)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    make(*study_with(root, *PLAIN))
    return root


TABLES = ("explanations", "candidates", "simulations", "scores")


@pytest.fixture(scope="module")
def before(root: Path) -> Mapping[str, bytes]:
    """The files of the study that asks no judge."""
    project, _ = study_with(root, *PLAIN)
    return {table: path_of(project, table, LAYERS[0]).read_bytes() for table in TABLES}


@pytest.fixture(scope="module")
def judged(root: Path, before: Mapping[str, bytes]) -> World:
    """The same study, once it asks what was simulated."""
    assert before
    world = study_with(root, *JUDGED, judging=JUDGING)
    runs = make(*world)
    of_layer = ("simulations", "scores", "judgements", "metrics")
    assert [run.tables for run in runs] == [of_layer] * len(LAYERS)
    return world


def records(world: World, split: str, *kinds: str) -> dict[tuple[int, int], NeuronRecord]:
    """Of the neurons that are explained, what they did on these excerpts."""
    project, study = world
    explained = read(project, "candidates").select("layer_index", "neuron_index").unique()
    rows = read(project, "activations").filter(pl.col("split") == split, pl.col("kind").is_in(kinds))
    rows = rows.filter((pl.col("kind") != "top") | (split == "train") | (pl.col("rank") < study.scoring.top))
    kept = rows.join(explained, on=["layer_index", "neuron_index"], maintain_order="left")
    found = neuron_records(kept, corpus(pl.read_parquet(path_of(project, "excerpts", 1))))
    return {(one.neuron.layer_index, one.neuron.neuron_index): one for one in found}


def known_of(world: World) -> dict[tuple[int, int], Known]:
    share = world[1].judging.active_share
    found = {
        key: known_from(one.exemplars, share=share) for key, one in records(world, "train", "top", "random").items()
    }
    return {key: answer.value for key, answer in found.items() if answer.value is not None}


def simulated(world: World) -> dict[tuple[int, int, int], dict[int, list[float]]]:
    found: dict[tuple[int, int, int], dict[int, list[float]]] = {}
    for row in read(world[0], "simulations").drop_nulls("simulated").to_dicts():
        key = row["layer_index"], row["neuron_index"], row["candidate"]
        found.setdefault(key, {})[row["excerpt_index"]] = row["simulated"]
    return found


def test_verdicts_are_those_of_the_simulations_on_the_chosen_excerpts(judged: World) -> None:
    project, study = judged
    table, expected = read(project, "judgements"), simulated(judged)
    held_out, known = records(judged, "valid", "top", "random", "natural"), known_of(judged)
    checked = 0

    for (layer, neuron, candidate, scorer), rows in table.partition_by(OF_CLAIM, as_dict=True).items():
        record, plan = held_out[layer, neuron], study.judging.plan(scorer)
        chosen = choose_excerpts(record, known[layer, neuron], plan)
        marked = marked_tokens(record, known[layer, neuron], chosen, plan)
        indices = record.exemplars.excerpt_indices[chosen.rows].tolist()
        said = np.array([expected[layer, neuron, candidate][index] for index in indices])
        fuzzed = scorer == "fuzzing"
        probabilities = fuzzing_by_simulation(said, marked) if fuzzed else detection_by_simulation(said)

        assert rows["excerpt_index"].to_list() == indices
        assert rows["stratum"].to_list() == [STRATA[stratum] for stratum in chosen.strata]
        assert rows["marked"].to_list() == [np.flatnonzero(row).tolist() if fuzzed else [] for row in marked]
        np.testing.assert_allclose(rows["probability"].to_numpy(), probabilities, rtol=0, atol=1e-12)
        checked += 1
    assert checked == len(read(project, "candidates")) * 2 == len(LAYERS) * 3 * 3 * 2
    assert set(table["judge"]) == {"simulation/1?threshold=1"}
    assert table["probability"].n_unique() > 2


def test_metrics_are_those_of_the_verdicts(judged: World) -> None:
    project, _ = judged
    metrics, table = read(project, "metrics"), read(project, "judgements")
    natural, known = records(judged, "valid", "natural"), known_of(judged)
    documents = pl.read_parquet(path_of(project, "excerpts", 1))["document_index"]

    assert set(metrics["sample"]) == {"judged"}
    defined = 0
    for row in metrics.to_dicts():
        neuron = row["layer_index"], row["neuron_index"]
        mine = table.filter(*(pl.col(name) == row[name] for name in OF_CLAIM))
        said = Judgements(
            NeuronId(*neuron),
            mine["probability"].to_numpy(),
            np.array([STRATA.index(stratum) for stratum in mine["stratum"]]),
            documents[mine["excerpt_index"].to_list()].to_numpy(),
        )
        counts = natural_counts(natural[neuron].exemplars, known[neuron])
        of_detection: NaturalCounts | None = counts if row["scorer"] == "detection" else None
        one = judging_metrics(said, of_detection, seed=0, n_draws=100)[row["metric"]]

        assert (row["value"], row["value_low"], row["value_high"]) == (one.value, one.low, one.high)
        assert row["n_excerpts"] == mine.height
        assert row["failure"] == (one.failure if one.value is None else None)
        assert row["interval_failure"] == one.failure
        rate = counts.n_active.sum() / counts.n_excerpts.sum()
        chances = {"precision": rate, "f1": 2 * rate / (1 + rate)}
        assert row["chance"] == (None if one.value is None else pytest.approx(chances.get(row["metric"], 0.5)))
        defined += one.value is not None
    assert 0 < defined < metrics.height  # both are there


def test_every_candidate_and_both_controls_have_every_metric(judged: World) -> None:
    project, _ = judged
    metrics = read(project, "metrics")
    per_scorer = dict(metrics.group_by("scorer").agg(pl.col("metric").unique().sort()).iter_rows())

    assert per_scorer == {
        "detection": ["auroc", "balanced_accuracy", "f1", "precision"],
        "fuzzing": ["auroc", "balanced_accuracy"],
    }
    assert set(metrics["author"]) == {"rules", "shuffled_control", "over_broad_control"}
    assert metrics.height == read(project, "candidates").height * 6


def test_a_study_that_no_longer_asks_has_its_old_files_again(
    root: Path, before: Mapping[str, bytes], judged: World
) -> None:
    assert path_of(judged[0], "simulations", LAYERS[0]).read_bytes() != before["simulations"]
    project, study = study_with(root, *PLAIN, judging=JUDGING)
    make(project, study)

    for table, content in before.items():
        assert path_of(project, table, LAYERS[0]).read_bytes() == content, table


def test_what_was_not_said_or_not_simulated_has_no_verdict_and_no_metric(root: Path, judged: World) -> None:
    neurons = [f"L{layer}N{index}" for layer in LAYERS for index in judged[1].neuron_indices(layer)]
    texts = {neurons[0]: "activates on something that no rule can say", neurons[1]: "the word file"}
    texts |= dict.fromkeys(neurons[3:], "the word file")
    (judged[1].folder / "texts.yaml").write_text(yaml.safe_dump(texts), encoding="utf-8")
    explainer = {"provider": "written", "file": "texts.yaml"}
    project, study = study_with(root, *JUDGED, judging=JUDGING, explainer=explainer, checks=ALL_MAY_FAIL)
    make(project, study)
    rows, metrics = read(project, "judgements"), read(project, "metrics")
    own = {NeuronId.parse(name): (pl.col("candidate") == 0) & of_neuron(name) for name in neurons[:3]}
    unsayable, unsaid = own[NeuronId.parse(neurons[0])], own[NeuronId.parse(neurons[2])]
    reasons = {failure for mine in (unsayable, unsaid) for failure in rows.filter(mine)["failure"]}

    assert len(reasons) == 2
    assert None not in reasons
    for mine in (unsayable, unsaid):
        assert rows.filter(mine).height > 0
        assert rows.filter(mine)["probability"].count() == 0
        assert metrics.filter(mine).height == 6
        assert metrics.filter(mine)["value"].count() == 0
        assert metrics.filter(mine)["failure"].str.contains("have no verdict").all()


def of_neuron(name: str) -> pl.Expr:
    neuron = NeuronId.parse(name)
    return (pl.col("layer_index") == neuron.layer_index) & (pl.col("neuron_index") == neuron.neuron_index)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"splits": {**SPLITS, "natural": 0}}, "`detection` needs excerpts"),
        ({"judge": {"provider": "simulation", "threshold": 0}}, "threshold"),
        ({"judge": {"threshhold": 2}}, "did you mean `threshold`"),
        ({"judging": {"active_share": 1.0}}, "active_share"),
    ],
)
def test_a_study_whose_judge_cannot_judge_is_refused(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    scoring = {**dict(STUDY["scoring"]), "scorers": list(JUDGED)}  # type: ignore[call-overload]
    with pytest.raises(InvalidStudy, match=complaint):
        read_study(write_study(tmp_path, scoring=scoring, **changes))
