"""A server that says no to all, or to what a study cannot do without, ends the run and is named; it is not asked on."""

import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from neuron_assets.errors import ParametersRefused, UntrustedServer
from neuron_assets.few_shot import few_shot_neurons
from neuron_assets.language_models.asker import Asker
from neuron_assets.language_models.asking import ask_all
from neuron_assets.language_models.proven import ProvenEcho
from neuron_assets.method.questions import Question
from neuron_assets.method.simulating.all_at_once import echo_simulation_question
from neuron_assets.method.simulating.simulated import SimulatedExcerpt
from tests.language_models.asked_numbers import InMemory, hurried
from tests.language_models.misbehaving_server import (
    MODEL,
    Behaviour,
    Body,
    MisbehavingServer,
    as_json,
    refusal,
    running,
)
from tests.language_models.one_request import KEY, VARIABLE, identity, opened


def test_a_server_that_wants_what_cannot_be_changed_is_not_asked_for_ever() -> None:
    wants = refusal(400, "'max_tokens' is not supported. Use 'max_completion_tokens' instead.", param="max_tokens")
    with (
        running(behaviour=lambda _body, number: wants if number < 20 else None) as server,
        pytest.raises(ParametersRefused, match="Use 'max_completion_tokens' instead"),
    ):
        identity(opened(server, more={"max_tokens": 500}))

    assert server.n_requests == 3  # what is learned, learned in vain, and the longer reply


@pytest.mark.parametrize(
    ("refused", "says"),
    [
        (lambda body: body.get("echo"), "echo with logprobs is not supported"),
        (lambda body: body.get("logprobs", 0) > 5, "logprobs must be <= 5"),
        (lambda body: body.get("logprobs") and not body.get("echo"), "logprobs is not supported"),
    ],
)
def test_a_server_that_refuses_to_echo_ends_the_run_and_says_why(refused: Callable[[Body], bool], says: str) -> None:
    def behaviour(body: Body, _number: int) -> Response | None:
        return refusal(400, says) if refused(body) else None

    with (
        running(behaviour=behaviour) as server,
        pytest.raises(UntrustedServer, match=f"asked to echo a prompt .*, it refused: {says}.*`method: json`"),
    ):
        list(ask_all(simulations(50), proven(server)))

    assert server.n_requests <= 3


def test_a_key_in_what_is_said_of_an_echo_is_blotted_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, KEY)
    caplog.set_level(logging.DEBUG)
    with (
        running(behaviour=only_in_the_proof(refusal(400, f"no echo for {KEY}"))) as server,
        pytest.raises(UntrustedServer, match=r"no echo for \*\*\*") as raised,
    ):
        list(ask_all(simulations(1), proven(server, api_key_env=VARIABLE)))

    assert KEY not in "".join(traceback.format_exception(raised.value)) + caplog.text
    assert not hasattr(raised.value.__cause__, "response")


def simulations(n: int) -> list[Question[SimulatedExcerpt]]:
    return [
        echo_simulation_question(f"words {number}", (" a", " b"), few_shot_neurons(), about=f"L0N{number}")
        for number in range(n)
    ]


def proven(server: MisbehavingServer, **settings: Any) -> Asker:
    return Asker(ProvenEcho(opened(server, **settings)), "the server", InMemory(), sleep=hurried)


def only_in_the_proof(response: Response) -> Behaviour:
    """Refuses no echo but those of the proof, which alone sends a temperature with them."""
    top = {f"w{rank}": -1.0 - rank for rank in range(15)}
    logprobs = {"tokens": ["w0"], "token_logprobs": [-1.0], "top_logprobs": [top], "text_offset": [0]}
    choice = {"index": 0, "finish_reason": "length", "text": "w0", "logprobs": logprobs}
    generated = {"id": "1", "object": "text_completion", "created": 0, "model": MODEL, "choices": [choice]}

    def behaviour(body: Body, _number: int) -> Response | None:
        if body.get("echo"):
            return response if "temperature" in body else None
        return as_json(generated) if "logprobs" in body else None

    return behaviour
