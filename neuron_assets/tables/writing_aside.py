"""A file that is there whole or not at all: written beside its place, then renamed.

Here: one file, whatever it holds. Not here: what is written (`parquet.py`, `assets/checkpoint_file.py`).
"""

import fcntl
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from upath import UPath

_BEGUN = re.compile(r"\.(.+)\.[0-9a-f]{8}\.partial")


@contextmanager
def written_aside(path: UPath) -> Iterator[UPath]:
    """Gives the file to write, which takes the place of `path` when the block ends well; else that stays as it was.

    What a process that was killed had begun to write of the same file is removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(path)
    with _begun_beside(path) as aside:
        yield aside
        aside.rename(path)


def begun_for(path: UPath) -> UPath | None:
    """The file whose place this one was to take; None of a file that is whole."""
    begun = _BEGUN.fullmatch(path.name)
    return path.with_name(begun[1]) if begun else None


def is_local(path: UPath) -> bool:
    return path.protocol in {"", "file"}


@contextmanager
def _begun_beside(path: UPath) -> Iterator[UPath]:
    """A new file beside `path`, claimed by this process until the block ends, which removes it, or the process dies."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        if not is_local(path):
            yield aside
            return
        while True:
            with aside.open("wb") as claim:
                with suppress(OSError):  # not every disk that is reached over a network knows claims
                    fcntl.flock(claim, fcntl.LOCK_EX)
                if aside.exists():  # else another process took it for one left behind, before it was claimed
                    yield aside
                    return
    finally:
        _remove(aside)


def _remove_left_behind(path: UPath) -> None:
    """Files that were begun beside `path`, and that no living process claims; elsewhere than on a disk nobody can."""
    for aside in path.parent.glob(f".{path.name}.*.partial") if is_local(path) else ():
        with suppress(OSError), aside.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            aside.unlink(missing_ok=True)


def _remove(path: UPath) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:  # what could not be written need not be there to remove
        return
