"""A model of which only is known what is heard in it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from neuron_assets.subjects.sites import Site
from neuron_assets.subjects.subject import Receive, Subject


@dataclass
class ToldSubject:
    """Lends [layer, excerpt, token, width], whatever is asked where; a token id is its excerpt's index."""

    values: NDArray[np.float64]
    dtype: torch.dtype = torch.float32
    sites: list[Site] = field(default_factory=list)
    name: str = "told"
    n_neurons: int = 0

    @property
    def n_layers(self) -> int:
        return len(self.values)

    def tokenize(self, text: str) -> list[int]:
        return [len(text)]

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        return [f"<{token_id}>" for token_id in token_ids]

    def text(self, token_ids: Sequence[int]) -> str:
        return "".join(self.token_strings(token_ids))

    def run(self, token_ids: NDArray[np.int64], layers: Sequence[int], receive: Receive) -> None:
        raise AssertionError("the neurons are not asked for")

    def listen(self, token_ids: NDArray[np.int64], layers: Sequence[int], site: Site, receive: Receive) -> None:
        self.sites.append(site)
        for layer_index in layers:
            lent = torch.from_numpy(self.values[layer_index][token_ids[:, 0]]).to(self.dtype)
            before = lent.clone()
            receive(layer_index, lent)
            assert torch.equal(before, lent)  # it was only lent


def units(subject: Subject, layers: Sequence[int], n_excerpts: int) -> dict[int, NDArray[np.float64]]:
    """What the units of these layers do on the first excerpts [excerpt, token, unit]."""
    received: dict[int, NDArray[np.float64]] = {}

    def receive(layer_index: int, activations: torch.Tensor) -> None:
        received[layer_index] = activations.double().numpy()

    subject.run(np.arange(n_excerpts)[:, None], layers, receive)
    return received
