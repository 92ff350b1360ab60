"""What ends a run ends it early, with a reason, and loses nothing that was asked; what does not is a failure."""

import asyncio
from collections import Counter

import pytest

from neuron_assets.errors import (
    BudgetSpent,
    KeyRefused,
    ModelChanged,
    ParametersRefused,
    ServerUnreachable,
    TryAgain,
)
from neuron_assets.language_models.asker import Asker, Limits
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.scripted import Scripted
from neuron_assets.method.questions import Prompt, Question, Reply
from tests.language_models.asked_numbers import (
    InMemory,
    echo,
    failures,
    n_asked,
    question,
    questions,
    scripted,
    served,
    values,
)
from tests.language_models.misbehaving_server import (
    refusal,
    running,
)

TOO_LONG = refusal(400, "the prompt is too long")


def test_an_error_of_a_later_question_does_not_wait_for_an_earlier_one() -> None:
    class Stuck(Scripted):
        async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
            if echo(prompt) == "0":
                await asyncio.sleep(60)
            raise KeyRefused("s", "bad key")

    with pytest.raises(KeyRefused):
        list(ask_all(questions(3), Asker(Stuck(echo), "scripted", InMemory(), limits=Limits(grace_s=0.05))))


def test_a_server_that_refuses_everything_ends_the_run() -> None:
    with running(behaviour=lambda _body, number: TOO_LONG if number else None) as server:  # it may be asked who it is
        with pytest.raises(ParametersRefused, match=r"16 requests were refused .* the prompt is too long"):
            list(ask_all(questions(500), served(server)))

        assert server.n_requests <= 16 + 2 * 8


def test_where_anything_was_ever_answered_each_refusal_is_a_failure_by_itself() -> None:
    store = InMemory()
    with running(
        behaviour=lambda body, _: None if body["messages"][-1]["content"] in ("Hello", "0") else TOO_LONG
    ) as server:
        list(ask_all(questions(1), served(server, store)))
        answers = list(ask_all(questions(50), served(server, store)))

    assert values(answers) == [0] + 49 * [None]
    assert set(failures(answers)) == {"refused: the prompt is too long (400)"}


def test_a_question_that_waits_to_be_tried_again_ends_with_the_error_that_ends_the_run() -> None:
    """The older question notices the end before the newer one, whose answer has still to be written, tells of it."""
    has_changed = asyncio.Event()
    n_of = Counter[str]()

    def script(prompt: Prompt) -> str:
        text = echo(prompt)
        n_of[text] += 1
        if text == "0":
            raise TryAgain("cut off")
        model.name = "somebody else"
        has_changed.set()
        return text

    async def sleep(_seconds: float) -> None:
        await has_changed.wait()

    model = Scripted(script)
    asker = Asker(model, "scripted", InMemory(), Limits(most_at_once=64), sleep=sleep)
    with pytest.raises(ModelChanged, match="somebody else"):
        list(ask_all(questions(2), asker))

    assert n_of == {"0": 1, "1": 1}


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


def test_a_mistake_in_a_reader_is_not_a_failure_of_the_model() -> None:
    def read(_: Reply) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(ask_all([Question(question(1).prompt, read, "L0N1")], scripted()))


def test_a_spent_budget_ends_the_run_before_the_next_request() -> None:
    store, left = InMemory(), iter(range(7))

    def before_asking(_n_others: int) -> None:
        if next(left, None) is None:
            raise BudgetSpent("s", "$1.00", "$1.00")

    asker = scripted(store=store, before_asking=before_asking)
    with pytest.raises(BudgetSpent):
        list(ask_all(questions(50), asker))

    assert n_asked(asker) == len(store.kept) == 7


def test_what_is_under_way_counts_for_the_budget_and_is_waited_for_and_kept() -> None:
    store, n_sent, largest = InMemory(), 0, 0

    def before_asking(n_others: int) -> None:
        nonlocal n_sent, largest
        largest = max(largest, n_others)
        if len(store.kept) + n_others >= 20:
            raise BudgetSpent("s", "20 requests", "20 requests")
        n_sent += 1

    model = Scripted(echo, seconds=0.3)
    asker = Asker(model, "scripted", store, Limits(most_at_once=16, grace_s=0.01), before_asking=before_asking)
    with pytest.raises(BudgetSpent):
        list(ask_all(questions(50), asker))

    assert n_sent == model.n_asked == len(store.kept) == 20
    assert largest > 4
