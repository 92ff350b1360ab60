"""Whatever a server does, every question gets its own answer or a reason, and nothing that was paid for is lost."""

import asyncio
import itertools
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import Response

from neuron_assets.errors import (
    BudgetSpent,
    KeyRefused,
    LanguageModelError,
    ModelChanged,
    NotAnsweredYet,
    RequestRefused,
    ServerUnreachable,
    TryAgain,
    UnreadableReply,
)
from neuron_assets.language_models.asker import Asker, Limits, Progress, Requested, Store
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.request_store import Kept, RequestStore
from neuron_assets.language_models.scripted import Script, Scripted
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import ChatPrompt, Message, Prompt, Question, Reply
from neuron_assets.method.records import Answer
from tests.language_models.misbehaving_server import (
    MODEL,
    Body,
    CutConnection,
    MisbehavingServer,
    as_json,
    chat_answer,
    raw,
    refusal,
    running,
)


class InMemory:
    """A request store that is gone with the test."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.identities: dict[str, str] = {}
        self.abouts: list[str] = []

    def get(self, key: str) -> Kept | None:
        return self.kept.get(key)

    def put(
        self, key: str, prompt: Prompt, replied: Replied, *, seconds: float, parameters: Mapping[str, Any], about: str
    ) -> None:
        self.kept[key] = Kept(replied, datetime.now(UTC), seconds)
        self.abouts.append(about)

    def observed(self, model_name: str) -> str | None:
        return self.identities.get(model_name)

    def observe(self, model_name: str, identity: str) -> None:
        self.identities[model_name] = identity


async def hurried(_seconds: float) -> None:
    """A pause of no length."""
    await asyncio.sleep(0)


def question(number: int, *, sample: int = 0) -> Question[int]:
    prompt = ChatPrompt((Message("user", str(number)),), layout="test/1", longest_reply=8)
    return Question(prompt, read_number, f"L0N{number}", sample)


def questions(n: int) -> list[Question[int]]:
    return [question(number) for number in range(n)]


def read_number(reply: Reply) -> int:
    if not reply.text.isdigit():
        raise UnreadableReply("no number", reply.text)
    return int(reply.text)


def echo(prompt: Prompt) -> str:
    assert isinstance(prompt, ChatPrompt)
    return prompt.messages[-1].content


def scripted(script: Script = echo, store: Store | None = None, **fields: Any) -> Asker:
    fields = {"sleep": hurried, **fields}
    return Asker(Scripted(script), "scripted", InMemory() if store is None else store, **fields)


def served(server: MisbehavingServer, store: Store | None = None, **fields: Any) -> Asker:
    fields = {"sleep": hurried, **fields}
    model = OpenAICompatible(ServerSettings(server.url, MODEL, timeout_s=5))
    return Asker(model, "the server", InMemory() if store is None else store, **fields)


def values(answers: Sequence[Answer[int]]) -> list[int | None]:
    return [answer.value for answer in answers]


def failures(answers: Sequence[Answer[int]]) -> list[str]:
    return [answer.failure for answer in answers if answer.failure is not None]


def n_asked(asker: Asker) -> int:
    assert isinstance(asker.model, Scripted)
    return asker.model.n_asked


def test_answers_come_in_the_order_of_the_questions() -> None:
    with running(seconds=0.02) as server:
        answers = list(ask_all(questions(50), served(server, limits=Limits(most_at_once=16))))

    assert values(answers) == list(range(50))
    assert server.n_requests == 51  # and one to see who answers
    assert 4 < server.most_at_once <= 16


def test_a_slow_answer_comes_first_if_its_question_did() -> None:
    class Slow(Scripted):
        async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
            await asyncio.sleep(0.05 if echo(prompt) == "0" else 0)
            return await super().reply(prompt, variant)

    asker = Asker(Slow(echo), "scripted", InMemory())

    assert values(list(ask_all(questions(5), asker))) == [0, 1, 2, 3, 4]


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


def test_what_is_in_the_store_is_not_asked() -> None:
    store = InMemory()
    list(ask_all(questions(5), scripted(store=store)))
    again = scripted(store=store)
    answers = list(ask_all(questions(8), again))

    assert values(answers) == list(range(8))
    assert n_asked(again) == 3


def test_other_parameters_and_other_samples_are_other_questions() -> None:
    store = InMemory()
    list(ask_all([question(1)], scripted(store=store)))
    warm = Asker(Scripted(echo, parameters={"temperature": 1.0}), "scripted", store)
    sampled = scripted(store=store)
    list(ask_all([question(1)], warm))
    list(ask_all([question(1, sample=1)], sampled))

    assert (n_asked(warm), n_asked(sampled), len(store.kept)) == (1, 1, 3)


def test_the_same_question_in_flight_is_asked_once() -> None:
    asker = scripted()
    answers = list(ask_all([question(7) for _ in range(20)], asker))

    assert values(answers) == [7] * 20
    assert n_asked(asker) == 1


@pytest.mark.parametrize(
    ("response", "error"),
    [(refusal(401, "bad key"), KeyRefused), (refusal(404, "gone"), LanguageModelError)],
)
def test_what_ends_a_run_ends_it_early_and_the_next_run_asks_only_the_rest(
    response: Response, error: type[LanguageModelError]
) -> None:
    store = InMemory()
    with running(behaviour=lambda _body, number: response if number > 20 else None) as server:
        with pytest.raises(error):
            list(ask_all(questions(500), served(server, store)))
        n_first = server.n_requests
        assert n_first < 21 + 2 * 8 + 1
        assert len(store.kept) == 20

        server.behaviour = lambda _body, _number: None
        answers = list(ask_all(questions(500), served(server, store)))

    assert values(answers) == list(range(500))
    assert server.n_requests - n_first == 480 + 1


def test_an_error_of_a_later_question_does_not_wait_for_an_earlier_one() -> None:
    class Stuck(Scripted):
        async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
            if echo(prompt) == "0":
                await asyncio.sleep(60)
            raise KeyRefused("s", "bad key")

    with pytest.raises(KeyRefused):
        list(ask_all(questions(3), Asker(Stuck(echo), "scripted", InMemory(), limits=Limits(grace_s=0.05))))


def test_a_run_that_is_left_keeps_what_was_in_flight() -> None:
    store = InMemory()
    with running(seconds=0.05) as server:
        answers = ask_all(questions(40), served(server, store, limits=Limits(most_at_once=4)))
        first = list(itertools.islice(answers, 3))
        assert isinstance(answers, Iterator)
        answers.close()  # type: ignore[attr-defined]  # it is a generator
        n_first = server.n_requests

        rest = list(ask_all(questions(40), served(server, store)))

    assert values(first) == [0, 1, 2]
    assert n_first - 1 < 40
    assert values(rest) == list(range(40))
    assert server.n_requests == 40 + 2


def test_no_thread_is_left_behind() -> None:
    answers = ask_all(questions(5), scripted())
    next(answers)
    answers.close()  # type: ignore[attr-defined]  # it is a generator

    assert not [thread for thread in threading.enumerate() if thread.name == "asking"]


def test_an_interruption_ends_cleanly(caplog: pytest.LogCaptureFixture) -> None:
    def interrupted() -> Iterator[Question[int]]:
        yield from questions(5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(ask_all(interrupted(), scripted()))

    assert caplog.records == []
    assert not [thread for thread in threading.enumerate() if thread.name == "asking"]


@pytest.fixture
def heard_interrupts() -> Iterator[None]:
    """A job in the background is born deaf to Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_interrupts")
