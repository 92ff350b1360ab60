"""A proxy in front of a server, for tests: it passes everything on, and counts what it passes.

Here: counting, and how many are under way at once. Not here: the servers.
"""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests import prompt_server

Body = dict[str, Any]


@dataclass
class CountingProxy:
    """What one proxy has seen."""

    behind: str
    """The server's base URL."""
    url: str = ""
    """The proxy's own."""
    bodies: list[Body] = field(default_factory=list)
    """Of all requests for replies but those of one token, by which only is seen who answers."""
    n_passed: int = 0
    """All requests, whatever they are for."""
    most_at_once: int = 0
    together: int = 0
    """The first requests for replies wait until so many are under way, though not for ever."""
    _at_once: int = 0
    _are_together: asyncio.Event = field(default_factory=asyncio.Event)
    _client: httpx2.AsyncClient | None = None

    async def passed_on(self, request: Request) -> Response:
        assert self._client is not None
        content = await request.body()
        self.n_passed += 1
        is_question = request.method == "POST" and not is_look(body := await request.json())
        if is_question:
            self.bodies.append(body)
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if is_question:
                await self._wait_for_others()
            path = request.path_params["path"]
            answer = await self._client.request(request.method, f"{self.behind}/{path}", content=content)
        finally:
            self._at_once -= 1
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("content-type"))

    async def _wait_for_others(self) -> None:
        if self._at_once >= self.together:
            self._are_together.set()
        else:
            self._are_together.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._are_together.wait(), timeout=60)
            self.together = 0

    @asynccontextmanager
    async def connected(self, _app: Starlette) -> Any:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(timeout=120, limits=limits) as self._client:
            yield


def is_look(body: Body) -> bool:
    """Whether a request asks for a single token: nothing is asked, only who is there."""
    return 1 in (body.get("max_tokens"), body.get("max_completion_tokens"))


@contextmanager
def counting(behind: str) -> Iterator[CountingProxy]:
    """A proxy on a free port of this machine, until the end of the block."""
    proxy = CountingProxy(behind)
    routes = [Route("/v1/{path:path}", proxy.passed_on, methods=["GET", "POST"])]
    with prompt_server.serving(Starlette(routes=routes, lifespan=proxy.connected)) as proxy.url:
        yield proxy
