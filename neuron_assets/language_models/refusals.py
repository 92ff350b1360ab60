"""What a server says instead of an answer, and the error of ours that it is.

Here: one table from statuses to errors, and keys blotted out of messages. Not here: what can be done about a refused
parameter (`habits.py`), and waiting (`asking.py`).
"""

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp  # what openai sends by
import openai

from neuron_assets.errors import (
    KeyRefused,
    NeuronAssetsError,
    QuotaSpent,
    RequestRefused,
    ServerUnreachable,
    TryAgain,
    UnknownModel,
)

LONGEST_MESSAGE = 500
"""Characters of a server's message that are passed on."""

_SHORTEST_SECRET = 12
"""Characters; what is shorter, such as `EMPTY` for a server of one's own, is no secret and may be a word of a reply."""

_NO_QUOTA = ("insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
_LATER = (408, 409, 425, 429)
_NO_ROOM = ("context length", "context_length", "context size", "context_size", "context window")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A server's no, with no key in it."""

    status: int
    message: str
    code: str = ""
    """The server's words for the kind of error, such as `insufficient_quota`; may be empty."""
    parameter: str = ""
    """The part of the request's body that it names, if any."""
    after: float | None = None
    """Seconds to wait, where it says so."""

    def mentions(self, *words: str) -> bool:
        """Whether any of the words stands in what it says."""
        said = f"{self.parameter} {self.code} {self.message}".lower()
        return any(word in said for word in words)


def masked(text: str, key: str | None) -> str:
    """The text without the key, should it stand there."""
    return text.replace(key, "***") if key and len(key) >= _SHORTEST_SECRET else text


def json_or_text(text: str) -> Any:
    """The JSON value that the text is, or the text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def read_refusal(error: openai.APIStatusError, key: str | None) -> Refusal:
    """A refusal that came with a status of its own."""
    body = json_or_text(masked(error.response.text, key))
    return refusal_in(body, error.status_code, seconds_to_wait(error.response.headers))


def refusal_in(body: object, status: int, after: float | None = None) -> Refusal:
    """A refusal from the JSON value, or text, of a body; some servers send one with status 200."""
    told = body.get("error", body) if isinstance(body, Mapping) else body
    if not isinstance(told, Mapping):
        return Refusal(status, _short(told), after=after)
    said = told.get("message") or told.get("detail") or told
    code = f"{told.get('code') or ''} {told.get('type') or ''}".strip()
    return Refusal(status, _short(said), code, str(told.get("param") or ""), after)


def error_of_refusal(refusal: Refusal, server: str, model: str) -> NeuronAssetsError:
    """The error of ours for a refusal: of the whole run, or of one request."""
    status, reason = refusal.status, f"{refusal.message} ({refusal.status})"
    if status == 402 or (status == 429 and refusal.mentions(*_NO_QUOTA)):
        return QuotaSpent(server, reason)
    if status == 401 or (status == 403 and not refusal.mentions("flagged", "moderation")):
        return KeyRefused(server, reason)
    if status == 404:
        return UnknownModel(server, model, f"{reason}; if it has, look whether `base_url` is complete and `api` suits")
    if 300 <= status < 400:
        return ServerUnreachable(server, f"it sends on to another address ({status})")
    if status in _LATER or status >= 500:
        return TryAgain(reason, refusal.after, crowded=status == 429)
    if refusal.mentions(*_NO_ROOM):
        reason += "; a lower `room_to_think` in the study asks for a shorter reply"
    return RequestRefused(reason)


def error_without_answer(error: openai.OpenAIError, *, timeout_s: float) -> NeuronAssetsError:
    """The error of ours where no whole answer came: it took too long, or the connection broke."""
    below = _below(error)
    is_broken = isinstance(below, aiohttp.ClientError) and not isinstance(below, TimeoutError)
    if isinstance(error, openai.APITimeoutError) and not is_broken:
        return TryAgain(f"nothing within {timeout_s:g} s")
    if isinstance(error, openai.APIConnectionError):
        return TryAgain(f"the connection failed ({type(below).__name__})")
    return RequestRefused(f"the client does not send it ({type(error).__name__})")


def found_nobody(error: openai.OpenAIError) -> bool:
    """Whether there was no server to connect to."""
    return isinstance(_below(error), aiohttp.ClientConnectorError)


def _below(error: openai.OpenAIError) -> BaseException:
    """What aiohttp said: on the way up, a connection that was refused or broke becomes one that took too long."""
    cause = error.__cause__ or error
    return cause.__cause__ or cause


def seconds_to_wait(headers: Mapping[str, str]) -> float | None:
    """Retry-After, whether it is written as seconds or as a date; None where it is absent or makes no sense."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, "")) * unit
        if math.isfinite(seconds):
            return max(0.0, seconds)
    try:
        return max(0.0, parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _short(said: object) -> str:
    text = " ".join((said if isinstance(said, str) else json.dumps(said)).split())
    text = text.encode(errors="replace").decode()  # half of a surrogate pair could be written nowhere
    return text[:LONGEST_MESSAGE] or "it says no more"
