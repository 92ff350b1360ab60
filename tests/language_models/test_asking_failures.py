"""Whatever a server does, every question gets an answer or a reason."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping

import pytest
from starlette.responses import Response

from neuron_assets.errors import (
    RequestRefused,
    TryAgain,
)
from neuron_assets.language_models.asker import Asker, Limits, Requested
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import Prompt
from neuron_assets.method.records import Answer
from tests.language_models.asked_numbers import (
    InMemory,
    echo,
    failures,
    hurried,
    n_asked,
    question,
    questions,
    scripted,
    served,
    values,
)
from tests.language_models.misbehaving_server import (
    MODEL,
    Body,
    CutConnection,
    as_json,
    chat_answer,
    raw,
    refusal,
    running,
)


@pytest.mark.parametrize("headers", [None, {"retry-after": "3"}])
def test_a_storm_of_429_costs_no_row_and_changes_no_number(headers: Mapping[str, str] | None) -> None:
    def behaviour(_body: Body, number: int) -> Response | None:
        return None if number % 3 == 0 else refusal(429, "slow down", headers=headers)

    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0)

    with running(behaviour=behaviour) as server:
        answers = list(ask_all(questions(60), served(server, sleep=wait, limits=Limits(most_at_once=16))))

    assert values(answers) == list(range(60))
    assert failures(answers) == []
    assert 3 * 60 - 2 <= server.n_requests <= 3 * 61
    assert all(seconds == 3.0 if headers else 0 < seconds < 75 for seconds in waited)


def test_failures_that_pass_are_tried_again_and_change_no_number() -> None:
    broken = [refusal(500, "oops"), CutConnection(), raw('{"choices": [{"mess'), raw("<html>", 502), refusal(503, "")]

    def behaviour(_body: Body, number: int) -> Response | None:
        return broken[number // 2 % len(broken)] if number % 2 else None

    with running(behaviour=behaviour) as server:
        answers = list(ask_all(questions(40), served(server, limits=Limits(most_at_once=4, most_tries=30))))

    assert values(answers) == list(range(40))
    assert server.n_requests > 70


def test_an_answer_that_never_comes_is_a_failure_and_the_others_are_answered() -> None:
    def behaviour(body: Body, _number: int) -> Response | None:
        return refusal(500, "oops") if body["messages"][-1]["content"] == "3" else None

    with running(behaviour=behaviour) as server:
        answers = list(ask_all(questions(6), served(server)))

    assert values(answers) == [0, 1, 2, None, 4, 5]
    assert failures(answers) == ["no answer: oops (500)"]
    assert [answer.lost for answer in answers] == [False, False, False, True, False, False]
    assert server.n_requests == 1 + 5 + Limits().most_tries


def test_a_refused_request_is_a_failure_and_is_sent_once() -> None:
    def behaviour(body: Body, _number: int) -> Response | None:
        return refusal(400, "the text is too long") if body["messages"][-1]["content"] == "1" else None

    with running(behaviour=behaviour) as server:
        answers = list(ask_all(questions(3), served(server)))

    assert answers == [Answer(0), Answer(None, "refused: the text is too long (400)"), Answer(2)]
    assert server.n_requests == 4


def test_an_unreadable_reply_is_asked_again_as_often_as_told_and_then_a_failure_with_the_reply() -> None:
    asker = scripted(lambda prompt: "about seven" if echo(prompt) == "1" else echo(prompt))
    answers = list(ask_all(questions(3), asker))

    assert values(answers) == [0, None, 2]
    assert failures(answers) == ["3 replies could not be read, the last one: no number: 'about seven'"]
    assert n_asked(asker) == 5


def test_an_unreadable_reply_may_be_followed_by_a_good_one() -> None:
    replies = iter(["hm", "hm", "4"])
    store = InMemory()

    assert list(ask_all([question(4)], scripted(lambda _: next(replies), store))) == [Answer(4)]

    again = scripted(lambda _: pytest.fail("asked again"), store)

    assert list(ask_all([question(4)], again)) == [Answer(4)]


def test_what_is_tried_again_is_not_sent_while_the_server_wants_a_pause() -> None:
    is_paused, n_of = False, Counter[str]()
    sent_in_pause: list[str] = []

    def script(prompt: Prompt) -> str:
        text = echo(prompt)
        n_of[text] += 1
        if is_paused:
            sent_in_pause.append(text)
        if n_of[text] == 1 and text in ("0", "1"):
            raise TryAgain("crowded", 7.0, crowded=True) if text == "1" else TryAgain("cut off")
        return text

    async def sleep(seconds: float) -> None:
        nonlocal is_paused
        is_pause = seconds == 7.0
        is_paused = is_paused or is_pause
        await asyncio.sleep(0.1 if is_pause else 0.01)
        is_paused = is_paused and not is_pause

    answers = list(ask_all(questions(20), scripted(script, sleep=sleep)))

    assert values(answers) == list(range(20))
    assert n_of["0"] == n_of["1"] == 2
    assert sent_in_pause == []


def test_every_request_is_recorded_with_what_came_of_it() -> None:
    replies: dict[str, list[str | Exception]] = {
        "0": ["0"],
        "1": ["one", "1"],
        "2": [RequestRefused("no")],
        "3": [TryAgain("later"), "3"],
    }

    def script(prompt: Prompt) -> str:
        said = replies[echo(prompt)].pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    recorded: list[Requested] = []
    list(ask_all(questions(4), scripted(script, record=recorded.extend)))

    assert sorted((request.about, request.outcome) for request in recorded) == [
        ("L0N0", "answered"),
        ("L0N1", "answered"),
        ("L0N1", "unreadable"),
        ("L0N2", "refused"),
        ("L0N3", "answered"),
        ("L0N3", "retried"),
    ]
    assert {request.usage is None for request in recorded if request.outcome in ("refused", "retried")} == {True}


def test_the_planted_key_is_in_no_store_log_or_answer(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    key = "sk-planted-0123456789-abcdef"
    monkeypatch.setenv("PLANTED_KEY", key)
    caplog.set_level(logging.DEBUG)
    store, recorded = InMemory(), list[Requested]()

    def behaviour(body: Body, number: int) -> Response:
        text = body["messages"][-1]["content"]
        return refusal(400, f"{key}?") if number % 2 else as_json(chat_answer(f"{text} {key}"))

    with running(behaviour=behaviour) as server:
        settings = ServerSettings(server.url, MODEL, api_key_env="PLANTED_KEY")
        asker = Asker(OpenAICompatible(settings), "s", store, record=recorded.extend, sleep=hurried)
        answers = list(ask_all(questions(6), asker))

    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {key}"}
    assert len(failures(answers)) == 6
    assert key not in repr((answers, store.kept, store.identities, recorded, asker)) + caplog.text
