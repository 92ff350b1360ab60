"""Activations as the whole numbers 0 to 10 that a language model reads and writes.

The rule is that of Bills et al. (2023): negative is 0, the largest activation of all the excerpts that are shown
together is 10, and what lies between is cut down to a whole number, never rounded up.

Here: the arithmetic. Not here: which excerpts are shown together, and how the numbers are written into a prompt.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.records import LARGEST


def largest_activation(
    excerpts: Float[np.ndarray, "excerpt token"] | Sequence[Float[np.ndarray, " _"]],
) -> float:
    """The largest activation over all the excerpts given, in the neuron's unit; 0 where none is positive.

    It is the unit of one prompt: of what is shown together, not of an excerpt and not of the corpus. Raises ValueError
    where there is nothing to take it from (no excerpt, or one without tokens) and where an activation is not finite.
    """
    if len(excerpts) == 0 or any(excerpt.size == 0 for excerpt in excerpts):
        raise ValueError("There is no largest activation: no excerpts, or one without tokens.")
    for excerpt in excerpts:
        _refuse_non_finite(excerpt)
    return max(0.0, *(float(excerpt.max()) for excerpt in excerpts))


def scaled_activations(activations: Float[np.ndarray, "*axes"], largest: float) -> Int[np.ndarray, "*axes"]:
    """Whole numbers 0..10 of one shape with the activations: min(10, floor(10 max(0, a) / largest)).

    `largest` is in the unit of the activations; where it is not positive, everything is 0. What is larger than it is
    10. A positive activation under a tenth of it is 0 and counts as silence from there on. Raises ValueError where an
    activation is not finite.
    """
    _refuse_non_finite(activations)
    if largest <= 0:
        return np.zeros(activations.shape, dtype=np.int64)
    # float64 first, then times ten, then divided: any other order gives other whole numbers at the boundaries
    # (0.3 of 1 is 3), and float16 overflows above 6,550.
    tenths = LARGEST * np.maximum(activations, 0, dtype=np.float64) / largest
    scaled: Int[np.ndarray, "*axes"] = np.minimum(np.floor(tenths), LARGEST).astype(np.int64)
    return scaled


def _refuse_non_finite(activations: Float[np.ndarray, "*axes"]) -> None:
    if not np.isfinite(activations).all():
        raise ValueError("An activation is NaN or infinite; it has no place on the scale of 0 to 10.")
