"""A server that only goes on with a text explains and simulates, though it takes no chat."""

from pathlib import Path

import pytest
from starlette.responses import Response

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Errand
from neuron_assets.lineage import lineages
from neuron_assets.method.questions import ChatPrompt, Message, Question
from neuron_assets.method.replies import answer_text
from neuron_assets.model_sections import HostedExplainer
from neuron_assets.study import Study, read_study
from tests.language_models.misbehaving_server import Body, refusal, running
from tests.scenario import write_study

HELLO = ChatPrompt((Message("user", "river"),), layout="test/1", longest_reply=8)


def study(folder: Path, url: str, **explainer: str) -> Study:
    model = {"provider": "openai_compatible", "model": "parrot", "base_url": url}
    return read_study(write_study(folder, explainer={**model, **explainer}, simulator={**model, "method": "logprobs"}))


@pytest.mark.parametrize("status", [400, 404])
def test_a_model_without_chat_is_asked_by_completions_from_the_first_request_on(tmp_path: Path, status: int) -> None:
    def behaviour(body: Body, _number: int) -> Response | None:
        return refusal(status, "this is no chat model") if "messages" in body else None

    desk = RequestDesk(str(tmp_path / "requests.sqlite"))
    with running(behaviour=behaviour) as server:
        asking = study(tmp_path, server.url, api="completions")
        simulator = desk.simulator(asking)
        desk.look_again()
        assert isinstance(asking.explainer, HostedExplainer)
        with desk.opened(asking, asking.explainer, Errand("explanations", 0, None)) as asked:
            answers = list(asked.answers([Question(HELLO, answer_text, "L0N0")]))

    assert simulator.startswith(f"openai_compatible/parrot=parrot-1@{server.url[7:]}?")
    assert [answer.value for answer in answers] == ["User:"]
    assert [body.get("max_tokens") for body in server.bodies] == [1, 1, 8]


def test_how_a_model_is_asked_is_a_part_of_who_it_is_unless_it_is_by_chat(tmp_path: Path) -> None:
    default, chat, completions = (
        study(tmp_path, "http://127.0.0.1:1/v1", **said) for said in ({}, {"api": "chat"}, {"api": "completions"})
    )

    assert default.explainer_identity == chat.explainer_identity
    assert "api=completions" in completions.explainer_identity
    assert lineages(chat)["explanations"] != lineages(completions)["explanations"]
