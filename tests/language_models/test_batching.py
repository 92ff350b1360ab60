"""A batch costs half, is paid for once whatever happens to the run that waits for it, and loses no answer."""

import asyncio
import logging
import traceback
from collections.abc import Generator, Iterator
from itertools import count
from pathlib import Path

import pytest

from neuron_assets.errors import (
    BatchNotDone,
    BudgetSpent,
    NotAnsweredYet,
)
from neuron_assets.language_models.asker import Limits, Progress, Requested, Used
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.batching import BatchBounds, ask_all_in_batches
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.model import Usage
from neuron_assets.language_models.open_batches import OpenBatches
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import Question
from neuron_assets.method.records import Answer
from tests.language_models.asked_in_batches import ask, asker, said
from tests.language_models.asked_numbers import failures, question, questions, values
from tests.language_models.batch_server import Course, batch_server, good
from tests.language_models.misbehaving_server import Body

KEY = "sk-planted-0123456789-abcdef"


def test_every_question_gets_its_own_answer_in_order(database: Database) -> None:
    with batch_server() as server:
        answers = ask(questions(30), server, database)

    assert values(answers) == list(range(30))
    assert len(server.batches) == 1
    assert len(server.lines(0)) == 29  # the first question was asked directly
    assert len(server.direct) == 2  # and somebody had to say who answers


def test_a_line_holds_the_body_of_a_direct_request(database: Database, tmp_path: Path) -> None:
    settings = {"temperature": 0.5, "seed": 7, "more": {"reasoning_effort": "low"}}
    asked = [question(0), question(1), question(1, sample=2)]
    other = Database.open(str(tmp_path / "other.sqlite"))
    with batch_server() as server:
        ask(asked, server, database, settings=settings)
        lines = server.lines(0)
        server.direct.clear()
        list(ask_all(asked, asker(server, other, settings=settings, limits=Limits(most_at_once=1))))
    other.close()

    assert [line["body"] for line in lines] == server.direct[2:]
    assert lines[1]["body"]["seed"] == 7 + 2 * Limits().most_asks
    assert {(line["method"], line["url"]) for line in lines} == {("POST", "/v1/chat/completions")}


def test_what_batches_answered_is_not_asked_again_directly_or_otherwise(database: Database) -> None:
    with batch_server() as server:
        ask(questions(5), server, database)
        server.direct.clear()
        again = ask(questions(5), server, database)
        directly = list(ask_all(questions(5), asker(server, database)))

    assert values(again) == values(directly) == list(range(5))
    assert len(server.batches) == 1
    assert len(server.direct) == 2  # who answers, twice


def test_whoever_uses_an_answer_of_a_batch_is_told_of_it(database: Database) -> None:
    used: list[Used] = []
    with batch_server() as server:
        ask(questions(3), server, database, used=used.append)
        first = set(used)
        used.clear()
        ask(questions(3), server, database, used=used.append)

    assert first == set(used)
    assert sorted(one.about for one in first) == ["L0N0", "L0N1", "L0N2"]
    assert all(RequestStore(database).get(one.key) for one in first)


def test_batches_are_bounded_by_requests(database: Database) -> None:
    with batch_server() as server:
        answers = ask(questions(25), server, database, BatchBounds(most_requests=10))

    assert values(answers) == list(range(25))
    assert [len(server.lines(number)) for number in range(3)] == [10, 10, 4]


def test_batches_are_bounded_by_bytes(database: Database) -> None:
    with batch_server() as server:
        answers = ask(questions(25), server, database, BatchBounds(most_bytes=1000))
        sizes = [len(text) for name, text in server.files.items() if name.startswith("file-")]

    assert values(answers) == list(range(25))
    assert len(sizes) > 3
    assert all(size < 1500 for size in sizes)


def test_questions_are_taken_a_batch_at_a_time(database: Database) -> None:
    taken = []

    def endless() -> Iterator[Question[int]]:
        for number in count():
            taken.append(number)
            yield question(number)

    with batch_server() as server:
        answers = ask_all_in_batches(
            endless(), asker(server, database), OpenBatches(database), bounds=BatchBounds(most_requests=4)
        )
        assert isinstance(answers, Generator)
        first = [next(answers).value for _ in range(5)]
        answers.close()

    assert first == [0, 1, 2, 3, 4]
    assert len(taken) == 5


def test_questions_alike_are_asked_once(database: Database) -> None:
    with batch_server() as server:
        answers = ask([question(0), question(7), question(7), question(7, sample=1)], server, database)

    assert values(answers) == [0, 7, 7, 7]
    assert len(server.lines(0)) == 2


