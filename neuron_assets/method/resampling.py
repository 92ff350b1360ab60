"""Draws of documents, and what lies in their middle: the two ends of every interval of this package.

Put here: how often each document is drawn, percentiles of many draws, and when there is no interval. Keep out: what is
computed in a draw (`intervals.py` for correlations, `metrics.py` for the rest).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neuron_assets.method.records import NeuronId

FEWEST_DOCUMENTS = 5
MOST_UNDEFINED = 0.1
"""Where more than this share of the draws has no score, there is no interval: the score hangs on one or two documents
(one that alone makes a series vary is missing from about 35 % of the draws, two from about 12 %, three from 4 %)."""


class Ends(NamedTuple):
    low: Float[np.ndarray, " row"]
    high: Float[np.ndarray, " row"]
    undefined: Float[np.ndarray, " row"]
    """The share of the draws that are undefined, 0 to 1."""


def neuron_draws(
    neuron: NeuronId, stratum_sizes: Sequence[int], *, seed: int, n_draws: int
) -> Float[np.ndarray, "document draw"]:
    """How often each draw takes each of a neuron's documents, drawn within each stratum; the strata in their order.

    Depends on the seed, the neuron's indices and the sizes only, and the first stratum's draws not on the second's. So
    a neuron's metrics on the same documents share their draws, in whatever order and company they are computed.
    """
    rng = np.random.default_rng([seed, neuron.layer_index, neuron.neuron_index])
    return np.concatenate([resample(rng, size, n_draws) for size in stratum_sizes])


def resample(rng: np.random.Generator, n_documents: int, n_draws: int) -> Float[np.ndarray, "document draw"]:
    """How often each document is taken when as many are drawn, with replacement, as there are."""
    if n_documents == 0:
        return np.zeros((0, n_draws))
    cells = rng.integers(n_documents, size=(n_documents, n_draws))
    cells *= n_draws
    cells += np.arange(n_draws)
    return np.bincount(cells.ravel(), minlength=cells.size).reshape(cells.shape).astype(np.float64)


def percentiles(draws: Float[np.ndarray, "row draw"], level: float) -> Ends:
    """Both ends of the middle `level` of each row's defined draws, interpolated as numpy's quantile does it.

    numpy's nanquantile says the same, a row at a time in Python: 10,000 neurons would wait for it.
    """
    ordered = np.sort(draws, axis=1)  # NaN goes last
    n_defined = np.count_nonzero(~np.isnan(draws), axis=1)
    ends = []
    for part in ((1 - level) / 2, (1 + level) / 2):
        place = part * np.maximum(n_defined - 1, 0)
        below = np.floor(place).astype(int)
        above = np.minimum(below + 1, np.maximum(n_defined - 1, 0))
        row = np.arange(len(draws))
        ends.append(ordered[row, below] + (ordered[row, above] - ordered[row, below]) * (place - below))
    return Ends(ends[0], ends[1], 1 - n_defined / draws.shape[1])


def too_few(n: int, fewest: int, what: str) -> str | None:
    return f"{n} of the {fewest} {what} that an interval needs" if n < fewest else None


def too_few_documents(n_documents: int) -> str | None:
    return too_few(n_documents, FEWEST_DOCUMENTS, "documents")


def too_often_undefined(share: float) -> str | None:
    return f"{share:.0%} of the draws have no score" if share > MOST_UNDEFINED else None
