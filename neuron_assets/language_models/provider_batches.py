"""The files and batches of a server that speaks OpenAI's protocol.

    line_of            a request as a line of a file
    ProviderBatches    upload such a file, start a batch of it, look how far it is, read what came of its lines

Here: what is sent and what comes back. Not here: waiting (`batching.py`), and what is remembered (`open_batches.py`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from neuron_assets.errors import NeuronAssetsError, NoBatches, RequestRefused, TryAgain
from neuron_assets.language_models.bodies import Body
from neuron_assets.language_models.openai_compatible import OpenAICompatible
from neuron_assets.language_models.refusals import Refusal, error_of_refusal, refusal_in

_PREFIX = "/v1"
"""Of the addresses within a batch, whatever the base URL ends in."""
_ABSENT = (404, 405, 501)
_NO_ANSWER = 503
"""Status of a line to which no request was ever made: the same request may be answered later."""

End = Literal["completed", "expired", "cancelled", "failed", "gone"]
_ENDS: Mapping[str, End] = {
    "completed": "completed",
    "expired": "expired",
    "cancelled": "cancelled",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is."""

    status: str
    """In the provider's word."""
    end: End | None = None
    """None: it is not at its end. `gone`: the server does not know it any more."""
    n_done: int = 0
    n_requests: int = 0
    reason: str = ""
    """Why it failed, where it says so."""
    file_ids: tuple[str, ...] = ()
    """What came of its lines: answers and refusals."""


@dataclass(frozen=True, slots=True)
class Line:
    """What came of one request of a batch."""

    key: str
    answer: Mapping[str, Any] | Refusal


def line_of(key: str, path: str, body: Body) -> bytes:
    """One request, as a line of a file."""
    request = {"custom_id": key, "method": "POST", "url": f"{_PREFIX}{path}", "body": body}
    return json.dumps(request, separators=(",", ":")).encode() + b"\n"


class ProviderBatches:
    """What a server offers for batches; raises TryAgain, NoBatches or another LanguageModelError."""

    def __init__(self, model: OpenAICompatible) -> None:
        self._model = model

    async def upload(self, lines: list[bytes]) -> str:
        """The id of a file with these requests."""
        answer = await self._model.exchange("/files", {"purpose": "batch"}, b"".join(lines))
        return self._id_in(answer, "it takes no file")

    async def start(self, file_id: str, path: str) -> str:
        """The id of the batch of a file: of the one that is there already, or of a new one.

        So a batch is not made twice where the answer to the first request for it was lost.
        """
        listed = await self._model.exchange("/batches?limit=100")
        if isinstance(listed, Refusal):
            if listed.status not in _ABSENT:
                raise self._error(listed, "it lists no batches")
            listed = {}
        for batch in listed.get("data") or []:
            if batch.get("input_file_id") == file_id:
                return str(batch["id"])
        wanted = {"input_file_id": file_id, "endpoint": f"{_PREFIX}{path}", "completion_window": "24h"}
        return self._id_in(await self._model.exchange("/batches", wanted), "it starts no batch")

    async def look(self, batch_id: str) -> BatchState:
        """How far the batch is."""
        told = await self._model.exchange(f"/batches/{batch_id}")
        if isinstance(told, Refusal):
            if told.status == 404:
                return BatchState("gone", "gone", reason="the server does not know it any more")
            raise self._error(told, "it does not tell how far a batch is")
        status, counts = str(told.get("status")), told.get("request_counts") or {}
        return BatchState(
            status,
            _ENDS.get(status),
            n_done=(counts.get("completed") or 0) + (counts.get("failed") or 0),
            n_requests=counts.get("total") or 0,
            reason=_reason(told.get("errors")),
            file_ids=tuple(str(told[name]) for name in ("output_file_id", "error_file_id") if told.get(name)),
        )

    async def lines(self, file_id: str) -> list[Line]:
        """What came of the requests that the file tells of, in no order; nothing, where the file is gone."""
        text = await self._model.text(f"/files/{file_id}/content")
        if isinstance(text, Refusal):
            if text.status == 404:
                return []
            raise self._error(text, "it does not hand out what a batch answered")
        return list(_read_lines(text))

    def _id_in(self, answer: Mapping[str, Any] | Refusal, otherwise: str) -> str:
        if isinstance(answer, Refusal):
            raise self._error(answer, otherwise)
        if not answer.get("id"):
            raise TryAgain("what came back has no id")
        return str(answer["id"])

    def _error(self, refusal: Refusal, what: str) -> NeuronAssetsError:
        error = error_of_refusal(refusal, self._model.server, self._model.alias)
        if refusal.status in _ABSENT or isinstance(error, RequestRefused):
            return NoBatches(self._model.server, f"{what}; {refusal.message} ({refusal.status})")
        return error


def _read_lines(text: str) -> Iterator[Line]:
    for line in text.split("\n"):  # not splitlines: a reply may hold a rarer end of line, which JSON does not escape
        if not line.strip():
            continue
        try:
            told = json.loads(line)
            yield Line(str(told["custom_id"]), _answer(told))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise TryAgain("a line of what the batch answered cannot be read") from error


def _answer(told: Mapping[str, Any]) -> Mapping[str, Any] | Refusal:
    response = told.get("response")
    if not isinstance(response, Mapping):
        return refusal_in(told.get("error") or "no answer", _NO_ANSWER)
    status, body = int(response["status_code"]), response.get("body")
    if status == 200 and isinstance(body, Mapping) and not body.get("error"):
        return body
    return refusal_in(body or told.get("error") or "", status if status != 200 else _NO_ANSWER)


def _reason(errors: object) -> str:
    """The first of a batch's errors, in words."""
    data = errors.get("data") if isinstance(errors, Mapping) else None
    first = data[0] if isinstance(data, list) and data else None
    return refusal_in(first, 400).message if isinstance(first, Mapping) else ""
