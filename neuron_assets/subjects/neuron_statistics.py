"""What one layer's neurons do over a whole pool: exact moments, and a sample of tokens for what needs more than sums.

Here: two running states of fixed size for one layer, the same under any batching. Not here: which pool, the pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int

from neuron_assets.subjects import devices
from neuron_assets.subjects.exemplars import Block

QUANTILES = (0.5, 0.9, 0.99, 0.999)
_NEURONS_AT_ONCE = 256
"""Bounds the memory of the last step: the sample is looked at in this many columns at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class NeuronStatistics:
    """How a layer's neurons behave over the `train` pool: the one that may be known while explaining."""

    mean: Float64[np.ndarray, " neuron"]
    """Over all tokens, as all down to `positive_share`."""
    variance: Float64[np.ndarray, " neuron"]
    """Of the population: divided by the number of tokens."""
    maximum: Float32[np.ndarray, " neuron"]
    positive_share: Float64[np.ndarray, " neuron"]
    """Share of tokens with an activation over zero."""
    active_share: Float64[np.ndarray, " neuron"]
    """Share of tokens over a told share of `maximum`; of sampled tokens, as all below."""
    skewness: Float64[np.ndarray, " neuron"]
    """`scipy.stats.skew`, biased: m3 / m2^1.5. NaN where all sampled tokens are equal."""
    kurtosis: Float64[np.ndarray, " neuron"]
    """`scipy.stats.kurtosis`, Fisher's and biased: m4 / m2^2 - 3. NaN where all sampled tokens are equal."""
    quantiles: Float32[np.ndarray, "neuron quantile"]
    """At QUANTILES, with linear interpolation."""
    n_tokens: int
    n_sampled_tokens: int


class Moments:
    """Sum, sum of squares, count of positives and maximum of each neuron.

    Each excerpt is summed by itself in fp32, and excerpts are added in fp64. On a CPU that is one excerpt after the
    other, always in the same way: so the result has the same bits under any batching. Elsewhere the excerpts of a batch
    are added at once: mean and variance of other batchings differ there in the last bits.
    Sums are of the distance from a pivot, the neuron's median on the first excerpt: else the variance of a neuron that
    hardly leaves a high level would be lost in rounding.
    """

    def __init__(self, first: Float[torch.Tensor, "token neuron"]) -> None:
        """Takes the activations of the pool's first excerpt; they still have to be offered."""
        self._pivot = first.float().median(0).values
        self._sums = torch.zeros(3, first.shape[1], dtype=torch.float64, device=first.device)
        self._maximum = torch.full_like(self._pivot, -torch.inf)
        self._n_tokens = torch.zeros((), dtype=torch.int64)
        self._scratch = torch.empty(first.shape) if devices.works_in_small_steps(first.device) else None

    def offer(
        self, activations: Float[torch.Tensor, "excerpt token neuron"]
    ) -> Float32[torch.Tensor, "excerpt neuron"]:
        """Adds the excerpts; gives their peaks, as they are read just then."""
        if self._scratch is None:
            peaks, sums = peaks_and_sums(activations, self._pivot)
            self._sums += sums.sum(1, dtype=torch.float64)
        else:
            peaks = self._one_by_one(activations, self._scratch)
        torch.maximum(self._maximum, peaks.amax(0), out=self._maximum)
        self._n_tokens += activations.shape[0] * activations.shape[1]
        return peaks

    def _one_by_one(
        self, activations: Float[torch.Tensor, "excerpt token neuron"], scratch: Float32[torch.Tensor, "token neuron"]
    ) -> Float32[torch.Tensor, "excerpt neuron"]:
        """Excerpt by excerpt, as each of them is in the cache just then."""
        peaks = torch.empty(activations.shape[0], activations.shape[2])
        distance, square, positive = partial = torch.empty(3, activations.shape[2])
        for excerpt, peak in zip(activations.unbind(), peaks.unbind(), strict=True):
            torch.sub(excerpt, self._pivot, out=scratch)
            torch.sum(scratch, 0, out=distance)
            torch.mul(scratch, scratch, out=scratch)
            torch.sum(scratch, 0, out=square)
            torch.gt(excerpt, 0, out=scratch)
            torch.sum(scratch, 0, out=positive)
            self._sums.add_(partial)
            peak.copy_(excerpt.amax(0))
        return peaks

    def total(self) -> Float64[torch.Tensor, ""]:
        """A number that is finite as long as all that was offered is (and is not close to the end of fp32)."""
        return self._sums[0].sum()

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, by name; lent."""
        return {"pivot": self._pivot, "sums": self._sums, "maximum": self._maximum, "n_tokens": self._n_tokens}

    def statistics(self, sample: "TokenSample", active_share: float) -> NeuronStatistics:
        """Active is what is over `active_share` times the neuron's maximum."""
        n_tokens = int(self._n_tokens)
        distance, square, positive = (self._sums / n_tokens).cpu().numpy()
        maximum = (self._maximum + 0.0).cpu().numpy()  # never -0.0
        sampled = [_sampled(columns, maximum[begin:end] * np.float32(active_share)) for begin, end, columns in sample]
        active, skewness, kurtosis, quantiles = (np.concatenate(parts) for parts in zip(*sampled, strict=True))
        return NeuronStatistics(
            mean=self._pivot.double().cpu().numpy() + distance,
            variance=np.maximum(square - distance**2, 0),
            maximum=maximum,
            positive_share=positive,
            active_share=active,
            skewness=skewness,
            kurtosis=kurtosis,
            quantiles=quantiles,
            n_tokens=n_tokens,
            n_sampled_tokens=sample.n_tokens,
        )


