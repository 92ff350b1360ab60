"""Facts on passes that do not go through at once: broken off at any moment, or out of memory."""

import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from neuron_assets.errors import OutOfMemory
from neuron_assets.subjects.harvest import Checkpoint
from neuron_assets.subjects.subject import Receive
from tests.subjects.known_activations import ArraySubject, World, assert_same_bits, treat_as_a_gpu, world, worlds


@pytest.fixture(scope="module", autouse=True, params=["as on a CPU", "as on a GPU"])
def _device(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as monkeypatch:
        if request.param == "as on a GPU":
            treat_as_a_gpu(monkeypatch, held=10**9)
        yield


class BrokenOffError(Exception):
    """Stands for whatever ends a process."""


@dataclass
class EveryFewBatches:
    """Keeps the last checkpoint, written after every so many batches."""

    every: int
    last: Checkpoint | None = None
    n_batches: int = 0

    def read(self) -> Checkpoint | None:
        return self.last

    def is_due(self) -> bool:
        self.n_batches += 1
        return self.n_batches % self.every == 0

    def write(self, checkpoint: Checkpoint) -> None:
        state = {name: tensor.clone() for name, tensor in checkpoint.state.items()}  # it goes on to change
        sizes = checkpoint.batch_size, checkpoint.batch_size_lowered_from
        self.last = Checkpoint(checkpoint.n_done, *sizes, state)


def breaking_off_after(n_batches: int) -> Callable[[int, int], None]:
    heard: list[int] = []

    def on_progress(n_done: int, _n_excerpts: int) -> None:
        heard.append(n_done)
        if len(heard) > n_batches:
            raise BrokenOffError

    return on_progress


@settings(max_examples=12, deadline=None)
@given(worlds, st.sampled_from([1, 3, 7, 32]), st.integers(1, 4), st.lists(st.integers(0, 9), min_size=1, max_size=3))
def test_a_pass_that_was_broken_off_ends_with_the_same_bits(
    world: World, batch_size: int, every: int, moments: list[int]
) -> None:
    expected = world.harvested(layers=(0, 1), batch_size=batch_size)[1]
    checkpoints, resumed_at = EveryFewBatches(every), None
    for moment in moments:
        resumed_at = checkpoints.last and checkpoints.last.n_done
        try:
            found = world.harvested(
                layers=(0, 1),
                batch_size=batch_size,
                checkpoints=checkpoints,
                on_progress=breaking_off_after(moment),
            )
            break
        except BrokenOffError:
            checkpoints.n_batches = 0
    else:
        resumed_at = checkpoints.last and checkpoints.last.n_done
        found = world.harvested(layers=(0, 1), batch_size=batch_size, checkpoints=checkpoints)

    assert_same_bits(found[1], expected)
    assert found[1].facts.resumed_at_excerpt == resumed_at
    assert found[1].facts.n_forward_passes == 1


def test_a_pass_that_goes_on_runs_only_what_was_not_done() -> None:
    known, checkpoints = world(), EveryFewBatches(1)
    with pytest.raises(BrokenOffError):
        known.harvested(batch_size=4, on_progress=breaking_off_after(3), checkpoints=checkpoints)
    subject, heard = ArraySubject(known.activations), list[int]()
    found = known.harvested(
        subject=subject, checkpoints=checkpoints, on_progress=lambda done, _total: heard.append(done)
    )

    assert 0 < heard[0] == found[0].facts.resumed_at_excerpt
    assert found[0].facts.batch_size == 4  # as it was begun
    assert subject.n_runs == found[0].facts.n_batches == len(heard) - 1


@dataclass
class HandedOverOnce(EveryFewBatches):
    """Keeps nothing of what it gave."""

    def read(self) -> Checkpoint | None:
        last, self.last = self.last, None
        return last


def test_a_checkpoint_is_let_go_of_as_soon_as_its_layers_have_taken_it_up() -> None:
    known, checkpoints = world(), HandedOverOnce(1)
    with pytest.raises(BrokenOffError):
        known.harvested(batch_size=4, on_progress=breaking_off_after(3), checkpoints=checkpoints)
    assert checkpoints.last is not None
    tensors = [weakref.ref(tensor) for tensor in checkpoints.last.state.values()]
    n_held = list[int]()
    checkpoints.every = 10**9
    known.harvested(
        checkpoints=checkpoints,
        on_progress=lambda _done, _total: n_held.append(sum(tensor() is not None for tensor in tensors)),
    )

    assert (n_held[0], n_held[1]) == (len(tensors), 0)


@dataclass
class NarrowSubject(ArraySubject):
    """Runs out of memory with more than so many excerpts, at the second layer."""

    most: int = 1
    error: type[RuntimeError] = torch.OutOfMemoryError
    n_excerpts_run: int = 0

    def run(self, token_ids: NDArray[np.int64], layers: Sequence[int], receive: Receive) -> None:
        def narrow(layer_index: int, activations: torch.Tensor) -> None:
            if layer_index > 0 and len(token_ids) > self.most:
                raise self.error("can't allocate memory")
            receive(layer_index, activations)

        super().run(token_ids, layers, narrow)
        self.n_excerpts_run += len(token_ids)


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError])
@pytest.mark.parametrize(("most", "batch_size", "ends_with"), [(7, 32, 4), (3, 3, 3), (1, 1000, 1), (5, 7, 3)])
def test_want_of_memory_halves_the_batch_and_changes_nothing_else(
    error: type[RuntimeError], most: int, batch_size: int, ends_with: int
) -> None:
    known = world()
    found = known.harvested(
        subject=NarrowSubject(known.activations, most=most, error=error), layers=(0, 1), batch_size=batch_size
    )[1]

    assert_same_bits(found, known.harvested(layers=(0, 1), batch_size=ends_with)[1])
    assert found.facts.batch_size == ends_with
    assert found.facts.batch_size_lowered_from == (None if ends_with == batch_size else batch_size)


