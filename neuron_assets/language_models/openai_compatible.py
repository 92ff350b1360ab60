"""A language model behind a server that speaks OpenAI's protocol: hosted, or one's own.

Here: the client. Not here: what is sent (`bodies.py`), what comes back (`replies.py`, `refusals.py`), and trying again
(`asking.py`): the library's own retries are turned off.
"""

import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, TypeVar

import openai
from openai.types import Completion

from neuron_assets.errors import (
    ParametersRefused,
    RequestRefused,
    ServerUnreachable,
    TryAgain,
    UntrustedServer,
)
from neuron_assets.language_models.asker import Requested, nothing
from neuron_assets.language_models.bodies import Body, body_of, path_of
from neuron_assets.language_models.connection import headers_left_out, open_client
from neuron_assets.language_models.echo_proof import prove_echo
from neuron_assets.language_models.habits import Habits, learned
from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.language_models.refusals import (
    Refusal,
    error_of_refusal,
    error_without_answer,
    found_nobody,
    json_or_text,
    masked,
    read_refusal,
    refusal_in,
)
from neuron_assets.language_models.replies import read_reply, read_usage
from neuron_assets.language_models.server_settings import ServerSettings, check_server
from neuron_assets.method.questions import ChatPrompt, EchoPrompt, Message, Prompt, Reply

T = TypeVar("T")

Answered = Mapping[str, Any] | Refusal

_LOG = logging.getLogger(__name__)

_STABLE_FACTS = ("root", "meta")
"""Of a server's entry for a model: what is loaded. `created` and fingerprints change with every start."""

_FOR_A_MOMENT = (408, 429, 502, 503, 504)
"""Statuses of a list of models that is there; with any other, the server has none."""

_PROBES = (1, 2048)
"""Tokens of the reply to the question who is there; a model that thinks first may refuse to say a single one."""


