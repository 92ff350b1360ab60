"""The key of a request: all that could change the answer, and nothing else."""

from dataclasses import fields, replace
from typing import Any

import pytest

from neuron_assets.language_models.request_store import request_key
from neuron_assets.method.questions import ChatPrompt, EchoPrompt, Message
from tests.language_models.kept_answers import CHAT, ECHO, PARAMETERS

ASKED: dict[str, Any] = {"identity": "tiny-2", "parameters": PARAMETERS, "sample": 0, "attempt": 0}


def test_the_key_of_a_request_stays_the_same_from_version_to_version() -> None:
    assert request_key(CHAT, **ASKED) == "486c55f07673ba11722d5e0f7ef2a27eeca1b7243c9f104c751a96ef0cdb92fe"
    assert request_key(ECHO, **ASKED) == "813bfcde5062dff5617ebaf37775f790aed4da7b8876e5c1468e621a1e7c8f36"


@pytest.mark.parametrize(
    "changed",
    [
        {"identity": "tiny-3"},
        {"parameters": {**PARAMETERS, "seed": 4}},
        {"parameters": {**PARAMETERS, "top_p": 1}},
        {"sample": 1},
        {"attempt": 1},
    ],
)
def test_another_model_parameter_sample_or_attempt_is_another_request(changed: dict[str, Any]) -> None:
    assert request_key(CHAT, **ASKED) != request_key(CHAT, **{**ASKED, **changed})


OTHERWISE = {
    "messages": (*CHAT.messages, Message("assistant", "colours")),
    "layout": "pairs/2",
    "longest_reply": 61,
    "schema": None,
    "text": "The sky is blue.",
    "n_alternatives": 16,
    "places": (4,),
}


@pytest.mark.parametrize(
    ("prompt", "name"), [(prompt, field.name) for prompt in (CHAT, ECHO) for field in fields(prompt)]
)
def test_every_field_of_a_prompt_is_part_of_the_request(prompt: ChatPrompt | EchoPrompt, name: str) -> None:
    changed: Any = {name: OTHERWISE[name]}
    other = replace(prompt, **changed)

    assert request_key(prompt, **ASKED) != request_key(other, **ASKED)


def test_who_says_a_message_is_part_of_the_request() -> None:
    said = [ChatPrompt((Message(role, "Hello"),), "pairs/1", 60) for role in ("user", "assistant")]

    assert request_key(said[0], **ASKED) != request_key(said[1], **ASKED)


def test_the_order_of_parameters_does_not_count_and_that_of_a_schema_does() -> None:
    turned = dict(reversed(PARAMETERS.items()))
    schema = {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}}

    assert request_key(CHAT, **ASKED) == request_key(CHAT, **{**ASKED, "parameters": turned})
    assert request_key(CHAT, **ASKED) != request_key(replace(CHAT, schema=schema), **ASKED)


def test_a_parameter_that_is_no_json_value_is_refused() -> None:
    with pytest.raises(TypeError, match="has no place in JSON"):
        request_key(CHAT, **{**ASKED, "parameters": {"stop": {1, 2}}})
