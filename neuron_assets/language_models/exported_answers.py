"""Answered requests in a file of JSON lines, as `neuron-assets requests export` writes it.

Here: reading such a file, line by line. Not here: writing one (`request_store.py`), and what a line holds
(`answered_requests.py`).
"""

import re
from collections.abc import Iterator
from pathlib import Path

from neuron_assets.errors import UnreadableExport
from neuron_assets.language_models.answered_requests import AnsweredRequest, Observed, read_line

_KEY = re.compile(r"[0-9a-f]{64}")


def read_exported(path: Path) -> Iterator[AnsweredRequest | Observed]:
    """The lines of an exported file; raises UnreadableExport, naming the line."""
    number = 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):  # noqa: B007  # told in the error
                read = read_line(line)
                if isinstance(read, AnsweredRequest) and not _has_key_and_time(read):
                    raise ValueError("its key or its time is none of ours")  # noqa: TRY301
                yield read
    except OSError as error:
        raise UnreadableExport(path, str(error)) from error
    except ValueError as error:
        reason = f"line {number} is not an answered request ({str(error).splitlines()[0]})"
        raise UnreadableExport(path, reason) from error


def _has_key_and_time(answered: AnsweredRequest) -> bool:
    return _KEY.fullmatch(answered.key) is not None and answered.asked_at.tzinfo is not None
