"""What a server turns out to want otherwise, learned from its refusals.

A server that refuses `temperature`, wants `max_completion_tokens`, or cannot hold to a JSON schema is asked again
without, and from then on. The prompt and the parameters that a study names stay what they are, and so does the key an
answer is kept under: what a server refuses follows from who it is.

Here: the habits and how a refusal changes them. Not here: sending (`openai_compatible.py`).
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from neuron_assets.language_models.refusals import Refusal
from neuron_assets.language_models.server_settings import Structured

_LOG = logging.getLogger(__name__)

_CAN_BE_LEFT_OUT = ("temperature", "top_p", "seed")
_NOT_KNOWN = ("support", "unrecognized", "unknown", "unexpected", "deprecated", "not allowed", "not permitted")
_FORMATS = ("response_format", "json_schema", "json_object", "schema", "grammar")
_LESS: Mapping[Structured, Structured] = {"json_schema": "json_object", "json_object": "none"}


@dataclass(frozen=True, slots=True)
class Habits:
    """How one model of one server wants to be asked."""

    structured: Structured
    left_out: frozenset[str] = frozenset()
    """Parameters that it refuses."""
    name_of_longest: str = "max_tokens"
    """The parameter that bounds the reply of a chat."""
    least_after_echo: int = 0
    """Tokens that it insists on adding to an echoed prompt."""


def learned(habits: Habits, refusal: Refusal, body: Mapping[str, Any]) -> Habits | None:
    """Habits under which the refused body would be another one; None where there is nothing to change."""
    if refusal.status not in (400, 422) and not (refusal.status in (500, 501) and refusal.mentions(*_FORMATS)):
        return None
    if body.get("echo") and body.get("max_tokens") == 0 and refusal.mentions("max_tokens"):
        return _told(replace(habits, least_after_echo=1), "wants to add a token to an echoed prompt", refusal)
    if "max_tokens" in body and refusal.mentions("max_completion_tokens"):
        return _told(replace(habits, name_of_longest="max_completion_tokens"), "wants max_completion_tokens", refusal)
    for name in _CAN_BE_LEFT_OUT:
        # A value out of range is the study's mistake: only a parameter that is not known at all is left out.
        if name in body and (refusal.parameter == name or refusal.mentions(name)) and refusal.mentions(*_NOT_KNOWN):
            return _told(replace(habits, left_out=habits.left_out | {name}), f"is asked without {name}", refusal)
    if "response_format" in body and habits.structured in _LESS and refusal.mentions(*_FORMATS):
        less = _LESS[habits.structured]
        return _told(replace(habits, structured=less), f"is asked for {less} in place of {habits.structured}", refusal)
    return None


def _told(habits: Habits, what: str, refusal: Refusal) -> Habits:
    _LOG.info("From now on the model %s: it said %r (%d).", what, refusal.message, refusal.status)
    return habits
