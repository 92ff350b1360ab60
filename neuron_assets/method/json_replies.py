"""A reply that is one JSON object with the keys it was asked for.

Here: finding the object in the reply, and telling how its keys differ from those wanted. Not here: what its
values mean.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.questions import Reply
from neuron_assets.method.replies import answer_text

_CODE_BLOCK = re.compile(r"```(?:json)?\s*\n(?P<inside>.*)\n\s*```", re.IGNORECASE | re.DOTALL)
_NAMED = 5
"""So many wrong keys are named."""


def read_object(reply: Reply, keys: Sequence[str]) -> Mapping[str, Any]:
    """The values of a reply by key, in the order of `keys`.

    Repaired: a block of thinking before the object, a code block (```json) around it. Raises UnreadableReply as
    `answer_text` does, and where the rest is not one JSON object, or one in which a key is missing, unknown or twice.
    """
    text = answer_text(reply)
    block = _CODE_BLOCK.fullmatch(text)
    found = _parsed(block["inside"] if block else text, text)
    if not isinstance(found, dict):
        raise UnreadableReply(f"a JSON {kind_of(found)} instead of an object", text)
    missing, extra = [key for key in keys if key not in found], [key for key in found if key not in keys]
    if missing or extra:
        raise UnreadableReply(_mismatch(len(keys), missing, extra), text)
    return {key: found[key] for key in keys}


def kind_of(value: object) -> str:
    """What JSON calls a value."""
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def _parsed(text: str, reply: str) -> Any:
    def no_number(literal: str) -> NoReturn:
        raise UnreadableReply(f"{literal} is no JSON", reply)

    def once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        twice = next((key for position, key in enumerate(keys) if key in keys[:position]), None)
        if twice is not None:
            raise UnreadableReply(f"{twice[:20]!r} twice", reply)
        return dict(pairs)

    try:
        return json.loads(text, parse_constant=no_number, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, a pile of brackets
        raise UnreadableReply(f"not one JSON object alone ({error})", reply) from error


def _mismatch(n_keys: int, missing: Sequence[str], extra: Sequence[str]) -> str:
    told = [
        f"{what} {', '.join(keys[:_NAMED])}{', ...' if len(keys) > _NAMED else ''}"
        for what, keys in (("missing", missing), ("unknown", [key[:20] for key in extra]))
        if keys
    ]
    return f"{n_keys - len(missing)} of {n_keys} keys: {'; '.join(told)}"
