"""The subject model in memory: one at a time, opened when it is first asked for, lent to one request at a time.

Here: which subject is held, and until when. Not here: how it is opened (`subject_opening.py`), what it is run on
(`heard_text.py`). Everything heavy is imported when a subject is opened: the viewer starts without torch.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter

from neuron_assets.errors import UnusableSubject
from neuron_assets.study import Study
from neuron_assets.subject_files import forward_notes
from neuron_assets.subject_sections import HuggingFaceSubject
from neuron_assets.unit_sections import NeuronUnits

if TYPE_CHECKING:
    from neuron_assets.subjects.subject import Subject


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    named: tuple[Any, ...]
    files: Mapping[str, str]
    subject: "Subject"


class SubjectRoom:
    """Holds at most one subject: that of the study that was asked last."""

    def __init__(self) -> None:
        self.queue = CapacityLimiter(1)
        """Requests that wait, and so take no thread from other pages."""
        self._lock = Lock()  # hooks of two passes would hear each other
        self._held: _Held | None = None

    def holds(self, study: Study) -> bool:
        """Whether it is in memory, as far as the study's file tells; nobody is waited for."""
        held = self._held
        return held is not None and held.named == _named(study)

    @contextmanager
    def lent(self, study: Study) -> Iterator["Subject"]:
        """The study's subject with its units; whoever asks meanwhile waits.

        Raises SubjectError, also where memory runs out inside, and what is held is dropped then.
        """
        from neuron_assets.subjects import devices

        with self._lock:
            try:
                yield self._opened(study)
            except (MemoryError, RuntimeError) as error:
                if not devices.is_out_of_memory(error):
                    raise
                self._drop()
                reason = "memory does not suffice to open it here and to run it on a text"
                mend = "End what else takes memory (a run on the same GPU?), or choose fewer layers."
                raise UnusableSubject(study.subject.label, reason, mend) from error

    def _opened(self, study: Study) -> "Subject":
        from neuron_assets.subject_opening import open_subject

        files = forward_notes(study)
        if self._held is None or (self._held.named, self._held.files) != (_named(study), files):
            self._drop()  # first: the two need not fit in beside each other
            self._held = _Held(_named(study), files, open_subject(study))
        return self._held.subject

    def _drop(self) -> None:
        from neuron_assets.subjects import devices

        self._held = None
        devices.let_go()


def _named(study: Study) -> tuple[Any, ...]:
    """Equal for studies that write the same of subject and units, and mean the same: files lie beside a study."""
    subject, units = study.subject, study.units
    has_files = (isinstance(subject, HuggingFaceSubject) and subject.is_folder) or not isinstance(units, NeuronUnits)
    return subject, units, study.folder if has_files else None
