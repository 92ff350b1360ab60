"""What a server refuses it is asked without; who answers is observed."""

import asyncio
import logging
from typing import Any

import openai
import pytest
from starlette.responses import Response

from neuron_assets.asking_sections import MOST_CONNECTIONS
from neuron_assets.errors import ParametersRefused, RequestRefused
from neuron_assets.language_models.asker import Requested
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from tests.language_models.misbehaving_server import MODEL, Behaviour, Body, refusal, running
from tests.language_models.one_request import WITH_SCHEMA, always, ask, identity, opened


def refusing(name: str, message: str, **more: Any) -> Behaviour:
    return lambda body, _number: refusal(400, message, **more) if name in body else None


def test_a_model_that_refuses_temperature_is_asked_without_from_then_on(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    behaviour = refusing("temperature", "Unsupported value: 'temperature' does not support 0", param="temperature")
    with running(behaviour=behaviour) as server:
        model = opened(server, temperature=0.0, top_p=0.9)
        ask(model, times=3)

    assert ["temperature" in body for body in server.bodies] == [True, False, False, False]
    assert all(body["top_p"] == 0.9 for body in server.bodies)
    assert model.parameters["temperature"] == 0.0
    assert "From now on the model is asked without temperature" in caplog.text


def test_a_temperature_out_of_range_is_refused_and_not_left_out() -> None:
    behaviour = refusing("temperature", "Expected a value <= 2", param="temperature", code="above_maximum")
    with running(behaviour=behaviour) as server, pytest.raises(RequestRefused, match="<= 2"):
        ask(opened(server, temperature=9.0))


def test_a_model_that_wants_max_completion_tokens_gets_them() -> None:
    behaviour = refusing("max_tokens", "'max_tokens' is not supported, use 'max_completion_tokens'", param="max_tokens")
    with running(behaviour=behaviour) as server:
        ask(opened(server), times=2)

    assert [body.get("max_completion_tokens") for body in server.bodies] == [None, 50, 50]
    assert "max_tokens" not in server.bodies[-1]


def test_a_server_without_schemas_is_asked_for_less() -> None:
    def behaviour(body: Body, _number: int) -> Response | None:
        wanted = body.get("response_format", {}).get("type")
        return (
            refusal(500 if wanted == "json_object" else 400, f"{wanted}: no such response_format") if wanted else None
        )

    with running(behaviour=behaviour) as server:
        ask(opened(server), WITH_SCHEMA, times=2)

    types = [body.get("response_format", {}).get("type") for body in server.bodies]
    assert types == ["json_schema", "json_object", None, None]
    assert server.bodies[0]["response_format"]["json_schema"]["schema"] == WITH_SCHEMA.schema


def test_many_in_flight_learn_the_same_thing_once() -> None:
    async def many(model: OpenAICompatible) -> list[Replied]:
        try:
            return await asyncio.gather(*(model.reply(WITH_SCHEMA) for _ in range(10)))
        finally:
            await model.close()

    with running(behaviour=refusing("response_format", "response_format is unknown"), seconds=0.5) as server:
        replies = asyncio.run(many(opened(server, structured="json_object")))

    assert [replied.reply.text for replied in replies] == ["river"] * 10
    assert server.n_requests == 20


def test_the_pool_of_connections_is_as_wide_as_a_study_may_want() -> None:
    assert openai.DEFAULT_CONNECTION_LIMITS.max_connections == MOST_CONNECTIONS


def test_the_identity_is_who_the_server_says_it_is() -> None:
    recorded: list[Requested] = []
    with running(served="parrot-1-2026-05-01") as server:
        model = opened(server, record=recorded.extend)
        found = identity(model)
        replied = ask(model)

    assert found == f"parrot-1-2026-05-01@{server.url[7:]}"
    assert replied.identity == found
    assert server.bodies[0]["max_tokens"] == 1
    assert [(asked.identity, asked.usage, asked.is_look) for asked in recorded] == [(found, Usage(11, 3, 4), True)]


def test_other_weights_under_the_same_name_are_somebody_else() -> None:
    entry = {"id": MODEL, "created": 1, "root": "/weights/a", "meta": {"n_params": 5}}
    with running(listed=[{"id": "another", "root": "x"}, entry]) as server:
        first = identity(opened(server))
        server.listed = [{**entry, "created": 2, "owned_by": "b"}]
        same = identity(opened(server))
        server.listed = [{**entry, "root": "/weights/b"}]
        other = opened(server)
        changed = identity(other)
        replied = ask(other)

    assert first == same
    assert first != changed
    assert replied.identity == changed


def test_a_model_that_cannot_say_one_token_may_say_more() -> None:
    def behaviour(body: Body, _number: int) -> Response | None:
        return refusal(400, "the output limit was reached") if body["max_tokens"] < 100 else None

    with running(behaviour=behaviour) as server:
        assert identity(opened(server)).startswith(MODEL)


def test_parameters_that_the_model_refuses_end_the_run_before_it_begins() -> None:
    with (
        running(behaviour=always(refusal(400, "reasoning_effort: no such level"))) as server,
        pytest.raises(ParametersRefused, match="no such level"),
    ):
        identity(opened(server, more={"reasoning_effort": "utmost"}))
