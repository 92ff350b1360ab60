"""What a neuron did on a text that somebody proposed, held against what the explanation lets expect.

Here: the record, and when a neuron has fired. Not here: who measures (a subject model), who proposes (`sentences.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.revising.sentences import ProposedSentence

ACTIVE_SHARE = 0.1
"""A neuron is active above this share of its maximum over `train`."""


@dataclass(frozen=True, slots=True, eq=False)
class Counterexample:
    """A measured text. It speaks against the explanation where it did not turn out as expected."""

    text: str
    tokens: tuple[str, ...]
    """As the subject cuts the text."""
    activations: Float[np.ndarray, " token"]
    """Raw, in the neuron's own unit."""
    should_fire: bool
    fired: bool

    @property
    def as_expected(self) -> bool:
        return self.fired == self.should_fire


def measured(
    sentence: ProposedSentence,
    tokens: Sequence[str],
    activations: Float[np.ndarray, " _"],
    *,
    train_maximum: float,
    active_share: float = ACTIVE_SHARE,
) -> Counterexample:
    """The record of a text: a neuron has fired if any of its activations is above its share of the `train` maximum.

    Where nothing in `train` is positive, above 0. Raises UnequalLengths unless there is one activation a token, and
    ValueError where there is no token, or an activation is not finite.
    """
    if len(tokens) != len(activations):
        raise UnequalLengths(len(tokens), len(activations))
    if not len(tokens) or not np.isfinite(activations).all():
        raise ValueError(f"{sentence.text!r} was not measured: no tokens, or an activation is NaN or infinite.")
    fired = bool(activations.max() > active_share * max(train_maximum, 0.0))
    return Counterexample(sentence.text, tuple(tokens), activations, sentence.should_fire, fired)
