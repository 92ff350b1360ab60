"""Plain text as a corpus: a folder of files, or one file.

Here: which part of a file is a document. Not here: finding and opening files (`files.py`).
"""

import io
from collections.abc import Iterable, Iterator
from typing import IO

from neuron_assets.corpora.documents import Row, row
from neuron_assets.corpora.files import CorpusFile

_CHUNK = 1 << 20
"""Characters that are in memory at once, beside a document."""


def text_file_rows(files: Iterable[CorpusFile], separator: str | None = None) -> Iterator[Row]:
    """Each file as one document, or, where documents are separated, each part of it by its number from 1 on.

    Raises MissingCorpus or UnreadableCorpus.
    """
    for file in files:
        with file.unpacked() as opened, _as_text(opened) as text:
            if separator is None:
                yield row(file.name, text.read())
                continue
            for number, part in enumerate(_parts(text, _read_as(separator)), 1):
                if part.strip():
                    yield row(f"{file.name}:{number}", part)


def _as_text(opened: IO[bytes]) -> io.TextIOWrapper:
    """Bytes that are no UTF-8 come as half surrogates, which `row` finds: they spoil their document, not the file."""
    return io.TextIOWrapper(opened, encoding="utf-8-sig", errors="surrogateescape")


def _read_as(separator: str) -> str:
    """What it becomes within a text, where every line ends with the same character whatever ended it in the file."""
    return separator.replace("\r\n", "\n").replace("\r", "\n")


def _parts(text: IO[str], separator: str) -> Iterator[str]:
    rest = ""
    while chunk := text.read(_CHUNK):
        *parts, rest = (rest + chunk).split(separator)
        yield from parts
    yield rest