def test_ctrl_c_while_waiting_ends_within_the_grace() -> None:
    asker = Asker(Scripted(echo, seconds=60), "scripted", InMemory(), limits=Limits(grace_s=0.05))
    began = time.monotonic()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(ask_all(questions(5), asker))

    assert time.monotonic() - began < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "asking"]


def test_the_request_store_of_this_package_will_do(tmp_path: Path) -> None:
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as store:
        first = scripted(store=store)
        list(ask_all(questions(20), first))
    with RequestStore.open(str(tmp_path / "requests.sqlite")) as store:
        again = scripted(store=store, offline=True)
        answers = list(ask_all(questions(20), again))

    assert values(answers) == list(range(20))
    assert (n_asked(first), n_asked(again)) == (20, 0)


def test_another_model_behind_the_same_alias_ends_the_run_and_is_then_asked_everything_once() -> None:
    store = InMemory()

    def behaviour(body: Body, number: int) -> Response:
        return as_json(chat_answer(body["messages"][-1]["content"], "parrot-1" if number <= 10 else "parrot-2"))

    with running(behaviour=behaviour) as server:
        with pytest.raises(ModelChanged, match=r"parrot-1@.* before, parrot-2@.* now"):
            list(ask_all(questions(30), served(server, store)))
        n_first = server.n_requests
        n_of_the_new = sum(kept.replied.identity.startswith("parrot-2") for kept in store.kept.values())
        answers = list(ask_all(questions(30), served(server, store)))

    assert values(answers) == list(range(30))
    assert len(store.kept) == 10 + 30
    assert n_of_the_new > 0
    assert server.n_requests - n_first == 30 - n_of_the_new + 1


