"""What a server says becomes a reply or an error with a name, and the key stays where it is."""

import asyncio
import json
import logging
import math
import traceback
from contextlib import nullcontext
from dataclasses import replace
from email.utils import formatdate
from time import time
from typing import Any

import httpx2
import openai
import pytest
from starlette.responses import Response

from neuron_assets.errors import (
    KeyMissing,
    KeyRefused,
    NeuronAssetsError,
    ParametersRefused,
    QuotaSpent,
    RequestRefused,
    ServerUnreachable,
    TryAgain,
    UnknownModel,
    UnsafeBaseUrl,
    UntrustedServer,
)
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.refusals import error_of_refusal, error_without_answer, read_refusal
from neuron_assets.language_models.server_settings import ServerSettings, check_base_url
from neuron_assets.method.questions import ChatPrompt, EchoPrompt, Message, Prompt
from tests.language_models.echo_server import EchoServer, Misbehaviour, served
from tests.language_models.misbehaving_server import (
    MODEL,
    Behaviour,
    Body,
    CutConnection,
    MisbehavingServer,
    as_json,
    chat_answer,
    completion_answer,
    free_port,
    raw,
    refusal,
    running,
)
from tests.language_models.tiny_models import tiny_gpt2, tiny_tokenizer

KEY = "sk-planted-0123456789-abcdef"
VARIABLE = "PLANTED_KEY"

QUESTION = ChatPrompt((Message("system", "Be brief."), Message("user", "river")), layout="test/1", longest_reply=50)
WITH_SCHEMA = ChatPrompt(QUESTION.messages, "test/1", 50, schema={"type": "object", "properties": {}})
ECHO = EchoPrompt("ein Fluß\tunknown\n", layout="test/1", n_alternatives=12)


def opened(server: MisbehavingServer, **settings: Any) -> OpenAICompatible:
    return OpenAICompatible(ServerSettings(server.url, MODEL, **settings))


def ask(model: OpenAICompatible, prompt: Prompt = QUESTION, *, times: int = 1) -> Replied:
    """The last of so many replies to a prompt."""

    async def one() -> Replied:
        try:
            return [await model.reply(prompt) for _ in range(times)][-1]
        finally:
            await model.close()

    return asyncio.run(one())


def identity(model: OpenAICompatible) -> str:
    async def look() -> str:
        try:
            return await model.identity()
        finally:
            await model.close()

    return asyncio.run(look())


def always(response: Response) -> Behaviour:
    return lambda _body, _number: response


def saying(**body: Any) -> Behaviour:
    """A good answer with other values in it."""
    return lambda asked, _number: as_json({**chat_answer(asked["messages"][-1]["content"]), **body})


def test_a_chat_is_sent_and_its_reply_read() -> None:
    with running() as server:
        replied = ask(opened(server, temperature=0.5, seed=3, more={"n_probs": 2}))

    assert (replied.reply.text, replied.reply.finish_reason, replied.reply.refusal) == ("river", "stop", None)
    assert replied.usage == Usage(11, 3, 4)
    assert server.bodies == [
        {
            "model": MODEL,
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "river"}],
            "max_tokens": 50,
            "temperature": 0.5,
            "seed": 3,
            "n_probs": 2,
        }
    ]


def test_a_chat_goes_as_one_text_to_a_server_that_only_completes() -> None:
    with running() as server:
        replied = ask(opened(server, api="completions"))

    assert replied.reply.text == " Syste"
    assert server.bodies[0]["prompt"] == "System: Be brief.\n\nUser: river\n\nAssistant:"
    assert server.bodies[0]["max_tokens"] == 50


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_is_told_apart(name: str) -> None:
    with running(behaviour=lambda _body, _number: as_json(chat_answer("so", **{name: "hm"}))) as server:
        reply = ask(opened(server)).reply

    assert (reply.text, reply.reasoning) == ("so", "hm")


def test_a_reply_without_text_is_empty_and_not_an_error() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I cannot help with that."}
    with running(behaviour=saying(choices=[{"message": message, "finish_reason": "length"}])) as server:
        reply = ask(opened(server)).reply

    assert (reply.text, reply.refusal, reply.finish_reason) == ("", "I cannot help with that.", "length")


def test_a_reply_in_parts_is_put_together() -> None:
    message = {"content": [{"type": "text", "text": "a "}, {"type": "text", "text": "river"}]}
    with running(behaviour=saying(choices=[{"message": message, "finish_reason": "stop"}])) as server:
        assert ask(opened(server)).reply.text == "a river"


