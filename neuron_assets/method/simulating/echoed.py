"""Reads what a server says of a prompt that it echoes: what else might have stood in the places marked as unknown.

The answering model cuts the prompt into tokens of its own, so places are found by their offset in the prompt's text,
never by counting tokens. Here: where each echoed token begins, and the distributions in the places wanted. Not here:
the prompt (`all_at_once.py`), and whether the server tells the truth (`language_models/echo_proof.py`).
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.questions import EchoedToken, Reply
from neuron_assets.method.simulating.expected import distribution_from_alternatives, expected_values
from neuron_assets.method.simulating.simulated import SimulatedExcerpt

_CUT = re.compile("\N{REPLACEMENT CHARACTER}+")
_BYTES = re.compile(r"bytes:.*\\x[0-9a-f]{2}.*", re.DOTALL)
"""How some servers print a token that holds only a part of a character; others print replacement characters."""
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_REVEALED_TEN = re.compile(r"(?<=\t)10(?=\n)")


def read_echoed(reply: Reply, prompt: str, unknown_offsets: Sequence[int], mark: str) -> SimulatedExcerpt:
    """The distribution in each place of `prompt` where `mark` stands and is asked about.

    `unknown_offsets` are the characters before these places, ascending. Raises UnreadableReply where the echo is not
    the prompt, where a place is not the beginning of an echoed token, where its alternatives hold no number, and where
    the model reads 10 as two tokens: then its alternatives cannot tell 1 from 10.
    """
    starts = token_starts([token.text for token in reply.echoed], prompt)
    token_at = {start: token for start, token in zip(starts, reply.echoed, strict=True) if token.text}
    for ten in _REVEALED_TEN.finditer(prompt):
        if ten.start() + 1 in token_at:
            raise UnreadableReply(
                "the model reads 10 as two tokens, so its 1 may have been the start of 10", reply.text
            )
    places = [_alternatives(token_at, prompt, offset, mark) for offset in unknown_offsets]
    distribution = np.stack([_distribution(place, n) for n, place in enumerate(places)])
    return SimulatedExcerpt(expected_values(distribution), distribution)


def token_starts(texts: Sequence[str], prompt: str) -> list[int]:
    """The offset in `prompt` where each echoed token begins; within a character that was cut up, that of its first.

    A first token that is none of the prompt (a mark that the server puts before every text) begins at 0. Raises
    UnreadableReply where the tokens do not make up the prompt, no more and no less.
    """
    starts, at, in_cut = [], 0, False
    for n, text in enumerate(texts):
        if n == 0 and not prompt.startswith(_CUT.split(_printed(text))[0]):
            starts.append(0)
            continue
        start = at
        for n_part, part in enumerate(_CUT.split(_printed(text))):
            in_cut = in_cut or n_part > 0
            if part:
                found = _after_cut(part, prompt, at) if in_cut else at
                if not prompt.startswith(part, found):
                    raise _no_echo(texts, prompt, at)
                start = start if n_part else found
                at, in_cut = found + len(part), False
        starts.append(start)
    if in_cut or at != len(prompt):
        raise _no_echo(texts, prompt, at)
    return starts


def _printed(text: str) -> str:
    return "\N{REPLACEMENT CHARACTER}" if _BYTES.fullmatch(text) else text


def _after_cut(part: str, prompt: str, at: int) -> int:
    """Where the text goes on after a character that was cut up: past at least one character beyond ASCII."""
    beyond = _BEYOND_ASCII.match(prompt, at)
    ends = range(at + 1, beyond.end() + 1) if beyond else range(0)
    return next((end for end in ends if prompt.startswith(part, end)), at)


def _no_echo(texts: Sequence[str], prompt: str, at: int) -> UnreadableReply:
    if not texts:
        return UnreadableReply("the prompt was not echoed", "")
    reason = f"the echo differs from the prompt after {at} of {len(prompt)} characters"
    return UnreadableReply(reason, "".join(texts)[max(0, at - 20) :])


def _alternatives(token_at: Mapping[int, EchoedToken], prompt: str, offset: int, mark: str) -> Mapping[str, float]:
    """What else might have begun at `offset`; a line end that the model reads as part of the mark is taken off."""
    token = token_at.get(offset)
    if token is None:
        start = max((start for start in token_at if start < offset), default=0)
        line = prompt[prompt.rfind("\n", 0, offset) + 1 : offset].rstrip("\t")
        cut = token_at[start].text if start in token_at else ""
        raise UnreadableReply(f"after the token {line!r} no token of the model begins at the mark", cut)
    if not token.text.startswith(mark) or not (ending := token.text.removeprefix(mark)).startswith("\n"):
        return token.alternatives
    summed: dict[str, float] = {}
    for text, value in token.alternatives.items():
        bare = text.removesuffix(ending)
        summed[bare] = float(np.logaddexp(summed[bare], value)) if bare in summed else value
    return summed


def _distribution(alternatives: Mapping[str, float], n_before: int) -> np.ndarray:
    try:
        return distribution_from_alternatives(alternatives)
    except UnreadableReply as error:
        raise UnreadableReply(f"token {n_before}: {error.reason}", error.reply) from error
