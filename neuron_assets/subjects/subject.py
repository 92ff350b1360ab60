"""What a subject model is to the rest of the package: anything that turns excerpts of tokens into activations.

Here: the seam, and the check of a subject's sizes. Not here: any model. Whatever can yield a block of numbers
[excerpt, token, unit] can be harvested, explained and scored by standing behind `Subject`: the MLPs of a language model
(`hooked`), units whose rule is known (`planted`), both signs of either (`signed`), directions of one's own and the
latents of sparse autoencoders (`directions`, `sparse_autoencoders`), and as well attention heads.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int

from neuron_assets.errors import SubjectMismatch
from neuron_assets.subjects.sites import Site

Receive: TypeAlias = Callable[[int, Float[torch.Tensor, "excerpt token neuron"]], None]
"""Takes a layer index and what the neurons of that layer did, raw. The tensor is lent until the pass ends (`run`
returns): until then it must not be changed, neither here nor there."""


@runtime_checkable
class Subject(Protocol):
    """A subject model: some layers of equally many neurons, and the tokens it reads."""

    @property
    def name(self) -> str:
        """What messages call it."""

    @property
    def n_layers(self) -> int: ...

    @property
    def n_neurons(self) -> int:
        """In each layer."""

    def tokenize(self, text: str) -> list[int]:
        """The token ids of a text, nothing added and nothing cut."""

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        """What a reader sees of each token; bytes that are no text of their own stand as <0xE2>."""

    def text(self, token_ids: Sequence[int]) -> str:
        """What the tokens say together; only bytes that are torn at an end stand as <0xE2>."""

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        """One forward pass over these excerpts, each by itself from its first token on.

        Calls `receive` once for each of `layers`, in ascending order, with activations [excerpt, token, neuron] in the
        order of `token_ids`, on any device and in any floating dtype. An exception of `receive` ends the pass and is
        passed on.
        """


@runtime_checkable
class Listenable(Subject, Protocol):
    """A subject that can be heard at other places than its neurons."""

    def listen(
        self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], site: Site, receive: Receive
    ) -> None:
        """As `run`, with what is at `site` of a layer in place of what its neurons did."""


def check_sizes(subject: Subject, *, n_layers: int, n_neurons: int) -> None:
    """Raises SubjectMismatch unless the subject that was loaded has the sizes that the study says."""
    if subject.n_layers != n_layers:
        raise SubjectMismatch(subject.name, "layers", subject.n_layers, n_layers)
    if subject.n_neurons != n_neurons:
        raise SubjectMismatch(subject.name, "neurons a layer", subject.n_neurons, n_neurons)
