"""A run that waits for a batch may die at any moment: the next one collects what was paid for, once."""

import asyncio
from collections.abc import Generator, Sequence
from itertools import count
from typing import Any

import pytest
from starlette.responses import Response

from neuron_assets.errors import BudgetSpent
from neuron_assets.language_models.asker import Requested
from neuron_assets.language_models.batching import BatchBounds, ask_all_in_batches
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.open_batches import OpenBatches
from neuron_assets.method.records import Answer
from tests.language_models.asked_in_batches import ask, asker
from tests.language_models.asked_numbers import questions, values
from tests.language_models.batch_server import Course, batch_server
from tests.language_models.misbehaving_server import refusal


class Killed(BaseException):
    """The process is gone."""


def killing(after: int) -> Any:
    """A sleep during which the process dies, the so-manieth time."""
    naps = count(1)

    async def sleep(_seconds: float) -> None:
        if next(naps) >= after:
            raise Killed

    return sleep


@pytest.mark.parametrize("naps", [1, 3])
def test_a_restart_finds_the_open_batch_and_submits_nothing(database: Database, naps: int) -> None:
    with batch_server(course=lambda _: Course(n_waits=6)) as server:
        with pytest.raises(Killed):
            ask(questions(20), server, database, sleep=killing(naps))
        direct = len(server.direct)
        answers = ask(questions(20), server, database)

    assert values(answers) == list(range(20))
    assert len(server.batches) == 1
    assert [name for name in server.files if name.startswith("file-")] == ["file-0"]
    assert len(server.direct) == direct + 1  # who answers


def test_a_restart_with_other_bounds_collects_the_same_batch(database: Database) -> None:
    with batch_server() as server:
        with pytest.raises(Killed):
            ask(questions(20), server, database, sleep=killing(1))
        answers = ask(questions(23), server, database, BatchBounds(most_requests=8))

    assert values(answers) == list(range(23))
    assert [len(server.lines(number)) for number in range(len(server.batches))] == [19, 2]


def test_an_abandoned_run_is_taken_up_where_it_was(database: Database) -> None:
    bounds = BatchBounds(most_requests=10)
    with batch_server() as server:
        answers = ask_all_in_batches(questions(40), asker(server, database), OpenBatches(database), bounds=bounds)
        assert isinstance(answers, Generator)
        for _ in range(12):
            next(answers)
        answers.close()
        n_before = len(server.batches)
        again = ask(questions(40), server, database, bounds)
        asked = [line["custom_id"] for number in range(len(server.batches)) for line in server.lines(number)]

    assert n_before == 2
    assert values(again) == list(range(40))
    assert len(asked) == len(set(asked)) == 38


def test_a_batch_whose_id_was_lost_on_the_way_is_not_made_twice(database: Database) -> None:
    lost = iter([refusal(502, "The answer is lost.")])

    def once(method: str, path: str) -> Response | None:
        return next(lost, None) if (method, path) == ("POST", "/batches") else None

    with batch_server(misbehave=once) as server:
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]
    assert len(server.batches) == 1


def test_a_process_killed_before_it_knew_the_id_finds_the_batch(database: Database) -> None:
    is_dead = True

    def dead(method: str, path: str) -> Response | None:
        return refusal(502, "Gone.") if is_dead and (method, path) == ("POST", "/batches") else None

    with batch_server(misbehave=dead) as server:
        with pytest.raises(Killed):
            ask(questions(4), server, database, sleep=killing(1))
        is_dead = False
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]
    assert len(server.batches) == 1


def test_a_process_killed_while_it_collects_counts_each_answer_once(database: Database) -> None:
    record: list[Requested] = []

    def dying(requested: Sequence[Requested]) -> None:
        record.extend(requested)
        if len(record) == 4:
            raise Killed

    with batch_server() as server:
        with pytest.raises(Killed):
            ask(questions(9), server, database, record=dying)
        answers = ask(questions(9), server, database, record=record.extend)

    assert values(answers) == list(range(9))
    assert sorted(one.about for one in record) == sorted(f"L0N{number}" for number in range(9))
    assert len(server.batches) == 1


def test_where_no_batches_are_listed_a_restart_knows_the_id(database: Database) -> None:
    def unlisted(method: str, path: str) -> Response | None:
        return refusal(405, "Method Not Allowed") if (method, path) == ("GET", "/batches") else None

    with batch_server(misbehave=unlisted) as server:
        with pytest.raises(Killed):
            ask(questions(4), server, database, sleep=killing(1))
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]
    assert len(server.batches) == 1


def test_two_processes_that_wait_for_one_batch_count_each_answer_once(database: Database) -> None:
    record: list[Requested] = []
    collected: list[list[Answer[int]]] = []

    async def sleep(_seconds: float) -> None:
        if not collected:
            collected.append(await asyncio.to_thread(ask, questions(5), server, database, record=record.extend))

    with batch_server() as server:
        answers = ask(questions(5), server, database, record=record.extend, sleep=sleep)

    assert values(answers) == values(collected[0]) == [0, 1, 2, 3, 4]
    assert sorted(one.about for one in record) == [f"L0N{number}" for number in range(5)]
    assert len(server.batches) == 1


def test_a_file_that_was_uploaded_is_not_made_a_batch_of_where_the_budget_is_spent(database: Database) -> None:
    def dead(method: str, path: str) -> Response | None:
        return refusal(502, "Gone.") if (method, path) == ("GET", "/batches") else None

    def spent(_n_others: int) -> None:
        raise BudgetSpent("tiny", "8 requests", "8 requests")

    with batch_server(misbehave=dead) as server:
        with pytest.raises(Killed):
            ask(questions(4), server, database, sleep=killing(1))
        server.misbehave = lambda _method, _path: None
        with pytest.raises(BudgetSpent):
            ask(questions(4), server, database, before_asking=spent)
        n_before = len(server.batches)
        answers = ask(questions(4), server, database)

    assert n_before == 0
    assert values(answers) == [0, 1, 2, 3]
    assert len(server.batches) == 1
