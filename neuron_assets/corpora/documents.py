"""The rows of a corpus: documents, and rows that give none.

Here: what holds for rows of any source. Not here: the sources (one file each), and which documents are kept
(`reading.py`).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from neuron_assets.method.records import Document


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that gives no document."""

    where: str
    """File and line or row."""
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


Row = Document | BadRow


@dataclass(frozen=True, slots=True)
class Fields:
    """Which fields of a row are read."""

    text: str = "text"
    name: str | None = None
    """None: a document is named after its place, as FILE:LINE."""


def row(name: str, text: object, where: str | None = None) -> Row:
    """A document, or why `text` is none: a document is a text in UTF-8 without a NUL."""
    place = where or name
    if isinstance(text, bytes):
        text = text.decode("utf-8-sig", errors="surrogateescape")
    if not isinstance(text, str):
        return BadRow(place, f"{_kind(text)}, not a text")
    if "\0" in text:
        return BadRow(place, f"a NUL at character {text.index(chr(0))}")
    try:
        (name + text).encode()
    except UnicodeEncodeError as error:
        return BadRow(place, f"no UTF-8 at character {max(0, error.start - len(name))}")
    return Document(name, text)


def row_of_fields(values: Mapping[str, object], fields: Fields, where: str) -> Row:
    """The document in the fields of one row."""
    for field in filter(None, (fields.text, fields.name)):
        if field not in values:
            return BadRow(where, f"no field {field!r}; its fields: {', '.join(values) or 'none'}")
    if fields.name is None:
        return row(where, values[fields.text])
    name = values[fields.name]
    if isinstance(name, bytes):
        name = name.decode("utf-8", errors="backslashreplace")
    if not isinstance(name, str | int) or name == "":
        return BadRow(where, f"its {fields.name!r} is {_kind(name)}, not a name")
    return row(str(name), values[fields.text], where)


def text_mark(text: str) -> bytes:
    """Sixteen bytes that two texts have in common only where they are the same."""
    return hashlib.blake2b(text.encode("utf-8", errors="surrogatepass"), digest_size=16).digest()


class Digest:
    """Sixteen hexadecimal digits of all names and texts, in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, document: Document) -> None:
        for part in (document.name, document.text):
            encoded = part.encode("utf-8", errors="surrogatepass")
            self._hash.update(len(encoded).to_bytes(8, "big") + encoded)

    def __str__(self) -> str:
        return self._hash.hexdigest()[:16]


def _kind(value: object) -> str:
    """What a value is, as people say it."""
    if value is None:
        return "null"
    return "an empty name" if value == "" else f"a value of type {type(value).__name__}"
