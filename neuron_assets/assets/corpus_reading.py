"""Who hears how far the reading of a corpus has come, and what it found.

Put here: the log's lines and the metadata. Keep out: reading (`corpora/`), the command line's bar (`terminal.py`).
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import dagster as dg

from neuron_assets.corpora.reading import Reading

Hears = Callable[[logging.Logger], Callable[[Reading], None]]
"""Takes the run's log; gives what hears of each hundred rows, and of the end."""

VERSION = "corpus_version"
"""Metadata: what changes when the documents do."""
_SECONDS_BETWEEN_LINES = 60.0


def log_reading(log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> Callable[[Reading], None]:
    """Tells the run's log about each minute, and of the end."""
    told = clock()

    def on_progress(documents: Reading) -> None:
        nonlocal told
        now = clock()
        if documents.has_ended or now - told >= _SECONDS_BETWEEN_LINES:
            told = now
            log.info("corpus %s: %s", documents.source, str(documents))  # now: it goes on counting
        if documents.has_ended:
            for row in documents.first_bad:
                log.warning("left out: %s", row)

    return on_progress


def reading_facts(documents: Reading) -> dict[str, Any]:
    """What became of the rows, for the metadata."""
    if documents.n_read == 0:  # its version was known without
        return {VERSION: documents.version}
    facts: dict[str, Any] = {
        VERSION: documents.version,
        "rows_read": documents.n_read,
        "documents_kept": documents.n_kept,
        "bad_rows": documents.n_bad,
        "too_short": documents.n_too_short,
        "repeated": documents.n_repeated,
    }
    if documents.first_bad:
        facts["first_bad_rows"] = dg.MetadataValue.text("\n".join(map(str, documents.first_bad)))
    return facts
