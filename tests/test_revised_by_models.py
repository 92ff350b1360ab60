"""Studies whose explanations a language model revises: the subject's rules are known, and so is the truth.

The scripted model begins with a wrong text for each neuron. Asked to revise, it says what the marked tokens of the
tests have in common: so whatever is gained is gained from what the subject did on the sentences.
"""

import json
import keyword
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
from starlette.responses import Response

from neuron_assets.assets.estimating import Estimate, estimate
from neuron_assets.assets.question_lengths import CHARACTERS_A_TOKEN
from neuron_assets.assets.spending import spending_of
from neuron_assets.assets.study_component import table_resources
from neuron_assets.errors import BudgetSpent
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.project import Project
from neuron_assets.running import Run, Wanted, count_lost, materialize
from neuron_assets.study import Study
from neuron_assets.tables.store import TableStore
from tests.language_models.misbehaving_server import (
    MODEL,
    Behaviour,
    Body,
    MisbehavingServer,
    as_json,
    chat_answer,
    refusal,
    running,
)
from tests.polite_server import characters, is_a_probe
from tests.scenario import STUDY, make_project

SELF, NUMBERS = 0, 5
"""Planted units: ` self`, and numbers."""
TRUTH = {SELF: "the word self", NUMBERS: "numbers in digits"}
FIRST = {SELF: "keywords of Python", NUMBERS: "punctuation"}
TAKEN_AT_ITS_WORD: Mapping[str, Callable[[str], bool]] = {
    TRUTH[SELF]: lambda token: token == " self",
    TRUTH[NUMBERS]: lambda token: token.strip().isdigit(),
    FIRST[SELF]: lambda token: keyword.iskeyword(token.strip()),
    FIRST[NUMBERS]: lambda token: not any(character.isalnum() for character in token),
}
FIRES = ["if x is None: return the self of it", "count to 42 and while true go on", "import os and 7 more"]
SILENT = ["the value of self is not known", "room 17 lies above", "nothing but plain words"]
SPLITS = {**dict(STUDY["splits"]), "calibration": {"top": 4, "random": 6}}  # type: ignore[call-overload]
NEURON = ["layer_index", "neuron_index"]
ROUNDS = 2
World = tuple[Project, Study]


def kind_of(body: Body) -> str:
    if is_a_probe(body):
        return "probe"
    if "response_format" in body:
        return "sentences" if "fires_1" in last(body) else "simulation"
    return "revision" if "First explanation:" in last(body) else "explanation"


