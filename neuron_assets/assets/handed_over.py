"""What steps give the IO manager to be written.

Put here: the rows of a file with what it says beside them, of one layer or of several. Keep out: how a step hands them
over (`specs.py`), how they are written (`io_manager.py`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True, slots=True, eq=False)
class HandedOver:
    """What a step gives to be written as one file."""

    frame: pl.DataFrame
    notes: Mapping[str, str]
    """What the file says beside its rows; the UI shows none of it, so it may be long."""


@dataclass(frozen=True, slots=True, eq=False)
class HandedOverLayers(Mapping[str, HandedOver]):
    """The same of several layers, by key; each may be read from a disk only when it is asked for."""

    frames: Mapping[str, pl.DataFrame]
    notes: Mapping[str, str]

    def __getitem__(self, layer: str) -> HandedOver:
        return HandedOver(self.frames[layer], self.notes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)
