"""What a server lists says what is loaded; that it lists nothing keeps nobody from asking it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from neuron_assets.errors import TryAgain
from tests.language_models.misbehaving_server import MODEL, MisbehavingServer, raw, refusal, running, serving
from tests.language_models.one_request import ask, identity, opened

ENTRY = {"id": MODEL, "root": "/weights/a"}


@contextmanager
def listing(response: Response) -> Iterator[MisbehavingServer]:
    """A server that chats, and says this of its models."""

    async def models(_request: Request) -> Response:
        return response

    state = MisbehavingServer()
    chat = Route("/v1/chat/completions", state.chat, methods=["POST"])
    with serving([chat, Route("/v1/models", models)]) as state.url:
        yield state


@pytest.mark.parametrize(
    "response",
    [
        HTMLResponse("<html>welcome</html>"),
        raw('"models"'),
        raw('{"data": "none"}'),
        raw('{"error": "Unexpected endpoint or method. (GET /v1/models)"}'),
        raw('{"error": {"code": 501, "message": "not implemented"}}'),
        *(refusal(status, "no such thing") for status in (403, 404, 405, 500, 501)),
    ],
)
def test_a_server_that_lists_nothing_can_be_asked(response: Response) -> None:
    with listing(response) as server:
        assert identity(opened(server)) == f"{MODEL}@{server.url[7:]}"
        assert ask(opened(server)).reply.text == "river"


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_list_that_is_missing_for_a_moment_makes_nobody_else_of_a_model(status: int) -> None:
    with listing(refusal(status, "in a moment")) as server, pytest.raises(TryAgain, match="in a moment"):
        identity(opened(server))
    with (
        listing(raw(f'{{"error": {{"code": {status}, "message": "in a moment"}}}}')) as server,
        pytest.raises(TryAgain),
    ):
        identity(opened(server))


def test_a_bare_list_is_one_too() -> None:
    with listing(JSONResponse([ENTRY])) as server:
        bare = identity(opened(server))
    with running(listed=[ENTRY]) as server:
        wrapped = identity(opened(server))

    assert "#" in bare
    assert bare.split("#")[1] == wrapped.split("#")[1]
