"""What a person wrote becomes a candidate that is scored as any other, and changes nothing that was there."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import polars as pl
import pytest

from neuron_assets.assets.specs import asset_key
from neuron_assets.assets.study_component import build_study, table_resources
from neuron_assets.method.labels import PersonsExplanation, PersonsRating
from neuron_assets.method.records import NeuronId
from neuron_assets.project import Project
from neuron_assets.study import Study, read_study
from neuron_assets.tables.label_store import LabelStore
from neuron_assets.tables.parquet import read_facts
from neuron_assets.tables.store import TableStore
from neuron_assets.viewer.given import Own, labels_of, own_explanations
from neuron_assets.viewer.neuron import Desk, see_neuron
from neuron_assets.viewer.shelf import Shelf
from tests.scenario import make_project
from tests.served_tables import make, metadata, path_of, read

pytestmark = pytest.mark.slow

IN_RULES = "Activates on words (10). Otherwise about 0."
CHAIN = ("explanations", "candidates", "simulations", "scores")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain of two layers, without any label."""
    root = tmp_path_factory.mktemp("unlabelled")
    make(*make_project(root))
    return root


@pytest.fixture
def own(made: Path, tmp_path: Path) -> tuple[Project, Study]:
    shutil.copytree(made, tmp_path / "own")
    project = Project.from_environment({}, tmp_path / "own")
    return project, read_study(project.study_files()["tiny"])


def store_of(project: Project) -> LabelStore:
    return LabelStore(TableStore.at(project.tables), "tiny")


def label(project: Project, neuron: NeuronId, text: str = IN_RULES) -> None:
    written = PersonsExplanation(person="Åsa", neuron=neuron, written_at=datetime.now(UTC), text=text)
    store_of(project).add(written)


def own_label(project: Project, neuron: NeuronId) -> Own:
    """The one of Åsa, as the viewer tells it."""
    desk = Desk(Shelf(project).study("tiny"), neuron)
    (own,) = own_explanations("åsa", see_neuron(desk).candidates, labels_of(desk))
    return own


def explained_neuron(study: Study, layer: int = 1, place: int = 0) -> NeuronId:
    return NeuronId(layer, study.neuron_indices(layer)[place])


def test_without_labels_the_table_is_empty_and_nothing_is_made_again(own: tuple[Project, Study]) -> None:
    assert read(own[0], "labels").is_empty()
    assert make(*own) == []


def test_a_label_is_scored_beside_what_was_there(own: tuple[Project, Study]) -> None:
    project, study = own
    before = {table: read(project, table) for table in CHAIN}
    other_layer = {table: path_of(project, table, 2).read_bytes() for table in CHAIN}
    neuron = explained_neuron(study)
    label(project, neuron)
    assert not own_label(project, neuron).scores

    runs = make(project, study)

    assert [run.tables[0] for run in runs] == ["labels", "layer_summary"]
    assert runs[0].first_layer == runs[0].last_layer == "L01"
    for table, rows in before.items():
        now = read(project, table)
        assert now.join(rows, on=rows.columns, how="semi", nulls_equal=True).height == rows.height, table
    written = read(project, "candidates").filter(pl.col("author") == "human:Åsa").to_dicts()
    last = before["candidates"].filter(neuron_index=neuron.neuron_index, layer_index=1)["candidate"].max()
    assert isinstance(last, int)
    expected = {
        "layer_index": 1,
        "neuron_index": neuron.neuron_index,
        "candidate": last + 1,
        "author": "human:Åsa",
        "parent": None,
        "taken_from": None,
        "explainer": "none",
        "explanation": IN_RULES,
        "failure": None,
    }
    assert written == [expected]
    scores = read(project, "scores").filter(pl.col("author") == "human:Åsa")
    assert scores["failure"].null_count() == scores.height > 0
    assert not scores["chosen"].any()
    assert {table: path_of(project, table, 2).read_bytes() for table in CHAIN} == other_layer
    assert metadata(project, study, "candidates", 1)["by_people"] == 1
    assert "human:Åsa" in set(read(project, "layer_summary")["author"])

    told = own_label(project, neuron)
    assert (told.label.text, set(told.scores)) == (IN_RULES, {"top_and_random", "random_only"})
    assert all(row["author"] == "human:Åsa" and row["candidate"] == last + 1 for row in told.scores.values())

    assert make(project, study) == []


