"""Questions about numbers, and who may be asked them: what the tests of asking share."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from neuron_assets.errors import UnreadableReply
from neuron_assets.language_models.answered_requests import AnsweredRequest, Kept, answered_now
from neuron_assets.language_models.asker import Asker, Store
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.scripted import Script, Scripted
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import ChatPrompt, Message, Prompt, Question, Reply
from neuron_assets.method.records import Answer
from tests.language_models.misbehaving_server import MODEL, MisbehavingServer


class InMemory:
    """A request store that is gone with the test."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}
        self.identities: dict[str, str] = {}
        self.abouts: list[str] = []

    def get(self, key: str) -> Kept | None:
        return self.kept.get(key)

    def put(
        self, key: str, prompt: Prompt, replied: Replied, *, seconds: float, parameters: Mapping[str, Any], about: str
    ) -> None:
        self.keep([answered_now(key, prompt, replied, seconds=seconds, parameters=parameters, about=about)])

    def keep(self, answers: Sequence[AnsweredRequest]) -> None:
        for answered in answers:
            self.kept[answered.key] = answered.kept
            self.abouts.append(answered.about)

    def observed(self, model_name: str) -> str | None:
        return self.identities.get(model_name)

    def observe(self, model_name: str, identity: str) -> None:
        self.identities[model_name] = identity


async def hurried(_seconds: float) -> None:
    """A pause of no length."""
    await asyncio.sleep(0)


def question(number: int, *, sample: int = 0) -> Question[int]:
    prompt = ChatPrompt((Message("user", str(number)),), layout="test/1", longest_reply=8)
    return Question(prompt, read_number, f"L0N{number}", sample)


def questions(n: int) -> list[Question[int]]:
    return [question(number) for number in range(n)]


def read_number(reply: Reply) -> int:
    if not reply.text.isdigit():
        raise UnreadableReply("no number", reply.text)
    return int(reply.text)


def echo(prompt: Prompt) -> str:
    assert isinstance(prompt, ChatPrompt)
    return prompt.messages[-1].content


def scripted(script: Script = echo, store: Store | None = None, **fields: Any) -> Asker:
    fields = {"sleep": hurried, **fields}
    return Asker(Scripted(script), "scripted", InMemory() if store is None else store, **fields)


def served(server: MisbehavingServer, store: Store | None = None, **fields: Any) -> Asker:
    fields = {"sleep": hurried, **fields}
    model = OpenAICompatible(ServerSettings(server.url, MODEL, timeout_s=5))
    return Asker(model, "the server", InMemory() if store is None else store, **fields)


def values(answers: Sequence[Answer[int]]) -> list[int | None]:
    return [answer.value for answer in answers]


def failures(answers: Sequence[Answer[int]]) -> list[str]:
    return [answer.failure for answer in answers if answer.failure is not None]


def n_asked(asker: Asker) -> int:
    assert isinstance(asker.model, Scripted)
    return asker.model.n_asked
