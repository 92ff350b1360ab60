"""A server that answers what a study asks: with an explanation, or with a number for each numbered token.

Here: its answers, and studies that ask it. Not here: the server (`language_models/misbehaving_server.py`).
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.responses import Response

from tests.language_models.misbehaving_server import MODEL, Body, MisbehavingServer, as_json, chat_answer, running

CHARACTERS_A_TOKEN = 3.6
"""As this server counts."""


@contextmanager
def polite_server(**fields: Any) -> Iterator[MisbehavingServer]:
    with running(behaviour=lambda body, _number: answer(body), **fields) as server:
        yield server


def answer(body: Body) -> Response:
    """Each prompt has a reply of its own, and always the same one."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
    digest = hashlib.sha256(json.dumps(body["messages"]).encode()).hexdigest()
    if schema is None:
        text = f"words that go with {re.sub('[0-9]', 'x', digest[:8])} and {digest[8:12]}"
    else:
        numbers = [*map(int, re.findall("[0-9]", digest))] * len(schema["required"])
        text = json.dumps(dict(zip(schema["required"], numbers, strict=False)), separators=(",", ":"))
    reply = chat_answer(text)
    reply["usage"] = {
        "prompt_tokens": round(characters(body) / CHARACTERS_A_TOKEN),
        "completion_tokens": len(re.findall(r"[0-9]+|[^\w\s]+|\w+", text)),
        "prompt_tokens_details": {"cached_tokens": 100},
    }
    return as_json(reply)


def characters(body: Body) -> int:
    """Of all messages together."""
    return sum(len(message["content"]) for message in body["messages"])


def is_about_simulating(body: Body) -> bool:
    return "response_format" in body


def is_a_probe(body: Body) -> bool:
    """Who are you: asked for once a process, and none of the study's questions."""
    return [message["content"] for message in body["messages"]] == ["Hello"]


def asking(url: str, **changes: object) -> dict[str, object]:
    """The sections of a study that has the server explain and simulate."""
    hosted = {"provider": "openai_compatible", "model": MODEL, "base_url": url}
    return {"explainer": hosted, "simulator": hosted, **changes}
