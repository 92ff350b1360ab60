"""The excerpts that are kept of one layer's neurons while the corpus streams by: the highest peaks, and random ones.

Here: two running states of fixed size for one layer and one pool, exact under any batching. Not here: the pass itself,
which pool a batch belongs to, statistics.
Ranking is on fp32 peaks, ties go to the lower excerpt index; only the rows that are kept are stored in fewer bits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int64

from neuron_assets.subjects import devices

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
        self.n_kept = n_kept
        # Empty slots rank below everything, and differ: no two keys of a neuron are ever equal.
        nothing = torch.full((n_neurons, n_kept), -torch.inf, device=like.device)
        self._keys = _ranking_keys(nothing, _HIGHEST_INDEX - torch.arange(n_kept, device=like.device))
        self._rows = torch.zeros(n_neurons, n_kept, n_tokens, dtype=dtype, device=like.device)
        # The lowest peak that is kept, by neuron.
        self._lowest = torch.full((n_neurons,), -torch.inf, device=like.device)

    def lets_in(self, block: Block) -> Bool[torch.Tensor, " neuron"]:
        """The neurons for which something of the block ranks higher than what is kept.

        Strictly higher: among equal peaks the lower index stays, and that one came first.
        """
        return block.peaks.amax(0) > self._lowest

    def kept(self, gated: Int64[torch.Tensor, " gated"]) -> Int64[torch.Tensor, "gated kept"]:
        return self._keys[gated]

    def enter(self, entering: "Entering", block: Block) -> None:
        """Writes what enters where something leaves."""
        neuron, slot, excerpt = entering.gated[entering.row], entering.slot, entering.excerpt
        self._keys[neuron, slot] = entering.keys
        self._lowest[entering.gated] = _peaks_of(entering.lowest)
        # Excerpt by excerpt, neighbouring neurons lie side by side in memory: four times as fast.
        order = excerpt.argsort(stable=True)
        excerpt, neuron = excerpt[order], neuron[order]
        self._rows[neuron, slot[order]] = block.activations[excerpt, :, neuron].to(self._rows.dtype)

    def state(self) -> dict[str, torch.Tensor]:
        """All of it, by name; lent."""
        return {"keys": self._keys, "rows": self._rows, "lowest": self._lowest}

    def exemplars(self) -> Exemplars:
        """From the highest peak down, equal peaks by ascending excerpt."""
        keys, order = self._keys.sort(1, descending=True)
        rows = self._rows[torch.arange(len(order), device=order.device)[:, None], order]
        return Exemplars(_excerpts_of(keys).cpu().numpy(), _peaks_of(keys).cpu().numpy(), rows.cpu().numpy())


@dataclass(frozen=True, slots=True, eq=False)
class Entering:
    """What enters the top excerpts of one layer, and where."""

    gated: Int64[torch.Tensor, " gated"]
    """The neurons for which something enters."""
    lowest: Int64[torch.Tensor, " gated"]
    """The lowest key that each of them keeps now."""
    row: Int64[torch.Tensor, " entering"]
    """Whose it is, by place in `gated`."""
    slot: Int64[torch.Tensor, " entering"]
    excerpt: Int64[torch.Tensor, " entering"]
    """By place in the block."""
    keys: Int64[torch.Tensor, " entering"]


def let_in(offered: Sequence[tuple[TopExcerpts, Block]]) -> None:
    """Lets in what ranks higher than what is kept, each layer for itself; all of one pool, batch and device.

    Blocks must come in ascending order of excerpts. How much enters has to be read off the device before it can be
    written, which makes a GPU wait: so all layers are read off together, five times in all.
    """
    n_kept = offered[0][0].n_kept
    if n_kept == 0:
        return
    gated = _true_places([top.lets_in(block) for top, block in offered])
    if not any(map(len, gated)):
        return
    kept = _joined([top.kept(neurons) for (top, _), neurons in zip(offered, gated, strict=True)])
    new = _joined(
        [
            _ranking_keys(block.peaks.index_select(1, neurons).T, block.excerpts)
            for (_, block), neurons in zip(offered, gated, strict=True)
        ]
    )
    lowest = _nth_highest(torch.cat([kept, new], 1), n_kept)  # [gated, 1]
    # As many enter as leave, neuron by neuron, and nonzero() lists both neuron by neuron: they pair up.
    row, excerpt = (new >= lowest).nonzero(as_tuple=True)
    slot = (kept < lowest).nonzero(as_tuple=True)[1]
    ends = [0, *accumulate(map(len, gated))]  # of each layer's gated neurons among all of them
    bounds = [0, len(row)] if len(gated) == 1 else torch.searchsorted(row, row.new_tensor(ends)).tolist()
    for place, (top, block) in enumerate(offered):
        begin, end = bounds[place : place + 2]
        entering = Entering(
            gated=gated[place],
            lowest=lowest[ends[place] : ends[place + 1], 0],
            row=row[begin:end] - ends[place],
            slot=slot[begin:end],
            excerpt=excerpt[begin:end],
            keys=new[row[begin:end], excerpt[begin:end]],
        )
        top.enter(entering, block)


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
        # The same where the activations are; a slot is neuron x kept, as one number, in the order of the places.
        self._places_there = torch.from_numpy(self._places).to(like.device)
        self._slots = torch.from_numpy(order.astype(np.int32)).to(like.device)
        self._peaks = torch.zeros(n_neurons * self._n_kept, device=like.device)
        self._rows = torch.zeros(n_neurons * self._n_kept, like.shape[0], dtype=dtype, device=like.device)

    def offer(self, block: Block) -> None:
        """Keeps what was drawn of this block."""
        begin, end = np.searchsorted(self._places, [block.first, block.first + len(block.excerpts)]).tolist()
        slot = self._slots[begin:end].long()
        excerpt = self._places_there[begin:end].long() - block.first
        neuron = slot // self._n_kept
        self._peaks[slot] = block.peaks[excerpt, neuron]
        self._rows[slot] = block.activations[excerpt, :, neuron].to(self._rows.dtype)

    def state(self) -> dict[str, torch.Tensor]:
        """All that is not a function of the draw, by name; lent."""
        return {"peaks": self._peaks, "rows": self._rows}

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
    if not devices.works_in_small_steps(keys.device):
        return keys.topk(n, sorted=False).values.amin(1, keepdim=True)
    # On a CPU, numpy selects 64-bit whole numbers six times as fast as torch.
    lowest_first = np.partition(keys.numpy(), -n, axis=1)
    return torch.from_numpy(lowest_first[:, -n, None])


def _true_places(masks: Sequence[Bool[torch.Tensor, " neuron"]]) -> Sequence[Int64[torch.Tensor, " _"]]:
    """Of each mask the places where it holds; of all masks together, so that the device is waited for only twice."""
    if len(masks) == 1:
        return [masks[0].nonzero().squeeze(1)]
    stacked = torch.stack(list(masks))
    return torch.split(stacked.nonzero()[:, 1], stacked.sum(1).tolist())


def _joined(parts: Sequence[Int64[torch.Tensor, "_ key"]]) -> Int64[torch.Tensor, "all_gated key"]:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _peaks_of(keys: Int64[torch.Tensor, "*shape"]) -> Float32[torch.Tensor, "*shape"]:
    ordered = (keys >> 32).int()
    return (ordered ^ ((ordered >> 31) & _SIGNLESS)).view(torch.float32)


def _excerpts_of(keys: Int64[torch.Tensor, "*shape"]) -> Int64[torch.Tensor, "*shape"]:
    return _HIGHEST_INDEX - (keys & _HIGHEST_INDEX)
