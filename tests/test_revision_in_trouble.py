"""Revisions by a language model whose server fails, says what cannot be read, or is left in the middle."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from starlette.responses import Response

from neuron_assets.errors import BudgetSpent
from neuron_assets.running import Wanted, count_lost
from neuron_assets.tables.store import TableStore
from tests.language_models.misbehaving_server import MODEL, Behaviour, Body, refusal, running
from tests.learning_model import (
    FIRST,
    NUMBERS,
    ROUNDS,
    SELF,
    TRUTH,
    asked,
    kind_of,
    last,
    learner,
    make,
    read,
    revised_by,
    said,
)


@pytest.mark.slow
def test_a_study_that_was_stopped_asks_only_what_is_left(tmp_path: Path) -> None:
    with running(behaviour=learner) as server:
        world = revised_by(tmp_path, server.url, budget={"requests": 7})
        with pytest.raises(BudgetSpent):
            make(*world)
        n_before = len(asked(server, "sentences", "revision"))
        project, study = revised_by(tmp_path, server.url)
        make(project, study)
        bodies = [json.dumps(body) for body in asked(server)]

    assert 0 < n_before < 2 * 2 * ROUNDS
    assert len(bodies) == len(set(bodies)) == 2 + 2 * 2 * ROUNDS
    said_last = read(project, "revised_explanations").filter(pl.col("round") == ROUNDS)
    assert dict(said_last.select("neuron_index", "explanation").iter_rows()) == TRUTH


def about_numbers(body: Body) -> bool:
    """Whether a revision is of the neuron that fires on numbers."""
    return kind_of(body) == "revision" and bool(re.search(r"«\W*\d+» 10", last(body)))


def unreadable_sentences(body: Body, number: int) -> Response | None:
    if kind_of(body) == "sentences" and FIRST[NUMBERS] in last(body):
        return said("I would rather not write any.")
    return learner(body, number)


def unreadable_revisions(body: Body, number: int) -> Response | None:
    return said("I am sorry, I cannot say.") if about_numbers(body) else learner(body, number)


@pytest.mark.slow
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


@pytest.mark.slow
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