def test_want_of_memory_goes_on_from_the_last_checkpoint() -> None:
    known, checkpoints = world(n_excerpts=60), EveryFewBatches(1)
    subject = NarrowSubject(known.activations, most=8)

    def narrower(n_done: int, _n_excerpts: int) -> None:
        subject.most = 8 if n_done < 8 else 5

    found = known.harvested(
        subject=subject, layers=(0, 1), batch_size=8, checkpoints=checkpoints, on_progress=narrower
    )[1]

    assert (found.facts.batch_size, found.facts.batch_size_lowered_from) == (4, 8)
    assert found.facts.resumed_at_excerpt is None  # it was this process
    assert subject.n_excerpts_run == sum(len(known.pool(split)) for split in ("train", "valid"))
    assert found.facts.n_forward_passes == 1


def test_a_lowered_batch_is_remembered_by_the_next_process() -> None:
    known, checkpoints = world(), EveryFewBatches(1)
    subject = NarrowSubject(known.activations, most=5)
    with pytest.raises(BrokenOffError):
        known.harvested(
            subject=subject,
            layers=(0, 1),
            batch_size=8,
            checkpoints=checkpoints,
            on_progress=breaking_off_after(3),
        )
    facts = known.harvested(layers=(0, 1), batch_size=8, checkpoints=checkpoints)[0].facts

    assert (facts.batch_size, facts.batch_size_lowered_from) == (4, 8)
    assert facts.resumed_at_excerpt == 4


def test_where_one_excerpt_is_too_much_the_error_tells_what_to_do() -> None:
    known = world()

    with pytest.raises(OutOfMemory, match=r"known on one excerpt at a time.*2 layers.*most_memory_gb"):
        known.harvested(subject=NarrowSubject(known.activations, most=0), layers=(0, 1))


def test_other_errors_are_passed_on_at_once() -> None:
    known = world()
    subject = ArraySubject(known.activations)

    def fail(_n_done: int, _n_excerpts: int) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        known.harvested(subject=subject, on_progress=fail)
    assert subject.n_runs == 0
