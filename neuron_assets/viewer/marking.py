"""A few excerpts that a person marks token by token, from 0 to 10, as a form has them.

Here: choosing them, and reading what was typed. Not here: the page (`simulate_page.py`), which excerpts a person may
still have (`tables/hand_simulated.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuron_assets.method.labels import ReadExcerpt
from neuron_assets.method.records import LARGEST
from neuron_assets.viewer.excerpts import shown

AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Sheet:
    """One excerpt, with what was typed so far; of the neuron it says nothing."""

    excerpt: ReadExcerpt
    typed: tuple[str, ...]
    """By token; empty for a token that was left alone, which is 0."""
    is_silent: bool
    """Whether the person says that the neuron is silent on all of it."""

    @property
    def number(self) -> int:
        return self.excerpt.excerpt_index

    @property
    def tokens(self) -> tuple[tuple[str, str | None], ...]:
        """As they are drawn: each in one line, and how far the next line stands in where it breaks one."""
        return tuple(map(_in_one_line, shown(self.excerpt.tokens)))

    @property
    def values(self) -> tuple[int, ...]:
        """Of a sheet without a problem."""
        return tuple(int(text or "0") for text in self.typed)

    def problem(self) -> str | None:
        """Why it cannot be kept."""
        for text, (token, _) in zip(self.typed, self.tokens, strict=True):
            if not _is_mark(text):
                return f"{text[:20]!r} at the token {token[:20]!r} is no whole number from 0 to {LARGEST}."
        if self.is_silent and any(self.values):
            return "Some tokens are marked, and it is ticked as silent: take back one of the two."
        if not self.is_silent and not any(self.values):
            return "No token is marked. If the neuron is silent on all of it, tick that."
        return None


def blank(excerpt: ReadExcerpt) -> Sheet:
    return Sheet(excerpt, ("",) * len(excerpt.tokens), is_silent=False)


def filled(excerpt: ReadExcerpt, form: Mapping[str, str]) -> Sheet:
    """Fields are named `v12_0` for the first token of excerpt 12, and `silent12`."""
    number = excerpt.excerpt_index
    typed = tuple(form.get(f"v{number}_{place}", "").strip() for place in range(len(excerpt.tokens)))
    return Sheet(excerpt, typed, f"silent{number}" in form)


def handed_out(left: Sequence[ReadExcerpt], top: frozenset[int]) -> tuple[ReadExcerpt, ...]:
    """The next ones, half of them top excerpts as long as there are, in the order of `left`, which tells nothing."""
    is_top = [excerpt.excerpt_index in top for excerpt in left]
    half = AT_ONCE // 2
    places = [[place for place, each in enumerate(is_top) if each is wanted] for wanted in (True, False)]
    first = [place for of_kind in places for place in of_kind[:half]]
    more = [place for of_kind in places for place in of_kind[half:]]
    return tuple(left[place] for place in sorted([*first, *more][:AT_ONCE]))


def _in_one_line(drawn: str) -> tuple[str, str | None]:
    text, is_broken, indent = drawn.rpartition("\n")
    if not is_broken:
        return drawn, None
    text = text.replace("\n", "")
    return (text, indent) if indent.isspace() or not indent else (text + indent, "")


def _is_mark(text: str) -> bool:
    return not text or (text.isascii() and text.isdigit() and len(text) <= len(str(LARGEST)) and int(text) <= LARGEST)
