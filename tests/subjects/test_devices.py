"""Facts on what is done otherwise on a GPU: it gives what is done on a CPU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings

from neuron_assets.subjects import devices, harvest, layer_state
from neuron_assets.subjects.exemplars import _nth_highest
from neuron_assets.subjects.layer_state import Waiting
from neuron_assets.subjects.neuron_statistics import Moments
from tests.subjects.known_activations import PLAN, World, assert_same_bits, treat_as_a_gpu, world, worlds


@settings(max_examples=10, deadline=None)
@given(worlds)
def test_both_ways_keep_the_same_excerpts(world: World) -> None:
    expected = world.harvested(layers=(0, 1), batch_size=7)
    with pytest.MonkeyPatch.context() as monkeypatch:
        treat_as_a_gpu(monkeypatch, held=10**9)
        found = world.harvested(layers=(0, 1), batch_size=7)

    assert_same_bits(found, expected, ("/mean", "/variance"))


@pytest.mark.parametrize(("held", "together"), [(0, [1, 1]), (7 * 40 * 6 * 4, [2]), (10**9, [2])])
def test_layers_wait_for_one_another_while_there_is_room(
    monkeypatch: pytest.MonkeyPatch, held: int, together: list[int]
) -> None:
    settled: list[int] = []
    known = world()

    def count(waiting: list[Waiting]) -> None:
        settled.append(len(waiting))
        layer_state.settle(waiting)

    monkeypatch.setattr(harvest, "settle", count)
    treat_as_a_gpu(monkeypatch, held=held)
    known.harvested(layers=(0, 1), batch_size=40)

    assert settled == together * len(PLAN.kept)


def test_the_nth_highest_key_is_the_same_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = torch.from_numpy(np.random.default_rng(0).integers(-(2**62), 2**62, (50, 30)))
    small_steps = [_nth_highest(keys, n) for n in (1, 7, 30)]
    monkeypatch.setattr(devices, "works_in_small_steps", lambda _device: False)

    assert all(torch.equal(_nth_highest(keys, n), found) for n, found in zip((1, 7, 30), small_steps, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_are_the_same_both_ways(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    activations = (torch.from_numpy(world().activations[0]) + 100).to(dtype)
    one_by_one = Moments(activations[0])
    peaks = one_by_one.offer(activations)
    monkeypatch.setattr(devices, "works_in_small_steps", lambda _device: False)
    at_once = Moments(activations[0])

    assert torch.equal(at_once.offer(activations), peaks)
    for name, held in one_by_one.state().items():
        torch.testing.assert_close(at_once.state()[name], held, rtol=1e-6, atol=1e-4)


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (MemoryError(), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_what_is_want_of_memory_is_known(error: BaseException, is_one: bool) -> None:  # noqa: FBT001
    assert devices.is_out_of_memory(error) == is_one


def test_what_torch_raises_for_want_of_memory_is_known() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(2**55)
    assert devices.is_out_of_memory(raised.value)


def test_what_torch_keeps_of_a_gpu_and_has_lent_to_nobody_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, told in {"mem_get_info": (3, 100), "memory_reserved": 50, "memory_allocated": 10}.items():
        monkeypatch.setattr(torch.cuda, name, lambda _device, told=told: told)

    assert devices.free_bytes(torch.device("cuda", 0)) == 3 + 50 - 10
