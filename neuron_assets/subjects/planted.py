"""A subject model whose neurons are known beforehand: each follows a rule that somebody wrote down.

Here: rules over token strings, standing where a model's neurons stand. Not here: the rules (`method.planted`). What an
explainer says of such a neuron can be held against the truth.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int

from neuron_assets.errors import LayerOutOfRange
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.subject import Receive

Rule: TypeAlias = Callable[[Sequence[str]], Sequence[float]]
"""From the token strings of an excerpt to as many activations."""


class PlantedSubject:
    """One layer of neurons, each of which follows one rule."""

    def __init__(self, name: str, rules: Sequence[Rule], pieces: Pieces) -> None:
        self._name = name
        self._rules = tuple(rules)
        self._pieces = pieces

    @property
    def name(self) -> str:
        return self._name

    @property
    def n_layers(self) -> int:
        return 1

    @property
    def n_neurons(self) -> int:
        return len(self._rules)

    def tokenize(self, text: str) -> list[int]:
        return self._pieces.tokenize(text)

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        return self._pieces.token_strings(token_ids)

    def text(self, token_ids: Sequence[int]) -> str:
        return self._pieces.text(token_ids)

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        """Applies every rule to every excerpt; raises LayerOutOfRange on any layer but 0."""
        for layer_index in layers:
            if layer_index != 0:
                raise LayerOutOfRange(layer_index, self.n_layers, self._name)
        excerpts = [self.token_strings(excerpt) for excerpt in token_ids.tolist()]
        activations = [[rule(strings) for rule in self._rules] for strings in excerpts]  # excerpt, neuron, token
        receive(0, torch.tensor(activations, dtype=torch.float32).transpose(1, 2).contiguous())