def test_who_was_observed_before_is_not_looked_for_again() -> None:
    asker = scripted(identity="scripted")

    assert values(list(ask_all(questions(2), asker))) == [0, 1]
    with pytest.raises(ModelChanged):
        list(ask_all(questions(2), scripted(identity="somebody else")))


def test_offline_asks_nothing_and_names_what_is_missing() -> None:
    store = InMemory()
    list(ask_all(questions(3), scripted(store=store)))
    asker = scripted(store=store, offline=True)
    answers: list[Answer[int]] = []
    with pytest.raises(NotAnsweredYet, match=r"^7 requests .*: L0N3, L0N4, L0N5, L0N6, L0N7, \.\.\."):
        answers.extend(ask_all(questions(10), asker))

    assert values(answers) == [0, 1, 2, *[None] * 7]
    assert n_asked(asker) == 0
    assert values(list(ask_all(questions(3), asker))) == [0, 1, 2]


def test_offline_without_any_observation_everything_is_missing() -> None:
    with pytest.raises(NotAnsweredYet, match=r"^2 requests .*: L0N0, L0N1\."):
        list(ask_all(questions(2), scripted(offline=True)))


def test_a_spent_budget_ends_the_run_before_the_next_request() -> None:
    store, left = InMemory(), iter(range(7))

    def before_asking() -> None:
        if next(left, None) is None:
            raise BudgetSpent("s", "$1.00", "$1.00")

    asker = scripted(store=store, before_asking=before_asking)
    with pytest.raises(BudgetSpent):
        list(ask_all(questions(50), asker))

    assert n_asked(asker) == len(store.kept) == 7


def test_a_server_that_goes_down_ends_the_run() -> None:
    def down(_: Prompt) -> str:
        raise TryAgain("the connection failed")

    asker = scripted(down)
    with pytest.raises(ServerUnreachable, match="16 questions in a row came to nothing"):
        list(ask_all(questions(1000), asker))

    assert n_asked(asker) <= (16 + 8) * 6


def test_a_server_that_does_not_answer_at_first_ends_the_run() -> None:
    with running(behaviour=lambda _body, _number: refusal(503, "loading")) as server:
        with pytest.raises(ServerUnreachable, match="loading"):
            list(ask_all(questions(3), served(server)))

        assert server.n_requests == Limits().most_tries


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
    list(ask_all(questions(4), scripted(script, record=recorded.append)))

    assert sorted((request.about, request.outcome) for request in recorded) == [
        ("L0N0", "answered"),
        ("L0N1", "answered"),
        ("L0N1", "unreadable"),
        ("L0N2", "refused"),
        ("L0N3", "answered"),
        ("L0N3", "retried"),
    ]
    assert {request.usage is None for request in recorded if request.outcome in ("refused", "retried")} == {True}


def test_progress_is_told_after_every_answer() -> None:
    told: list[Progress] = []
    asker = scripted(lambda prompt: "x" if echo(prompt) == "1" else echo(prompt))
    list(ask_all(questions(3), asker, told.append))

    assert [(progress.n_answers, progress.n_failures) for progress in told] == [(1, 0), (2, 1), (3, 1)]
    assert told[-1].n_requests == 5


def test_it_works_within_a_running_event_loop() -> None:
    async def notebook() -> list[Answer[int]]:
        return list(ask_all(questions(3), scripted()))

    assert values(asyncio.run(notebook())) == [0, 1, 2]


def test_one_asker_can_be_asked_twice() -> None:
    with running() as server:
        asker = served(server)
        first, second = list(ask_all(questions(3), asker)), list(ask_all(questions(5), asker))

    assert (values(first), values(second)) == ([0, 1, 2], [0, 1, 2, 3, 4])
    assert server.n_requests == 5 + 2


def test_questions_are_taken_no_further_ahead_than_the_window() -> None:
    taken = itertools.count()
    answers = ask_all((question(next(taken)) for _ in range(1000)), scripted(limits=Limits(window=20)))
    list(itertools.islice(answers, 5))

    assert next(taken) <= 26
    answers.close()  # type: ignore[attr-defined]  # it is a generator


def test_a_mistake_in_a_reader_is_not_a_failure_of_the_model() -> None:
    def read(_: Reply) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ask_all([Question(question(1).prompt, read, "L0N1")], scripted()))


def test_no_question_is_no_answer() -> None:
    assert list(ask_all([], scripted())) == []


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
        asker = Asker(OpenAICompatible(settings), "s", store, record=recorded.append, sleep=hurried)
        answers = list(ask_all(questions(6), asker))

    assert {headers["authorization"] for headers in server.headers} == {f"Bearer {key}"}
    assert len(failures(answers)) == 6
    assert key not in repr((answers, store.kept, store.identities, recorded, asker)) + caplog.text
