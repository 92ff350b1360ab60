"""A client of the misbehaving server, and single requests through it, for the tests of the client."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from starlette.responses import Response

from neuron_assets.language_models.asker import Requested, nothing
from neuron_assets.language_models.model import Replied
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.server_settings import ServerSettings
from neuron_assets.method.questions import ChatPrompt, EchoPrompt, Message, Prompt
from tests.language_models.misbehaving_server import MODEL, Behaviour, MisbehavingServer, as_json, chat_answer

KEY = "sk-planted-0123456789-abcdef"
VARIABLE = "PLANTED_KEY"

QUESTION = ChatPrompt((Message("system", "Be brief."), Message("user", "river")), layout="test/1", longest_reply=50)
WITH_SCHEMA = ChatPrompt(QUESTION.messages, "test/1", 50, schema={"type": "object", "properties": {}})
ECHO = EchoPrompt("ein Fluß\tunknown\n", layout="test/1", n_alternatives=12)


def opened(
    server: MisbehavingServer, record: Callable[[Sequence[Requested]], None] = nothing, **settings: Any
) -> OpenAICompatible:
    return OpenAICompatible(ServerSettings(server.url, MODEL, **settings), record)


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
