"""Labels in a study that chooses, judges, measures and ablates: told beside everything, and chosen nowhere."""

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from neuron_assets.assets.trend_plots import own_author
from neuron_assets.method.labels import PersonsExplanation, is_human
from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.parquet import read_table
from neuron_assets.tables.store import TableStore
from tests.scenario import STUDY, make_project
from tests.served_tables import LAYERS, make, read

pytestmark = pytest.mark.slow

SCORERS = ["simulation", "unigram_lookup", "natural_rate", "calibrated", "detection", "ablation"]
READABLE, UNREADABLE = "Activates on words (10). Otherwise about 0.", "rivers"

World = tuple[Project, Study]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    scoring: Any = {**dict(STUDY["scoring"]), "scorers": SCORERS}  # type: ignore[call-overload]
    splits: Any = {**dict(STUDY["splits"]), "calibration": {"top": 4, "random": 6}}  # type: ignore[call-overload]
    revision = {"rounds": 1, "counterexamples": 2}
    world = make_project(tmp_path_factory.mktemp("world"), scoring=scoring, splits=splits, revision=revision)
    make(*world)
    return world


@pytest.fixture(scope="module")
def before(world: World) -> dict[str, pl.DataFrame]:
    return {table: read(world[0], table) for table in ("candidates", "scores", "metrics")} | {"trends": trends(world)}


@pytest.fixture(scope="module")
def labelled(world: World, before: dict[str, pl.DataFrame]) -> World:
    """The same study, once two people have written of all its neurons of layer 1."""
    assert before
    project, study = world
    store = LabelStore(TableStore.at(project.tables), "tiny")
    for index in study.neuron_indices(1):
        for person, text in (("Ann", READABLE), ("Bob", UNREADABLE)):
            when = datetime.now(UTC)
            store.add(PersonsExplanation(person=person, neuron=NeuronId(1, index), written_at=when, text=text))
    assert [run.tables[0] for run in make(*world)] == ["labels", "layer_summary"]
    assert make(*world) == []
    return world


def trends(world: World) -> pl.DataFrame:
    return read_table(TableStore.at(world[0].tables).path("tiny", "trends"), "trends")


def of_people(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("author").str.starts_with("human:"))


@pytest.mark.parametrize("table", ["candidates", "scores", "metrics"])
def test_nothing_else_changes(labelled: World, before: dict[str, pl.DataFrame], table: str) -> None:
    now = read(labelled[0], table)

    assert now.height > before[table].height
    assert now.filter(~pl.col("author").str.starts_with("human:")).equals(before[table])


def test_no_label_is_chosen_or_chosen_by(labelled: World) -> None:
    scores = read(labelled[0], "scores")

    assert of_people(of_chosen(scores)).is_empty()
    assert not of_people(scores)["chosen"].any()
    assert "choosing" not in set(of_people(scores)["sample"])


def test_a_label_has_every_score_and_metric_that_a_candidate_has(labelled: World) -> None:
    project, _ = labelled
    metrics = read(project, "metrics").filter(pl.col("candidate").is_not_null(), layer_index=1)
    found = {
        author: set(rows.select("scorer", "sample", "metric").iter_rows())
        for (author,), rows in metrics.partition_by("author", as_dict=True).items()
    }

    assert found["human:Ann"] == found["revision"]
    assert {scorer for scorer, _, _ in found["human:Ann"]} == {"simulation", "detection", "ablation"}
    assert of_people(read(project, "scores")).filter(author="human:Ann")["failure"].null_count() > 0


def test_what_the_simulator_cannot_read_blocks_nothing(labelled: World) -> None:
    scores = read(labelled[0], "scores").filter(author="human:Bob")

    assert scores["ev_correlation"].null_count() == scores.height == 3 * 3
    assert scores["failure"].str.contains("have no simulation").all()


def test_people_stand_by_themselves_in_summary_and_trends(labelled: World) -> None:
    summary = read(labelled[0], "layer_summary")
    own = summary.filter(pl.col("author") == "human:Ann")

    assert set(own["layer_index"]) == {1} < set(LAYERS)
    assert set(own["n_neurons"]) == {3}
    assert not is_human(own_author(trends(labelled)))


def test_the_studys_trends_are_what_they_were(labelled: World, before: dict[str, pl.DataFrame]) -> None:
    now = trends(labelled).filter(~pl.col("author").str.starts_with("human:"))

    assert now.equals(before["trends"])
