"""A judge without a language model: what a simulator expects of an excerpt, turned into a verdict on it.

Here: from simulated activations to probabilities of a yes, for detection and for fuzzing. Not here: who simulated
(`rules/simulating.py`, or a language model), and where the threshold comes from (fitted on `calibration`, or given).
"""

import numpy as np
from jaxtyping import Bool, Float

THRESHOLD = 1.0
"""Of simulated activations, 0 to 10: a tenth, as for the true ones."""


def detection_by_simulation(
    simulated: Float[np.ndarray, "judged token"], threshold: float = THRESHOLD
) -> Float[np.ndarray, " judged"]:
    """Whether the neuron is expected to be active anywhere: a probability above a half where a token is above it."""
    return _probabilities(simulated.max(axis=1, initial=0.0), threshold)


def fuzzing_by_simulation(
    simulated: Float[np.ndarray, "judged token"],
    marked: Bool[np.ndarray, "judged token"],
    threshold: float = THRESHOLD,
) -> Float[np.ndarray, " judged"]:
    """Whether each marked token is expected to be active: above a half where the weakest of them is above it."""
    weakest = np.where(marked, simulated, np.inf).min(axis=1, initial=np.inf)
    return _probabilities(np.where(marked.any(axis=1), weakest, 0.0), threshold)


def _probabilities(strengths: Float[np.ndarray, " judged"], threshold: float) -> Float[np.ndarray, " judged"]:
    """S / (s + threshold): rising with s, and above a half where s is above the threshold. NaN stays NaN.

    Only its order and that half mean something. Raises ValueError unless the threshold is positive.
    """
    if not threshold > 0:
        raise ValueError(f"The threshold must be positive, not {threshold}.")
    strengths = np.maximum(strengths, 0.0)
    return np.asarray(strengths / (strengths + threshold))
