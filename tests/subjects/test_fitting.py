"""Facts on how a harvest is cut to fit: layers into passes, excerpts into batches."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.method.records import Split
from neuron_assets.subjects import devices
from neuron_assets.subjects.corpus_plan import CorpusPlan, HarvestPlan, Kept
from neuron_assets.subjects.fitting import Lent, bytes_for_state, fitting_batch_size, layer_groups, look_at, state_bytes
from neuron_assets.subjects.layer_state import LayerState
from tests.subjects.known_activations import ArraySubject, world

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 70))
def test_groups_are_as_few_as_fit_and_the_incomplete_one_is_the_lowest(layers: set[int], at_once: int) -> None:
    groups = layer_groups(list(layers), 10, 10 * at_once + 9)

    assert [layer for group in groups for layer in group] == sorted(layers)
    assert len(groups) == -(-len(layers) // at_once)
    assert {len(group) for group in groups[1:]} <= {at_once}


def test_there_is_always_room_for_one_layer() -> None:
    assert layer_groups([2, 0], 10, 3) == [[0], [2]]


@pytest.mark.parametrize("rows_as", ["float16", "float32"])
@pytest.mark.parametrize(("n_tokens", "n_neurons"), [(16, 40), (64, 3072)])
def test_the_state_of_a_layer_takes_what_was_reckoned(rows_as: str, n_tokens: int, n_neurons: int) -> None:
    kept: dict[Split, Kept] = {"train": Kept(20, 20), "calibration": Kept(0, 0), "valid": Kept(10, 5, 20)}
    plan = HarvestPlan(kept, n_sampled_tokens=500, rows_as=rows_as)  # type: ignore[arg-type]
    corpus = CorpusPlan.of(np.repeat([0, 1, 2], [60, 5, 30]), plan)
    state = LayerState(0, corpus, plan, torch.zeros(n_tokens, n_neurons)).state()
    held = sum(tensor.nbytes for tensor in state.values())

    assert held <= state_bytes(plan, Lent(CPU, n_tokens, n_neurons)) <= 1.35 * held


def test_one_excerpt_tells_what_a_subject_lends() -> None:
    subject = ArraySubject(world().activations)

    assert look_at(subject, world().token_ids, 1) == Lent(CPU, 6, 7)
    assert (subject.n_runs, subject.layers_asked) == (1, {(1,)})


@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [
        (140, 1024),  # GPT-2 XL on a large card
        (24, 512),
        (8, 32),
        (0.01, 1),
    ],
)
def test_the_batch_of_a_gpu_is_the_largest_power_of_two_that_fits(
    monkeypatch: pytest.MonkeyPatch, gigabytes: float, expected: int
) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda _device: int(gigabytes * 1e9))
    monkeypatch.setattr(devices, "bytes_to_hold", lambda _device: int(gigabytes * 1e9) // 8)
    xl, few = Lent(CUDA, 64, 6400), Kept(10, 10)
    kept: dict[Split, Kept] = {"train": Kept(20, 20), "calibration": few, "valid": few, "test": few}
    state = 48 * state_bytes(HarvestPlan(kept, n_sampled_tokens=1024), xl)

    assert fitting_batch_size(xl, state) == expected


@pytest.mark.parametrize(("on_the_gpu", "beside_it", "expected"), [(80, 500, 40), (80, 32, 16)])
def test_state_on_a_gpu_has_to_fit_beside_the_cpu_too(
    monkeypatch: pytest.MonkeyPatch, on_the_gpu: int, beside_it: int, expected: int
) -> None:
    monkeypatch.setattr(devices, "free_bytes", lambda device: on_the_gpu if device == CUDA else beside_it)

    assert bytes_for_state(CUDA) == expected
    assert bytes_for_state(CPU) == beside_it // 2


def test_a_cpu_takes_batches_that_stay_in_its_cache() -> None:
    assert fitting_batch_size(Lent(CPU, 64, 3072), 10**15) == 32
