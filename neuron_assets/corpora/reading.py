"""A corpus while it is read: each good text once, and what became of the other rows.

Here: what is kept of the rows of any source, and counting. Not here: the sources (one file each), what is done with
the documents.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from neuron_assets.corpora.documents import BadRow, Digest, Row, text_mark
from neuron_assets.errors import TooManyBadRows
from neuron_assets.method.records import Document

_TOLD_EVERY = 100
"""Rows between two calls of who hears how far the reading has come."""
_GIVES_UP_AFTER = 100
"""Bad rows without a good one before them."""
_NAMED = 5
"""Bad rows that are named."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Which rows of a source are kept."""

    most_documents: int | None = None
    """Reading ends with that many."""
    shortest: int = 1
    """Characters, without white space at the ends."""
    most_bad_rows: float = 0.01
    """As a share of the rows that were read."""


class Reading:
    """The documents of a corpus, to be gone through once; after that it tells what became of each row."""

    def __init__(  # what is read, and what only tells of it
        self,
        source: str,
        rows: Iterable[Row],
        bounds: Bounds | None = None,
        *,
        pinned: str | None = None,
        on_progress: Callable[["Reading"], None] = lambda _reading: None,
    ) -> None:
        """`source` is what messages call it; `pinned` is its version, where that is known before it is read."""
        self.source, self.pinned, self.bounds = source, pinned, bounds or Bounds()
        self.n_read = self.n_kept = self.n_bad = self.n_too_short = self.n_repeated = 0
        self.first_bad: list[BadRow] = []
        self.has_ended = False
        self._rows, self._on_progress, self._digest = rows, on_progress, Digest()

    def __iter__(self) -> Iterator[Document]:
        """Raises TooManyBadRows, and what its source raises."""
        seen: set[bytes] = set()
        for row in self._rows:
            if self.n_read and self.n_read % _TOLD_EVERY == 0:
                self._on_progress(self)
            self.n_read += 1
            if isinstance(row, BadRow):
                self._count_bad(row)
            elif len(row.text.strip()) < self.bounds.shortest:
                self.n_too_short += 1
            elif (mark := text_mark(row.text)) in seen:
                self.n_repeated += 1
            else:
                seen.add(mark)
                self._digest.add(row)
                self.n_kept += 1
                yield row
                if self.n_kept == self.bounds.most_documents:
                    break
        if self.n_bad > self.bounds.most_bad_rows * self.n_read:
            raise self._too_many()
        self.has_ended = True
        self._on_progress(self)

    def to_the_end(self) -> "Reading":
        """Reads, and keeps nothing but the counts."""
        for _ in self:
            pass
        return self

    @property
    def version(self) -> str:
        """What changes when the documents do: what it is pinned to, else a digest of those read so far."""
        return self.pinned or str(self._digest)

    def __str__(self) -> str:
        """One line for people."""
        left_out = {
            "bad": self.n_bad,
            "too short": self.n_too_short,
            "the same as an earlier one": self.n_repeated,
        }
        said = "".join(f", {number:,} {what}" for what, number in left_out.items() if number)
        return f"{self.n_kept:,} documents of {self.n_read:,} rows read{said}"

    def _count_bad(self, row: BadRow) -> None:
        self.n_bad += 1
        if len(self.first_bad) < _NAMED:
            self.first_bad.append(row)
        if self.n_bad == self.n_read == _GIVES_UP_AFTER and self.bounds.most_bad_rows < 1:
            raise self._too_many()

    def _too_many(self) -> TooManyBadRows:
        first = list(map(str, self.first_bad))
        return TooManyBadRows(self.source, self.n_bad, self.n_read, self.bounds.most_bad_rows, first)