def last(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def learner(body: Body, _number: int) -> Response | None:
    """Says what it knows, and learns from what was measured."""
    match kind_of(body):
        case "probe":
            return None
        case "sentences":
            keys = [*(f"fires_{n}" for n in (1, 2, 3)), *(f"silent_{n}" for n in (1, 2, 3))]
            return said(json.dumps(dict(zip(keys, FIRES + SILENT, strict=True))))
        case "explanation":
            return said(FIRST[NUMBERS if re.search(r"\d\t10", last(body)) else SELF])
        case "simulation":
            return simulated(last(body))
    tests = last(body).partition("Test 1:")[2]
    fired = set(re.findall(r"«([^«»]*)» \d+", tests))
    if fired and all(token.strip().isdigit() for token in fired):
        return said(TRUTH[NUMBERS])
    return said(TRUTH[SELF] if fired == {" self"} else "something else")


def simulated(question: str) -> Response:
    expected = TAKEN_AT_ITS_WORD[question.split("\n")[2]]
    tokens = re.findall(r'^(\d+) (".*")$', question, re.MULTILINE)
    return said(json.dumps({number: 10 * expected(json.loads(token)) for number, token in tokens}))


def said(text: str) -> Response:
    return as_json(chat_answer(text))


def revised_by(root: Path, url: str, *, explainer: dict[str, object] | None = None, **changes: object) -> World:
    hosted = {"provider": "openai_compatible", "model": MODEL, "base_url": url, "asks": 1}
    parts = {
        "subject": {"provider": "planted"},
        "neurons": [SELF, NUMBERS],
        "splits": SPLITS,
        "revision": {"rounds": ROUNDS},
        "explainer": hosted | {"shown_random": 2} | (explainer or {}),
        "simulator": hosted,
        "checks": {"most_failures": 1.0, "most_undefined": 1.0},
    }
    return make_project(root, **parts | changes)


def make(project: Project, study: Study, *, offline: bool = False, layer: int = 0) -> list[Run]:
    runs: list[Run] = []
    resources: Any = table_resources(project.tables, project.requests, offline=offline)
    with dg.DagsterInstance.local_temp(str(project.dagster_home)) as instance:
        materialize(Wanted(study, (layer,)), instance, resources, runs.append)
    return runs


def path_of(project: Project, table: str) -> Path:
    key = None if table in {"excerpts", "layer_summary"} else "L00"
    return Path(str(TableStore.at(project.tables).path("tiny", table, key)))


def read(project: Project, table: str) -> pl.DataFrame:
    return pl.read_parquet(path_of(project, table))


def asked(server: MisbehavingServer, *kinds: str) -> list[Body]:
    return [body for body in server.bodies if kind_of(body) in (kinds or ("explanation", "sentences", "revision"))]


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


def test_a_study_that_was_stopped_asks_only_what_is_left(tmp_path: Path, told: Told) -> None:
    with running(behaviour=learner) as server:
        world = revised_by(tmp_path, server.url, budget={"requests": 7})
        with pytest.raises(BudgetSpent):
            make(*world)
        n_before = len(asked(server, "sentences", "revision"))
        project, study = revised_by(tmp_path, server.url)
        make(project, study)
        bodies = [json.dumps(body) for body in asked(server)]

    assert 0 < n_before < 2 * 2 * ROUNDS
    assert len(bodies) == len(set(bodies)) == len(told.asked)
    assert read(project, "revised_explanations")["explanation"].to_list() == (
        read(told.project, "revised_explanations")["explanation"].to_list()
    )


def about_numbers(body: Body) -> bool:
    """Whether a revision is of the neuron that fires on numbers."""
    return kind_of(body) == "revision" and bool(re.search(r"«\W*\d+» 10", last(body)))


def unreadable_sentences(body: Body, number: int) -> Response | None:
    if kind_of(body) == "sentences" and FIRST[NUMBERS] in last(body):
        return said("I would rather not write any.")
    return learner(body, number)


def unreadable_revisions(body: Body, number: int) -> Response | None:
    return said("I am sorry, I cannot say.") if about_numbers(body) else learner(body, number)


@pytest.mark.parametrize(
    ("behaviour", "sentences_failed"), [(unreadable_sentences, True), (unreadable_revisions, False)]
)
def test_a_reply_that_cannot_be_read_is_a_failure_of_its_neuron_alone(
    tmp_path: Path, behaviour: Behaviour, *, sentences_failed: bool
) -> None:
    with running(behaviour=behaviour) as server:
        project, study = revised_by(tmp_path, server.url)
        make(project, study)
    rows, tests = read(project, "revised_explanations"), read(project, "counterexamples")
    failed, other = (rows.filter(pl.col("neuron_index") == neuron) for neuron in (NUMBERS, SELF))
    of_failed = tests.filter(pl.col("neuron_index") == NUMBERS)

    assert other["explanation"].to_list() == [TRUTH[SELF]] * ROUNDS
    assert failed["explanation"].null_count() == ROUNDS
    assert failed["failure"].str.contains("could not be read").all()
    assert failed["failure"].str.starts_with("no sentences to revise it by").to_list() == [sentences_failed] * ROUNDS
    if sentences_failed:
        assert of_failed["failure"].null_count() == 0
        assert of_failed["sentence"].null_count() == of_failed.height == ROUNDS
    else:
        assert of_failed.filter(pl.col("round") == 1)["failure"].null_count() == 6
        assert of_failed.filter(pl.col("round") == 2)["failure"].to_list() == ["there is no explanation"]
    chosen = read(project, "scores").filter("chosen", pl.col("scorer") == "simulation")
    assert dict(chosen.select("neuron_index", "author").iter_rows()) == {SELF: "revision", NUMBERS: MODEL}


def ill(kind: str) -> Callable[[Body, int], Response | None]:
    return lambda body, number: refusal(500, "out of order") if kind_of(body) == kind else learner(body, number)


@pytest.mark.parametrize("kind", ["sentences", "revision"])
def test_what_nobody_answered_is_asked_again_by_the_next_call(tmp_path: Path, kind: str) -> None:
    failing = ill(kind)
    n_failed = 0

    def one_fails(body: Body, number: int) -> Response | None:
        nonlocal n_failed
        concerned = kind_of(body) == kind and n_failed == 0
        n_failed += concerned
        return failing(body, number) if concerned else learner(body, number)

    with running(behaviour=one_fails) as server:
        project, study = revised_by(
            tmp_path, server.url, asking={"most_tries": 1, "most_at_once": 1}, revision={"rounds": 1}
        )
        make(project, study)
        n_lost = count_lost(Wanted(study, (0,)), TableStore.at(project.tables))
        before = len(asked(server))
        server.behaviour = learner
        runs = make(project, study)
        after = len(asked(server)) - before

    assert n_failed == n_lost == 1
    assert runs[0].tables[:2] == ("counterexamples", "revised_explanations")
    assert after == (2 if kind == "sentences" else 1)
    assert count_lost(Wanted(study, (0,)), TableStore.at(project.tables)) == 0
    assert read(project, "revised_explanations")["explanation"].null_count() == 0
