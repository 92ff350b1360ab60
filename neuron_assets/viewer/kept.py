"""What is built of a study's files is kept until one of them changes.

Here: keeping. Not here: what is built (`word_index.py`, `firing_index.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from threading import Lock
from typing import Generic, TypeVar

from upath import UPath

from neuron_assets.lineage import INPUTS
from neuron_assets.tables.writing_aside import is_local
from neuron_assets.viewer.shelf import DECISIVE, OpenStudy

STUDIES = 3
"""Of which something is kept at once: those that were asked for last."""

T = TypeVar("T")


class KeptIndex(Generic[T]):
    """Builds at the first question, and anew once a file is not what it was; one at a time, whoever asks."""

    def __init__(self, tables: Sequence[str], build: Callable[[OpenStudy], T]) -> None:
        self._tables, self._build = _with_sources(tables), build
        self._lock = Lock()
        self._held: dict[tuple[str, str], tuple[object, T]] = {}

    def of(self, study: OpenStudy) -> T:
        """What `build` gives of the study's files as they are now; `tables` are those that it reads, of all layers.

        It is built anew too once the study has other layers or units, or once these tables may not stand any more.
        """
        whose = (str(study.store.root), study.name)
        with self._lock:
            states = [study.study.layer_indices, study.study.n_units, *map(_state, self._files(study))]
            held = self._held.pop(whose, None)  # the last one asked for stands last
            if held is None or held[0] != states:
                held = None  # two at once might not fit
                while len(self._held) >= STUDIES:
                    del self._held[next(iter(self._held))]
                held = (states, self._build(study))
            self._held[whose] = held
            return held[1]

    def _files(self, study: OpenStudy) -> Iterator[UPath]:
        yield study.store.path(study.name, "excerpts")
        for table in self._tables:
            for layer_index in study.study.layer_indices:
                yield study.store.path(study.name, table, study.key(layer_index))


def _with_sources(tables: Sequence[str]) -> tuple[str, ...]:
    """These tables of layers, with those whose content decides whether they stand."""
    found = {*tables}
    for table in reversed(tuple(INPUTS)):
        if table in found:
            found |= DECISIVE.intersection(INPUTS[table])
    return tuple(table for table in INPUTS if table in found - {"excerpts"})


def _state(path: UPath) -> object:
    """Another one for every file that ever stood there; None where there is none; else why it cannot be looked at."""
    try:
        if not is_local(path):
            return repr(path.fs.info(path.path))
        status = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return str(error)
    return status.st_ino, status.st_mtime_ns, status.st_size
