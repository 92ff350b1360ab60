"""The file in which a forward pass sets down how far it has come: tensors, and what they were made from.

Put here: writing and reading it, and refusing one that is of something else. Keep out: what a pass has to set down
(`subjects/harvest.py`), whose file it is (`shared_pass.py`).
"""

import json
import logging
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open
from upath import UPath

from neuron_assets.tables.writing_aside import is_local, written_aside

if TYPE_CHECKING:
    import torch

    from neuron_assets.subjects.harvest import Checkpoint

_DAMAGE = (SafetensorError, OSError, OverflowError, ValueError, LookupError, TypeError)
"""What reading a file may raise that is not whole, or in which something else stands."""
_LAYOUT = "1"
"""Raised when the state of a pass changes."""


@dataclass(slots=True, eq=False)
class CheckpointFile:
    """One pass's, in the safetensors format."""

    path: UPath
    made_from: Mapping[str, str]
    """All that decides what the pass gives; a checkpoint of anything else is refused."""
    every_seconds: float
    log: logging.Logger
    _layers: Sequence[int] = ()
    _last: float = field(default_factory=time.monotonic)

    def begin(self, layers: Sequence[int]) -> None:
        """From here on it is of the pass of these layers."""
        self._layers, self._last = tuple(layers), time.monotonic()

    def layers(self) -> Sequence[int]:
        """Those of the pass that can be gone on with; none where there is none. One that cannot is removed."""
        if not self.path.exists():
            return []
        try:
            told = self._metadata()
            layers = [int(layer) for layer in json.loads(told["layers"])]
        except _DAMAGE as error:
            self._refuse(f"it cannot be read ({error})")
            return []
        other = [name for name, made_from in self._made_from.items() if told.get(name) != made_from]
        if other:
            self._refuse(f"it is of another {', another '.join(other)}")
        return [] if other else layers

    def is_due(self) -> bool:
        return time.monotonic() - self._last >= self.every_seconds

    def write(self, checkpoint: "Checkpoint") -> None:
        """Where it cannot be written, the log says so, the one before stays, and the pass goes on."""
        from safetensors.torch import save_file

        place = {"n_done": checkpoint.n_done, "batch_size": checkpoint.batch_size}
        lowered = {"batch_size_lowered_from": checkpoint.batch_size_lowered_from}
        told = {**self._made_from, "layers": json.dumps(self._layers), "place": json.dumps(place | lowered)}
        try:
            tensors = {name: tensor.cpu().contiguous() for name, tensor in checkpoint.state.items()}
            with written_aside(self.path) as aside, _on_disk(aside) as file:
                save_file(tensors, file, told)
                if not is_local(aside):
                    aside.fs.put_file(file, aside.path)
        except (OSError, SafetensorError, MemoryError, RuntimeError) as error:  # the last is torch's want of memory
            self.log.warning("How far the pass has come could not be written to %s: %s", self.path, error)
        self._last = time.monotonic()

    def read(self) -> "Checkpoint | None":
        """Of the pass of these layers, if there is one."""
        from neuron_assets.subjects.harvest import Checkpoint

        if not self._layers or self.layers() != [*self._layers]:
            return None
        try:
            return Checkpoint(**json.loads(self._metadata()["place"]), state=self._tensors())
        except _DAMAGE as error:
            self._refuse(f"it cannot be read ({error})")
            return None

    def remove(self) -> None:
        """Once what it leads to stands."""
        self.path.unlink(missing_ok=True)

    @property
    def _made_from(self) -> Mapping[str, str]:
        return {"layout": _LAYOUT, **self.made_from}

    def _refuse(self, why: str) -> None:
        self.log.warning("The checkpoint %s is not gone on from, and removed: %s.", self.path, why)
        with suppress(OSError):  # the next one takes its place
            self.remove()

    def _metadata(self) -> Mapping[str, str]:
        if is_local(self.path):
            with safe_open(self.path.path, framework="pt") as file:
                return file.metadata() or {}
        with self.path.open("rb") as remote:  # the header: its length, then JSON
            header = json.loads(remote.read(int.from_bytes(remote.read(8), "little")))
        return dict(header["__metadata__"])

    def _tensors(self) -> "Mapping[str, torch.Tensor]":
        from safetensors.torch import load_file

        with _on_disk(self.path) as file:
            if not is_local(self.path):
                self.path.fs.get_file(self.path.path, file)
            return load_file(file)


@contextmanager
def _on_disk(path: UPath) -> Iterator[str]:
    """The file itself; of one elsewhere, a copy to write or fetch it by: in memory it would be there twice."""
    if is_local(path):
        yield path.path
        return
    with tempfile.TemporaryDirectory() as folder:
        yield str(Path(folder) / path.name)
