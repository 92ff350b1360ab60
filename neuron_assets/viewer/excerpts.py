"""Excerpts as heat-maps: each token with the class of its colour, and the text as a person may safely see it.

Here: from tokens and numbers to what `templates/heat.html` writes and `static/excerpts.css` colours. Not here: which
excerpts are shown (`neuron.py`).
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from neuron_assets.method.display import visible
from neuron_assets.method.records import LARGEST
from neuron_assets.viewer.torn_tokens import whole_tokens
from neuron_assets.viewer.words import MINUS

STEPS = 10
"""Shades above zero, a1 to a10; as many below, n1 to n10, and of what was simulated, s1 to s10."""

_LONGEST = 200
"""Characters of one token that are drawn."""

_JOINERS = "\u200c\u200d"
_BLACK_FLAG = "\U0001f3f4"
_TAGS = range(0xE0020, 0xE0080)
_PICTURES = {"So", "Sk", "Mn"}
"""General categories of emoji, of skin tones, and of the selector that makes an emoji of a character."""


@dataclass(frozen=True, slots=True)
class HeatToken:
    """One token of an excerpt, or several that are the bytes of one character."""

    text: str
    """Safe to be looked at; still to be escaped."""
    heat: str
    """Class of its colour: a1 to a10, n1 to n10, or nothing."""
    told: str
    """The exact number or numbers, in words."""
    guess: str
    """Class of what was simulated: s1 to s10, or nothing."""
    places: range
    """Where they stand in the excerpt."""


def heat_tokens(
    tokens: Sequence[str],
    activations: Sequence[float],
    largest: float,
    simulated: Sequence[float] | None = None,
) -> tuple[HeatToken, ...]:
    """`activations` are raw, and `largest` is the one of the strongest colour; `simulated` are 0 to 10.

    What is the bytes of one character is drawn as one, in the colour of the strongest, and tells of each.
    """
    whole = tuple(whole_tokens(tokens))
    texts = shown([text for text, _ in whole])
    guesses: Sequence[float | None] = [None] * len(tokens) if simulated is None else simulated
    told = [_told(value, guess) for _, value, guess in zip(tokens, activations, guesses, strict=True)]
    return tuple(
        HeatToken(
            text,
            heat_class(max((activations[place] for place in places), key=abs), largest),
            " | ".join(told[place] for place in places),
            guess_class(None if simulated is None else max(simulated[place] for place in places)),
            places,
        )
        for text, (_, places) in zip(texts, whole, strict=True)
    )


def heat_class(activation: float, largest: float) -> str:
    """Its share of the largest activation in tenths, `a7`; below zero `n7`; nothing where that rounds to nothing."""
    step = min(STEPS, round(STEPS * abs(activation) / largest)) if largest > 0 else 0
    if step == 0:
        return ""
    return f"{'a' if activation > 0 else 'n'}{step}"


def guess_class(simulated: float | None) -> str:
    """Of a simulated activation, 0 to 10."""
    step = 0 if simulated is None else min(STEPS, round(simulated * STEPS / LARGEST))
    return f"s{step}" if step > 0 else ""


def strongest(activations: Sequence[Sequence[float]]) -> float:
    """What the strongest colour stands for: the largest activation, or the farthest from zero if all are below it."""
    largest = max((max(row) for row in activations if row), default=0.0)
    return largest if largest > 0 else max((-min(row) for row in activations if row), default=0.0)


def exact(value: float) -> str:
    """Four figures, after a real minus sign: `3.142`."""
    return f"{value:.4g}".replace("-", MINUS)


def shown(tokens: Sequence[str]) -> tuple[str, ...]:
    """The tokens with what cannot be seen made visible.

    A line break is ⏎ and breaks, a tab is ⇥, spaces that are a token are ·, and what steers the direction of writing or
    has no shape is its code. Joiners within emoji and within scripts that need them stay, across tokens too.
    """
    whole = "".join(tokens)
    found, start = [], 0
    for token in tokens:
        text = token[:_LONGEST]
        drawn = _drawn(whole, start, start + len(text))
        left_out = f"… <{len(token):,} characters>" if len(token) > _LONGEST else ""
        found.append(("·" * len(text) if text.strip(" ") == "" else drawn) + left_out)
        start += len(token)
    return tuple(found)


def shown_text(text: str) -> str:
    """A running text as `shown` has tokens, spaces as they are."""
    return _drawn(text, 0, len(text))


def _drawn(whole: str, start: int, end: int) -> str:
    part = whole[start:end]
    return part if part.isprintable() else "".join(_shape(whole, place) for place in range(start, end))


def _shape(whole: str, place: int) -> str:
    character = whole[place]
    if character == "\n":
        return "⏎\n"
    if character in _JOINERS:
        return character if _joins(whole, place) else visible(character)
    if ord(character) in _TAGS:
        return character if _is_of_a_flag(whole, place) else f"<0x{ord(character):02X}>"
    if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}:
        shape = visible(character)
        return f"<0x{ord(character):02X}>" if shape == character else shape
    return character


def _joins(whole: str, place: int) -> bool:
    """Between two emoji, or within a script without capitals, such as Arabic or Devanagari."""
    before, after = (unicodedata.category(whole[at]) if 0 <= at < len(whole) else "" for at in (place - 1, place + 1))
    between_emoji = whole[place] == "\u200d" and before in _PICTURES and after == "So"
    return between_emoji or (before in {"Lo", "Mn", "Mc"} and after in {"Lo", ""})


def _is_of_a_flag(whole: str, place: int) -> bool:
    """Such as that of Scotland: a black flag, and tags that spell which."""
    while place > 0 and ord(whole[place]) in _TAGS:
        place -= 1
    return whole[place] == _BLACK_FLAG


def _told(activation: float, simulated: float | None) -> str:
    return exact(activation) if simulated is None else f"{exact(activation)}, simulated {exact(simulated)}"