class TokenSample:
    """What all neurons did on some tokens of a pool, drawn before anything was looked at."""

    def __init__(self, places: Int[np.ndarray, " sampled"], first: Float[torch.Tensor, "token neuron"]) -> None:
        """Takes the sampled tokens as excerpt's place in the pool x tokens of an excerpt + token, ascending."""
        self._places = places
        self._places_there = torch.from_numpy(places).to(first.device)
        self._values = torch.zeros(len(places), first.shape[1], device=first.device)

    @property
    def n_tokens(self) -> int:
        return len(self._places)

    def offer(self, block: Block) -> None:
        """Keeps the sampled tokens of this block."""
        n_excerpts, n_tokens, _ = block.activations.shape
        here = np.array([block.first, block.first + n_excerpts]) * n_tokens
        begin, end = np.searchsorted(self._places, here).tolist()
        if begin < end:
            place = self._places_there[begin:end] - block.first * n_tokens
            self._values[begin:end] = block.activations[place // n_tokens, place % n_tokens].float()

    def state(self) -> dict[str, torch.Tensor]:
        """All that is not a function of the draw, by name; lent."""
        return {"values": self._values}

    def __iter__(self) -> Iterator[tuple[int, int, Float32[np.ndarray, "neuron sampled"]]]:
        """Some neurons at a time: the first of them, the one after the last of them, and their values."""
        for begin in range(0, self._values.shape[1], _NEURONS_AT_ONCE):
            values = self._values[:, begin : begin + _NEURONS_AT_ONCE].T
            yield begin, begin + len(values), np.ascontiguousarray(values.cpu().numpy())


def peaks_and_sums(
    activations: Float[torch.Tensor, "excerpt token neuron"], pivot: Float32[torch.Tensor, " neuron"]
) -> tuple[Float32[torch.Tensor, "excerpt neuron"], Float32[torch.Tensor, "3 excerpt neuron"]]:
    """Over each excerpt's tokens: the maximum; the sum of distances from the pivot, of their squares, of positives."""
    return devices.in_one_kernel(_peaks_and_sums, activations.device)(activations, pivot)


def _peaks_and_sums(
    activations: Float[torch.Tensor, "excerpt token neuron"], pivot: Float32[torch.Tensor, " neuron"]
) -> tuple[Float32[torch.Tensor, "excerpt neuron"], Float32[torch.Tensor, "3 excerpt neuron"]]:
    distance = activations.float() - pivot
    n_positive = (activations > 0).sum(1, dtype=torch.float32)
    return activations.amax(1).float(), torch.stack([distance.sum(1), (distance * distance).sum(1), n_positive])


def draw_tokens(random: np.random.Generator, *, n_tokens: int, n_sampled: int) -> Int[np.ndarray, " sampled"]:
    """Distinct places below `n_tokens`, ascending; all of them where fewer are there than asked for."""
    return np.sort(random.choice(n_tokens, min(n_tokens, n_sampled), replace=False, shuffle=False))


def _sampled(
    values: Float32[np.ndarray, "neuron sampled"], threshold: Float32[np.ndarray, " neuron"]
) -> tuple[
    Float64[np.ndarray, " neuron"],
    Float64[np.ndarray, " neuron"],
    Float64[np.ndarray, " neuron"],
    Float32[np.ndarray, "neuron quantile"],
]:
    """Share over the threshold, skewness, kurtosis, quantiles."""
    values = np.sort(values, axis=1)
    distance = values - values.mean(1, dtype=np.float64, keepdims=True)
    square = distance * distance
    second, third, fourth = square.mean(1), (square * distance).mean(1), (square * square).mean(1)
    second = np.where(values[:, 0] == values[:, -1], np.nan, second)
    active = (values > threshold[:, None]).mean(1)
    return active, third / second**1.5, fourth / second**2 - 3, _quantiles(values)


def _quantiles(ascending: Float32[np.ndarray, "neuron sampled"]) -> Float32[np.ndarray, "neuron quantile"]:
    place = np.array(QUANTILES) * (ascending.shape[1] - 1)
    below, above = ascending[:, np.floor(place).astype(int)], ascending[:, np.ceil(place).astype(int)]
    between: Float64[np.ndarray, "neuron quantile"] = below + (above.astype(np.float64) - below) * (place % 1)
    return between.astype(np.float32)
