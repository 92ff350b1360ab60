"""Tokens that are bytes of a character, which stand in the tables as <0xE2>, and the text that they are together.

Here: which tokens belong together. Not here: how they are drawn (`excerpts.py`), who wrote them so (`subjects/`).
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Iterator, Sequence
from itertools import pairwise

_BYTE = re.compile(r"<0x([89A-F][0-9A-F])>")
_DECODER = getincrementaldecoder("utf-8")


def whole_tokens(tokens: Sequence[str]) -> Iterator[tuple[str, range]]:
    """Each token by itself with its place; but where several are the bytes of a character, their text and places.

    Bytes that are no text, as where an excerpt begins within a character, stay as they are.
    """
    ends = [0]
    while ends[-1] < len(tokens):
        ends.append(_end(tokens, ends[-1]))
    for start, end in pairwise(ends):
        is_torn = end - start > 1
        yield b"".join(map(_bytes, tokens[start:end])).decode() if is_torn else tokens[start], range(start, end)


def _end(tokens: Sequence[str], start: int) -> int:
    """Of as many tokens as are whole characters together; of one, if none are."""
    decoder = _DECODER()
    for end in range(start, len(tokens)):
        if not _BYTE.search(tokens[end]):
            break
        try:
            decoder.decode(_bytes(tokens[end]))
        except UnicodeDecodeError:
            break
        if not decoder.getstate()[0]:
            return end + 1
    return start + 1


def _bytes(token: str) -> bytes:
    parts = _BYTE.split(token)  # text, byte, text, byte, ..., text
    return b"".join(
        bytes.fromhex(part) if place % 2 else part.encode(errors="surrogatepass") for place, part in enumerate(parts)
    )
