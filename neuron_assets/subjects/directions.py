"""Directions of one's own: how far the residual stream, or an MLP's output, goes along given vectors.

Here: matrices [direction, width] of a safetensors file as units of a model. Not here: which layers a file has
(`unit_files`). A unit's activation is the inner product with its vector, as it stands in the file.
"""

import torch
from jaxtyping import Float
from safetensors import safe_open
from torch.nn.functional import linear

from neuron_assets.errors import LayerWithoutUnits, UnusableUnits
from neuron_assets.subjects.derived import Compute, DerivedSubject, Units, check_numbers
from neuron_assets.subjects.sites import Site
from neuron_assets.subjects.subject import Listenable
from neuron_assets.subjects.unit_files import DirectionsFile


def open_directions(subject: Listenable, file: DirectionsFile, site: Site) -> DerivedSubject:
    """The model's layers with these directions as their units; a layer's matrix is read when it is first heard."""

    def open_layer(layer_index: int, heard: Float[torch.Tensor, "excerpt token width"]) -> Compute:
        if layer_index not in file.keys:
            raise LayerWithoutUnits(layer_index, file.path, file.keys)
        key = file.keys[layer_index]
        with safe_open(file.path, framework="pt") as opened:
            matrix = opened.get_tensor(key)
        _check(file, key, matrix, heard.shape[2], f"{site} of {subject.name}")
        matrix = matrix.to(heard.device, heard.dtype)
        return lambda heard: linear(heard, matrix)

    return DerivedSubject(subject, Units(file.n_units, site, open_layer))


def _check(file: DirectionsFile, key: str, matrix: torch.Tensor, width: int, heard: str) -> None:
    if matrix.shape[1] != width:
        reason = f"the directions of `{key}` are {matrix.shape[1]} numbers wide, the {heard} is {width} wide"
        raise UnusableUnits(file.path, reason, "Mend `at` or `file` under `units`, or choose another subject.")
    check_numbers(file.path, key, matrix)
