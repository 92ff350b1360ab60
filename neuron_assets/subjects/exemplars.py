"""The excerpts that are kept of one layer's neurons while the corpus streams by: the highest peaks, and random ones.

Here: two running states of fixed size for one layer and one pool, exact under any batching. Not here: the pass itself,
which pool a batch belongs to, statistics.
Ranking is on fp32 peaks, ties go to the lower excerpt index; only the rows that are kept are stored in fewer bits.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64

_HIGHEST_INDEX = 2**32 - 1
_SIGNLESS = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Block:
    """What one layer did on one batch: excerpts of one pool, in ascending order."""

    activations: Float[torch.Tensor, "excerpt token neuron"]
    peaks: Float32[torch.Tensor, "excerpt neuron"]
    """Maximum over the tokens; never -0.0."""
    excerpts: Int64[torch.Tensor, " excerpt"]
    """Their indices in the corpus."""
    first: int
    """Place in the pool of the first of them; the others follow without a gap."""


@dataclass(frozen=True, slots=True, eq=False)
class Exemplars:
    """What a layer's neurons did on the excerpts that were kept of one pool for one reason."""

    excerpts: Int64[np.ndarray, "neuron kept"]
    """Row of the corpus."""
    peaks: Float32[np.ndarray, "neuron kept"]
    """Maximum over the excerpt's tokens, unrounded."""
    rows: Float[np.ndarray, "neuron kept token"]
    """Raw activations, rounded to the dtype that was asked for."""


class TopExcerpts:
    """The `n_kept` excerpts of highest peak, for each neuron, of those offered so far.

    A slot holds one key (the peak's order above, the excerpt's below, so that comparing keys breaks ties) and one row.
    Slots are in no order until the end; an excerpt that enters is written where one leaves.
    """

    def __init__(self, n_kept: int, like: Float[torch.Tensor, "token neuron"], dtype: torch.dtype) -> None:
        n_tokens, n_neurons = like.shape
        self._n_kept = n_kept
        # Empty slots rank below everything, and differ: no two keys of a neuron are ever equal.
        nothing = torch.full((n_neurons, n_kept), -torch.inf, device=like.device)
        self._keys = _ranking_keys(nothing, _HIGHEST_INDEX - torch.arange(n_kept, device=like.device))
        self._rows = torch.zeros(n_neurons, n_kept, n_tokens, dtype=dtype, device=like.device)
        # The lowest peak that is kept, by neuron; where none is to be kept, nothing passes.
        self._lowest = torch.full((n_neurons,), -torch.inf if n_kept else torch.inf, device=like.device)

    def offer(self, block: Block) -> None:
        """Lets in what ranks higher than what is kept. Blocks must come in ascending order of excerpts."""
        # Strictly higher: among equal peaks the lower index stays, and that one came first.
        gated = (block.peaks.amax(0) > self._lowest).nonzero().squeeze(1)
        if len(gated) == 0:
            return
        kept = self._keys[gated]
        offered = _ranking_keys(block.peaks.index_select(1, gated).T, block.excerpts)
        lowest = _nth_highest(torch.cat([kept, offered], 1), self._n_kept)  # [gated, 1]
        # As many enter as leave, neuron by neuron, and nonzero() lists both neuron by neuron: they pair up.
        row, excerpt = (offered >= lowest).nonzero(as_tuple=True)
        slot = (kept < lowest).nonzero(as_tuple=True)[1]
        self._keys[gated[row], slot] = offered[row, excerpt]
        self._lowest[gated] = _peaks_of(lowest.squeeze(1))
        # Excerpt by excerpt, neighbouring neurons lie side by side in memory: four times as fast.
        order = excerpt.argsort(stable=True)
        excerpt, neuron = excerpt[order], gated[row[order]]
        self._rows[neuron, slot[order]] = block.activations[excerpt, :, neuron].to(self._rows.dtype)

    def exemplars(self) -> Exemplars:
        """From the highest peak down, equal peaks by ascending excerpt."""
        keys, order = self._keys.sort(1, descending=True)
        rows = self._rows[torch.arange(len(order), device=order.device)[:, None], order]
        return Exemplars(_excerpts_of(keys).cpu().numpy(), _peaks_of(keys).cpu().numpy(), rows.cpu().numpy())


