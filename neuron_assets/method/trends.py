"""Scores by what else is known of their neurons: bins of equal counts, and what one point of a trend says.

All points are made in the same draws of documents, in which each score is computed once: a neuron stands in a point of
each trend. Here: which neurons stand together, and their scores in a few numbers. Not here: rows (`tables/trends.py`),
plots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.intervals import (
    FEWEST_NEURONS,
    LayerInterval,
    NeuronSums,
    chunks,
    correlations,
    interval_in_draws,
    shared_draws,
)
from neuron_assets.method.paired import LARGEST_DIFFERENCE
from neuron_assets.method.resampling import resample, too_few, too_few_documents
from neuron_assets.method.scoring import correlation_from_sums

Trend = Literal["depth", "density", "kurtosis", "explainer", "revision"]
TRENDS: tuple[Trend, ...] = get_args(Trend)

LIMITS = (0.5, 0.7, 0.8)
"""Of each, the share of scores above it is told."""

MOST_BINS = 10
FEWEST_IN_A_BIN = 10
"""A study of fewer neurons has fewer bins."""

_NONE = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """Scores of neurons, or how they differ, as they are and in draws of documents; NaN where there is none."""

    values: Float[np.ndarray, " neuron"]
    in_draws: Float[np.ndarray, "neuron draw"]
    documents: tuple[Int[np.ndarray, " _"], ...]
    """Those that each neuron is scored on; none of a neuron without a score."""
    seed: int
    lowest: float = -1.0
    """No value can be less, or more than the opposite."""

    def less(self, other: "Line") -> "Line":
        """The differences to another line of the same neurons."""
        values, in_draws = self.values - other.values, self.in_draws - other.in_draws
        return Line(values, in_draws, self.documents, self.seed, -LARGEST_DIFFERENCE)

    def point(self, neurons: Int[np.ndarray, " member"]) -> LayerInterval:
        """The mean over some of the neurons, by their places, and its interval: over documents and over neurons.

        As `intervals.layer_interval` has it, but that the documents drawn from are those of all lines together.
        """
        values = self.values[neurons]
        scored = neurons[~np.isnan(values)]
        n_undefined = len(values) - len(scored)
        documents = np.unique(np.concatenate([*(self.documents[place] for place in scored.tolist()), _NONE]))
        failure = too_few(len(scored), FEWEST_NEURONS, "scored neurons") or too_few_documents(len(documents))
        if failure is not None:
            mean = float(np.nanmean(values)) if len(scored) else None
            return LayerInterval(mean, None, None, len(values), n_undefined, failure)
        rng = np.random.default_rng([self.seed, 0, 0, 2])  # the 2 keeps it apart from that of the documents
        draws = np.ascontiguousarray(self.in_draws[scored].T)
        return interval_in_draws(values, draws, rng, lowest=self.lowest, highest=-self.lowest)


def lines_of(scored: Sequence[Sequence[NeuronSums | None]], *, seed: int, n_draws: int) -> tuple[Line, ...]:
    """Each of some lists of neurons as a line, all in the same draws of all their documents.

    None stands for a neuron without a score. The draws depend on the seed and the number of documents only.
    """
    there = [each.document_indices for sums in scored for each in sums if each is not None]
    documents = np.unique(np.concatenate([*there, _NONE]))
    rng = np.random.default_rng([seed, 0, 0, 1])  # as for the mean of a layer
    counts = shared_draws(documents, resample(rng, len(documents), n_draws))
    lines = []
    for sums in scored:
        in_draws = np.full((len(sums), n_draws), np.nan)
        for places in chunks(np.flatnonzero([each is not None for each in sums]), n_draws):
            in_draws[places] = correlations([each for p in places if (each := sums[p]) is not None], n_draws, counts)
        values = np.array([np.nan if each is None else correlation_from_sums(each.sums.sum(axis=0)) for each in sums])
        of_each = tuple(_NONE if each is None else each.document_indices for each in sums)
        lines.append(Line(values, in_draws, of_each, seed))
    return tuple(lines)


def bins_of_equal_counts(values: Float[np.ndarray, " neuron"]) -> Int[np.ndarray, " neuron"]:
    """The bin of each value, from 0 for the lowest; no value may be NaN.

    As many bins as have `FEWEST_IN_A_BIN` values each, at least one and at most `MOST_BINS`. Their counts differ by one
    at most, but that equal values are never parted: they stand in the bin of the first of them. A bin that is left
    without a value is not numbered.
    """
    n_bins = min(MOST_BINS, max(1, len(values) // FEWEST_IN_A_BIN))
    n_lower = np.searchsorted(np.sort(values), values, side="left")
    _, bins = np.unique(n_lower * n_bins // max(1, len(values)), return_inverse=True)
    return np.asarray(bins, np.int64)


def shares_above(values: Float[np.ndarray, " neuron"]) -> tuple[float | None, ...]:
    """By `LIMITS`, of those that are not NaN; None where all are."""
    there = values[~np.isnan(values)]
    return tuple(float((there > limit).mean()) if len(there) else None for limit in LIMITS)
