"""Both signs of every unit: what it does, and what it does below zero, are looked at as two units.

Here: a subject around another one. Not here: how the second of a pair is called (`study.Study.unit_name`).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int

from neuron_assets.subjects.subject import Receive, Subject


class SignedSubject:
    """Of each of the subject's n units two: unit i is itself, unit n + i is it negated."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    @property
    def unsigned(self) -> Subject:
        """The subject whose units these are."""
        return self._subject

    @property
    def name(self) -> str:
        return self._subject.name

    @property
    def n_layers(self) -> int:
        return self._subject.n_layers

    @property
    def n_neurons(self) -> int:
        return 2 * self._subject.n_neurons

    def tokenize(self, text: str) -> list[int]:
        return self._subject.tokenize(text)

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        return self._subject.token_strings(token_ids)

    def text(self, token_ids: Sequence[int]) -> str:
        return self._subject.text(token_ids)

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        """As the subject runs, with twice as many units."""

        def both(layer_index: int, activations: Float[torch.Tensor, "excerpt token neuron"]) -> None:
            n_units = activations.shape[2]
            signs = activations.new_empty((*activations.shape[:2], 2 * n_units))
            signs[..., :n_units] = activations
            torch.neg(activations, out=signs[..., n_units:])
            receive(layer_index, signs)

        self._subject.run(token_ids, layers, both)
