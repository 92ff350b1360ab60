"""What harvesting adds to the forward pass that it rides on.

Each batch is run bare and harvested, one right after the other and in turns first, and so compared under the same load.
The clock is the processor's time of one thread, but for the row that says otherwise. Runs of less than 2,000 excerpts
read some hundredths high: at first nearly every excerpt is a new record for most neurons.

    python -m benchmarks.harvest 2048        the comparison that the goal speaks of, about ten minutes
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from transformers import GPT2Model

from benchmarks.row import Row
from benchmarks.subjects import PLAN, hooked, random_corpus, random_model
from neuron_assets.subjects.harvest import harvest
from neuron_assets.subjects.subject import Receive

_STOCK_EVERY = 4
"""Every so many batches, the library's own forward pass is measured too."""


@dataclass
class InterleavedSubject:
    """Runs each batch twice or thrice, and takes the times: as a subject is run, bare, and as the library does it."""

    model: GPT2Model
    stock: GPT2Model | None
    clock: Callable[[], float]
    harvested_seconds: list[float] = field(default_factory=list)
    bare_seconds: list[float] = field(default_factory=list)
    stock_seconds: list[float] = field(default_factory=list)
    receive_seconds: float = 0
    name: str = "interleaved"

    def __post_init__(self) -> None:
        self._subject = hooked(self.model)

    @property
    def n_layers(self) -> int:
        return self._subject.n_layers

    @property
    def n_neurons(self) -> int:
        return self._subject.n_neurons

    def tokenize(self, text: str) -> list[int]:
        return self._subject.tokenize(text)

    def token_strings(self, token_ids: Sequence[int]) -> list[str]:
        return self._subject.token_strings(token_ids)

    def text(self, token_ids: Sequence[int]) -> str:
        return "".join(self.token_strings(token_ids))

    def run(self, token_ids: Int[np.ndarray, "excerpt token"], layers: Sequence[int], receive: Receive) -> None:
        def timed(layer_index: int, activations: Float[torch.Tensor, "excerpt token neuron"]) -> None:
            self.receive_seconds += self._seconds(lambda: receive(layer_index, activations))

        n_before = len(self.bare_seconds)
        if n_before % 2:
            self.bare_seconds.append(self._seconds(lambda: forward(self.model, token_ids)))
        self.harvested_seconds.append(self._seconds(lambda: self._subject.run(token_ids, layers, timed)))
        if n_before % 2 == 0:
            self.bare_seconds.append(self._seconds(lambda: forward(self.model, token_ids)))
        if self.stock is not None and n_before % _STOCK_EVERY == 0:
            stock = self.stock
            self.stock_seconds.append(self._seconds(lambda: forward(stock, token_ids)))

    def _seconds(self, work: Callable[[], None]) -> float:
        began = self.clock()
        work()
        return self.clock() - began


def forward(model: GPT2Model, token_ids: Int[np.ndarray, "excerpt token"]) -> None:
    """The base model's pass over one batch, and nothing else."""
    with torch.inference_mode():
        model(input_ids=torch.from_numpy(token_ids.astype(np.int64)), use_cache=False)


@dataclass(frozen=True, slots=True)
class Ratios:
    """Time of a harvest in times of the bare pass."""

    whole_run: float
    """With planning, finishing and all that happens between batches."""
    by_hooks: float
    """One, and the time within the hooks: hardly disturbed by other work, but blind to what they do to the cache."""
    steady: float
    """Passes of the last quarter of the `train` pool, where most neurons have their records."""
    to_stock: float | None
    """Of the passes, in times of the pass as the library does it."""


def compare(
    *, n_layers: int, width: int, n_excerpts: int, dtype: torch.dtype = torch.float32, batch_size: int = 32
) -> Ratios:
    """One harvest of all layers with one thread, against the bare pass."""
    torch.set_num_threads(1)
    stock = random_model(n_layers=n_layers, width=width, dtype=dtype)
    subject = InterleavedSubject(random_model(n_layers=n_layers, width=width, dtype=dtype), stock, time.process_time)
    return _compare(subject, n_excerpts, batch_size)


def compare_two_threads(*, n_layers: int, width: int, n_excerpts: int) -> Ratios:
    """The same on the clock on the wall, with a forward pass on two threads."""
    torch.set_num_threads(2)
    subject = InterleavedSubject(random_model(n_layers=n_layers, width=width), None, time.perf_counter)
    ratios = _compare(subject, n_excerpts, 32)
    torch.set_num_threads(1)
    return ratios


def benchmark() -> list[Row]:
    """The rows of the harvest, on small corpora."""
    wide = compare(n_layers=4, width=768, n_excerpts=768)
    half = compare(n_layers=4, width=768, n_excerpts=512, dtype=torch.bfloat16)
    tiny = compare(n_layers=3, width=256, n_excerpts=3072)
    bundled = compare(n_layers=6, width=192, n_excerpts=1024)
    threads = compare_two_threads(n_layers=4, width=768, n_excerpts=192)
    return [
        Row("harvest / bare pass, 4 x 768 fp32, 768 excerpts", _all(wide), "<= 1.10 from 2,000 excerpts on"),
        Row("the same / the library's own pass", f"{wide.to_stock:.3f}", "<= 1.00"),
        Row("harvest / bare pass, 4 x 768 bf16, 512 excerpts", _all(half), "<= 1.12 from 2,000 excerpts on"),
        Row("harvest / bare pass, 3 x 256 fp32, 3,072 excerpts", _all(tiny), "<= 1.15"),
        Row("harvest / bare pass, 6 x 192 fp32 (as bundled), 1,024 excerpts", _all(bundled)),
        Row("harvest / bare pass, 4 x 768 fp32, 192 excerpts, wall, 2 threads", _all(threads), "<= 1.15"),
    ]


def _compare(subject: InterleavedSubject, n_excerpts: int, batch_size: int) -> Ratios:
    token_ids, pools = random_corpus(n_excerpts)
    forward(subject.model, token_ids[:batch_size])  # warms up
    began = subject.clock()
    harvest(subject, token_ids, pools, range(subject.n_layers), PLAN, batch_size=batch_size)
    elsewhere = sum(subject.bare_seconds) + sum(subject.stock_seconds)
    n_train = -(-int(np.count_nonzero(pools == 0)) // batch_size)
    last = slice(n_train * 3 // 4, n_train)
    harvested = sum(subject.harvested_seconds[::_STOCK_EVERY])
    return Ratios(
        whole_run=(subject.clock() - began - elsewhere) / sum(subject.bare_seconds),
        by_hooks=1 + subject.receive_seconds / sum(subject.bare_seconds),
        steady=sum(subject.harvested_seconds[last]) / sum(subject.bare_seconds[last]),
        to_stock=harvested / sum(subject.stock_seconds) if subject.stock else None,
    )


def _all(ratios: Ratios) -> str:
    return f"{ratios.whole_run:.3f} whole run ({ratios.by_hooks:.3f} by hooks), {ratios.steady:.3f} steady"


if __name__ == "__main__":
    n = int(sys.argv[1])
    print(f"4 x 768 fp32, {n} excerpts: {compare(n_layers=4, width=768, n_excerpts=n)}")
