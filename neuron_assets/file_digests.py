"""Who a file is by its content: worked out once, and again when it was written again.

Here: one file. Not here: which files a model or its units are made of.
"""

import hashlib
from functools import lru_cache
from pathlib import Path


def file_digest(path: Path) -> str:
    """All hexadecimal digits of its sha256; raises OSError."""
    state = path.stat()
    return _digest(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)  # weights are large, and asked for before every run
def _digest(path: Path, _size: int, _written_at: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
