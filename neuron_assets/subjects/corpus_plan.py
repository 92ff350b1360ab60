"""What a harvest runs and keeps: the plan, the excerpts that are asked for, the batches they are run in.

Here: what is decided before the pass. Not here: the pass (`harvest`), what it keeps of a layer (`layer_state`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int, Integer

from neuron_assets.errors import TooFewExcerpts
from neuron_assets.method.records import SPLITS, Split


@dataclass(frozen=True, slots=True)
class Kept:
    """How many excerpts each neuron keeps of a pool."""

    top: int
    random: int
    natural: int = 0
    """Drawn once, the same for all neurons and layers; all there are, where the pool holds fewer."""


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
class Batch:
    split: Split
    excerpts: Int[np.ndarray, " excerpt"]
    first: int
    """Place in the pool of the first of them."""


@dataclass(frozen=True, slots=True, eq=False)
class CorpusPlan:
    """Which excerpts are asked for, by pool, in the order of the corpus."""

    pools: Mapping[Split, Int[np.ndarray, " excerpt"]]

    @classmethod
    def of(cls, pools: Integer[np.ndarray, " excerpt"], plan: HarvestPlan) -> "CorpusPlan":
        """Takes the pool of each excerpt, as its index in SPLITS; raises TooFewExcerpts."""
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

    def batches(self, batch_size: int, n_done: int = 0) -> Iterator[Batch]:
        """Each of one pool only; pools one after the other; without the first `n_done` excerpts of them all."""
        for split, excerpts in self.pools.items():
            begin = min(n_done, len(excerpts))
            n_done -= begin
            for first in range(begin, len(excerpts), batch_size):
                yield Batch(split, excerpts[first : first + batch_size], first)
