"""The bundled corpus: the sources and help topics of the Python that runs this, read at run time.

Here: which files count as documents. Not here: cutting them into excerpts (`method/excerpts.py`). None of their text is
shipped with this package.
"""

import hashlib
import sysconfig
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from neuron_assets.method.records import Document

SHORTEST = 400
"""Characters; shorter files are mostly re-exports."""

# Tests are left out because some distributions do not install them; the others because they are tables of numbers or
# names, generated, or gone in newer versions of Python.
_LEFT_OUT_FOLDERS = {
    *("site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test"),
    *("encodings", "lib2to3", "distutils", "pydoc_data", "__phello__"),
}
_LEFT_OUT_FILES = {"html/entities.py", "_pyio.py", "token.py", "keyword.py", "stringprep.py", "this.py"}
_LEFT_OUT_PREFIXES = ("_sysconfigdata", "config-")


def standard_library_documents(folder: Path | None = None) -> Iterator[Document]:
    """Each source file of the standard library, then each help topic, as one document, in the order of their names."""
    root = folder or Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(root.rglob("*.py")):
        name = path.relative_to(root)
        if _is_left_out(name):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:  # a few sources declare another encoding; they are not worth decoding
            continue
        if len(text) >= SHORTEST:
            yield Document(name.as_posix(), text)
    if folder is None:
        yield from _help_topics()


def is_held_out(document: Document, share: float = 0.12) -> bool:
    """Whether the bundled subject was kept from this document: by a hash of its name, so on every Python."""
    digest = hashlib.sha256(document.name.encode()).hexdigest()
    return int(digest[:8], 16) / 2**32 < share


def _is_left_out(name: Path) -> bool:
    return (
        bool(_LEFT_OUT_FOLDERS.intersection(name.parts))
        or name.as_posix() in _LEFT_OUT_FILES
        or name.parts[0].startswith(_LEFT_OUT_PREFIXES)
    )


def _help_topics() -> Iterator[Document]:
    topics: dict[str, str] = import_module("pydoc_data.topics").topics
    for name, text in sorted(topics.items()):
        if len(text) >= SHORTEST:
            yield Document(f"topics/{name}", text)
