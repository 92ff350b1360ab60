"""How far a score may be off, had other documents been drawn: percentile bootstrap over documents.

The tokens of a document hang together, so that whole documents are resampled, never tokens or excerpts. A document's
six sums stand for it (`scoring.DocumentSums`): a draw is a count of how often each document was taken, and its
correlation is one product of counts and sums.

Here: the interval of a neuron's score and of the mean score of a layer. Not here: the score itself
(`scoring.py`), the draws (`resampling.py`), and intervals of anything but correlations (`metrics.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.records import NeuronId
from neuron_assets.method.resampling import (
    neuron_draws,
    percentiles,
    resample,
    too_few,
    too_few_documents,
    too_often_undefined,
)
from neuron_assets.method.scoring import N_SUMS, DocumentSums, correlation_from_sums

FEWEST_NEURONS = 2

_CHUNK_BYTES = 1 << 22
"""About what the resampled sums of the neurons at hand may take, whatever the number of neurons."""


@dataclass(frozen=True, slots=True, eq=False)
class NeuronSums:
    """The documents that one neuron is scored on, by why their excerpts were chosen."""

    neuron: NeuronId
    top: DocumentSums | None
    """None for the score on random excerpts only."""
    random: DocumentSums

    @property
    def document_indices(self) -> Int[np.ndarray, " row"]:
        """Of the random documents, then the top ones; a document of both strata stands twice."""
        top = () if self.top is None else (self.top.document_indices,)
        return np.concatenate((self.random.document_indices, *top))

    @property
    def sums(self) -> Float[np.ndarray, "row 6"]:
        """Rows as in `document_indices`."""
        return np.concatenate((self.random.sums, *(() if self.top is None else (self.top.sums,))))


@dataclass(frozen=True, slots=True)
class Interval:
    """Of one neuron's score. Both ends, or a reason why there are none."""

    low: float | None
    high: float | None
    n_documents: int
    """Distinct ones, both strata together."""
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class LayerInterval:
    """Of the mean over a layer's neurons of a score or a difference. Both ends, or a reason why there are none."""

    mean: float | None
    """Over the neurons whose score is defined; None where there is none."""
    low: float | None
    high: float | None
    n_neurons: int
    """All that were given, defined or not."""
    n_undefined: int
    """Those left out of the mean. They count neither as 0 nor as anything else."""
    failure: str | None = None


Documents = Int[np.ndarray, " document"]
Counts = Callable[[NeuronSums], Float[np.ndarray, "row draw"]]
"""How often each draw takes each of a neuron's rows."""

Chunk = TypeVar("Chunk", Sequence[NeuronSums], Int[np.ndarray, " row"])


def neuron_interval(sums: NeuronSums, *, seed: int, n_draws: int = 1000, level: float = 0.95) -> Interval:
    """The interval of one neuron's score; what `neuron_intervals` gives it among others."""
    return neuron_intervals([sums], seed=seed, n_draws=n_draws, level=level)[0]


def neuron_intervals(
    neurons: Sequence[NeuronSums], *, seed: int, n_draws: int = 1000, level: float = 0.95
) -> tuple[Interval, ...]:
    """The intervals of many neurons' scores, in the order given: percentile bootstrap, stratified.

    Resampled: with replacement, as many random documents as there are, and apart from them as many top documents as
    there are; a document goes with all its excerpts of that stratum. Not resampled: the tokens and excerpts of a
    document, the choice of the top excerpts, the explanation and its simulation. A neuron's draws depend on the seed
    and its own indices only, not on its neighbours, and its random documents are drawn alike with or without top ones.
    Draws without a score are left out; above a tenth of them there is no interval.
    """
    counts = own_draws(seed, n_draws)
    intervals: list[Interval] = []
    for chunk in chunks(neurons, n_draws):
        ends = percentiles(correlations(chunk, n_draws, counts), level)
        intervals.extend(_interval(sums, *row) for sums, row in zip(chunk, zip(*ends, strict=True), strict=True))
    return tuple(intervals)


def own_draws(seed: int, n_draws: int) -> Counts:
    """The draws of a neuron's own interval, stratified: whatever is computed in them, they are the same."""

    def counts(sums: NeuronSums) -> Float[np.ndarray, "row draw"]:
        strata = [sums.random] if sums.top is None else [sums.random, sums.top]
        return neuron_draws(sums.neuron, [len(stratum.sums) for stratum in strata], seed=seed, n_draws=n_draws)

    return counts


def shared_draws(documents: Documents, taken: Float[np.ndarray, "document draw"]) -> Counts:
    """The draws of a layer's documents, which are the same for each of its neurons."""

    def counts(sums: NeuronSums) -> Float[np.ndarray, "row draw"]:
        return taken[np.searchsorted(documents, sums.document_indices)]

    return counts


