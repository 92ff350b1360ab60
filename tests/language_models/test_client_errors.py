"""What a server says instead of an answer becomes an error with a name."""

import asyncio
from email.utils import formatdate
from time import time

import httpx2
import openai
import pytest
from starlette.responses import Response

from neuron_assets.errors import (
    KeyRefused,
    NeuronAssetsError,
    QuotaSpent,
    RequestRefused,
    ServerUnreachable,
    TryAgain,
    UnknownModel,
)
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.refusals import error_of_refusal, error_without_answer, read_refusal
from neuron_assets.language_models.server_settings import ServerSettings
from tests.language_models.misbehaving_server import MODEL, CutConnection, free_port, raw, refusal, running
from tests.language_models.one_request import QUESTION, always, ask, opened


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


def test_what_a_server_says_can_always_be_written_down() -> None:
    half = raw('{"error": {"message": "no \\ud83d"}}', 400)
    with running(behaviour=always(half)) as server, pytest.raises(RequestRefused, match=r"no \?") as raised:
        ask(opened(server))

    assert str(raised.value).encode()
