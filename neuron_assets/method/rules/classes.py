"""Groups of tokens, and places in a text, that have a plain English name.

Here: the names and what they mean. A class is told from a token's string alone, a place from the tokens before it.
 Not here: how names stand in a sentence (`language.py`), or which of them explain a neuron (`fitting.py`).
"""

import keyword
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int

from neuron_assets.method.records import Tokens

_KEPT = 1 << 17
"""Strings whose classes are remembered: more than most vocabularies have."""

PROSE_WINDOW, PROSE_WORDS = 8, 4
"""A position is "among words" if of this many tokens before it at least so many are lower-case words after a space."""

DEEP = 11
"""Characters of indentation, the line break's own space left out, from which a line counts as deeply indented."""


def _is_punctuation(token: str) -> bool:
    bare = token.strip()
    return bool(bare) and not any(character.isalnum() or character == "_" for character in bare)


def _is_operator(token: str) -> bool:
    bare = token.strip()
    return bool(bare) and all(character in "+-*/%=<>!&|^~@" for character in bare)


def _is_later_word(token: str) -> bool:
    return token.startswith(" ") and token[1:].isalpha() and token.islower()


def _is_piece(token: str) -> bool:
    return token.isalpha() and token.islower()


def _is_title(token: str) -> bool:
    return token.strip().isalpha() and token.strip().istitle()


def _ends_in(ending: str) -> Callable[[str], bool]:
    return lambda token: token.endswith(ending)


_ENDINGS = ("d", "e", "ed", "er", "ing", "ion", "n", "r", "s", "t", "y")

CLASSES: Mapping[str, Callable[[str], bool]] = {
    "line breaks": lambda token: "\n" in token,
    "blank lines": lambda token: token.count("\n") > 1,
    "spaces": lambda token: token != "" and token.strip() == "" and "\n" not in token,
    "numbers": lambda token: token.strip().isdigit(),
    "punctuation": _is_punctuation,
    "opening brackets": lambda token: token.strip()[-1:] in {"(", "[", "{"},
    "closing brackets": lambda token: token.strip()[:1] in {")", "]", "}"},
    "quotation marks": lambda token: any(mark in token for mark in "'\"`"),
    "commas": lambda token: "," in token,
    "full stops": lambda token: "." in token,
    "colons": lambda token: ":" in token,
    "equals signs": lambda token: "=" in token,
    "operators": _is_operator,
    "comment marks": lambda token: "#" in token,
    "underscores": lambda token: "_" in token,
    "Python keywords": lambda token: keyword.iskeyword(token.strip()),
    "words": lambda token: token.strip().isalpha(),
    "words in capitals": lambda token: token.strip().isalpha() and token.strip().isupper() and len(token.strip()) > 1,
    "capitalised words": _is_title,
    "capitalised words after a space": lambda token: token.startswith(" ") and _is_title(token),
    "lower-case words after a space": _is_later_word,
    "short words after a space": lambda token: _is_later_word(token) and len(token) <= len(" the"),
    "long words after a space": lambda token: _is_later_word(token) and len(token) >= len(" return"),
    "word pieces": _is_piece,
    "short word pieces": lambda token: _is_piece(token) and len(token) <= len("er"),
    "long word pieces": lambda token: _is_piece(token) and len(token) >= len("value"),
    "single letters": lambda token: len(token.strip()) == 1 and token.strip().isalpha(),
    "tokens after a space": lambda token: token.startswith(" ") and token.strip() != "",
    "bytes outside ASCII": lambda token: not token.isascii() or token.startswith("<0x"),
    **{f'tokens ending in "{ending}"': _ends_in(ending) for ending in _ENDINGS},
}
"""What each name says of a token's string. A token may belong to several; white space around it is mostly ignored."""


def class_table(strings: Sequence[str]) -> Bool[np.ndarray, "string class"]:
    """Which strings belong to which classes, in the order of CLASSES."""
    belongs = np.frombuffer(b"".join(map(_classes_of, strings)), np.bool_)
    return belongs.reshape(len(strings), len(CLASSES))


@lru_cache(maxsize=_KEPT)
def _classes_of(string: str) -> bytes:
    return bytes(belongs(string) for belongs in CLASSES.values())


