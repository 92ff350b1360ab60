"""Every question gets its own answer, in its turn, and nothing is left behind."""

import asyncio
import itertools
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from neuron_assets.language_models.asker import Asker, Limits, Progress
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.scripted import Scripted
from neuron_assets.method.questions import Prompt, Question
from neuron_assets.method.records import Answer
from tests.language_models.asked_numbers import InMemory, echo, n_asked, question, questions, scripted, served, values
from tests.language_models.misbehaving_server import running


def test_answers_come_in_the_order_of_the_questions() -> None:
    with running(seconds=0.3) as server:
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


def test_the_same_question_in_flight_is_asked_once() -> None:
    asker = scripted()
    answers = list(ask_all([question(7) for _ in range(20)], asker))

    assert values(answers) == [7] * 20
    assert n_asked(asker) == 1


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


def test_no_question_is_no_answer() -> None:
    assert list(ask_all([], scripted())) == []
