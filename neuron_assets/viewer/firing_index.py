"""Which neurons fire together: whose highest peaks on `train` are in the same excerpts.

Here: the index in memory, as arrays. Not here: what is told of a hit (`search.py`).
"""

from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Int

from neuron_assets.errors import TableError
from neuron_assets.method.records import NeuronId
from neuron_assets.viewer.kept import KeptIndex
from neuron_assets.viewer.shelf import OpenStudy


@dataclass(frozen=True, slots=True, eq=False)
class FiringIndex:
    """Neurons by number: those of the study's first layer, then of the next, `n_units` each."""

    layers: tuple[int, ...]
    n_units: int
    starts: Int[np.ndarray, " excerpt+1"]
    numbers: Int[np.ndarray, " kept"]
    """Of the neurons that keep excerpt e among their top ones, from starts[e] to starts[e + 1]."""
    left_out: tuple[str, ...]
    """Why layers are not in it, that have tables."""

    def number(self, neuron: NeuronId) -> int | None:
        """None of a layer that the study does not list any more."""
        if neuron.layer_index not in self.layers:
            return None
        return self.layers.index(neuron.layer_index) * self.n_units + neuron.neuron_index

    def neuron(self, number: int) -> NeuronId:
        return NeuronId(self.layers[number // self.n_units], number % self.n_units)

    def n_shared(self, excerpt_indices: Int[np.ndarray, " excerpt"]) -> Int[np.ndarray, " number"]:
        """How many of these excerpts each neuron has among its top ones."""
        known = excerpt_indices[excerpt_indices < len(self.starts) - 1]
        held = [self.numbers[self.starts[excerpt] : self.starts[excerpt + 1]] for excerpt in known]
        together = np.concatenate(held) if held else np.zeros(0, np.int32)
        return np.bincount(together, minlength=len(self.layers) * self.n_units)


def build_firing_index(study: OpenStudy) -> FiringIndex:
    """Reads `activations` of all layers; one that is damaged, or of another cut of the corpus, is left out and told."""
    layers, n_units = study.study.layer_indices, study.study.n_units
    excerpts, numbers, left_out = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], []
    on_top = (pl.col("split") == "train") & (pl.col("kind") == "top") & (pl.col("neuron_index") < n_units)
    for place, layer_index in enumerate(layers):
        try:
            rows = study.layer("activations", layer_index, ["neuron_index", "excerpt_index"], on_top)
        except TableError as error:
            left_out.append(str(error))
            continue
        if rows is None:
            continue
        rows = rows.unique()
        excerpts.append(rows["excerpt_index"].to_numpy())
        numbers.append(rows["neuron_index"].to_numpy() + np.int32(place * n_units))
    of_excerpt, of_number = np.concatenate(excerpts), np.concatenate(numbers)
    order = np.argsort(of_excerpt, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(of_excerpt))])
    return FiringIndex(layers, n_units, starts, of_number[order], tuple(left_out))


FIRING_INDEX = KeptIndex(("activations",), build_firing_index)
