"""How much better one number a neuron is than another, over the neurons that have both, and how often.

Two numbers of one neuron rise and fall together, so what is looked at is their difference. Of such a number no more is
known than its value: only neurons are drawn. Where the sums of documents are known, `paired.py` draws documents, too.

Put here: the mean of such differences, its interval, and the share of wins. Keep out: which numbers these are
(`tables/compared.py`), differences of correlations (`paired.py`).
"""

import numpy as np
from jaxtyping import Float

from neuron_assets.method.intervals import LayerInterval
from neuron_assets.method.resampling import percentiles, resample, too_few

FEWEST_COMPARED = 5
"""Neurons that an interval needs, where nothing but neurons is drawn."""

_CHUNK_BYTES = 1 << 26
"""About what the draws at hand may take, whatever the number of neurons."""


def mean_difference(
    first: Float[np.ndarray, " neuron"],
    second: Float[np.ndarray, " neuron"],
    *,
    seed: int,
    n_draws: int = 1000,
    level: float = 0.95,
) -> LayerInterval:
    """The mean of second less first, and its interval: percentile bootstrap over neurons.

    Both hold the same neurons in the same order, each with a finite number, in whatever unit. Resampled: with
    replacement, as many neurons as there are, each with both its numbers. Not resampled: documents, so that the
    interval is one for these excerpts. The draws depend on the seed and on the number of neurons only. Raises
    ValueError where the two are not of one length.
    """
    differences = second - first
    n_neurons = len(differences)
    mean = float(differences.mean()) if n_neurons else None
    failure = too_few(n_neurons, FEWEST_COMPARED, "neurons with both values")
    if failure is not None:
        return LayerInterval(mean, None, None, n_neurons, 0, failure)
    rng = np.random.default_rng([seed, 0, 0, 2])  # the 2 keeps it apart from the streams of neurons and of layers
    at_once = max(1, _CHUNK_BYTES // (8 * n_neurons))
    sizes = [min(at_once, n_draws - start) for start in range(0, n_draws, at_once)]
    sums = np.concatenate([differences @ resample(rng, n_neurons, size) for size in sizes])
    ends = percentiles(sums[np.newaxis] / n_neurons, level)
    return LayerInterval(mean, float(ends.low[0]), float(ends.high[0]), n_neurons, 0)


def win_rate(first: Float[np.ndarray, " neuron"], second: Float[np.ndarray, " neuron"]) -> float | None:
    """The share of neurons whose second number is the higher one, 0 to 1; equal ones count half. None without any."""
    if len(first) == 0:
        return None
    return float((np.sign(second - first).mean() + 1) / 2)
