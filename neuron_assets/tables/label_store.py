"""What people add to a study, one file each: files are only added, never changed, and never removed.

    ROOT/STUDY/labels/entries/L3/N307/explanation-0123456789abcdef01234567.json

Each file is named after its kind and a hash of its bytes, so that people who write at once never meet, the same label
sent twice is kept once, and a damaged file is known. Here: writing and reading them. Not here: what makes a label valid
(`method/labels.py`), the table that is made of explanations (`labelled.py`).
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError
from upath import UPath

from neuron_assets.errors import InvalidLabel, LabelNotWritten
from neuron_assets.method.labels import HandSimulation, Label, PersonsExplanation, PersonsRating
from neuron_assets.method.records import NeuronId
from neuron_assets.tables.store import TableStore
from neuron_assets.tables.writing_aside import written_aside

Kind = Literal["explanation", "rating", "simulation"]
OneKind = TypeVar("OneKind", PersonsExplanation, PersonsRating, HandSimulation)

_LABEL: TypeAdapter[Label] = TypeAdapter(Annotated[Label, Field(discriminator="kind")])
_NAME = re.compile(r"(explanation|rating|simulation)-([0-9a-f]{24})\.json")


@dataclass(frozen=True, slots=True)
class Damaged:
    """A file of the store that holds no label any more."""

    name: str
    """Its path below the root of the tables."""
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store holds, in the order of time."""

    labels: tuple[Label, ...]
    damaged: tuple[Damaged, ...]

    def of(self, kind: type[OneKind]) -> tuple[OneKind, ...]:
        return tuple(label for label in self.labels if isinstance(label, kind))


@dataclass(frozen=True, slots=True)
class LabelStore:
    """The labels of one study."""

    tables: TableStore
    study: str

    def add(self, label: Label) -> str:
        """Keeps it, and gives its path below the root of the tables; raises LabelNotWritten."""
        content = _LABEL.dump_json(label)
        path = self._of_neuron(label.neuron) / f"{label.kind}-{_hash(content)}.json"
        try:
            if not path.exists():
                with written_aside(path) as aside:
                    aside.write_bytes(content)
        except OSError as error:
            raise LabelNotWritten(path, error.strerror or str(error)) from error
        return self.tables.name(path)

    def of_neuron(self, neuron: NeuronId) -> Kept:
        return self._read(_labels_in(self._of_neuron(neuron), "*.json"))

    def explanations(self, layer_index: int) -> Kept:
        """Of all neurons of a layer."""
        return self._read(self._explanations(layer_index))

    def version(self, layer_index: int) -> str | None:
        """What changes when an explanation is added to the layer; None while there is none. Reads no file."""
        names = "\n".join(path.name for path in self._explanations(layer_index))
        return _hash(names.encode())[:16] if names else None

    def _explanations(self, layer_index: int) -> Sequence[UPath]:
        return _labels_in(self._entries / f"L{layer_index}", "*/explanation-*.json")

    @property
    def _entries(self) -> UPath:
        return self.tables.root / self.study / "labels" / "entries"

    def _of_neuron(self, neuron: NeuronId) -> UPath:
        return self._entries / f"L{neuron.layer_index}" / f"N{neuron.neuron_index}"

    def _read(self, paths: Sequence[UPath]) -> Kept:
        found = [_read(path, self.tables.name(path)) for path in paths]
        damaged = tuple(each for each in found if isinstance(each, Damaged))
        labels = (each for each in found if not isinstance(each, Damaged))
        return Kept(tuple(sorted(labels, key=lambda label: label.written_at)), damaged)


def _labels_in(folder: UPath, pattern: str) -> Sequence[UPath]:
    """Sorted by name; whatever else lies there is left alone."""
    folder.fs.invalidate_cache()  # others write, too
    return sorted((path for path in folder.glob(pattern) if _NAME.fullmatch(path.name)), key=str)


def _read(path: UPath, name: str) -> Label | Damaged:
    try:
        content = path.read_bytes()
        if _hash(content) not in path.name:
            return Damaged(name, "its content is not what its name was made from; it was cut off, or changed by hand")
        label = _LABEL.validate_json(content, strict=True)
    except ValidationError as error:
        return Damaged(name, f"it holds no label that this version reads ({error.errors()[0]['msg']})")
    except (OSError, InvalidLabel) as error:
        return Damaged(name, str(error))
    place = f"L{label.neuron.layer_index}/N{label.neuron.neuron_index}/{label.kind}-"
    return label if place in name else Damaged(name, f"it lies elsewhere than labels of {label.neuron} do")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]
