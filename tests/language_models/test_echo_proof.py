"""Facts on trusting a server: an honest one agrees with the model in this process, the others are told apart."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types import Completion

from neuron_assets.errors import UntrustedServer
from neuron_assets.language_models.echo_proof import PROMPTS, prove_echo
from neuron_assets.language_models.local_simulating import simulate_all_at_once
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import EchoPrompt, Reply
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.expected import expected_values
from tests.language_models.echo_server import EchoServer, Misbehaviour, served
from tests.language_models.tiny_models import FEW_SHOT, bundled_gpt2, local, tiny_gpt2, tiny_tokenizer


@pytest.fixture(scope="module")
def server() -> Iterator[EchoServer]:
    tokenizer = tiny_tokenizer()
    with served(EchoServer(tiny_gpt2(tokenizer), tokenizer)) as running:
        yield running


@pytest.fixture(autouse=True)
def _honest_again(server: EchoServer) -> Iterator[None]:
    yield
    server.misbehaviour = "none"
    server.requests.clear()


def prove(server: EchoServer, *, longest_reply: int = 0) -> None:
    async def asked() -> None:
        async with AsyncOpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:

            async def complete(body: dict[str, Any]) -> Completion:
                completion: Completion = await client.completions.create(model=server.name, **body)
                return completion

            await prove_echo(complete, server="the tests", longest_reply=longest_reply)

    asyncio.run(asked())


@pytest.mark.parametrize("longest_reply", [0, 1])
def test_an_honest_server_is_trusted(server: EchoServer, longest_reply: int) -> None:
    prove(server, longest_reply=longest_reply)

    assert [bool(body.get("echo")) for body in server.requests] == [False, True] * len(PROMPTS)


@pytest.mark.parametrize(
    ("misbehaviour", "what"),
    [
        ("ignores_echo", "it ignores the wish for an echo"),
        ("shifts_by_one", "shifted by one: they come one token too early"),
        ("drops_last_token", "it left out the end of the prompt"),
        ("adds_noise", r"it says -\d+\.\d+ in an echo where it said -\d"),
        ("few_alternatives", "it gives 5 alternatives a token"),
    ],
)
def test_what_a_dishonest_server_did_is_said(server: EchoServer, misbehaviour: Misbehaviour, what: str) -> None:
    server.misbehaviour = misbehaviour

    with pytest.raises(UntrustedServer, match=f"the tests cannot be trusted .*{what}"):
        prove(server)


def test_an_ignored_echo_is_told_from_a_short_one_where_a_token_is_always_added(server: EchoServer) -> None:
    server.misbehaviour = "ignores_echo"

    with pytest.raises(UntrustedServer, match="it does not echo the prompt"):
        prove(server, longest_reply=1)


def test_a_server_that_cuts_ten_in_two_is_not_trusted() -> None:
    tokenizer = tiny_tokenizer(ten=False)
    with (
        served(EchoServer(tiny_gpt2(tokenizer), tokenizer)) as running,
        pytest.raises(UntrustedServer, match="it cuts 10 into two tokens"),
    ):
        prove(running)


@pytest.mark.parametrize("bundled", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_simulation_by_a_server_is_that_by_the_same_model_in_this_process(
    server: EchoServer, *, bundled: bool
) -> None:
    excerpts = [[" the", " wren", "\n", "10", "\N{SNOWMAN}"], ["\t", "?", "\N{GREEK SMALL LETTER ETA}", "x", " "]]
    with served(EchoServer(*bundled_gpt2())) if bundled else nullcontext(server) as asked:
        model = local(asked.model, asked.tokenizer)
        (distributions,) = simulate_all_at_once(model, [("names of birds", excerpts)], FEW_SHOT, rows_at_once=2)
        found = [_simulated_by(asked, "names of birds", tokens) for tokens in excerpts]

    assert np.stack(found) == pytest.approx(expected_values(distributions), abs=1e-4)
    assert np.ptp(found) > 0.1  # there is something to agree on


def _simulated_by(server: EchoServer, explanation: str, tokens: list[str]) -> np.ndarray:
    question = echo_simulation_question(explanation, tokens, FEW_SHOT, about="")
    assert isinstance(question.prompt, EchoPrompt)
    # All of a vocabulary: who was not trained to does not put numbers among the likeliest.
    prompt = replace(question.prompt, n_alternatives=len(server.tokenizer))

    async def asked() -> Reply:
        model = OpenAICompatible(ServerSettings(server.base_url, server.name))
        try:
            return (await model.reply(prompt)).reply
        finally:
            await model.close()

    reply = asyncio.run(asked())
    assert sum(bool(token.alternatives) for token in reply.echoed) == len(tokens)  # the others are not kept
    return question.read(reply).expected


def test_the_server_also_lists_its_model_and_chats(server: EchoServer) -> None:
    with OpenAI(base_url=server.base_url, api_key="none", max_retries=0) as client:
        listed = [model.id for model in client.models.list()]
        reply = client.chat.completions.create(
            model=server.name, messages=[{"role": "user", "content": "the wren"}], max_completion_tokens=3
        )

    assert listed == ["tiny"]
    assert reply.usage is not None
    assert (reply.choices[0].message.content is not None, reply.usage.completion_tokens) == (True, 3)