def test_the_studys_own_means_are_the_same_with_labels(own: tuple[Project, Study]) -> None:
    project, study = own
    before = {layer: metadata(project, study, "scores", layer) for layer in (1, 2)}
    label(project, explained_neuron(study))
    make(project, study)

    after = metadata(project, study, "scores", 1)
    for name in ("score_top_and_random", "score_random_only", "undefined_scores", "explainer", "simulator", "made_by"):
        assert after[name] == before[1][name], name


def test_free_text_that_the_simulator_cannot_read_fails_alone(own: tuple[Project, Study]) -> None:
    project, study = own
    for place in range(3):
        label(project, explained_neuron(study, place=place), "something about rivers")
    make(project, study)

    simulated = read(project, "simulations").filter(pl.col("explanation") == "something about rivers")
    assert simulated["failure"].null_count() == 0 < simulated.height
    assert "cannot read" in simulated["failure"][0]
    assert make(project, study) == []


def test_a_rating_makes_nothing_stale(own: tuple[Project, Study]) -> None:
    project, study = own
    neuron = explained_neuron(study)
    rating = PersonsRating(person="Åsa", neuron=neuron, written_at=datetime.now(UTC), text="any", rating="good")
    store_of(project).add(rating)

    assert make(project, study) == []


def test_a_label_of_a_neuron_that_is_not_explained_is_no_candidate(own: tuple[Project, Study]) -> None:
    project, study = own
    stranger = next(index for index in range(768) if index not in study.neuron_indices(1))
    before = path_of(project, "scores", 1).read_bytes()
    label(project, NeuronId(1, stranger))
    make(project, study)

    assert read(project, "labels")["neuron_index"].to_list() == [stranger]
    assert stranger not in set(read(project, "candidates")["neuron_index"])
    assert path_of(project, "scores", 1).read_bytes() == before
    assert not own_label(project, NeuronId(1, stranger)).scores
    assert make(project, study) == []


def test_a_damaged_label_is_named_and_stops_nothing(own: tuple[Project, Study]) -> None:
    project, study = own
    label(project, explained_neuron(study))
    label(project, explained_neuron(study, place=1), "numbers")
    entries = Path(project.tables) / "tiny" / "labels" / "entries"
    broken = next(path for path in entries.rglob("*.json") if "numbers" in path.read_text())
    broken.write_text("{")
    make(project, study)

    assert read(project, "labels").height == 1
    found = metadata(project, study, "labels", 1)
    assert found["damaged"] == 1
    assert broken.name in found["damaged_files"]


def test_tables_from_before_there_were_labels_stand_until_somebody_writes(own: tuple[Project, Study]) -> None:
    project, study = own
    shutil.rmtree(Path(project.tables) / "tiny" / "labels")
    assert make(project, study) == []
    label(project, explained_neuron(study))

    assert [run.tables[0] for run in make(project, study)] == ["labels", "layer_summary"]
    assert "human:Åsa" in set(read(project, "candidates")["author"])


def make_alone(project: Project, study: Study, table: str) -> None:
    """In Dagster, of layer 1."""
    definitions: list[dg.AssetsDefinition] = list(build_study(study, pools={}).assets or ())  # type: ignore[arg-type]
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        dg.materialize(
            definitions,
            selection=[asset_key(study, table)],
            instance=instance,
            resources=table_resources(project.tables, project.requests),
            partition_key="L01",
        )


def test_candidates_can_be_made_alone_before_any_labels(own: tuple[Project, Study]) -> None:
    project, study = own
    shutil.rmtree(Path(project.tables) / "tiny" / "labels")
    make_alone(project, study, "candidates")

    facts = read_facts(TableStore.at(project.tables).path("tiny", "candidates", "L01"))
    assert "tiny/labels/L01.parquet" not in facts.inputs
    assert make(project, study) == []

    label(project, explained_neuron(study))
    make_alone(project, study, "labels")
    assert [run.tables[0] for run in make(project, study)] == ["candidates", "layer_summary"]


def test_labels_stand_in_the_graph_before_candidates(own: tuple[Project, Study]) -> None:
    _, study = own
    definitions: list[dg.AssetsDefinition] = list(build_study(study).assets or ())  # type: ignore[arg-type]
    specs = {spec.key: spec for each in definitions for spec in each.specs}
    upstream = {dependency.asset_key for dependency in specs[asset_key(study, "candidates")].deps}

    assert asset_key(study, "labels") in upstream
    assert not list(specs[asset_key(study, "labels")].deps)
