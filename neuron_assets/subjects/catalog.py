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
    longest_excerpt: int
    """Tokens that it can read at once."""
    weights: str
    """Of what is shipped with this package, the first digits of the file's sha256 (of the tokenizer's, where there are
    no weights): other weights are another subject."""


TOKENIZER = "c7abb0f57db3"
"""First digits of the sha256 of the bundled tokenizer, which all subjects so far read with."""

CATALOG: Mapping[str, SubjectSize] = {
    "bundled": SubjectSize(n_layers=6, n_neurons=768, longest_excerpt=128, weights="9f2e482b9e85"),
    "bundled_untrained": SubjectSize(n_layers=6, n_neurons=768, longest_excerpt=128, weights=TOKENIZER),
    "planted": SubjectSize(n_layers=1, n_neurons=14, longest_excerpt=1024, weights=TOKENIZER),
}
