"""Studies whose explanations a language model revises, on a subject whose rules are known."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from neuron_assets.assets.estimating import Estimate, estimate
from neuron_assets.assets.question_lengths import CHARACTERS_A_TOKEN
from neuron_assets.assets.spending import spending_of
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.project import Project
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore
from tests.language_models.misbehaving_server import MODEL, Body, MisbehavingServer, running
from tests.learning_model import (
    FIRES,
    FIRST,
    NUMBERS,
    ROUNDS,
    SELF,
    SILENT,
    TRUTH,
    asked,
    kind_of,
    last,
    learner,
    make,
    path_of,
    read,
    revised_by,
)
from tests.polite_server import characters

pytestmark = pytest.mark.slow

NEURON = ["layer_index", "neuron_index"]


@pytest.fixture(scope="module")
def server() -> Iterator[MisbehavingServer]:
    with running(behaviour=learner) as server:
        yield server


@dataclass(frozen=True)
class Told:
    """A study that was estimated, made, and estimated again."""

    root: Path
    project: Project
    study: Study
    before: dict[str, Estimate]
    after: dict[str, Estimate]
    asked: list[Body]


@pytest.fixture(scope="module")
def told(server: MisbehavingServer, tmp_path_factory: pytest.TempPathFactory) -> Told:
    root = tmp_path_factory.mktemp("world")
    project, study = revised_by(root, server.url)
    before = estimated(project, study)
    make(project, study)
    return Told(root, project, study, before, estimated(project, study), asked(server))


@pytest.fixture
def root(told: Told, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    shutil.copytree(told.root, tmp_path / "own")
    return tmp_path / "own"


def estimated(project: Project, study: Study) -> dict[str, Estimate]:
    found = estimate(study, {0: study.neuron_indices(0)}, project.requests, TableStore.at(project.tables))
    return {one.role: one for one in found}


def test_each_sentence_is_held_against_what_the_subject_did_on_it(told: Told) -> None:
    rows = read(told.project, "counterexamples")
    first, maxima = rows.filter(pl.col("round") == 1), read(told.project, "neuron_statistics")

    assert first["sentence"].to_list() == [*FIRES, *SILENT] * 2
    assert first["should_fire"].to_list() == [True, True, True, False, False, False] * 2
    assert set(rows["source"]) == {"explainer"}
    assert rows.select("excerpt_index", "token", "cost", "failure").null_count().row(0) == (rows.height,) * 4
    for row in rows.to_dicts():
        expected = list(PLANTED_UNITS[row["neuron_index"]].function(row["tokens"]))
        maximum = maxima.filter(pl.col("neuron_index") == row["neuron_index"])["maximum"].item()
        fired = max(expected) > 0.1 * maximum
        assert "".join(row["tokens"]) == row["sentence"]
        assert row["activations"] == expected
        assert row["peak"] == max(expected)
        assert row["fault"] == (None if fired == row["should_fire"] else "silent" if fired else "fires")
    assert set(first["fault"]) == {None, "fires", "silent"}


def test_what_the_model_learns_from_the_subject_is_chosen_and_the_gain_is_told(told: Told) -> None:
    scores, revised = read(told.project, "scores"), read(told.project, "revised_explanations")
    own = scores.filter(pl.col("scorer") == "simulation", pl.col("sample") == "top_and_random")
    chosen, first = own.filter("chosen"), own.filter(pl.col("candidate") == 0)
    both = chosen.join(first, on=NEURON, suffix="_first")
    gain = (both["ev_correlation"] - both["ev_correlation_first"]).mean()
    summary = read(told.project, "layer_summary").filter(
        pl.col("author") == "chosen", pl.col("sample") == "top_and_random"
    )

    assert revised["explanation"].to_list() == [TRUTH[SELF]] * ROUNDS + [TRUTH[NUMBERS]] * ROUNDS
    assert chosen["author"].to_list() == ["revision"] * 2
    assert chosen["ev_correlation"].to_list() == pytest.approx([1.0] * 2)
    assert both.height == summary["n_neurons"].item() == 2
    assert summary["gain"].item() == pytest.approx(gain)
    assert summary["gain_low"].item() > 0


def test_every_candidate_stays_with_the_one_that_it_was_made_from(told: Told) -> None:
    own = read(told.project, "candidates").filter(pl.col("author") != "shuffled_control")
    numbers = own.group_by(NEURON).agg(pl.col("candidate", "parent", "author").sort_by("candidate"))

    assert numbers["candidate"].to_list() == [[0, 1, 2]] * 2
    assert numbers["parent"].to_list() == [[None, 0, 1]] * 2
    assert numbers["author"].to_list() == [[MODEL, "revision", "revision"]] * 2
    assert own["explainer"].n_unique() == 1
    assert own["explainer"][0].startswith(f"openai_compatible/{MODEL}={MODEL}")


def test_a_revision_is_shown_excerpts_of_train_its_own_sentences_and_what_was_said_before(told: Told) -> None:
    excerpts, revisions = read(told.project, "excerpts"), [one for one in told.asked if kind_of(one) == "revision"]
    train = set(excerpts.filter(pl.col("split") == "train")["text"])
    mine = {*FIRST.values(), *TRUTH.values(), *FIRES, *SILENT}

    assert len(revisions) == 2 * ROUNDS
    for body in revisions:
        fenced = re.findall(r"<start>\n(.*?)\n", last(body))
        shown = {text.replace("«", "").replace("»", "").replace("\\n", "\n") for text in fenced}
        assert len(shown & train) == 5 + 2
        assert shown <= train | mine


def test_as_much_is_asked_as_was_told(told: Told) -> None:
    sent = [body for body in told.asked if kind_of(body) in {"sentences", "revision"}]
    told_before, told_after = told.before["revision"], told.after["revision"]
    mean = sum(map(characters, sent)) / len(sent)

    assert told_before.requests == told_after.requests == len(sent) == 2 * 2 * ROUNDS
    assert told_before.tokens_in * CHARACTERS_A_TOKEN / told_before.requests == pytest.approx(
        mean, rel=told_before.error
    )
    assert "in its ledger" in told_after.basis
    booked = {row.asset: row.requests for row in spending_of(told.study, told.project.requests)}
    assert (booked["explanations"], booked["revised_explanations"]) == (2, len(sent))


def test_nothing_is_asked_twice(root: Path, server: MisbehavingServer) -> None:
    project, study = revised_by(root, server.url)
    tables = ("counterexamples", "revised_explanations")
    n_before, before = len(asked(server)), {table: path_of(project, table).read_bytes() for table in tables}

    assert make(project, study) == []
    path_of(project, tables[1]).unlink()
    make(project, study, offline=True)
    assert len(asked(server)) == n_before
    assert {table: path_of(project, table).read_bytes() for table in tables} == before
