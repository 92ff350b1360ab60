"""Nothing that was paid for is lost: what was answered is not asked again."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.responses import Response

from neuron_assets.errors import KeyRefused, LanguageModelError, ModelChanged, NotAnsweredYet
from neuron_assets.language_models.asker import Asker, Limits
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.language_models.scripted import Scripted
from neuron_assets.method.records import Answer
from tests.language_models.asked_numbers import InMemory, echo, n_asked, question, questions, scripted, served, values
from tests.language_models.misbehaving_server import Body, as_json, chat_answer, refusal, running


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
