"""A small OpenAI-compatible server over a transformers model, with true log-probabilities of prompts, for tests.

It misbehaves on request, as servers are known to. Here: the wire and the truth. Not here: anything of the package: what
it says is computed from whole rows of logits, token by token of the whole prompt.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from transformers import PreTrainedModel, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import bytes_to_unicode

from tests import prompt_server

Misbehaviour = Literal["none", "ignores_echo", "shifts_by_one", "drops_last_token", "adds_noise", "few_alternatives"]


@dataclass
class EchoServer:
    """The model behind the server; `misbehaviour` may be changed while it runs."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    name: str = "tiny"
    misbehaviour: Misbehaviour = "none"
    base_url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    """The body of each request that was answered."""
    headers: list[dict[str, str]] = field(default_factory=list)
    """Of the same requests."""

    def __post_init__(self) -> None:
        self._pieces = [self._piece(token_id) for token_id in range(len(self.tokenizer))]

    def models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": self.name, "object": "model", "created": 0, "owned_by": "tests"}]}

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        prompt = self._ids(body["prompt"])
        new, rows = self._generated(prompt, body.get("max_tokens", 16))
        echoes = bool(body.get("echo")) and self.misbehaviour != "ignores_echo"
        ids = [*prompt, *new] if echoes else new
        if echoes:
            rows = [None, *self._log_probabilities(prompt)[:-1], *rows]
        if echoes and self.misbehaviour == "shifts_by_one":
            # Row i is that after token i, put beside token i: it has seen the very token that it speaks of.
            rows = [*self._log_probabilities(ids)]
        if echoes and self.misbehaviour == "drops_last_token":
            ids, rows = ids[:-1], rows[:-1]
        if echoes and self.misbehaviour == "adds_noise":
            rows = [None if row is None else row - torch.rand(row.shape) for row in rows]
        return {
            "id": "cmpl-1",
            "object": "text_completion",
            "created": 0,
            "model": self.name,
            "choices": [
                {
                    "index": 0,
                    "text": self.tokenizer.decode(ids),
                    "finish_reason": "length",
                    "logprobs": self._logprobs(ids, rows, body.get("logprobs")),
                }
            ],
            "usage": _usage(len(prompt), len(new)),
        }

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        text = "".join(f"{message['role']}: {message['content']}\n" for message in body["messages"]) + "assistant:"
        prompt = self._ids(text)
        new, _ = self._generated(prompt, body.get("max_completion_tokens") or body.get("max_tokens") or 16)
        message = {"role": "assistant", "content": self.tokenizer.decode(new)}
        return {
            "id": "chat-1",
            "object": "chat.completion",
            "created": 0,
            "model": self.name,
            "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
            "usage": _usage(len(prompt), len(new)),
        }

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text)["input_ids"]
        return ids

    def _log_probabilities(self, ids: list[int]) -> torch.Tensor:
        """[token vocabulary]: after each token, of what comes next."""
        with torch.inference_mode():
            logits: torch.Tensor = self.model(torch.tensor([ids])).logits[0]
        return logits.float().log_softmax(-1)

    def _generated(self, prompt: list[int], n_new: int) -> tuple[list[int], list[torch.Tensor | None]]:
        new: list[int] = []
        rows: list[torch.Tensor | None] = []
        for _ in range(n_new):
            row = self._log_probabilities([*prompt, *new])[-1]
            rows.append(row)
            new.append(int(row.argmax()))
        return new, rows

    def _logprobs(self, ids: list[int], rows: list[torch.Tensor | None], n: int | None) -> dict[str, Any] | None:
        if n is None:
            return None
        n = min(n, 5) if self.misbehaviour == "few_alternatives" else n
        pieces = [self._pieces[token_id] for token_id in ids]
        pairs = list(zip(ids, rows, strict=True))
        return {
            "tokens": pieces,
            "token_logprobs": [None if row is None else float(row[token_id]) for token_id, row in pairs],
            "top_logprobs": [None if row is None else self._likeliest(row, n) for row in rows],
            "text_offset": [sum(map(len, pieces[:index])) for index in range(len(pieces))],
        }

    def _likeliest(self, row: torch.Tensor, n: int) -> dict[str, float]:
        values, ids = row.topk(n)
        pairs = zip(values.tolist(), ids.tolist(), strict=True)
        return {self._pieces[token_id]: value for value, token_id in pairs}

    def _piece(self, token_id: int) -> str:
        """A part of a character is written as its bytes, as OpenAI's first completions did."""
        text = self.tokenizer.decode([token_id], clean_up_tokenization_spaces=False)
        if "\N{REPLACEMENT CHARACTER}" not in text:
            return str(text)
        alphabet = {character: byte for byte, character in bytes_to_unicode().items()}  # type: ignore[no-untyped-call]
        return "bytes:" + "".join(
            f"\\x{alphabet[character]:02x}" for character in self.tokenizer.convert_ids_to_tokens(token_id)
        )


@contextmanager
def served(server: EchoServer) -> Iterator[EchoServer]:
    """Inside, the server answers on a free port of 127.0.0.1, in a thread; its `base_url` ends in /v1."""
    lock = threading.Lock()

    async def answer(request: Request) -> JSONResponse:
        body = json.loads(await request.body())
        with lock:
            server.requests.append(body)
            server.headers.append(dict(request.headers))
            is_chat = request.url.path.endswith("/chat/completions")
            return JSONResponse(server.chat(body) if is_chat else server.complete(body))

    async def models(_: Request) -> JSONResponse:
        return JSONResponse(server.models())

    routes = [
        Route("/v1/models", models),
        Route("/v1/completions", answer, methods=["POST"]),
        Route("/v1/chat/completions", answer, methods=["POST"]),
    ]
    with prompt_server.serving(Starlette(routes=routes)) as server.base_url:
        yield server


def _usage(n_in: int, n_out: int) -> dict[str, int]:
    return {"prompt_tokens": n_in, "completion_tokens": n_out, "total_tokens": n_in + n_out}