class RandomExcerpts:
    """Excerpts that were drawn before anything was looked at, for each neuron its own.

    One excerpt out of each of `n_kept` equal blocks of the pool, so that a neuron never has the same one twice. As the
    corpus is in a shuffled order, that is a draw without replacement. Being random, one may well be a top one too.
    """

    def __init__(
        self,
        drawn: Int[np.ndarray, "neuron kept"],
        pool: Int[np.ndarray, " excerpt"],
        like: Float[torch.Tensor, "token neuron"],
        dtype: torch.dtype,
    ) -> None:
        """Takes places in the pool as `draw` gives them, and the pool's excerpts."""
        n_neurons, self._n_kept = drawn.shape
        self._excerpts = pool[drawn].astype(np.int64)
        order = drawn.ravel().argsort(kind="stable")
        self._places = drawn.ravel()[order].astype(np.int32)  # ascending
        self._slots = order.astype(np.int32)  # neuron x kept, as one number, in the order of _places
        self._peaks = torch.zeros(n_neurons * self._n_kept, device=like.device)
        self._rows = torch.zeros(n_neurons * self._n_kept, like.shape[0], dtype=dtype, device=like.device)

    def offer(self, block: Block) -> None:
        """Keeps what was drawn of this block."""
        begin, end = np.searchsorted(self._places, [block.first, block.first + len(block.excerpts)])
        slot = torch.from_numpy(self._slots[begin:end].astype(np.int64)).to(self._peaks.device)
        excerpt = torch.from_numpy(self._places[begin:end].astype(np.int64)).to(slot.device) - block.first
        neuron = slot // self._n_kept
        self._peaks[slot] = block.peaks[excerpt, neuron]
        self._rows[slot] = block.activations[excerpt, :, neuron].to(self._rows.dtype)

    def exemplars(self) -> Exemplars:
        """In ascending order of excerpts."""
        rows = self._rows.view(*self._excerpts.shape, self._rows.shape[1])
        return Exemplars(self._excerpts, self._peaks.view(self._excerpts.shape).cpu().numpy(), rows.cpu().numpy())


def draw(
    random: np.random.Generator, *, n_neurons: int, n_kept: int, n_excerpts: int
) -> Int[np.ndarray, "neuron kept"]:
    """Places in a pool of `n_excerpts`, ascending for each neuron: one out of each of `n_kept` blocks of equal size.

    Where the pool does not divide evenly, sizes differ by one. A neuron's draw does not depend on `n_neurons`.
    """
    bounds = np.arange(n_kept + 1) * n_excerpts // max(n_kept, 1)
    return random.integers(bounds[:-1], bounds[1:], size=(n_neurons, n_kept))


def _ranking_keys(
    peaks: Float32[torch.Tensor, "neuron excerpt"], excerpts: Int64[torch.Tensor, " excerpt"]
) -> Int64[torch.Tensor, "neuron excerpt"]:
    """Whole numbers in the order of (peak, then the lower excerpt first)."""
    # The bits of a float, read as a whole number, are in its order once those of negative ones are turned round.
    bits = peaks.contiguous().view(torch.int32)
    ordered = bits ^ ((bits >> 31) & _SIGNLESS)
    return (ordered.long() << 32) | (_HIGHEST_INDEX - excerpts)


def _nth_highest(keys: Int64[torch.Tensor, "neuron key"], n: int) -> Int64[torch.Tensor, "neuron 1"]:
    # numpy selects 64-bit whole numbers six times as fast as torch.
    lowest_first = np.partition(keys.cpu().numpy(), -n, axis=1)
    return torch.from_numpy(lowest_first[:, -n, None]).to(keys.device)


def _peaks_of(keys: Int64[torch.Tensor, "*shape"]) -> Float32[torch.Tensor, "*shape"]:
    ordered = (keys >> 32).int()
    return (ordered ^ ((ordered >> 31) & _SIGNLESS)).view(torch.float32)


def _excerpts_of(keys: Int64[torch.Tensor, "*shape"]) -> Int64[torch.Tensor, "*shape"]:
    return _HIGHEST_INDEX - (keys & _HIGHEST_INDEX)
