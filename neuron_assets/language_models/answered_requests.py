"""An answered request as JSON, and back.

Here: the one form in which a request and its reply are hashed, kept and exported. Not here: where they are kept
(`request_store.py`).
"""

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from neuron_assets.language_models.model import Replied, Usage
from neuron_assets.method.questions import ChatPrompt, Prompt, Reply


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer that need not be asked for again."""

    replied: Replied
    asked_at: datetime
    """UTC."""
    seconds: float
    """How long the answer took."""


@dataclass(frozen=True, slots=True)
class AnsweredRequest:
    """All that is kept of one request; one line of an exported file."""

    key: str
    """The SHA-256, in hexadecimal digits, of all that could change the answer."""
    identity: str
    asked_at: datetime
    """UTC."""
    seconds: float
    about: str
    parameters: Mapping[str, Any]
    prompt: Mapping[str, Any]
    reply: Reply
    usage: Usage

    @property
    def kept(self) -> Kept:
        return Kept(Replied(self.reply, self.usage, self.identity), self.asked_at, self.seconds)


@dataclass(frozen=True, slots=True)
class Observed:
    """Who answered to a model's configured name when it was last looked; one of the first lines of an exported file."""

    model_name: str
    identity: str


IN_COLUMNS = ("key", "identity", "asked_at", "seconds")
"""The fields that a store looks at itself; the others are packed."""

_ANSWERED_REQUEST = TypeAdapter(AnsweredRequest)
_LINE: TypeAdapter[AnsweredRequest | Observed] = TypeAdapter(AnsweredRequest | Observed)


def answered_now(  # noqa: PLR0913  # all that there is to keep
    key: str, prompt: Prompt, replied: Replied, *, seconds: float, parameters: Mapping[str, Any], about: str
) -> AnsweredRequest:
    """A request whose answer came just now and took `seconds`."""
    return AnsweredRequest(
        key=key,
        identity=replied.identity,
        asked_at=datetime.now(UTC) - timedelta(seconds=seconds),
        seconds=seconds,
        about=about,
        parameters=parameters,
        prompt=prompt_as_json(prompt),
        reply=replied.reply,
        usage=replied.usage,
    )


def prompt_as_json(prompt: Prompt) -> dict[str, Any]:
    """Every field of the prompt, and what kind it is of."""
    return {"kind": "chat" if isinstance(prompt, ChatPrompt) else "echo", **named_fields(prompt)}


def named_fields(value: Any) -> dict[str, Any]:
    """Of a dataclass, as they are."""
    return {field.name: getattr(value, field.name) for field in fields(value)}


def as_json(value: object, *, sort_keys: bool = False) -> str:
    """One line of JSON of mappings, sequences, plain values and our dataclasses; TypeError on anything else."""
    return json.dumps(value, default=_plain, sort_keys=sort_keys, separators=(",", ":"))


def packed(answered: AnsweredRequest) -> bytes:
    """What stands in no column of its own, compressed."""
    rest = {name: value for name, value in named_fields(answered).items() if name not in IN_COLUMNS}
    return zlib.compress(as_json(rest).encode())


def unpacked(columns: Mapping[str, Any], body: bytes) -> AnsweredRequest:
    """The request again; raises ValueError where the body is damaged."""
    try:
        return read_answered_request({**columns, **json.loads(zlib.decompress(body))})
    except (zlib.error, TypeError) as error:
        raise ValueError(str(error)) from error


def read_answered_request(content: object) -> AnsweredRequest:
    """From JSON's own values, all types checked; raises ValueError."""
    return _ANSWERED_REQUEST.validate_python(content)


def read_line(line: str) -> AnsweredRequest | Observed:
    """A line of an exported file, all types checked; raises ValueError."""
    return _LINE.validate_python(json.loads(line))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return named_fields(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} has no place in JSON")