def layer_interval(
    neurons: Sequence[NeuronSums], *, seed: int, n_draws: int = 1000, level: float = 0.95
) -> LayerInterval:
    """The interval of the mean score over the neurons given: percentile bootstrap over documents and over neurons.

    Resampled: with replacement, as many documents as there are among all neurons and both strata together, once a
    draw, and these counts hold for every neuron and stratum, as the neurons saw the same documents; then as many
    neurons as have a score. A neuron without a score in a draw is left out of that draw's mean. Not resampled: as in
    `neuron_intervals`. The draws depend on the seed and on the numbers of documents and neurons only.

    The percentiles are moved so that the draws have the mean at their middle. As one count holds for all neurons, a
    draw changes how many top and random documents a neuron has, which pulls every r down a little; over many neurons
    that pull, which the real sampling of documents does not have, grows larger than the interval is wide.
    """
    points = np.array([float(correlation_from_sums(sums.sums.sum(axis=0))) for sums in neurons])
    scored = [sums for sums, r in zip(neurons, points, strict=True) if np.isfinite(r)]

    def drawn(documents: Documents, taken: Float[np.ndarray, "document draw"]) -> Float[np.ndarray, "draw neuron"]:
        counts = shared_draws(documents, taken)
        draws = [correlations(chunk, n_draws, counts) for chunk in chunks(scored, n_draws)]
        return np.ascontiguousarray(np.concatenate(draws).T)

    of_scored = [sums.document_indices for sums in scored]
    return mean_interval(points, of_scored, drawn, lowest=-1.0, seed=seed, n_draws=n_draws, level=level)


def mean_interval(  # noqa: PLR0913  # what is known of the neurons, and how to draw
    points: Float[np.ndarray, " neuron"],
    documents_of_scored: Sequence[Int[np.ndarray, " _"]],
    drawn: Callable[[Documents, Float[np.ndarray, "document draw"]], Float[np.ndarray, "draw scored"]],
    *,
    lowest: float,
    highest: float = 1.0,
    seed: int,
    n_draws: int,
    level: float,
) -> LayerInterval:
    """The mean of `points`, NaN where a neuron has none, and its interval, resampled as `layer_interval` says.

    `drawn` gives the numbers of the neurons that have one, from all their documents, ascending, and how often each draw
    takes each. No number is under `lowest` or above `highest`.
    """
    n_scored = len(documents_of_scored)
    n_undefined = len(points) - n_scored
    mean = float(np.nanmean(points)) if n_scored else None
    documents = np.unique(np.concatenate(documents_of_scored)) if n_scored else np.empty(0, int)
    failure = too_few(n_scored, FEWEST_NEURONS, "scored neurons") or too_few_documents(len(documents))
    if mean is None or failure is not None:
        return LayerInterval(mean, None, None, len(points), n_undefined, failure)

    rng = np.random.default_rng([seed, 0, 0, 1])  # the 1 keeps it apart from the stream of any neuron
    draws = drawn(documents, resample(rng, len(documents), n_draws))
    return interval_in_draws(points, draws, rng, lowest=lowest, highest=highest, level=level)


def interval_in_draws(  # noqa: PLR0913  # the numbers, how to draw, and what they are bounded by
    points: Float[np.ndarray, " neuron"],
    draws: Float[np.ndarray, "draw scored"],
    rng: np.random.Generator,
    *,
    lowest: float,
    highest: float = 1.0,
    level: float = 0.95,
) -> LayerInterval:
    """The same of neurons some of which have a number, where their numbers in each draw of documents are there."""
    mean, n_undefined = float(np.nanmean(points)), len(points) - draws.shape[1]
    means = _means_of_resampled_neurons(rng, draws)
    ends = percentiles(means[np.newaxis], level)
    failure = too_often_undefined(float(ends.undefined[0]))
    if failure is not None:
        return LayerInterval(mean, None, None, len(points), n_undefined, failure)
    pull = float(np.nanmean(means)) - mean
    low, high = (float(np.clip(end[0] - pull, lowest, highest)) for end in (ends.low, ends.high))
    return LayerInterval(mean, low, high, len(points), n_undefined)


def _means_of_resampled_neurons(
    rng: np.random.Generator, draws: Float[np.ndarray, "draw neuron"]
) -> Float[np.ndarray, " draw"]:
    """The mean over the resampled neurons in each draw of the documents, NaN where none of them has a score."""
    drawn = np.take_along_axis(draws, rng.integers(draws.shape[1], size=draws.shape), axis=1)
    means: Float[np.ndarray, " draw"] = drawn.mean(axis=1)
    for draw in np.flatnonzero(np.isnan(means)):
        defined = drawn[draw][~np.isnan(drawn[draw])]
        if len(defined):
            means[draw] = defined.mean()
    return means


def correlations(neurons: Sequence[NeuronSums], n_draws: int, counts: Counts) -> Float[np.ndarray, "neuron draw"]:
    """Each neuron's r in each draw, NaN where undefined; `counts` says how often a draw takes each of its rows.

    Only a neuron's own documents are multiplied: most documents of a pool hold nothing that a given neuron kept.
    """
    totals = np.empty((len(neurons), N_SUMS, n_draws))
    with np.errstate(all="ignore"):  # sums that are not finite have no score, and `_interval` says so
        for i, sums in enumerate(neurons):
            np.matmul(sums.sums.T, counts(sums), out=totals[i])
    return correlation_from_sums(np.moveaxis(totals, 1, -1))


def _interval(sums: NeuronSums, low: float, high: float, undefined: float) -> Interval:
    n_documents = len(np.unique(sums.document_indices))
    failure = too_few_documents(n_documents)
    if failure is None and not np.isfinite(sums.sums).all():
        failure = "not finite"
    failure = failure or too_often_undefined(undefined)
    if failure is not None:
        return Interval(None, None, n_documents, failure)
    return Interval(float(low), float(high), n_documents)


def chunks(items: Chunk, n_draws: int) -> Iterator[Chunk]:
    """The items, one a neuron, in runs whose resampled sums take about `_CHUNK_BYTES`."""
    length = max(1, _CHUNK_BYTES // (8 * N_SUMS * n_draws))
    for start in range(0, len(items), length):
        yield items[start : start + length]