class OpenAICompatible:
    """One model of one server. Implements LanguageModel; used by one event loop at a time.

    Raises UnsafeBaseUrl, KeyMissing and KeyRefused at once; nothing is dialled before the first question.

    `identity` is `MODEL@HOST/PATH`, with the model's name as the server resolves it, followed by `#` and a digest of
    the server's stable facts about the model (`root`, `meta`) where it lists any: what is served under the same name
    after a change of weights is then somebody else. Every reply carries the name that came with it.
    """

    def __init__(self, settings: ServerSettings, record: Callable[[Sequence[Requested]], None] = nothing) -> None:
        """`record` is told of each look: what is asked to see who answers, and whether an echo can be trusted."""
        check_server(settings)
        self._settings = settings
        self._record = record
        self._habits = Habits(settings.structured)
        self._facts: str | None = None
        self._was_there = False
        self._client: openai.AsyncOpenAI | None = None

    def __repr__(self) -> str:
        return f"OpenAICompatible({self._settings.model!r} at {self._settings.address})"

    @property
    def server(self) -> str:
        """Host, port and path."""
        return self._settings.address

    @property
    def alias(self) -> str:
        """What the study calls the model."""
        return self._settings.model

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What the study chose. What a server makes of it follows from who it is, so that is not in here."""
        return {"api": self._settings.api, "structured": self._settings.structured, **self._settings.sampling}

    async def identity(self) -> str:
        """Asks for a token, to see who answers. Raises TryAgain, ParametersRefused or another LanguageModelError."""
        self._facts = await self._read_facts()
        refused: RequestRefused | None = None
        for longest in _PROBES:
            probe = ChatPrompt((Message("user", "Hello"),), layout="probe/1", longest_reply=longest)
            try:
                return (await self._looked(probe)).identity
            except RequestRefused as error:
                refused = error
        raise ParametersRefused(f"{self.alias} at {self.server}", str(refused))

    async def reply(self, prompt: Prompt, variant: int = 0) -> Replied:
        """One attempt, repeated only where the server wants the same said in another way."""
        await self.see_facts()
        answer = await self._answer(path_of(prompt, self._settings), prompt, variant)
        return await self.read(answer, prompt)

    def body(self, prompt: Prompt, variant: int = 0) -> tuple[str, Body]:
        """What `reply` sends, as far as the server's habits are known: the path below the base URL, and the body."""
        return path_of(prompt, self._settings), body_of(prompt, self._settings, self._habits, variant)

    async def read(self, answer: Mapping[str, Any], prompt: Prompt) -> Replied:
        """The reply in a body that came back, by whichever way; raises TryAgain where it holds none."""
        await self.see_facts()
        server = self._settings.address
        reply = read_reply(answer, prompt, server=server)
        usage = read_usage(answer, prompt, reply, server=server)
        return Replied(reply, usage, self._named(answer.get("model")))

    async def prove_echo(self) -> None:
        """Tries whether the server can be trusted with EchoPrompts; raises UntrustedServer, or as `reply` does."""
        server, model = self._settings.address, self._settings.model
        try:
            await self._looked(EchoPrompt("One, two, three", layout="probe/1"))  # learns whether a token must be added
            longest = self._habits.least_after_echo
            proof = await self._guarded(
                lambda client: prove_echo(partial(self._completed, client), server=server, longest_reply=longest)
            )
            if proof is not None:
                raise error_of_refusal(proof, server, model)
        except RequestRefused as error:
            raise UntrustedServer(server, f"asked to echo a prompt with its log-probabilities, it {error}") from error

    async def close(self) -> None:
        """Ends the connections; a later question opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _looked(self, prompt: Prompt) -> Replied:
        """A reply to what is no question of the study."""
        began = time.perf_counter()
        replied = await self.reply(prompt)
        self._note(replied.identity, replied.usage, began)
        return replied

    async def _completed(self, client: openai.AsyncOpenAI, body: Body) -> Completion:
        """One request of the proof of an echo."""
        began = time.perf_counter()
        completion: Completion = await client.completions.create(
            model=self._settings.model, extra_headers=self._left_out, **body
        )
        echo = EchoPrompt(body["prompt"], layout="probe/1")
        usage = read_usage(completion.to_dict(), echo, Reply(""), server=self._settings.address)
        self._note(self._named(completion.model), usage, began)
        return completion

    def _note(self, identity: str, usage: Usage, began: float) -> None:
        looked = Requested("who answers", identity, usage, time.perf_counter() - began, "answered", is_look=True)
        self._record([looked])

    def _named(self, model: str | None) -> str:
        """Who answers, by the name that the server gives."""
        return f"{model or self._settings.model}@{self._settings.address}{self._facts}"

    async def _answer(self, path: str, prompt: Prompt, variant: int) -> Mapping[str, Any]:
        while True:
            habits = self._habits
            body = body_of(prompt, self._settings, habits, variant)
            answer = await self.exchange(path, body)
            if not isinstance(answer, Refusal):
                return answer
            if self._habits != habits:
                continue  # another question has learned meanwhile
            changed = learned(habits, answer, body)
            if changed is None or changed == habits:
                raise error_of_refusal(answer, self._settings.address, self._settings.model)
            self._habits = changed

    async def exchange(self, path: str, body: Body | None = None, file: bytes | None = None) -> Answered:
        """The JSON object that came back, or what the server said instead; raises where neither came.

        Without a body it is a GET; with a file, that and the body are the parts of a form.
        """
        text = await self.text(path, body, file)
        if isinstance(text, Refusal):
            return text
        answer = _read_object(text)
        if isinstance(answer, TryAgain):
            raise answer
        return answer

    async def text(self, path: str, body: Body | None = None, file: bytes | None = None) -> str | Refusal:
        """As `exchange`, whatever the text is; without the key, should it stand there."""

        async def ask(client: openai.AsyncOpenAI) -> str:
            headers: dict[str, str | openai.Omit] = {**self._left_out}
            if body is None:
                return await client.get(path, cast_to=str, options={"headers": headers})
            if file is None:
                return await client.post(path, cast_to=str, body=body, options={"headers": headers})
            headers["Content-Type"] = "multipart/form-data"
            form = [("file", ("requests.jsonl", file))]
            return await client.post(path, cast_to=str, body=body, files=form, options={"headers": headers})

        text = await self._guarded(ask)
        return text if isinstance(text, Refusal) else masked(text, self._opened().api_key)

    async def _guarded(self, ask: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> T | Refusal:
        """What the client gives, or what the server said instead; raises errors of ours, and none of the library's."""
        client = self._opened()
        try:
            answer = await ask(client)
        except openai.APIStatusError as error:
            self._was_there = True
            return read_refusal(error, client.api_key)
        except openai.OpenAIError as error:
            failure = error_without_answer(error, timeout_s=self._settings.timeout_s)
            if not self._was_there and found_nobody(error):
                failure = ServerUnreachable(self._settings.address, str(failure))
        else:
            self._was_there = True
            return answer
        # Raised here, outside the library's own error: one that remembers it would show what the server said, unmasked.
        raise failure

    async def see_facts(self) -> None:
        """Reads what the server lists about the model, once: it is a part of who answers."""
        if self._facts is None:
            self._facts = await self._read_facts()

    async def _read_facts(self) -> str:
        """A digest of what the server lists about the model and keeps to; empty where it lists nothing."""
        text = await self.text("/models")
        listed = json_or_text(text) if isinstance(text, str) else text
        refusal = listed if isinstance(listed, Refusal) else _refusal_within(listed, 404)
        if refusal is not None:
            error = error_of_refusal(refusal, self._settings.address, self._settings.model)
            if isinstance(error, TryAgain) and refusal.status in _FOR_A_MOMENT:
                raise error  # a list that is missing for a moment must not make somebody else of it
            _LOG.debug("%s lists no models: %s", self._settings.address, error)
            return ""
        facts = _stable_facts(listed, self._settings.model)
        return f"#{hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]}" if facts else ""

    def _opened(self) -> openai.AsyncOpenAI:
        if self._client is None:
            self._client = open_client(self._settings)
        return self._client

    @cached_property
    def _left_out(self) -> Mapping[str, openai.Omit]:
        return headers_left_out(self._settings)


def _read_object(text: str) -> Mapping[str, Any] | Refusal | TryAgain:
    try:
        body = json.loads(text)
    except ValueError:
        return TryAgain(f"what came back is no JSON, or was cut off after {len(text)} characters")
    if not isinstance(body, dict):
        return TryAgain("what came back is no JSON object")
    return _refusal_within(body, 502) or body


def _refusal_within(body: object, status: int) -> Refusal | None:
    """What a server says with status 200 that should have had another one: the code that it tells, else `status`."""
    error = body.get("error") if isinstance(body, dict) else None
    if not error:
        return None
    code = error.get("code") if isinstance(error, dict) else None
    return refusal_in(body, code if isinstance(code, int) else status)


def _stable_facts(body: object, model: str) -> dict[str, Any]:
    """Of the server's list of models, which some send bare, and some do not have."""
    listed = body.get("data") if isinstance(body, dict) else body
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    named = [entry for entry in entries if entry.get("id") == model] or (entries if len(entries) == 1 else [])
    return {name: named[0][name] for name in _STABLE_FACTS if named and named[0].get(name) not in (None, model)}
