"""A folder of plain text files as a corpus: each file is one document."""

import os
from collections.abc import Iterator
from pathlib import Path

from neuron_assets.errors import NoDocuments
from neuron_assets.method.records import Document


def text_file_documents(folder: Path, pattern: str = "**/*.txt") -> Iterator[Document]:
    """Every UTF-8 text file under `folder` that matches `pattern`, in the order of names; bad bytes are replaced.

    Raises NoDocuments where the folder does not exist or nothing matches.
    """
    paths = sorted(path for path in folder.glob(pattern) if path.is_file()) if folder.is_dir() else []
    if not paths:
        raise NoDocuments(f"{folder}/{pattern}")
    for path in paths:
        name = os.fsencode(path.relative_to(folder).as_posix()).decode("utf-8", errors="backslashreplace")
        yield Document(name, path.read_text(encoding="utf-8", errors="replace"))
