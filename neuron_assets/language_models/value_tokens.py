"""How a model in this process cuts the lines of a simulation into tokens, and which tokens are the eleven numbers.

Here: tokens and the characters they stand for. Not here: what the model makes of them (`local_simulating.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from neuron_assets.errors import UnusableModel
from neuron_assets.language_models.local import LocalModel
from neuron_assets.method.records import LARGEST

_LINE_END = "\n"
"""What stands before each text: without it, some tokenizers put a space there that is not in the text."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A text that follows the end of a line, as tokens."""

    ids: list[int]
    starts: Mapping[int, int]
    """Offset of a character at which a token begins, to the index of the token."""
    ends: list[int]
    """Offset after the last character of each token."""


@dataclass(frozen=True, slots=True)
class ValueTokens:
    ids: tuple[int, ...]
    """Of 0 to 10, or of 0 to 9 where 10 is two tokens."""

    @property
    def ten(self) -> int | None:
        return self.ids[LARGEST] if len(self.ids) > LARGEST else None


def encoded(model: LocalModel, text: str) -> Encoded:
    """The tokens of a text that stands behind the end of a line; marks of the model's own in it are plain text.

    Raises UnusableModel where the tokenizer reads the line end together with what follows.
    """
    before = _ids(model, _LINE_END)
    found = model.tokenizer(
        _LINE_END + text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True
    )
    if found["input_ids"][: len(before)] != before:
        raise UnusableModel(model.name, "its tokenizer reads across the end of a line")
    spans = [(start - 1, end - 1) for start, end in found["offset_mapping"][len(before) :]]
    starts: dict[int, int] = {}
    for index, (start, _) in enumerate(spans):
        starts.setdefault(start, index)
    return Encoded(found["input_ids"][len(before) :], starts, [end for _, end in spans])


def token_index(model: LocalModel, read: Encoded, offset: int) -> int:
    """Which token begins at this character, where the one before it ends; raises UnusableModel where none does."""
    index = read.starts.get(offset)
    if index is None or (index > 0 and read.ends[index - 1] > offset):
        raise UnusableModel(model.name, "its tokenizer reads the tab before a rating together with the rating")
    return index


def value_tokens(model: LocalModel) -> ValueTokens:
    """The tokens that stand for the numbers, in the place where they are read; raises UnusableModel."""
    pieces = []
    for value in range(LARGEST + 1):
        read = encoded(model, f"word\t{value}\n")
        first = token_index(model, read, len("word\t"))
        last = read.starts.get(len(f"word\t{value}"), -1)
        pieces.append(read.ids[first:last])
    digits, ten = pieces[:LARGEST], pieces[LARGEST]
    if any(len(piece) != 1 for piece in digits):
        raise UnusableModel(model.name, "a digit is not one token of its tokenizer")
    ids = tuple(piece[0] for piece in digits)
    if len(ten) == 1:
        return ValueTokens((*ids, ten[0]))
    if ten != [ids[1], ids[0]]:
        raise UnusableModel(model.name, "its tokenizer reads 10 neither as one token nor as 1 and 0")
    return ValueTokens(ids)


def _ids(model: LocalModel, text: str) -> list[int]:
    ids: list[int] = model.tokenizer(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
    return ids
