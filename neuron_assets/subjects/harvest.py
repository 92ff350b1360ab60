"""One pass of a subject model over a corpus: what every neuron of every asked layer did, in memory that does not grow.

Here: the plan, the pass, what it gives. Not here: the model (`subject.Subject`), how excerpts are kept (`exemplars`),
how sums are made (`neuron_statistics`), what anything costs (`benchmarks/`).
Fed the same activations, the result has the same bits under any batch size. (A model itself may round differently in
batches of another size: equal then means up to that rounding.)
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from neuron_assets.errors import ActivationsTooLarge, LayerOutOfRange, NonFiniteActivations, TooFewExcerpts
from neuron_assets.method.records import SPLITS, Split
from neuron_assets.subjects.exemplars import Block, Exemplars, RandomExcerpts, TopExcerpts, draw
from neuron_assets.subjects.neuron_statistics import Moments, NeuronStatistics, TokenSample, draw_tokens
from neuron_assets.subjects.subject import Subject

_LARGEST_FLOAT16 = 65504
_DRAW_OF_TOKENS = len(SPLITS)
"""Stands where the draws of excerpts have their split's index, so that no two draws share a seed."""


@dataclass(frozen=True, slots=True)
class Kept:
    """How many excerpts each neuron keeps of a pool."""

    top: int
    random: int


@dataclass(frozen=True, slots=True)
class HarvestPlan:
    """What a harvest keeps; together with the corpus it decides every number of the result."""

    kept: Mapping[Split, Kept]
    """Excerpts of a pool that is not named are not run at all. `train` has to be: the statistics are over it."""
    seed: int = 0
    n_sampled_tokens: int = 4096
    """Tokens of `train` on which quantiles, skewness, kurtosis and the share of active tokens rest. Each costs four
    bytes a neuron of memory while the pass runs."""
    rows_as: Literal["float16", "float32"] = "float16"
    active_share: float = 0.1
    """Active is an activation over this share of the neuron's maximum over `train`."""


@dataclass(frozen=True, slots=True, eq=False)
class PoolHarvest:
    """What is kept of one pool."""

    top: Exemplars
    """From the highest peak down, equal peaks by ascending excerpt."""
    random: Exemplars
    """In ascending order of excerpts."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerHarvest:
    """What is kept of one layer."""

    pools: Mapping[Split, PoolHarvest]
    statistics: NeuronStatistics
    n_forward_passes: int
    """How often the excerpt that was run most often was run; one is what a harvest should need."""
    n_batches: int
    n_tokens: int
    """Tokens of all batches."""


@dataclass(frozen=True, slots=True, eq=False)
class _Batch:
    split: Split
    excerpts: Int[np.ndarray, " excerpt"]
    first: int
    """Place in the pool of the first of them."""


def harvest(  # noqa: PLR0913 - the last two cannot change the result
    subject: Subject,
    token_ids: Int[np.ndarray, "excerpt token"],
    pools: Int[np.ndarray, " excerpt"],
    layers: Sequence[int],
    plan: HarvestPlan,
    *,
    batch_size: int = 32,
    on_progress: Callable[[int, int], None] = lambda _n_done, _n_excerpts: None,
) -> Mapping[int, LayerHarvest]:
    """Runs the subject once over the corpus; gives what is kept, by layer index.

    `pools` says of each excerpt which of SPLITS it belongs to, by index. The corpus has to be in a shuffled order: in a
    sorted one every excerpt might be a new record, which costs time, and random excerpts would be spread too evenly.
    `on_progress` hears after each batch how many excerpts are done, and of how many.
    Raises LayerOutOfRange or TooFewExcerpts before the pass, NonFiniteActivations or ActivationsTooLarge within it.
    """
    for layer_index in layers:
        if not 0 <= layer_index < subject.n_layers:
            raise LayerOutOfRange(layer_index, subject.n_layers, subject.name)
    corpus = _Corpus.of(pools, plan)
    running = _Running(corpus, plan)
    asked = sorted(set(layers))
    times_run = np.zeros(len(token_ids), np.int64)
    n_batches = 0
    with torch.inference_mode():
        for batch in corpus.batches(batch_size):
            subject.run(token_ids[batch.excerpts], asked, partial(running.receive, batch))
            times_run[batch.excerpts] += 1
            n_batches += 1
            on_progress(int(np.count_nonzero(times_run)), corpus.n_excerpts)
        counts = int(times_run.max()), n_batches, int(times_run.sum()) * token_ids.shape[1]
        return {layer_index: LayerHarvest(*running.finish(layer_index), *counts) for layer_index in asked}


@dataclass(frozen=True, slots=True, eq=False)
class _Corpus:
    """Which excerpts are asked for, by pool, in the order of the corpus."""

    pools: Mapping[Split, Int[np.ndarray, " excerpt"]]

    @classmethod
    def of(cls, pools: Int[np.ndarray, " excerpt"], plan: HarvestPlan) -> "_Corpus":
        excerpts = {split: np.flatnonzero(pools == SPLITS.index(split)) for split in SPLITS if split in plan.kept}
        for split, kept in plan.kept.items():
            wanted = max(kept.top, kept.random)
            if len(excerpts[split]) < wanted:
                raise TooFewExcerpts(split, len(excerpts[split]), wanted)
        if len(excerpts.get("train", ())) == 0:
            raise TooFewExcerpts("train", 0, 1)
        return cls(excerpts)

    @property
    def n_excerpts(self) -> int:
        return sum(map(len, self.pools.values()))

    def batches(self, batch_size: int) -> Iterator[_Batch]:
        """Each of one pool only; pools one after the other."""
        for split, excerpts in self.pools.items():
            for first in range(0, len(excerpts), batch_size):
                yield _Batch(split, excerpts[first : first + batch_size], first)


class _Running:
    """The running state of all layers. A layer's is made when it is first heard, on the device where that happens."""

    def __init__(self, corpus: _Corpus, plan: HarvestPlan) -> None:
        self._corpus = corpus
        self._plan = plan
        self._layers: dict[int, _RunningLayer] = {}

    def receive(
        self, batch: _Batch, layer_index: int, activations: Float[torch.Tensor, "excerpt token neuron"]
    ) -> None:
        """Takes in what one layer did on one batch."""
        with _one_thread():
            if layer_index not in self._layers:
                self._layers[layer_index] = _RunningLayer(layer_index, self._corpus, self._plan, activations[0])
            self._layers[layer_index].offer(batch, activations)

    def finish(self, layer_index: int) -> tuple[Mapping[Split, PoolHarvest], NeuronStatistics]:
        """What was kept of a layer; its running state is gone afterwards."""
        with _one_thread():
            return self._layers.pop(layer_index).finish()


