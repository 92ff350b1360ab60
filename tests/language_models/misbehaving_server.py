"""A server that speaks OpenAI's protocol, and does whatever a test tells it to, request by request.

Here: the server, and how it may misbehave. Not here: what is expected of a client. By default it repeats the last
message, so that an answer to the wrong question is seen.
"""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from tests import prompt_server

MODEL = "parrot-1"

Body = dict[str, Any]
Behaviour = Callable[[Body, int], Response | None]
"""What comes back for a body, or None for a good answer; the number counts requests for replies from 0."""


@dataclass
class MisbehavingServer:
    """The state of one server; its fields may be changed while it runs."""

    behaviour: Behaviour = lambda _body, _number: None
    served: str = MODEL
    """The model's name, as replies tell it."""
    seconds: float = 0.0
    """How long a reply takes."""
    holds: Callable[[], bool] = lambda: False
    """As long as this is so, nobody gets a reply."""
    listed: list[Body] | None = None
    """The entries of GET /models; None: there is no such address."""
    bodies: list[Body] = field(default_factory=list)
    """Of all requests for replies, in the order in which they came."""
    headers: list[Mapping[str, str]] = field(default_factory=list)
    most_at_once: int = 0
    url: str = ""
    _at_once: int = 0

    @property
    def n_requests(self) -> int:
        """For replies; the list of models is not counted."""
        return len(self.bodies)

    async def chat(self, request: Request) -> Response:
        return await self._reply(request, lambda body: chat_answer(body["messages"][-1]["content"], self.served))

    async def completion(self, request: Request) -> Response:
        return await self._reply(request, lambda body: completion_answer(body, self.served))

    async def models(self, _request: Request) -> Response:
        if self.listed is None:
            return refusal(404, "Not Found")
        return JSONResponse({"object": "list", "data": self.listed})

    async def _reply(self, request: Request, good: Callable[[Body], Body]) -> Response:
        body = await request.json()
        number = len(self.bodies)
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.seconds:
                await asyncio.sleep(self.seconds)
            while self.holds():  # noqa: ASYNC110  # whatever a test thinks of, in whatever thread
                await asyncio.sleep(0.02)
            return self.behaviour(body, number) or JSONResponse(good(body))
        finally:
            self._at_once -= 1


class CutConnection(Response):
    """Promises a body, sends a part of it, and hangs up."""

    def __init__(self, content: str = '{"choices": [') -> None:
        super().__init__(content, media_type="application/json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"4000")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        raise ConnectionResetError


def chat_answer(text: str, served: str = MODEL, **message: Any) -> Body:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text, **message}}
    return {"id": "1", "object": "chat.completion", "model": served, "choices": [choice], "usage": usage()}


def completion_answer(body: Body, served: str = MODEL) -> Body:
    choice: Body = {"index": 0, "finish_reason": "stop", "text": f" {body['prompt'][:5]}"}
    n_in = 11
    if body.get("echo"):
        tokens = [body["prompt"][at : at + 3] for at in range(0, len(body["prompt"]), 3)] + [" and"] * body[
            "max_tokens"
        ]
        n_in = len(tokens) - body["max_tokens"]
        tops = [None, *({token: -0.5, "7": -1.5} for token in tokens[1:])]
        choice["logprobs"] = {
            "tokens": tokens,
            "top_logprobs": tops,
            "token_logprobs": [None] + [-0.5] * len(tokens[1:]),
        }
    return {"id": "1", "object": "text_completion", "model": served, "choices": [choice], "usage": usage(n_in)}


def usage(tokens_in: int = 11, tokens_out: int = 3, cached: int = 4) -> Body:
    details = {"cached_tokens": cached}
    return {"prompt_tokens": tokens_in, "completion_tokens": tokens_out, "prompt_tokens_details": details}


def refusal(status: int, message: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> Response:
    return JSONResponse({"error": {"message": message, **more}}, status_code=status, headers=headers)


def raw(text: str, status: int = 200) -> Response:
    return Response(text, status_code=status, media_type="application/json")


def as_json(body: Body) -> Response:
    return raw(json.dumps(body))


@contextmanager
def running(**fields: Any) -> Iterator[MisbehavingServer]:
    """A server on a free port of this machine, until the end of the block."""
    state = MisbehavingServer(**fields)
    routes = [
        Route("/v1/chat/completions", state.chat, methods=["POST"]),
        Route("/v1/completions", state.completion, methods=["POST"]),
        Route("/v1/models", state.models),
    ]
    with serving(routes) as state.url:
        yield state


@contextmanager
def serving(routes: list[Route]) -> Iterator[str]:
    """The base URL below which these answer, until the end of the block."""
    with prompt_server.serving(Starlette(routes=routes)) as url:
        yield url


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])
