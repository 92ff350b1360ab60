"""Facts on both signs of units: the negative side is harvested as if it were a neuron of its own."""

import numpy as np
import torch
from hypothesis import given, settings
from numpy.typing import NDArray

from neuron_assets.method.records import SPLITS
from neuron_assets.subjects.harvest import HarvestPlan, Kept, harvest
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.signed import SignedSubject
from neuron_assets.subjects.subject import Subject
from tests.subjects.known_activations import ArraySubject, World, assert_same_bits, batch_sizes, worlds

N_NEURONS = 21
PLAN = HarvestPlan({"train": Kept(8, 4), "valid": Kept(5, 2)}, n_sampled_tokens=50, rows_as="float32")


def everything(subject: Subject, token_ids: NDArray[np.int64]) -> dict[int, NDArray[np.float32]]:
    received: dict[int, NDArray[np.float32]] = {}

    def receive(layer_index: int, activations: torch.Tensor) -> None:
        received[layer_index] = activations.numpy().copy()

    subject.run(token_ids, [0, 1, 2], receive)
    return received


def test_the_second_half_is_the_first_negated(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    one, both = everything(hooked, token_ids), everything(SignedSubject(hooked), token_ids)

    assert SignedSubject(hooked).n_neurons == 2 * N_NEURONS
    assert list(both) == [0, 1, 2]
    for layer_index, activations in one.items():
        np.testing.assert_array_equal(both[layer_index][..., :N_NEURONS], activations)
        np.testing.assert_array_equal(both[layer_index][..., N_NEURONS:], -activations)


@settings(max_examples=30, deadline=None)
@given(worlds, batch_sizes)
def test_each_side_is_harvested_as_a_neuron_of_its_own(world: World, batch_size: int) -> None:
    n_excerpts, n_tokens = world.activations.shape[1:3]
    token_ids = np.repeat(np.arange(n_excerpts)[:, None], n_tokens, 1)
    written_out = ArraySubject(np.concatenate([world.activations, -world.activations], axis=3))
    signed = SignedSubject(ArraySubject(world.activations))

    found = harvest(signed, token_ids, world.pools, [0, 1], PLAN, batch_size=batch_size)

    assert_same_bits(dict(found), dict(harvest(written_out, token_ids, world.pools, [0, 1], PLAN)))
    valid = np.flatnonzero(world.pools == SPLITS.index("valid"))
    peaks = (-world.activations[1, valid]).max(1)  # excerpt, neuron
    for neuron_index in range(peaks.shape[1]):
        ranked = sorted(range(len(valid)), key=lambda row: (-peaks[row, neuron_index], valid[row]))
        top = found[1].pools["valid"].top.excerpts[peaks.shape[1] + neuron_index]
        assert top.tolist() == valid[ranked[:5]].tolist()


def test_the_negative_side_keeps_the_excerpts_where_the_neuron_is_lowest() -> None:
    activations = np.array([[[[3]], [[-4]], [[0]], [[-9]], [[8]], [[-4]]]], np.float32)  # layer, excerpt, token, neuron
    plan = HarvestPlan({"train": Kept(3, 0)}, n_sampled_tokens=4)
    token_ids, pools = np.arange(6)[:, None], np.zeros(6, int)

    top = harvest(SignedSubject(ArraySubject(activations)), token_ids, pools, [0], plan)[0].pools["train"].top

    assert top.excerpts.tolist() == [[4, 0, 2], [3, 1, 5]]
    assert top.peaks.tolist() == [[8, 3, 0], [9, 4, 4]]
