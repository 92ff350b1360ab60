"""How far two simulations of the same neurons differ in score, and how far that may be off.

Two scores of a neuron on the same excerpts rise and fall together: whoever compares their intervals throws that away.
So each draw of documents scores both, and the differences are what is looked at. It serves whatever differs: a revised
explanation and its first, two explainers, two simulators.

Here: the difference of a neuron and the mean one of a layer, second less first. Not here: which documents are drawn
(`intervals.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.intervals import (
    Counts,
    Documents,
    LayerInterval,
    NeuronSums,
    chunks,
    correlations,
    mean_interval,
    own_draws,
    shared_draws,
)
from neuron_assets.method.resampling import percentiles, too_few_documents, too_often_undefined
from neuron_assets.method.scoring import correlation_from_sums

LARGEST_DIFFERENCE = 2.0
"""Of two correlations."""

_TRUE = (0, 1, 3)
"""The sums of a document that speak of the neuron alone: n, sum a, sum aa."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one neuron: the correlation of the second simulation less that of the first, -2 to 2."""

    value: float | None
    low: float | None
    high: float | None
    """Both ends, or neither."""
    n_documents: int
    failure: str | None = None
    """Why there is no value, or else no interval."""


def paired_differences(
    first: Sequence[NeuronSums | None],
    second: Sequence[NeuronSums | None],
    *,
    seed: int,
    n_draws: int = 1000,
    level: float = 0.95,
) -> tuple[Difference, ...]:
    """The differences of neurons, in the order given: percentile bootstrap, stratified, in the draws of their scores.

    Both lists hold the same neurons on the same excerpts, None where there was no simulation. Two simulations that are
    the same differ by 0, from 0 to 0. Draws in which either has no score are left out; above a tenth of them there is
    no interval. Raises ValueError where the two are not of the same neurons and excerpts.
    """
    points = _differences(first, second)
    found = [
        Difference(None if np.isnan(point) else point, None, None, _n_documents(a, b), _why_undefined(a, b))
        for point, a, b in zip(points.tolist(), first, second, strict=True)
    ]
    counts = own_draws(seed, n_draws)
    for rows in chunks(np.flatnonzero(np.isfinite(points)), n_draws):
        ends = percentiles(_in_draws(first, second, rows, counts, n_draws), level)
        for row, low, high, undefined in zip(rows.tolist(), *ends, strict=True):
            alone = found[row]
            failure = too_few_documents(alone.n_documents) or too_often_undefined(float(undefined))
            both_ends = {"failure": failure} if failure else {"low": float(low), "high": float(high)}
            found[row] = replace(alone, **both_ends)
    return tuple(found)


def layer_difference(
    first: Sequence[NeuronSums | None],
    second: Sequence[NeuronSums | None],
    *,
    seed: int,
    n_draws: int = 1000,
    level: float = 0.95,
) -> LayerInterval:
    """The mean difference over the neurons that have both scores: bootstrap over documents and over neurons.

    Drawn as for the mean score of a layer (`intervals.layer_interval`): a neuron is drawn with both its simulations.
    Raises ValueError as `paired_differences` does.
    """
    points = _differences(first, second)
    scored = np.flatnonzero(np.isfinite(points))

    def drawn(documents: Documents, taken: Float[np.ndarray, "document draw"]) -> Float[np.ndarray, "draw neuron"]:
        counts = shared_draws(documents, taken)
        draws = [_in_draws(first, second, rows, counts, n_draws) for rows in chunks(scored, n_draws)]
        return np.ascontiguousarray(np.concatenate(draws).T)

    of_scored = [sums.document_indices for row in scored.tolist() if (sums := first[row]) is not None]
    ends = {"lowest": -LARGEST_DIFFERENCE, "highest": LARGEST_DIFFERENCE}
    return mean_interval(points, of_scored, drawn, **ends, seed=seed, n_draws=n_draws, level=level)


def _differences(
    first: Sequence[NeuronSums | None], second: Sequence[NeuronSums | None]
) -> Float[np.ndarray, " neuron"]:
    """Second less first on all documents, NaN where either is undefined."""
    if len(first) != len(second):
        raise ValueError(f"{len(first)} neurons and {len(second)}: they must be the same ones.")
    for a, b in zip(first, second, strict=True):
        if a is not None and b is not None:
            _refuse_others(a, b)
    return np.array([_r(b) - _r(a) for a, b in zip(first, second, strict=True)], np.float64)


def _r(sums: NeuronSums | None) -> float:
    return np.nan if sums is None else float(correlation_from_sums(sums.sums.sum(axis=0)))


def _refuse_others(first: NeuronSums, second: NeuronSums) -> None:
    if first.neuron != second.neuron:
        raise ValueError(f"{first.neuron} and {second.neuron} stand side by side: they must be the same neuron.")
    same_strata = (first.top is None) == (second.top is None) and len(first.random.sums) == len(second.random.sums)
    if (
        not same_strata
        or not np.array_equal(first.document_indices, second.document_indices)
        or not np.allclose(first.sums[:, _TRUE], second.sums[:, _TRUE], rtol=1e-9, atol=0, equal_nan=True)
    ):
        raise ValueError(f"{first.neuron} was scored on two different samples of excerpts: they must be the same.")


def _in_draws(
    first: Sequence[NeuronSums | None],
    second: Sequence[NeuronSums | None],
    rows: Int[np.ndarray, " row"],
    counts: Counts,
    n_draws: int,
) -> Float[np.ndarray, "row draw"]:
    before, after = (
        correlations([sums for row in rows.tolist() if (sums := side[row]) is not None], n_draws, counts)
        for side in (first, second)
    )
    return np.asarray(after - before)


def _n_documents(first: NeuronSums | None, second: NeuronSums | None) -> int:
    known = first or second
    return 0 if known is None else len(np.unique(known.document_indices))


def _why_undefined(first: NeuronSums | None, second: NeuronSums | None) -> str | None:
    undefined = [name for name, sums in (("first", first), ("second", second)) if np.isnan(_r(sums))]
    if len(undefined) == len(("first", "second")):
        return "neither has a score"
    return f"the {undefined[0]} has no score" if undefined else None
