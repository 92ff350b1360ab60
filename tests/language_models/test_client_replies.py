"""What a server sends becomes a reply, with what it took."""

import pytest

from neuron_assets.language_models.model import Usage
from tests.language_models.misbehaving_server import MODEL, Body, as_json, chat_answer, completion_answer, running
from tests.language_models.one_request import ECHO, ask, opened, saying


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

    assert usage == Usage(7, 3, is_estimated=True)  # half the bytes of "Be brief.river", and of "river"
    assert [record.message for record in caplog.records].count(
        f"{server.url[7:]} does not tell all tokens that it took: they are estimated, rather too many than too few."
    ) == 1


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 11}, Usage(11, 3, is_estimated=True)),
        ({"completion_tokens": 2}, Usage(7, 2, is_estimated=True)),
        ({"prompt_tokens": 11, "completion_tokens": 0}, Usage(11, 0)),
        (
            {"prompt_tokens": 11, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 99}},
            Usage(11, 2, 11),
        ),
    ],
)
def test_the_half_that_is_not_told_is_estimated_too(told: Body, usage: Usage) -> None:
    with running(behaviour=saying(usage=told)) as server:
        assert ask(opened(server)).usage == usage


def test_an_echo_generates_no_more_than_the_token_that_some_servers_must_add() -> None:
    with running(behaviour=lambda body, _number: as_json({**completion_answer(body), "usage": None})) as server:
        assert ask(opened(server), ECHO).usage == Usage(9, 1, is_estimated=True)
