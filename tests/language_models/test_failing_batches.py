"""Whatever becomes of a batch, its answers are kept, and the rest is asked again or has a clear reason."""

import asyncio
from dataclasses import replace

import pytest
from starlette.responses import PlainTextResponse, Response

from neuron_assets.errors import (
    BatchNotDone,
    KeyRefused,
    ModelChanged,
    NoBatches,
    QuotaSpent,
    ServerUnreachable,
)
from neuron_assets.language_models.asker import Asker, Limits, Requested
from neuron_assets.language_models.batching import ask_all_in_batches
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.open_batches import OpenBatches
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.language_models.scripted import Scripted
from neuron_assets.method.questions import EchoPrompt, Question
from tests.language_models.asked_in_batches import ask, said
from tests.language_models.asked_numbers import echo, failures, question, questions, values
from tests.language_models.batch_server import Course, batch_server, good
from tests.language_models.misbehaving_server import MODEL, Body, chat_answer, refusal


def test_an_unreadable_reply_is_asked_again_in_the_next_batch(database: Database) -> None:
    n_asked = {"3": 0, "4": 0}

    def stubborn(body: Body) -> tuple[int, Body]:
        text = said(body)
        n_asked[text] = n_asked.get(text, 0) + 1
        rubbish = text == "4" or (text == "3" and n_asked["3"] == 1)
        return 200, chat_answer("rubbish" if rubbish else text)

    with batch_server(answer=stubborn) as server:
        answers = ask(questions(6), server, database, limits=Limits(most_asks=3))
        sizes = [len(server.lines(number)) for number in range(len(server.batches))]

    assert values(answers) == [0, 1, 2, 3, None, 5]
    assert failures(answers)[0].startswith("3 replies could not be read, the last one: no number")
    assert sizes == [5, 2, 1]


def test_a_refused_line_is_a_failure_row_and_the_others_are_answers(database: Database) -> None:
    def prudish(body: Body) -> tuple[int, Body]:
        if said(body) == "2":
            return 400, {"error": {"message": "Not about that.", "code": "content_policy_violation"}}
        return good(body)

    record: list[Requested] = []
    with batch_server(answer=prudish) as server:
        answers = ask(questions(5), server, database, record=record.extend)

    assert values(answers) == [0, 1, None, 3, 4]
    assert failures(answers) == ["refused: Not about that. (400)"]
    assert [one.outcome for one in record if one.about == "L0N2"] == ["refused"]
    assert len(server.batches) == 1


def test_an_expired_batch_keeps_what_it_answered_and_the_rest_is_asked_again(database: Database) -> None:
    courses = [Course("expired", n_processed=3), Course()]
    with batch_server(course=courses.__getitem__) as server:
        answers = ask(questions(8), server, database)
        asked = [sorted(said(line["body"]) for line in server.lines(number)) for number in (0, 1)]

    assert values(answers) == list(range(8))
    assert asked == [["1", "2", "3", "4", "5", "6", "7"], ["4", "5", "6", "7"]]


def test_a_line_that_the_server_never_answers_is_a_failure_row_in_the_end(database: Database) -> None:
    def overloaded(body: Body) -> tuple[int, Body]:
        return (500, {"error": {"message": "Overloaded."}}) if said(body) == "2" else good(body)

    with batch_server(answer=overloaded) as server:
        answers = ask(questions(4), server, database, limits=Limits(most_tries=2))

    assert values(answers) == [0, 1, None, 3]
    assert failures(answers) == ["no answer: Overloaded. (500)"]
    assert [answer.lost for answer in answers if answer.failure] == [True]
    assert [len(server.lines(number)) for number in range(len(server.batches))] == [3, 1]


def test_a_large_batch_without_any_answer_ends_the_run(database: Database) -> None:
    with (
        batch_server(course=lambda _: Course("expired", n_processed=0)) as server,
        pytest.raises(BatchNotDone, match="none of its 29 requests was answered, the last one: no answer"),
    ):
        ask(questions(30), server, database)

    assert len(server.batches) == 1


def test_a_file_that_is_not_accepted_ends_the_run_with_the_providers_reason(database: Database) -> None:
    errors: tuple[Body, ...] = ({"code": "token_limit_exceeded", "message": "Too many tokens wait.", "line": None},)
    courses = [Course(errors=errors), Course()]
    with batch_server(course=courses.__getitem__) as server:
        with pytest.raises(BatchNotDone, match=r"batch-0.*Too many tokens wait\..*mode: direct"):
            ask(questions(3), server, database)
        answers = ask(questions(3), server, database)  # is not bound to the batch that failed

    assert values(answers) == [0, 1, 2]


def test_a_cancelled_batch_ends_the_run_and_keeps_what_it_answered(database: Database) -> None:
    courses = [Course("cancelled", n_processed=2), Course()]
    with batch_server(course=courses.__getitem__) as server:
        with pytest.raises(BatchNotDone, match="it was cancelled"):
            ask(questions(6), server, database)
        answers = ask(questions(6), server, database)
        again = sorted(said(line["body"]) for line in server.lines(1))

    assert values(answers) == list(range(6))
    assert again == ["4", "5"]  # 3 was asked directly by the second run


def test_a_batch_that_the_server_has_forgotten_is_submitted_again(database: Database) -> None:
    def forgetful(_method: str, path: str) -> Response | None:
        return refusal(404, "No such batch.") if path == "/batches/batch-0" else None

    with batch_server(misbehave=forgetful) as server:
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]
    assert len(server.batches) == 2


