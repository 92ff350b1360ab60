"""The scores of a layer in a few numbers: mean with its interval, spread, the best and the worst neuron.

Here: one layer's neurons under one author and sample. Not here: rows (`tables/`), plots (`assets/plots.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neuron_assets.method.intervals import LayerInterval, NeuronSums, layer_interval

HALF = 0.5


@dataclass(frozen=True, slots=True)
class LayerScores:
    """One layer's scores. What is None is undefined."""

    interval: LayerInterval
    n_neurons: int
    """All that were asked for."""
    n_undefined: int
    """Those without a score; in no mean, no quantile, no share."""
    quantile_10: float | None
    median: float | None
    quantile_90: float | None
    share_above_half: float | None
    best_neuron: int | None
    worst_neuron: int | None


def summarize(
    neuron_indices: Sequence[int],
    scores: Sequence[float | None],
    sums: Sequence[NeuronSums],
    *,
    seed: int,
    n_draws: int,
) -> LayerScores:
    """`scores` stands beside `neuron_indices`; `sums` holds those of the neurons that have a score."""
    there = [(score, neuron) for score, neuron in zip(scores, neuron_indices, strict=True) if score is not None]
    values = np.array([score for score, _ in there])
    quantiles = [float(value) for value in np.quantile(values, (0.1, 0.5, 0.9))] if there else [None] * 3
    return LayerScores(
        interval=layer_interval(sums, seed=seed, n_draws=n_draws),
        n_neurons=len(neuron_indices),
        n_undefined=len(neuron_indices) - len(there),
        quantile_10=quantiles[0],
        median=quantiles[1],
        quantile_90=quantiles[2],
        share_above_half=float((values > HALF).mean()) if there else None,
        best_neuron=max(there)[1] if there else None,
        worst_neuron=min(there)[1] if there else None,
    )