def test_usage_that_is_not_told_is_estimated_and_said(caplog: pytest.LogCaptureFixture) -> None:
    with running(behaviour=saying(usage=None)) as server:
        usage = ask(opened(server), times=3).usage

    assert usage == Usage(tokens_in=7, tokens_out=3)  # half the bytes of "Be brief.river", and of "river"
    assert [record.message for record in caplog.records].count(
        f"{server.url[7:]} does not tell how many tokens it took: they are estimated, rather too many than too few."
    ) == 1


@pytest.mark.parametrize(
    ("response", "error", "says"),
    [
        (refusal(401, "bad key"), KeyRefused, "bad key (401)"),
        (refusal(403, "not for you"), KeyRefused, "not for you (403)"),
        (refusal(403, "your input was flagged"), RequestRefused, "flagged"),
        (refusal(402, "no credit"), QuotaSpent, "no credit (402)"),
        (refusal(429, "you exceeded your quota", code="insufficient_quota"), QuotaSpent, "quota"),
        (refusal(404, "no such model"), UnknownModel, "no such model (404)"),
        (refusal(400, "too long"), RequestRefused, "too long (400)"),
        (refusal(413, "too large"), RequestRefused, "too large (413)"),
        (raw('{"detail": "not a number"}', 422), RequestRefused, "not a number (422)"),
        (refusal(429, "slow down"), TryAgain, "slow down (429)"),
        (refusal(408, "too slow"), TryAgain, "too slow (408)"),
        (raw("<html>Bad gateway</html>", 502), TryAgain, "Bad gateway"),
        (refusal(500, "oops"), TryAgain, "oops (500)"),
        (refusal(503, ""), TryAgain, "503"),
        (Response(status_code=302, headers={"location": "http://127.0.0.1:1/"}), ServerUnreachable, "another address"),
        (raw('{"choices": [{"message": {"content": "cut'), TryAgain, "cut off after 41 characters"),
        (raw("[1]"), TryAgain, "no JSON object"),
        (raw("{}"), TryAgain, "no choice"),
        (raw('{"error": {"code": 429, "message": "slow down"}}'), TryAgain, "slow down (429)"),
        (raw('{"error": {"message": "upstream is gone"}}'), TryAgain, "upstream is gone (502)"),
        (CutConnection(), TryAgain, "the connection failed"),
    ],
)
def test_what_is_no_answer_is_an_error_with_a_name(
    response: Response, error: type[NeuronAssetsError], says: str
) -> None:
    with running(behaviour=always(response)) as server, pytest.raises(error) as raised:
        ask(opened(server))

    assert says in str(raised.value)
    assert server.n_requests == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "in a minute"}, 60.0),
        ({"retry-after": "a minute ago"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_how_long_to_wait_is_read_however_it_is_written(headers: dict[str, str], seconds: float | None) -> None:
    dates = {"in a minute": formatdate(time() + 60, usegmt=True), "a minute ago": formatdate(time() - 60, usegmt=True)}
    headers = {name: dates.get(value, value) for name, value in headers.items()}
    with (
        running(behaviour=always(refusal(429, "slow down", headers=headers))) as server,
        pytest.raises(TryAgain) as raised,
    ):
        ask(opened(server))

    assert raised.value.crowded
    assert raised.value.after == (None if seconds is None else pytest.approx(seconds, abs=30))
    assert (raised.value.after is None) == (seconds is None)


def test_no_error_of_the_library_is_left_without_one_of_ours() -> None:
    request = httpx2.Request("POST", "http://127.0.0.1:1/v1")
    for kind in _all_kinds(openai.APIStatusError):
        status = getattr(kind, "status_code", 500)
        response = httpx2.Response(status, request=request, text="no")
        error = kind.__new__(kind)  # their constructors differ
        openai.APIStatusError.__init__(error, "no", response=response, body=None)
        told = read_refusal(error, None)

        assert isinstance(error_of_refusal(told, "s", MODEL), NeuronAssetsError)

    unanswered = [openai.APITimeoutError(request), openai.APIConnectionError(request=request), openai.OpenAIError("no")]
    kinds = [type(error_without_answer(error, timeout_s=1)) for error in unanswered]

    assert kinds == [TryAgain, TryAgain, RequestRefused]


def _all_kinds(kind: type[openai.APIStatusError]) -> list[type[openai.APIStatusError]]:
    return [kind, *(below for child in kind.__subclasses__() for below in _all_kinds(child))]


def test_a_slow_server_is_asked_again_later() -> None:
    with running(seconds=0.5) as server, pytest.raises(TryAgain, match=r"nothing within 0\.05 s"):
        ask(opened(server, timeout_s=0.05))


def test_where_nobody_listens_the_run_ends_at_once() -> None:
    address = f"127.0.0.1:{free_port()}/v1"
    with pytest.raises(ServerUnreachable, match=address):
        ask(OpenAICompatible(ServerSettings(f"http://{address}", MODEL)))


def test_a_server_that_was_there_and_goes_is_asked_again_later() -> None:
    with running() as server:
        model = opened(server)
        ask(model)

    with pytest.raises(TryAgain, match="the connection failed"):
        ask(model)


async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def test_a_server_that_hangs_up_without_a_word_is_asked_again_later() -> None:
    async def one() -> None:
        server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        model = OpenAICompatible(ServerSettings(f"http://127.0.0.1:{port}/v1", MODEL, timeout_s=20))
        async with server:
            try:
                await model.reply(QUESTION)
            finally:
                await model.close()

    with pytest.raises(TryAgain, match=r"the connection failed \((ServerDisconnected|ClientOS)Error\)"):
        asyncio.run(one())


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

    with running(behaviour=refusing("response_format", "response_format is unknown"), seconds=0.05) as server:
        replies = asyncio.run(many(opened(server, structured="json_object")))

    assert [replied.reply.text for replied in replies] == ["river"] * 10
    assert server.n_requests == 20


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
        model = OpenAICompatible(ServerSettings(server.base_url, server.name))

        async def prove() -> None:
            try:
                await model.prove_echo()
            finally:
                await model.close()

        with nullcontext() if misbehaviour == "none" else pytest.raises(UntrustedServer):
            asyncio.run(prove())


def test_the_identity_is_who_the_server_says_it_is() -> None:
    with running(served="parrot-1-2026-05-01") as server:
        model = opened(server)
        found = identity(model)
        replied = ask(model)

    assert found == f"parrot-1-2026-05-01@{server.url[7:]}"
    assert replied.identity == found
    assert server.bodies[0]["max_tokens"] == 1


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
        identity(opened(server, reasoning_effort="utmost"))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.com/v1", "does not begin with"),
        ("api.example.com/v1", "does not begin with"),
        ("https://", "names no server"),
        (f"https://me:{KEY}@example.com/v1", "holds a name or password"),
        (f"https://example.com/v1?key={KEY}", "holds a question mark"),
        (f"https://[{KEY}/v1", "no address"),
    ],
)
def test_an_unsafe_address_is_refused_without_showing_its_secrets(url: str, reason: str) -> None:
    with pytest.raises(UnsafeBaseUrl, match=reason) as raised:
        check_base_url(url)

    assert KEY not in "".join(traceback.format_exception(raised.value))


