"""Units that are computed from what is heard in a model: so many functions of a vector, for each layer.

Here: a subject around a model that can be listened to. Not here: the functions (`directions`, `sparse_autoencoders`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int

from neuron_assets.errors import UnusableUnits
from neuron_assets.subjects.sites import Site
from neuron_assets.subjects.subject import Listenable, Receive

Compute: TypeAlias = Callable[[Float[torch.Tensor, "excerpt token width"]], Float[torch.Tensor, "excerpt token unit"]]
"""From what is heard to what the units of a layer do. It must not change what it takes."""
Open: TypeAlias = Callable[[int, Float[torch.Tensor, "excerpt token width"]], Compute]
"""Makes the function of a layer, on the device and in the dtype of what is heard first, and checks the width."""


@dataclass(frozen=True, slots=True)
class Units:
    """What is computed, and from what."""

    n_units: int
    """In each layer."""
    site: Site
    open: Open


class DerivedSubject:
    """A language model, with other units in the place of its neurons."""

    def __init__(self, subject: Listenable, units: Units) -> None:
        self._subject = subject
        self._units = units
        self._opened: dict[int, Compute] = {}

    @property
    def name(self) -> str:
        return self._subject.name

    @property
    def n_layers(self) -> int:
        return self._subject.n_layers

    @property
    def n_neurons(self) -> int:
        return self._units.n_units

    def tokenize(self, text: str) -> list[int]:
        return self._subject.tokenize(text)

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        return self._subject.token_strings(token_ids)

    def text(self, token_ids: Sequence[int]) -> str:
        return self._subject.text(token_ids)

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        """One forward pass of the model; raises UnusableUnits where a layer is heard first and its units do not fit."""

        def compute(layer_index: int, heard: Float[torch.Tensor, "excerpt token width"]) -> None:
            if layer_index not in self._opened:
                self._opened[layer_index] = self._units.open(layer_index, heard)
            receive(layer_index, self._opened[layer_index](heard))

        self._subject.listen(token_ids, layers, self._units.site, compute)


def check_numbers(path: Path, name: str, tensor: torch.Tensor) -> None:
    """Raises UnusableUnits unless a tensor of that file holds floating numbers, all of them finite."""
    if not tensor.is_floating_point():
        dtype = str(tensor.dtype).removeprefix("torch.")
        raise UnusableUnits(path, f"`{name}` holds {dtype}", "Floating numbers are needed, such as float32.")
    if not tensor.float().isfinite().all():  # in the narrowest dtypes it cannot be asked
        raise UnusableUnits(path, f"`{name}` holds what is no finite number", "Write or take the file anew.")