def test_another_model_in_a_batch_ends_the_run_and_is_kept_under_its_name(database: Database) -> None:
    def changed(body: Body) -> tuple[int, Body]:
        return 200, chat_answer(said(body), "parrot-2" if said(body) in "234" else MODEL)

    with batch_server(answer=changed) as server:
        with pytest.raises(ModelChanged, match=r"parrot-1.*parrot-2"):
            ask(questions(5), server, database)
        server.answer = lambda body: (200, chat_answer(said(body), "parrot-2"))
        answers = ask(questions(5), server, database)
        again = [said(line["body"]) for line in server.lines(1)]

    assert values(answers) == list(range(5))
    assert [said(body) for body in server.direct] == ["Hello", "0", "Hello", "0"]
    assert again == ["1"]  # 2, 3 and 4 were kept


def test_a_quota_that_ends_within_a_batch_ends_the_run_after_all_answers_are_kept(database: Database) -> None:
    def poor(body: Body) -> tuple[int, Body]:
        if said(body) == "2":
            return 429, {"error": {"message": "Pay first.", "code": "insufficient_quota"}}
        return good(body)

    with batch_server(answer=poor) as server:
        with pytest.raises(QuotaSpent, match="Pay first"):
            ask(questions(5), server, database)
        server.answer = good
        answers = ask(questions(5), server, database)

    assert values(answers) == list(range(5))
    assert len(server.batches) == 1  # what was left was one question, and that is asked directly


def test_a_parameter_that_the_server_wants_otherwise_is_learned_before_the_batch(database: Database) -> None:
    def modern(body: Body) -> tuple[int, Body]:
        if "max_tokens" in body:
            return 400, {"error": {"message": "Unsupported: use max_completion_tokens.", "param": "max_tokens"}}
        return good(body)

    with batch_server(answer=modern) as server:
        ask(questions(2), server, database)  # so that it is known who answers
        known = Database.open(database.name)
        answers = ask(questions(6), server, known, identity=RequestStore(known).observed("the server"))
        known.close()
        last = server.lines(1)

    assert values(answers) == list(range(6))
    assert len(last) == 3
    assert all("max_completion_tokens" in line["body"] for line in last)


def test_a_reply_with_rare_ends_of_lines_is_one_reply(database: Database) -> None:
    rare = "1\u2028\u0085\x0b"
    question_of_rare = replace(question(1), read=lambda reply: len(reply.text))

    with batch_server(answer=lambda body: (200, chat_answer(rare))) as server:
        answers = ask([question_of_rare, replace(question_of_rare, sample=1)], server, database)

    assert values(answers) == [4, 4]


def test_a_file_that_came_in_part_is_fetched_again(database: Database) -> None:
    cut = iter([PlainTextResponse('{"custom_id": "ab', media_type="application/jsonl")])

    def once(_method: str, path: str) -> Response | None:
        return next(cut, None) if path.endswith("/content") else None

    with batch_server(misbehave=once) as server:
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]


def test_an_hour_in_which_nothing_is_heard_of_a_batch_is_waited_out(database: Database) -> None:
    slept = 0.0

    async def clock(seconds: float) -> None:
        nonlocal slept
        slept += seconds
        await asyncio.sleep(0)

    def down(_method: str, path: str) -> Response | None:
        return refusal(503, "Maintenance.") if slept < 3600 and path == "/batches/batch-0" else None

    with batch_server(misbehave=down) as server:
        answers = ask(questions(4), server, database, sleep=clock)

    assert values(answers) == [0, 1, 2, 3]
    assert slept > 3600


def test_a_server_that_is_down_for_long_ends_the_run_and_the_batch_is_collected_later(database: Database) -> None:
    is_down = True

    def down(method: str, path: str) -> Response | None:
        return refusal(503, "Maintenance.") if is_down and path == "/batches/batch-0" else None

    with batch_server(misbehave=down) as server:
        with pytest.raises(ServerUnreachable, match="Maintenance"):
            ask(questions(4), server, database)
        is_down = False
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]
    assert len(server.batches) == 1


@pytest.mark.parametrize("path", ["/files", "/batches"])
def test_a_server_without_batches_is_refused_with_the_mend(database: Database, path: str) -> None:
    def without(method: str, there: str) -> Response | None:
        return refusal(404, "Not Found") if there == path else None

    with batch_server(misbehave=without) as server, pytest.raises(NoBatches, match=r"Not Found.*`mode: direct`"):
        ask(questions(4), server, database)


def test_a_server_that_lists_no_batches_takes_them_all_the_same(database: Database) -> None:
    def unlisted(method: str, path: str) -> Response | None:
        return refusal(405, "Method Not Allowed") if (method, path) == ("GET", "/batches") else None

    with batch_server(misbehave=unlisted) as server:
        answers = ask(questions(4), server, database)

    assert values(answers) == [0, 1, 2, 3]


def test_prompts_that_are_echoed_are_refused_before_anything_is_asked(database: Database) -> None:
    echoed: Question[int] = Question(EchoPrompt("One", "test/1"), lambda _: 1, "L0N0")

    with batch_server() as server, pytest.raises(NoBatches, match="echoed"):
        ask([echoed], server, database)

    assert not server.files


def test_a_model_that_is_no_servers_is_refused(database: Database) -> None:
    other = Asker(Scripted(echo), "scripted", RequestStore(database))

    with pytest.raises(NoBatches, match="scripted cannot be asked in batches"):
        list(ask_all_in_batches(questions(1), other, OpenBatches(database)))


def test_a_wrong_key_ends_the_run_before_anything_is_uploaded(database: Database) -> None:
    closed = (401, {"error": {"message": "Who are you?"}})

    with batch_server(answer=lambda _: closed) as server, pytest.raises(KeyRefused):
        ask(questions(4), server, database)

    assert not server.files