def _at_start(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    starts = np.zeros(tokens.codes.shape, np.bool_)
    starts[:, :1] = True
    return starts


def _in_comment(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    marks = _table(tokens, _opens_comment)
    return _earlier(marks) >= _last(_table(tokens, _breaks_line))


def _in_brackets(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    """A closing bracket without an opening one belongs to text before the excerpt, and is ignored."""
    steps = _count(tokens, _brackets)
    depths = np.cumsum(steps, axis=1)
    lowest = np.minimum(np.minimum.accumulate(depths, axis=1), 0)
    return _shifted(depths > lowest)


def _in_quotes(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    """After an odd number of quotation marks on this line; three in a row count as none."""
    marks = np.cumsum(_count(tokens, _quotation_marks), axis=1)
    before = np.concatenate([np.zeros_like(marks[:, :1]), marks], axis=1)  # marks before position i
    line = np.maximum(_last(_table(tokens, _breaks_line)), 0)
    return np.asarray((before[:, :-1] - np.take_along_axis(before, line, axis=1)) % 2 == 1)


def _on_deep_line(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    deep = _table(tokens, _indents_deeply)
    return np.asarray(_last(deep) >= np.maximum(_last(_table(tokens, _breaks_line)), 0))


def _on_first_line(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    return _last(_table(tokens, _breaks_line)) < 0


def _among_words(tokens: Tokens) -> Bool[np.ndarray, "excerpt token"]:
    words = np.cumsum(
        class_table(tokens.strings)[:, list(CLASSES).index("lower-case words after a space")][tokens.codes], axis=1
    )
    before = np.concatenate([np.zeros((len(words), PROSE_WINDOW + 1), words.dtype), words], axis=1)
    n_tokens = words.shape[1]
    recent = before[:, PROSE_WINDOW : PROSE_WINDOW + n_tokens] - before[:, :n_tokens]
    return np.asarray(recent >= PROSE_WORDS)


PLACES: Mapping[str, Callable[[Tokens], Bool[np.ndarray, "excerpt token"]]] = {
    "at the start of the excerpt": _at_start,
    "before the first line break": _on_first_line,
    "in a comment": _in_comment,
    "inside brackets": _in_brackets,
    "inside quotation marks": _in_quotes,
    "on deeply indented lines": _on_deep_line,
    "among lower-case words": _among_words,
}
"""Where each name holds: [excerpt, token], told from the tokens up to that position."""


def line_numbers(tokens: Tokens) -> Int[np.ndarray, "excerpt token"]:
    """The line of each token, counted from the start of the excerpt; a token with a line break starts its own."""
    return np.cumsum(_table(tokens, _breaks_line), axis=1)


def _indents_deeply(string: str) -> bool:
    return "\n" in string and len(string.rsplit("\n", 1)[-1]) >= DEEP


def _opens_comment(string: str) -> bool:
    return "#" in string and "\n" not in string[string.rindex("#") :]


@lru_cache(maxsize=_KEPT)
def _brackets(string: str) -> int:
    """Opening ones less closing ones."""
    return sum((character in "([{") - (character in ")]}") for character in string)


def _breaks_line(string: str) -> bool:
    return "\n" in string


@lru_cache(maxsize=_KEPT)
def _quotation_marks(string: str) -> int:
    bare = string.replace('"""', "").replace("'''", "")
    return bare.count('"') + bare.count("'")


def _table(tokens: Tokens, says: Callable[[str], bool]) -> Bool[np.ndarray, "excerpt token"]:
    return np.take(_saying(tokens.strings, says), tokens.codes)


@lru_cache(maxsize=32)
def _saying(strings: tuple[str, ...], says: Callable[[str], bool]) -> Bool[np.ndarray, " string"]:
    return np.array([says(string) for string in strings], np.bool_)


def _count(tokens: Tokens, counts: Callable[[str], int]) -> Int[np.ndarray, "excerpt token"]:
    return np.take(np.array([counts(string) for string in tokens.strings], np.int64), tokens.codes)


def _last(holds: Bool[np.ndarray, "excerpt token"]) -> Int[np.ndarray, "excerpt token"]:
    """The last position up to and with this one at which it holds, or -1."""
    positions = np.where(holds, np.arange(holds.shape[1]), -1)
    return np.maximum.accumulate(positions, axis=1)


def _earlier(holds: Bool[np.ndarray, "excerpt token"]) -> Int[np.ndarray, "excerpt token"]:
    """The last position before this one at which it holds, or -2."""
    return np.concatenate([np.full((len(holds), 1), -2), np.where(_last(holds) < 0, -2, _last(holds))[:, :-1]], axis=1)


def _shifted(holds: Bool[np.ndarray, "excerpt token"]) -> Bool[np.ndarray, "excerpt token"]:
    return np.concatenate([np.zeros((len(holds), 1), np.bool_), holds[:, :-1]], axis=1)
