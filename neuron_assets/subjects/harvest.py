"""One pass of a subject model over a corpus: what every neuron of every asked layer did, in memory that does not grow.

Here: the pass, how it goes on after it was broken off or ran out of memory, and what it gives. Not here: the model
(`subject.Subject`), what is asked for (`corpus_plan`), what is kept of a layer (`layer_state`), where a checkpoint
lies, what anything costs (`benchmarks/`).
Fed the same activations, the result has the same bits under any batch size (on a GPU but for the last bits of mean and
variance). A model itself may round differently in batches of another size: equal then means up to that rounding.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, Integer

from neuron_assets.errors import LayerOutOfRange, OutOfMemory
from neuron_assets.method.records import Split
from neuron_assets.subjects import devices
from neuron_assets.subjects.corpus_plan import Batch, CorpusPlan, HarvestPlan, Kept
from neuron_assets.subjects.layer_state import LayerState, PoolHarvest, Waiting, settle
from neuron_assets.subjects.neuron_statistics import NeuronStatistics
from neuron_assets.subjects.subject import Subject

__all__ = ["Checkpoint", "Checkpoints", "HarvestPlan", "Kept", "LayerHarvest", "PassFacts", "PoolHarvest", "harvest"]


@dataclass(frozen=True, slots=True)
class PassFacts:
    """How a pass went."""

    n_forward_passes: int
    """How often the excerpt that was run most often was run; one is what a harvest should need."""
    n_batches: int
    n_tokens: int
    """Tokens of all batches."""
    batch_size: int
    batch_size_lowered_from: int | None
    """Where memory did not suffice: what it was at first."""
    resumed_at_excerpt: int | None
    """Where another process had come that was broken off."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerHarvest:
    """What is kept of one layer."""

    pools: Mapping[Split, PoolHarvest]
    statistics: NeuronStatistics
    facts: PassFacts


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """A pass between two batches: all that is needed to go on from there."""

    n_done: int
    """Excerpts, in the order in which they are run."""
    batch_size: int
    batch_size_lowered_from: int | None
    state: Mapping[str, torch.Tensor]
    """Of all layers, by name; lent."""


@runtime_checkable
class Checkpoints(Protocol):
    """Where a pass sets down how far it has come."""

    def read(self) -> Checkpoint | None:
        """The last that was written, by this process or another."""

    def is_due(self) -> bool: ...

    def write(self, checkpoint: Checkpoint) -> None: ...


def harvest(  # noqa: PLR0913  # the last three cannot change the result
    subject: Subject,
    token_ids: Int[np.ndarray, "excerpt token"],
    pools: Integer[np.ndarray, " excerpt"],
    layers: Sequence[int],
    plan: HarvestPlan,
    *,
    batch_size: int = 32,
    on_progress: Callable[[int, int], None] = lambda _n_done, _n_excerpts: None,
    checkpoints: Checkpoints | None = None,
) -> dict[int, LayerHarvest]:
    """Runs the subject once over the corpus; gives what is kept, by layer index.

    `pools` says of each excerpt which of SPLITS it belongs to, by index. The corpus has to be in a shuffled order: in a
    sorted one every excerpt might be a new record, which costs time, and random excerpts would be spread too evenly.
    `on_progress` hears at first and after each batch how many excerpts are done, and of how many. A pass that was
    broken off goes on from its last checkpoint, with its batch size; one that runs out of memory, with half of it.
    Raises LayerOutOfRange or TooFewExcerpts before the pass, NonFiniteActivations, ActivationsTooLarge or OutOfMemory
    within it.
    """
    for layer_index in layers:
        if not 0 <= layer_index < subject.n_layers:
            raise LayerOutOfRange(layer_index, subject.n_layers, subject.name)
    corpus = CorpusPlan.of(pools, plan)
    found = checkpoints.read() if checkpoints else None
    times_run = np.zeros(len(token_ids), np.int64)
    size, lowered_from = (found.batch_size, found.batch_size_lowered_from) if found else (batch_size, None)
    resumed_at = found.n_done if found else None
    while True:
        under_way = _Pass(subject, token_ids, corpus, sorted(set(layers)), plan, found)
        found = None  # it lets go of the checkpoint as soon as its layers have taken up their state
        try:
            n_batches = under_way.run(size, lowered_from, on_progress, times_run, checkpoints)
            counts = int(times_run.max()), n_batches, int(times_run.sum()) * token_ids.shape[1]
            return under_way.finish(PassFacts(*counts, size, lowered_from, resumed_at))
        except (MemoryError, RuntimeError) as error:
            if not devices.is_out_of_memory(error):
                raise
            if size == 1:
                raise OutOfMemory(subject.name, len(under_way.layers)) from error
        # Only here, where the error has let go of them, are the tensors of the failed batch gone.
        size, lowered_from = size // 2, lowered_from or size
        del under_way
        devices.let_go()
        found = checkpoints.read() if checkpoints else None