class _RunningLayer:
    """The running state of one layer, of fixed size."""

    def __init__(
        self, layer_index: int, corpus: _Corpus, plan: HarvestPlan, first: Float[torch.Tensor, "token neuron"]
    ) -> None:
        n_tokens, n_neurons = first.shape
        self._layer_index = layer_index
        self._plan = plan
        self._dtype = getattr(torch, plan.rows_as)
        self._top: dict[Split, TopExcerpts] = {}
        self._random: dict[Split, RandomExcerpts] = {}
        for split, pool in corpus.pools.items():
            kept = plan.kept[split]
            random = np.random.default_rng([plan.seed, SPLITS.index(split), layer_index])
            drawn = draw(random, n_neurons=n_neurons, n_kept=kept.random, n_excerpts=len(pool))
            self._top[split] = TopExcerpts(kept.top, first, self._dtype)
            self._random[split] = RandomExcerpts(drawn, pool, first, self._dtype)
        random = np.random.default_rng([plan.seed, _DRAW_OF_TOKENS])  # the same tokens in every layer
        n_train_tokens = len(corpus.pools["train"]) * n_tokens
        places = draw_tokens(random, n_tokens=n_train_tokens, n_sampled=plan.n_sampled_tokens)
        self._sample = TokenSample(places, first)
        self._moments = Moments(first)

    def offer(self, batch: _Batch, activations: Float[torch.Tensor, "excerpt token neuron"]) -> None:
        """Takes in one batch; raises NonFiniteActivations or ActivationsTooLarge."""
        # NaN and infinities survive in a sum, so that one number tells whether there are any.
        if batch.split == "train":
            peaks, total = self._moments.offer(activations), self._moments.total()
        else:
            peaks, total = activations.amax(1).float(), activations.sum(dtype=torch.float32)
        peaks += 0.0  # makes -0.0 0.0: they are equal, and have to rank as equal
        self._check(total, peaks, activations, batch)
        block = Block(activations, peaks, torch.from_numpy(batch.excerpts).to(peaks.device), batch.first)
        self._top[batch.split].offer(block)
        self._random[batch.split].offer(block)
        if batch.split == "train":
            self._sample.offer(block)

    def _check(
        self,
        total: Float[torch.Tensor, ""],
        peaks: Float32[torch.Tensor, "excerpt neuron"],
        activations: Float[torch.Tensor, "excerpt token neuron"],
        batch: _Batch,
    ) -> None:
        if not total.isfinite():  # finite numbers may have a sum that is not: then none is found
            for place, neuron_index in activations.isfinite().all(1).logical_not().nonzero().tolist()[:1]:
                raise NonFiniteActivations(self._layer_index, neuron_index, int(batch.excerpts[place]))
        if self._dtype == torch.float16 and float(peaks.max()) > _LARGEST_FLOAT16:
            raise ActivationsTooLarge(self._layer_index, float(peaks.max()))

    def finish(self) -> tuple[Mapping[Split, PoolHarvest], NeuronStatistics]:
        """Raises ActivationsTooLarge where a kept row holds a negative one that float16 could not."""
        pools = {
            split: PoolHarvest(self._top[split].exemplars(), self._random[split].exemplars()) for split in self._top
        }
        for exemplars in (exemplars for pool in pools.values() for exemplars in (pool.top, pool.random)):
            lowest = float(torch.from_numpy(exemplars.rows).amin()) if exemplars.rows.size else 0.0
            if np.isinf(lowest):
                raise ActivationsTooLarge(self._layer_index, lowest)
        return pools, self._moments.statistics(self._sample, self._plan.active_share)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Many small operations: with more threads each of them ends in waiting for the slowest, and sums change order."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
