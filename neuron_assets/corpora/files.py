"""The files of a corpus, wherever fsspec finds them: which there are, their bytes, whether they were written anew.

Here: finding and opening. Not here: what stands in them (one file a kind).
"""

import glob
import hashlib
import io
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
from fsspec.core import url_to_fs

from neuron_assets.errors import CorpusNeedsExtra, MissingCorpus, UnreadableCorpus

PACKED = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}
"""How a file is packed, by the end of its name."""
_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "az": "azure", "abfs": "azure", "adl": "azure"}
"""Which of this package's extras reads URLs of a protocol."""

_GLOB = re.compile(r"([^*?\[]*/)?([^/*?\[]*[*?\[].*)")
"""A folder, and what begins with the first part that holds a wildcard."""


@dataclass(frozen=True, slots=True)
class CorpusFile:
    """One file of a corpus."""

    name: str
    """What its documents are named after."""
    path: str
    system: Any
    """Of fsspec."""

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes as they are; whatever goes wrong inside is raised as UnreadableCorpus or MissingCorpus."""
        with _refusing(self.path), self.system.open(self.path, "rb") as file:
            yield file

    @contextmanager
    def unpacked(self) -> Iterator[IO[bytes]]:
        """Its bytes, unpacked where its name says that they are packed; a file that is cut short is unreadable."""
        packed_by = PACKED.get(PurePosixPath(self.path).suffix.lower())
        with self.opened() as file:
            # Arrow, as fsspec needs more packages for .zst, and says nothing where such a file is cut short.
            yield file if packed_by is None else io.BufferedReader(pa.CompressedInputStream(file, packed_by))

    @property
    def state(self) -> str:
        """Changes when the file is written anew: its size and time, or what its store says in their place.

        Raises MissingCorpus or UnreadableCorpus.
        """
        with _refusing(self.path):
            about = dict(self.system.info(self.path))
        about.pop("url", None)  # where a server sends readers on to may be signed anew each time
        return str(about)


def find_files(location: str, beside: Path, pattern: str | None = None) -> list[CorpusFile]:
    """The files at `location`, in the order of their names: one, those that a glob matches, or those of a folder.

    `location` is a URL that fsspec knows, or a path relative to the folder `beside`; `pattern` matches below it. A file
    that is called like a glob is that file. Raises MissingCorpus, UnreadableCorpus or CorpusNeedsExtra; a file that was
    named without a glob is looked for when it is opened.
    """
    system, path = _place(location, beside)
    if pattern is None and (globbed := _GLOB.fullmatch(location)) and not system.isfile(path):
        pattern = globbed[2]
        system, path = _place(globbed[1] or ".", beside)
    if pattern is None:
        return [CorpusFile(_name(path.rpartition("/")[2]), path, system)]
    with _refusing(path):
        found: dict[str, Any] = system.glob(f"{glob.escape(path)}/{pattern}", detail=True)
    paths = sorted(path for path, about in found.items() if about["type"] == "file")
    if not paths:
        raise MissingCorpus(f"{path}/{pattern}")
    return [CorpusFile(_name(each.removeprefix(f"{path}/")), each, system) for each in paths]


def state_of_files(files: Iterable[CorpusFile]) -> str:
    """Sixteen hexadecimal digits that change when a file comes, goes or is written anew; nothing is read."""
    states = "\n".join(f"{file.path} {file.state}" for file in files)
    return hashlib.sha256(os.fsencode(states)).hexdigest()[:16]


def _place(location: str, beside: Path) -> tuple[Any, str]:
    """The file system that it lies in, and its path there."""
    named = location if "://" in location else str(beside / location)
    try:
        system, path = url_to_fs(named)
    except (ImportError, ValueError) as error:
        protocol = named.partition("://")[0]
        if protocol in _EXTRAS:
            raise CorpusNeedsExtra(named, _EXTRAS[protocol]) from error
        raise UnreadableCorpus(named, _reason(error)) from error
    return system, path


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """Whatever goes wrong inside is raised as UnreadableCorpus or MissingCorpus."""
    try:
        yield
    except FileNotFoundError as error:
        raise MissingCorpus(path) from error
    except (OSError, EOFError, pa.ArrowException) as error:
        raise UnreadableCorpus(path, _reason(error)) from error


def _name(path: str) -> str:
    """Bytes that are no UTF-8 are spelt out."""
    return os.fsencode(path).decode("utf-8", errors="backslashreplace")


def _reason(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
