"""A key goes to the server that it belongs to, and nowhere else."""

import asyncio
import json
import logging
import traceback

import pytest

from neuron_assets.errors import KeyMissing, KeyRefused, NeuronAssetsError, UnsafeBaseUrl
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.server_settings import OPENAI, ServerSettings, check_base_url
from tests.language_models.echo_server import EchoServer, served
from tests.language_models.misbehaving_server import MODEL, CutConnection, as_json, chat_answer, raw, refusal, running
from tests.language_models.one_request import KEY, VARIABLE, always, ask, opened
from tests.language_models.tiny_models import tiny_gpt2, tiny_tokenizer

OTHER = "sk-of-a-gateway-0123456789"


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


@pytest.mark.parametrize("variable", [VARIABLE, None])
def test_what_the_environment_says_to_openai_is_told_to_nobody_else(
    monkeypatch: pytest.MonkeyPatch, variable: str | None
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-somebody")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "project-of-somebody")
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS",
        f"X-Gateway-Key: {OTHER}\n authorization : Bearer {OTHER}\nContent-Type:application/json\nno header",
    )
    tokenizer = tiny_tokenizer()
    with running() as server, served(EchoServer(tiny_gpt2(tokenizer), tokenizer)) as echoing:
        ask(opened(server, api_key_env=variable))
        asyncio.run(OpenAICompatible(ServerSettings(echoing.base_url, echoing.name, variable)).prove_echo())

    assert len(echoing.headers) == 7
    for headers in [*server.headers, *echoing.headers]:
        assert headers.get("authorization") == (f"Bearer {KEY}" if variable else None)
        assert headers["content-type"] == "application/json"
        assert "somebody" not in str(headers)
        assert OTHER not in str(headers)


def test_what_the_environment_says_to_openai_is_told_to_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    assert OpenAICompatible(ServerSettings(OPENAI, MODEL, "OPENAI_API_KEY"))._left_out == {}


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
