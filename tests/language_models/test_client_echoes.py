"""A prompt that is echoed comes back with its log-probabilities, or the server is not trusted."""

import asyncio
import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from starlette.responses import Response

from neuron_assets.errors import UntrustedServer
from neuron_assets.language_models.asker import Requested
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.server_settings import ServerSettings
from tests.language_models.echo_server import EchoServer, Misbehaviour, served
from tests.language_models.misbehaving_server import (
    MODEL,
    Behaviour,
    Body,
    as_json,
    completion_answer,
    refusal,
    running,
)
from tests.language_models.one_request import ECHO, ask, opened
from tests.language_models.tiny_models import tiny_gpt2, tiny_tokenizer


def test_an_echo_is_the_prompt_again_with_what_else_might_have_stood_there() -> None:
    with running() as server:
        reply = ask(opened(server, temperature=1.0), ECHO).reply

    assert "".join(token.text for token in reply.echoed) == ECHO.text
    assert reply.echoed[0].alternatives == {}
    assert reply.echoed[1].alternatives == {reply.echoed[1].text: -0.5, "7": -1.5}
    assert server.bodies == [
        {"model": MODEL, "prompt": ECHO.text, "echo": True, "max_tokens": 0, "logprobs": 12},
    ]


@pytest.mark.parametrize("tells_usage", [True, False])
def test_a_server_that_must_add_a_token_to_an_echo_may_and_it_is_dropped(tells_usage: bool) -> None:  # noqa: FBT001
    def behaviour(body: Body, _number: int) -> Response:
        if body["max_tokens"] == 0:
            return refusal(400, "max_tokens must be at least 1")
        answer = completion_answer(body)
        return as_json(answer if tells_usage else {**answer, "usage": None})

    with running(behaviour=behaviour) as server:
        reply = ask(opened(server), ECHO, times=2).reply

    assert "".join(token.text for token in reply.echoed) == ECHO.text
    assert [body["max_tokens"] for body in server.bodies] == [0, 1, 1]


def test_a_sign_for_the_beginning_of_the_text_is_no_part_of_an_echo() -> None:
    def behaviour(body: Body, _number: int) -> Response:
        answer = completion_answer(body)
        logprobs = answer["choices"][0]["logprobs"]
        logprobs["tokens"], logprobs["top_logprobs"][0] = ["<s>", *logprobs["tokens"]], {"x": -1.0}
        logprobs["top_logprobs"] = [None, *logprobs["top_logprobs"]]
        return as_json({**answer, "usage": None})

    with running(behaviour=behaviour) as server:
        reply = ask(opened(server), ECHO).reply

    assert "".join(token.text for token in reply.echoed) == ECHO.text
    assert reply.echoed[0].alternatives == {"x": -1.0}


def test_only_the_alternatives_of_the_places_asked_about_are_kept_and_no_more_decimals_than_are_right() -> None:
    kept = {"7": -0.1234567, "8": -30.0, "9": -math.inf}
    places = (3, 12, 13)  # where the second and the fifth token begin, and none
    with running(behaviour=logprobs_with(top_logprobs=[None, *[kept] * 5])) as server:
        reply = ask(opened(server), replace(ECHO, places=places)).reply

    assert [token.text for token in reply.echoed] == ["ein", " Fl", "uß\t", "unk", "now", "n\n"]
    assert [dict(token.alternatives) for token in reply.echoed] == [
        {},
        {"7": -0.123457, "8": -30.0},
        {},
        {},
        {"7": -0.123457, "8": -30.0},
        {},
    ]


def logprobs_with(**changed: Any) -> Behaviour:
    def behaviour(body: Body, _number: int) -> Response:
        answer = completion_answer(body)
        logprobs = answer["choices"][0].pop("logprobs")
        told = {name: changed.get(name, value) for name, value in logprobs.items()}
        answer["choices"][0]["logprobs"] = changed.get("logprobs", told)
        return as_json(answer)

    return behaviour


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"logprobs": None}, r"no `logprobs\.tokens`"),
        ({"top_logprobs": None}, r"no `logprobs\.top_logprobs`"),
        ({"top_logprobs": [None]}, "6 tokens with log-probabilities for 1"),
        ({"top_logprobs": [None] * 6}, "no alternatives for the echoed token 1"),
        ({"top_logprobs": [None] + [{"a": None}] * 5}, "no numbers"),
        ({"top_logprobs": [None] + [{"a": float("nan")}] * 5}, "no numbers"),
        ({"top_logprobs": [None] + [{"a": float("inf")}] * 5}, "no numbers"),
        ({"tokens": ["some", "thing", " of", " its", " own", "."]}, "was to echo the prompt, and sent 'some"),
    ],
)
def test_a_server_that_does_not_echo_is_not_trusted(changed: dict[str, Any], says: str) -> None:
    with running(behaviour=logprobs_with(**changed)) as server, pytest.raises(UntrustedServer, match=says):
        ask(opened(server), ECHO)


@pytest.mark.parametrize("misbehaviour", ["none", "ignores_echo", "shifts_by_one"])
def test_a_server_is_proven_through_the_client(misbehaviour: Misbehaviour) -> None:
    tokenizer = tiny_tokenizer()
    with served(EchoServer(tiny_gpt2(tokenizer), tokenizer, misbehaviour=misbehaviour)) as server:
        recorded: list[Requested] = []
        model = OpenAICompatible(ServerSettings(server.base_url, server.name), recorded.extend)

        async def prove() -> None:
            try:
                await model.prove_echo()
            finally:
                await model.close()

        with nullcontext() if misbehaviour == "none" else pytest.raises(UntrustedServer):
            asyncio.run(prove())

    if misbehaviour == "none":
        assert len(recorded) == len(server.requests)
        assert all(asked.is_look and asked.usage and asked.usage.tokens_in > 0 for asked in recorded)
        assert {asked.identity for asked in recorded} == {f"{server.name}@{server.base_url[7:]}"}
