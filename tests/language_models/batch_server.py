"""A server that speaks OpenAI's protocol for files and batches, and ends each batch as a test tells it to.

Here: the server. Not here: what is expected of a client. By default it repeats the last message, so that an answer to
the wrong question is seen; what a batch answered comes in reverse order.
"""

import email
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.language_models.misbehaving_server import Body, chat_answer, refusal, serving

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Course:
    """What becomes of a batch."""

    status: str = "completed"
    """At its end."""
    n_waits: int = 1
    """How often it is looked at before that."""
    n_processed: int | None = None
    """Of its requests, the first so many; None: all."""
    errors: tuple[Body, ...] = ()
    """Of a file that is not accepted."""


def good(body: Body) -> tuple[int, Body]:
    return 200, chat_answer(body["messages"][-1]["content"])


@dataclass
class BatchServer:
    """The state of one server; its fields may be changed while it runs."""

    answer: Callable[[Body], tuple[int, Body]] = good
    """Status and body for a request, whether it came by itself or in a batch."""
    course: Callable[[int], Course] = lambda _number: Course()
    """Of each batch, counted from 0."""
    misbehave: Callable[[str, str], Response | None] = lambda _method, _path: None
    """What comes back for a request, by method and path, in place of what should."""
    name_in_batches: str | None = None
    """What the model calls itself there, where that is not what it calls itself directly."""
    direct: list[Body] = field(default_factory=list)
    """Bodies of the requests that came by themselves."""
    batches: list[Body] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    headers: list[Mapping[str, str]] = field(default_factory=list)
    url: str = ""
    _n_looks: dict[str, int] = field(default_factory=dict)

    def lines(self, number: int) -> list[Body]:
        """The requests of a batch, as they were uploaded."""
        return [json.loads(line) for line in self.files[self.batches[number]["input_file_id"]].splitlines()]

    async def chat(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        body = await request.json()
        self.direct.append(body)
        status, answer = self.answer(body)
        return JSONResponse(answer, status_code=status)

    async def upload(self, request: Request) -> Response:
        self.headers.append(dict(request.headers))
        whole = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n" + await request.body()
        parts: Any = email.message_from_bytes(whole).get_payload()
        form = {part.get_param("name", header="content-disposition"): part.get_payload(decode=True) for part in parts}
        if form["purpose"] != b"batch":
            return refusal(400, "What is it for?")
        name = f"file-{len(self.files)}"
        self.files[name] = form["file"].decode()
        return self._told(request) or JSONResponse({"id": name})

    async def content(self, request: Request) -> Response:
        return self._told(request) or PlainTextResponse(self.files[request.path_params["file_id"]])

    async def create(self, request: Request) -> Response:
        body = await request.json()
        if body["completion_window"] != "24h" or body["endpoint"] != CHAT:
            return refusal(400, "Not so.")
        self.batches.append({"id": f"batch-{len(self.batches)}", "input_file_id": body["input_file_id"]})
        return self._told(request) or JSONResponse(self.batches[-1])

    async def listed(self, request: Request) -> Response:
        return self._told(request) or JSONResponse({"data": self.batches[::-1]})

    async def look(self, request: Request) -> Response:
        told, batch_id = self._told(request), request.path_params["batch_id"]
        if told is not None:
            return told
        number = int(batch_id.removeprefix("batch-"))
        course, n_looks = self.course(number), self._n_looks.get(batch_id, 0)
        self._n_looks[batch_id] = n_looks + 1
        n_lines = len(self.lines(number))
        batch = self.batches[number] | {"request_counts": {"total": n_lines, "completed": 0, "failed": 0}}
        if n_looks < course.n_waits:
            return JSONResponse(batch | {"status": "in_progress" if n_looks else "validating"})
        if course.errors:
            return JSONResponse(batch | {"status": "failed", "errors": {"object": "list", "data": course.errors}})
        return JSONResponse(batch | {"status": course.status} | self._done(number, course))

    def _done(self, number: int, course: Course) -> Body:
        """The files of answers and of errors; each is there only if there is anything in it."""
        answers: list[Body] = []
        errors: list[Body] = []
        for at, line in enumerate(self.lines(number)):
            told: Body = {"id": f"request-{at}", "custom_id": line["custom_id"], "response": None, "error": None}
            if course.n_processed is not None and at >= course.n_processed:
                error = {"code": "batch_expired", "message": "This request was not executed in time."}
                errors.append(told | {"error": error})
                continue
            status, body = self.answer(line["body"])
            body |= {"model": self.name_in_batches} if self.name_in_batches else {}
            told["response"] = {"status_code": status, "request_id": str(at), "body": body}
            (answers if status == 200 else errors).append(told)
        found = {"output_file_id": answers, "error_file_id": errors}
        for kind, lines in found.items():
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in reversed(lines))
            self.files[f"batch-{number}-{kind}"] = text
        return {kind: f"batch-{number}-{kind}" for kind, lines in found.items() if lines}

    def _told(self, request: Request) -> Response | None:
        return self.misbehave(request.method, request.url.path.removeprefix("/v1"))


@contextmanager
def batch_server(**fields: Any) -> Iterator[BatchServer]:
    """A server on a free port of this machine, until the end of the block."""
    state = BatchServer(**fields)
    routes = [
        Route(CHAT, state.chat, methods=["POST"]),
        Route("/v1/files", state.upload, methods=["POST"]),
        Route("/v1/files/{file_id}/content", state.content),
        Route("/v1/batches", state.create, methods=["POST"]),
        Route("/v1/batches", state.listed, methods=["GET"]),
        Route("/v1/batches/{batch_id}", state.look),
    ]
    with serving(routes) as state.url:
        yield state
