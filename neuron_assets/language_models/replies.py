"""Bodies that came back, in OpenAI's format, as replies.

Servers differ, so nothing is taken for granted: what is not there is said, and never made up.

Here: reading what was received. Not here: what was sent (`bodies.py`), refusals (`refusals.py`), what a reply means.
"""

import json
import logging
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from typing import Any

from neuron_assets.errors import TryAgain, UnreadableReply, UntrustedServer
from neuron_assets.language_models.model import Usage
from neuron_assets.method.questions import ChatPrompt, EchoedToken, EchoPrompt, Prompt, Reply
from neuron_assets.method.simulating.echoed import token_starts

_LOG = logging.getLogger(__name__)

_BYTES_A_TOKEN = 2
"""Where a server tells no usage. Tables of tokens with numbers have more of it, so a budget is not overrun unseen."""

_DECIMALS = 6
"""Of log-probabilities: no server computes more of them rightly."""

_NO_TEXT = re.compile(r"(?:bytes:)?(?:\\x[0-9a-fA-F]{2})+|<0x[0-9A-F]{2}>|[^\x21-\x7e]|▁")
"""What servers write in different ways: space, and whatever is not ASCII."""


def read_reply(body: Mapping[str, Any], prompt: Prompt, *, server: str) -> Reply:
    """What the model said; raises TryAgain where there is none in the body, UntrustedServer for a wrong echo."""
    choices = body.get("choices")
    if not isinstance(choices, Sequence) or not choices or not isinstance(choices[0], Mapping):
        raise TryAgain("the body that came back holds no choice")
    choice = choices[0]
    if isinstance(prompt, EchoPrompt):
        return _echo(choice, prompt, server=server, n_in=_count(body.get("usage"), "prompt_tokens"))
    message = choice.get("message") or {}
    if not isinstance(message, Mapping):
        raise TryAgain("the message that came back is no object")
    refusal = message.get("refusal")
    text = message.get("content") if "message" in choice else choice.get("text")
    return Reply(
        text=_joined(text),
        reasoning=_joined(message.get("reasoning_content") or message.get("reasoning")) or None,
        finish_reason=str(choice.get("finish_reason") or "unknown"),
        refusal=(refusal if isinstance(refusal, str) else json.dumps(refusal)) if refusal else None,
    )


def read_usage(body: Mapping[str, Any], prompt: Prompt, reply: Reply, *, server: str) -> Usage:
    """The tokens that the server counted; what it does not tell is estimated upwards, and that is logged once."""
    told = body.get("usage")
    tokens_in, tokens_out = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    details = told.get("prompt_tokens_details") if isinstance(told, Mapping) else None
    is_estimated = tokens_in is None or tokens_out is None
    if is_estimated:
        _warn_of_no_usage(server)
    n_in = _estimate(_sent(prompt)) if tokens_in is None else tokens_in
    n_out = _estimate(_generated(prompt, reply)) if tokens_out is None else tokens_out
    return Usage(n_in, n_out, min(n_in, _count(details, "cached_tokens") or 0), is_estimated)


def _echo(choice: Mapping[str, Any], prompt: EchoPrompt, *, server: str, n_in: int | None) -> Reply:
    logprobs = choice.get("logprobs")
    tokens, tops = (_list(logprobs, name) for name in ("tokens", "top_logprobs"))
    if not tokens or not tops:
        what = "tokens" if not tokens else "top_logprobs"
        raise UntrustedServer(server, f"its reply to an echoed prompt holds no `logprobs.{what}`")
    if len(tokens) != len(tops):
        raise UntrustedServer(server, f"it echoes {len(tokens)} tokens with log-probabilities for {len(tops)}")
    echoed = [
        EchoedToken(str(token), _alternatives(top, place, server))
        for place, (token, top) in enumerate(zip(tokens, tops, strict=True))
    ]
    of_prompt = _only_prompt(echoed, prompt.text, server, n_in)
    return Reply(text=prompt.text, echoed=_only_wanted(of_prompt, prompt))


def _alternatives(top: object, place: int, server: str) -> dict[str, float]:
    if place == 0 and not top:
        return {}
    if not isinstance(top, Mapping) or not top:
        raise UntrustedServer(server, f"it gives no alternatives for the echoed token {place}")
    if not all(isinstance(value, int | float) and value < math.inf for value in top.values()):
        raise UntrustedServer(server, f"its log-probabilities for the echoed token {place} are no numbers")
    return {str(token): round(float(value), _DECIMALS) for token, value in top.items() if value > -math.inf}


def _only_prompt(echoed: list[EchoedToken], text: str, server: str, n_in: int | None) -> tuple[EchoedToken, ...]:
    """The tokens of the prompt: without what was added at its end, and without a sign for its beginning."""
    candidates = [echoed, echoed[1:], echoed[:-1], echoed[1:-1]]
    if n_in is not None and 0 < n_in < len(echoed):
        candidates = [echoed[:n_in], echoed[1:n_in]]
    for candidate in candidates:
        if _comparable("".join(token.text for token in candidate)) == _comparable(text):
            return tuple(candidate)
    got = "".join(token.text for token in echoed)
    far = next(place for place, (a, b) in enumerate(zip_longest(got, text)) if a != b) if got != text else 0
    raise UntrustedServer(
        server, f"it was to echo the prompt, and sent {got[far : far + 40]!r} from character {far} on"
    )


def _only_wanted(echoed: tuple[EchoedToken, ...], prompt: EchoPrompt) -> tuple[EchoedToken, ...]:
    """Alternatives of a whole prompt are 20 times those in the places that are asked about, and each reply is kept."""
    if not prompt.places:
        return echoed
    try:
        starts = token_starts([token.text for token in echoed], prompt.text)
    except UnreadableReply:
        return echoed  # which the reader will say
    wanted = frozenset(prompt.places)
    return tuple(
        token if start in wanted else EchoedToken(token.text) for token, start in zip(echoed, starts, strict=True)
    )


def _comparable(text: str) -> str:
    return _NO_TEXT.sub("", text)


def _joined(content: object) -> str:
    """Text, whether it comes as one or in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, Sequence) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _list(holder: object, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return found if isinstance(found, list) else []


def _count(holder: object, name: str) -> int | None:
    found = holder.get(name) if isinstance(holder, Mapping) else None
    return found if isinstance(found, int) and found >= 0 else None


def _sent(prompt: Prompt) -> str:
    return "".join(message.content for message in prompt.messages) if isinstance(prompt, ChatPrompt) else prompt.text


def _generated(prompt: Prompt, reply: Reply) -> str:
    """What the model wrote itself: of an echo nothing but the token that some servers must add."""
    return "." if isinstance(prompt, EchoPrompt) else reply.text + (reply.reasoning or "")


def _estimate(text: str) -> int:
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_A_TOKEN)


@cache
def _warn_of_no_usage(server: str) -> None:
    _LOG.warning("%s does not tell all tokens that it took: they are estimated, rather too many than too few.", server)
