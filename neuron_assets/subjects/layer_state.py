"""All that a harvest keeps of one layer while the corpus streams by, on the device where the layer's neurons are.

Here: one layer's running state of fixed size, what becomes of it, how it is set down and taken up again. Not here: the
pass (`harvest`), how excerpts are kept (`exemplars`), how sums are made (`neuron_statistics`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from neuron_assets.errors import ActivationsTooLarge, NonFiniteActivations
from neuron_assets.method.records import SPLITS, Split
from neuron_assets.subjects import devices
from neuron_assets.subjects.corpus_plan import Batch, CorpusPlan, HarvestPlan
from neuron_assets.subjects.exemplars import Block, Exemplars, RandomExcerpts, TopExcerpts, draw, let_in
from neuron_assets.subjects.neuron_statistics import Moments, NeuronStatistics, TokenSample, draw_tokens, peaks_and_sums

_LARGEST_FLOAT16 = 65504
_DRAW_OF_TOKENS = len(SPLITS)
"""Stands where the draws of excerpts have their split's index, so that no two draws share a seed."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolHarvest:
    """What is kept of one pool."""

    top: Exemplars
    """From the highest peak down, equal peaks by ascending excerpt."""
    random: Exemplars
    """In ascending order of excerpts."""
    natural: Exemplars
    """The same excerpts for all neurons; in ascending order of excerpts."""


class LayerState:
    """The running state of one layer."""

    def __init__(
        self, layer_index: int, corpus: CorpusPlan, plan: HarvestPlan, first: Float[torch.Tensor, "token neuron"]
    ) -> None:
        """Takes what the layer did on the first excerpt; it still has to be offered."""
        n_tokens, n_neurons = first.shape
        self.layer_index = layer_index
        self._plan = plan
        self._dtype = getattr(torch, plan.rows_as)
        self._top: dict[Split, TopExcerpts] = {}
        self._random: dict[Split, RandomExcerpts] = {}
        self._natural: dict[Split, RandomExcerpts] = {}
        for split, pool in corpus.pools.items():
            kept = plan.kept[split]
            random = np.random.default_rng([plan.seed, SPLITS.index(split), layer_index])
            drawn = draw(random, n_neurons=n_neurons, n_kept=kept.random, n_excerpts=len(pool))
            self._top[split] = TopExcerpts(kept.top, first, self._dtype)
            self._random[split] = RandomExcerpts(drawn, pool, first, self._dtype)
            random = np.random.default_rng([plan.seed, SPLITS.index(split)])  # the same excerpts in every layer
            drawn = draw(random, n_neurons=1, n_kept=min(kept.natural, len(pool)), n_excerpts=len(pool))
            self._natural[split] = RandomExcerpts(drawn.repeat(n_neurons, axis=0), pool, first, self._dtype)
        random = np.random.default_rng([plan.seed, _DRAW_OF_TOKENS])  # the same tokens in every layer
        n_train_tokens = len(corpus.pools["train"]) * n_tokens
        places = draw_tokens(random, n_tokens=n_train_tokens, n_sampled=plan.n_sampled_tokens)
        self._sample = TokenSample(places, first)
        self._moments = Moments(first)

    def offer(
        self,
        batch: Batch,
        activations: Float[torch.Tensor, "excerpt token neuron"],
        excerpts: Int[torch.Tensor, " excerpt"],
    ) -> "Waiting":
        """Takes in one batch but for its top excerpts, and without waiting for the device; gives what is left to do."""
        # NaN and infinities survive in a sum, so that one number tells whether there are any.
        if batch.split == "train":
            peaks, total = self._moments.offer(activations), self._moments.total()
        elif devices.works_in_small_steps(activations.device):
            peaks, total = activations.amax(1).float(), activations.sum(dtype=torch.float32)
        else:
            peaks, sums = peaks_and_sums(activations, torch.zeros(activations.shape[2], device=activations.device))
            total = sums[0].sum()
        peaks += 0.0  # makes -0.0 0.0: they are equal, and have to rank as equal
        block = Block(activations, peaks, excerpts, batch.first)
        self._random[batch.split].offer(block)
        self._natural[batch.split].offer(block)
        if batch.split == "train":
            self._sample.offer(block)
        return Waiting(self, batch, block, total)

    def top(self, split: Split) -> TopExcerpts:
        return self._top[split]

    def refuse(self, waiting: "Waiting", total: float, peak: float) -> None:
        """Raises NonFiniteActivations or ActivationsTooLarge where these numbers of a block say so."""
        if not np.isfinite(total):  # finite numbers may have a sum that is not: then none is found
            for place, neuron in waiting.block.activations.isfinite().all(1).logical_not().nonzero().tolist()[:1]:
                raise NonFiniteActivations(self.layer_index, neuron, int(waiting.batch.excerpts[place]))
        if self._dtype == torch.float16 and peak > _LARGEST_FLOAT16:
            raise ActivationsTooLarge(self.layer_index, peak)

    def state(self) -> dict[str, torch.Tensor]:
        """All that is not a function of plan and corpus, by name; lent."""
        parts = {
            **{f"{split}.top": self._top[split].state() for split in self._top},
            **{f"{split}.random": self._random[split].state() for split in self._random},
            **{f"{split}.natural": self._natural[split].state() for split in self._natural},
            "sample": self._sample.state(),
            "moments": self._moments.state(),
        }
        return {f"{part}.{name}": tensor for part, held in parts.items() for name, tensor in held.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Becomes what gave this state."""
        for name, held in self.state().items():
            held.copy_(state[name])

    def finish(self) -> tuple[Mapping[Split, PoolHarvest], NeuronStatistics]:
        """Raises ActivationsTooLarge where a kept row holds a negative one that float16 could not."""
        pools = {
            split: PoolHarvest(
                self._top[split].exemplars(), self._random[split].exemplars(), self._natural[split].exemplars()
            )
            for split in self._top
        }
        for exemplars in (exemplars for pool in pools.values() for exemplars in (pool.top, pool.random, pool.natural)):
            lowest = float(torch.from_numpy(exemplars.rows).amin()) if exemplars.rows.size else 0.0
            if np.isinf(lowest):
                raise ActivationsTooLarge(self.layer_index, lowest)
        return pools, self._moments.statistics(self._sample, self._plan.active_share)


@dataclass(frozen=True, slots=True, eq=False)
class Waiting:
    """What one layer did on one batch, of which the top excerpts are still to be let in."""

    layer: LayerState
    batch: Batch
    block: Block
    total: Float[torch.Tensor, ""]
    """Finite if all activations are."""


def settle(waiting: Sequence[Waiting]) -> None:
    """Lets in the top excerpts of some layers, all of one batch and device; raises as LayerState.refuse does."""
    peaks = torch.stack([each.block.peaks.amax() for each in waiting])
    totals = torch.stack([each.total for each in waiting])
    for each, total, peak in zip(waiting, totals.tolist(), peaks.tolist(), strict=True):
        each.layer.refuse(each, total, peak)
    let_in([(each.layer.top(each.batch.split), each.block) for each in waiting])