def test_plain_http_warns_once_beyond_this_machine_and_not_on_it(caplog: pytest.LogCaptureFixture) -> None:
    for url in ("http://127.0.0.1:1/v1", "http://localhost/v1", "http://[::1]:8/v1", "https://a.example/v1"):
        check_base_url(url)

    assert caplog.records == []

    for _ in range(2):
        check_base_url("http://b.example:8000/v1")

    assert [record.message.split(" is ")[0] for record in caplog.records] == ["http://b.example:8000/v1"]


def test_a_key_that_is_not_there_or_cannot_be_one_ends_the_run_before_it_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = ServerSettings("https://api.example.com/v1", MODEL, api_key_env=VARIABLE)
    with pytest.raises(KeyMissing, match=VARIABLE):
        OpenAICompatible(settings)
    monkeypatch.setenv(VARIABLE, f"{KEY} {KEY}")
    with pytest.raises(KeyRefused) as raised:
        OpenAICompatible(settings)

    assert KEY not in str(raised.value)


def test_the_key_is_sent_to_the_server_that_wants_it_and_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f"{KEY}\n")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-somebody-elses-key")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    with running() as server:
        ask(opened(server, api_key_env=VARIABLE))
        ask(opened(server))

    assert [headers.get("authorization") for headers in server.headers] == [f"Bearer {KEY}", None]
    assert not [headers for headers in server.headers if "openai-organization" in headers]


def test_the_key_is_in_no_message_log_or_reply_even_if_the_server_repeats_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    caplog.set_level(logging.DEBUG)
    responses = [refusal(status, f"{KEY} is no good", code=KEY) for status in (400, 401, 402, 404, 429, 500)]
    responses += [raw(f'{{"error": "{KEY}"}}'), raw(KEY), raw(KEY, 500), CutConnection(KEY)]
    shown = []
    for response in responses:
        with running(behaviour=always(response)) as server:
            model = opened(server, api_key_env=VARIABLE)
            with pytest.raises(NeuronAssetsError) as raised:
                ask(model)
            shown += [repr(model), *traceback.format_exception(raised.value)]
            assert raised.value.__context__ is None
    with running(behaviour=always(as_json(chat_answer(f"your key is {KEY}")))) as server:
        replied = ask(opened(server, api_key_env=VARIABLE))

    assert replied.reply.text == "your key is ***"
    assert [header["authorization"] for header in server.headers] == [f"Bearer {KEY}"]
    assert KEY not in json.dumps(shown) + caplog.text + repr(replied)