class _Pass:
    """A pass under way. A layer's state is made when it is first heard, on the device where that happens."""

    def __init__(  # noqa: PLR0913, PLR0917  # all that a pass is about
        self,
        subject: Subject,
        token_ids: Int[np.ndarray, "excerpt token"],
        corpus: CorpusPlan,
        layers: Sequence[int],
        plan: HarvestPlan,
        begun: Checkpoint | None,
    ) -> None:
        self.layers = layers
        self._subject = subject
        self._token_ids = token_ids
        self._corpus = corpus
        self._plan = plan
        self._begun = begun
        self._states: dict[int, LayerState] = {}
        self._waiting: list[Waiting] = []

    def run(
        self,
        batch_size: int,
        lowered_from: int | None,
        on_progress: Callable[[int, int], None],
        times_run: Int[np.ndarray, " excerpt"],
        checkpoints: Checkpoints | None,
    ) -> int:
        """All batches that are left; gives how many these were."""
        n_done, n_batches, n_excerpts = (self._begun.n_done if self._begun else 0), 0, self._corpus.n_excerpts
        on_progress(n_done, n_excerpts)
        with torch.inference_mode():
            for batch in self._corpus.batches(batch_size, n_done):
                self._subject.run(self._token_ids[batch.excerpts], self.layers, partial(self._receive, batch))
                self._settle()
                self._begun = None  # all layers were heard, and have taken up their state
                times_run[batch.excerpts] += 1
                n_batches += 1
                n_done += len(batch.excerpts)
                on_progress(n_done, n_excerpts)
                if checkpoints is not None and n_done < n_excerpts and checkpoints.is_due():
                    checkpoints.write(Checkpoint(n_done, batch_size, lowered_from, self._state()))
        return n_batches

    def _receive(
        self, batch: Batch, layer_index: int, activations: Float[torch.Tensor, "excerpt token neuron"]
    ) -> None:
        """Takes in what one layer did on one batch."""
        if activations.device.type == "mps":  # which has no 64-bit numbers, and shares its memory with the CPU
            activations = activations.cpu()
        device = activations.device
        if self._waiting and self._waiting[-1].block.activations.device != device:
            self._settle()
        with _one_thread():
            if layer_index not in self._states:
                self._states[layer_index] = self._begin(layer_index, activations[0])
            # Blocking, it would wait for the GPU at every layer; the numbers are on their way when it returns.
            excerpts = torch.from_numpy(batch.excerpts).to(device, non_blocking=True)
            self._waiting.append(self._states[layer_index].offer(batch, activations, excerpts))
        if sum(waiting.block.activations.nbytes for waiting in self._waiting) > devices.bytes_to_hold(device):
            self._settle()

    def _begin(self, layer_index: int, first: Float[torch.Tensor, "token neuron"]) -> LayerState:
        state = LayerState(layer_index, self._corpus, self._plan, first)
        if self._begun is not None:
            prefix = f"{layer_index}."
            state.restore(
                {
                    name.removeprefix(prefix): tensor
                    for name, tensor in self._begun.state.items()
                    if name.startswith(prefix)
                }
            )
        return state

    def _settle(self) -> None:
        if self._waiting:
            with _one_thread():
                settle(self._waiting)
        self._waiting = []

    def _state(self) -> Mapping[str, torch.Tensor]:
        return {
            f"{layer_index}.{name}": tensor
            for layer_index, state in self._states.items()
            for name, tensor in state.state().items()
        }

    def finish(self, facts: PassFacts) -> dict[int, LayerHarvest]:
        """What was kept, by layer; the running state of each layer goes as its result comes."""
        with torch.inference_mode(), _one_thread():
            return {layer: LayerHarvest(*self._states.pop(layer).finish(), facts) for layer in self.layers}


@contextmanager
def _one_thread() -> Iterator[None]:
    """Many small operations: with more threads each of them ends in waiting for the slowest, and sums change order."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