def test_offline_all_comes_from_the_store_or_is_named(database: Database) -> None:
    with batch_server() as server:
        ask(questions(3), server, database)
        server.direct.clear()
        kept = ask(questions(3), server, database, offline=True)
        with pytest.raises(NotAnsweredYet, match="L0N3, L0N4"):
            ask(questions(5), server, database, offline=True)

    assert values(kept) == [0, 1, 2]
    assert len(server.batches) == 1
    assert not server.direct


def test_the_budget_is_looked_at_before_each_batch(database: Database) -> None:
    record: list[Requested] = []

    def check(n_others: int) -> None:
        n_before.append((len(record), n_others))
        if len(record) + n_others >= 13:
            raise BudgetSpent("tiny", "11 requests", "13 requests")

    n_before: list[tuple[int, int]] = []
    fields = {"record": record.extend, "before_asking": check}
    with batch_server() as server, pytest.raises(BudgetSpent):
        ask(questions(30), server, database, BatchBounds(most_requests=5), **fields)

    assert [len(server.lines(number)) for number in range(len(server.batches))] == [5, 5]
    assert [one.batch for one in record] == [False] + [True] * 10
    assert n_before == [(0, 0), (1, 4), (1, 4), (6, 4), (6, 4), (11, 4)]
    assert record[-1].usage == Usage(11, 3, 4)


def test_progress_counts_answers_failures_and_requests(database: Database) -> None:
    heard: list[Progress] = []
    refuse_2 = lambda body: (400, {"error": {"message": "No."}}) if said(body) == "2" else good(body)  # noqa: E731

    with batch_server(answer=refuse_2) as server:
        list(ask_all_in_batches(questions(4), asker(server, database), OpenBatches(database), heard.append))

    counts = [(progress.n_answers, progress.n_failures, progress.n_requests) for progress in heard]
    assert counts[:2] == [(1, 0, 1), (1, 0, 4)]
    assert counts[-3:] == [(2, 0, 4), (3, 1, 4), (4, 1, 4)]


def test_what_is_waited_for_is_told_once_for_each_change(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "neuron_assets")
    heard: list[Progress] = []

    with batch_server(course=lambda _: Course(n_waits=5)) as server:
        list(ask_all_in_batches(questions(4), asker(server, database), OpenBatches(database), heard.append))

    news = list(dict.fromkeys(progress.batch for progress in heard if progress.batch))
    assert news == [record.message.removeprefix("the server: ") for record in caplog.records]
    assert news[0] == "3 requests submitted as batch batch-0; it goes on if this run is stopped"
    assert [told.split("UTC: ")[1] for told in news[1:-1]] == ["validating, 0 of 3", "in_progress, 0 of 3"]
    assert news[-1] == "batch batch-0 is completed, 3 of 3 answered"


def test_pauses_grow_to_five_minutes(database: Database) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    with batch_server(course=lambda _: Course(n_waits=15)) as server:
        ask(questions(2), server, database, sleep=sleep)

    assert pauses[0] == 5
    assert pauses == sorted(pauses)
    assert pauses[-1] == 300


def test_it_works_within_a_running_event_loop(database: Database) -> None:
    async def asked() -> list[Answer[int]]:
        return ask(questions(4), server, database)

    with batch_server() as server:
        answers = asyncio.run(asked())

    assert values(answers) == [0, 1, 2, 3]


def test_the_key_is_sent_and_stands_nowhere(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PLANTED_KEY", KEY)
    caplog.set_level(logging.DEBUG, "neuron_assets")
    talkative: Course = Course(errors=({"message": f"Not with {KEY}"},))
    courses = [Course(), talkative]

    def gossip(body: Body) -> tuple[int, Body]:
        return (400, {"error": {"message": f"{KEY} says too much"}}) if said(body) == "2" else good(body)

    with batch_server(answer=gossip, course=courses.__getitem__) as server:
        settings = {"api_key_env": "PLANTED_KEY"}
        answers = ask(questions(4), server, database, settings=settings)
        with pytest.raises(BatchNotDone, match=r"Not with \*\*\*") as caught:
            ask(questions(8), server, database, settings=settings)
        uploads = [text for name, text in server.files.items() if name.startswith("file-")]
        sent = {headers["authorization"] for headers in server.headers}

    told = [caplog.text, str(answers), "".join(traceback.format_exception(caught.value)), *uploads]
    kept = b"".join(path.read_bytes() for path in Path(database.name).parent.iterdir())
    assert sent == {f"Bearer {KEY}"}
    assert failures(answers) == ["refused: *** says too much (400)"]
    assert "batch-0" in caplog.text
    assert not any(KEY in text for text in told)
    assert KEY.encode() not in kept
