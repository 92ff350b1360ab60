"""Text that somebody else wrote, as it may stand in a prompt.

A corpus may hold anything, also orders to whoever reads it, and so may an explanation that a model wrote. It stands
between two marks that it cannot contain, on lines that it cannot break.

Here: the marks, and how characters are written that would break a line. Not here: what the prompts say around them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands before and after a text."""

    start: str
    end: str

    def around(self, text: str) -> str:
        return f"{self.start}{text}{self.end}"


FENCE = Marks("<start>", "<end>")
"""Around text that does not contain these marks: nearly all text."""

_LINE_BREAKING = (
    *range(0x20),  # control characters
    *range(0x7F, 0xA0),
    0x2028,
    0x2029,
    *range(0xD800, 0xE000),  # halves of characters, which cannot be sent
)
_ESCAPES = {code: f"\\u{code:04x}" for code in _LINE_BREAKING} | {
    ord("\\"): r"\\",
    ord("\n"): r"\n",
    ord("\r"): r"\r",
    ord("\t"): r"\t",
}


def escaped(text: str) -> str:
    r"""The text on one line, without a tab: a line break is written \n, a tab \t, a backslash \\.

    Other control characters are written as JSON writes them, such as \u001b; no two texts are written alike.
    """
    return text.translate(_ESCAPES)


def quoted(text: str) -> str:
    """The text as a JSON string, quotes included; letters of any script stand as they are."""
    return '"' + escaped(text).replace('"', r"\"") + '"'


def fence_for(texts: Iterable[str]) -> Marks:
    """Marks that stand in none of the texts, in capitals neither: <start>, else <start-2>, <start-3> and so on.

    Tokens that stand side by side in the prompt are to be given as one text, for a mark may stand across them.
    """
    numbered = (Marks(f"<start-{number}>", f"<end-{number}>") for number in count(2))
    return _first_unused(FENCE, numbered, texts)


def highlight_for(texts: Iterable[str]) -> Marks:
    """Marks around a part of a text that stand in none of the texts: « and », else «« and »», and so on."""
    longer = (Marks("«" * length, "»" * length) for length in count(2))
    return _first_unused(Marks("«", "»"), longer, texts)


def _first_unused(first: Marks, others: Iterator[Marks], texts: Iterable[str]) -> Marks:
    folded = "\0".join(text.casefold() for text in texts)
    marks = first
    while marks.start in folded or marks.end in folded:
        marks = next(others)
    return marks
