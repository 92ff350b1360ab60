"""What a server sends where something else belongs crashes nothing, and is kept as what it is read again as."""

from typing import Any

import pytest

from neuron_assets.errors import TryAgain
from neuron_assets.language_models.asker import Asker
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.database import Database
from neuron_assets.language_models.request_store import RequestStore
from neuron_assets.method.questions import Question
from neuron_assets.method.replies import answer_text
from tests.language_models.asked_numbers import hurried
from tests.language_models.misbehaving_server import running
from tests.language_models.one_request import QUESTION, ask, opened, saying


def choosing(message: object) -> list[dict[str, Any]]:
    return [{"message": message, "finish_reason": "stop"}]


@pytest.mark.parametrize(
    ("message", "value", "failure"),
    [
        ({"content": None, "refusal": True}, None, "the model refused: 'true'"),
        ({"content": "hi", "refusal": {"why": "rules"}}, None, """the model refused: '{"why": "rules"}'"""),
        ({"content": "hi", "refusal": False}, "hi", None),
        ({"content": 5}, None, "empty"),
        ({"content": "hi", "reasoning": [{"text": "hm"}, 3]}, "hi", None),
        ({"content": "hi", "reasoning_content": {"a": 1}}, "hi", None),
    ],
)
def test_an_odd_reply_is_the_same_when_it_comes_from_the_store(
    database: Database, message: object, value: str | None, failure: str | None
) -> None:
    with running(behaviour=saying(choices=choosing(message))) as server:
        for _ in range(2):
            asker = Asker(opened(server), "the server", RequestStore(database), sleep=hurried)
            (answer,) = ask_all([Question(QUESTION, answer_text, "L0N0")], asker)

            assert answer.value == value
            assert (answer.failure is None) if failure is None else (failure in str(answer.failure))
    assert server.n_requests <= 1 + 3 + 1  # who is there, the question, and who is there again


@pytest.mark.parametrize("message", ["hello", ["hello"], 1])
def test_a_message_that_is_no_object_is_asked_for_again_later(message: object) -> None:
    with running(behaviour=saying(choices=choosing(message))) as server, pytest.raises(TryAgain, match="no object"):
        ask(opened(server))
