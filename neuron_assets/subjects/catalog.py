"""The sizes of known subject models, as data: a graph of layers loads without torch, weights or a network.

Here: names and sizes. Not here: anything that opens a model (`hooked.py`, `bundled/`).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SubjectSize:
    n_layers: int
    n_neurons: int
    """Neurons of one layer: the width of the MLP's hidden layer."""


CATALOG: Mapping[str, SubjectSize] = {
    "bundled": SubjectSize(n_layers=6, n_neurons=768),
    "bundled_untrained": SubjectSize(n_layers=6, n_neurons=768),
    "planted": SubjectSize(n_layers=1, n_neurons=14),
}
