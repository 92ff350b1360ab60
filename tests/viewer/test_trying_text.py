"""What fires most in a text: arithmetic on arrays."""

import numpy as np

from neuron_assets.method.records import NeuronId
from neuron_assets.viewer.trying_text import Fired, LayerFired, layer_fired, together

ACTIVATIONS = np.array([[1.0, 2.0, -1.0, 3.0], [4.0, 0.5, -2.0, 1.0]], np.float32)  # two tokens, four units
MAXIMA = np.array([8.0, 2.0, 1.0, 0.0])


def fired(activations: np.ndarray = ACTIVATIONS, maxima: np.ndarray = MAXIMA, **most: int) -> LayerFired:
    return layer_fired(3, activations, maxima, **{"per_token": 2, "in_all": 3} | most)


def test_a_unit_is_held_against_its_own_maximum() -> None:
    first, second = fired().by_token

    assert first == (Fired(NeuronId(3, 1), 0, 2.0, 1.0), Fired(NeuronId(3, 0), 0, 1.0, 0.125))
    assert [(one.neuron.neuron_index, one.share) for one in second] == [(0, 0.5), (1, 0.25)]


def test_what_is_below_zero_or_was_never_above_it_in_train_is_not_listed() -> None:
    listed = {one.neuron.neuron_index for row in fired(per_token=4).by_token for one in row}

    assert listed == {0, 1}


def test_each_unit_is_listed_once_for_the_whole_text_where_it_peaks() -> None:
    assert fired().peaks == (Fired(NeuronId(3, 1), 0, 2.0, 1.0), Fired(NeuronId(3, 0), 1, 4.0, 0.5))


def test_a_unit_that_is_not_finite_is_counted_and_not_listed() -> None:
    broken = ACTIVATIONS.copy()
    broken[1, 1] = np.nan

    found = fired(broken)

    assert found.n_not_finite == 1
    assert {one.neuron.neuron_index for row in found.by_token for one in row} == {0}


def test_the_few_are_the_strongest_of_all() -> None:
    random = np.random.default_rng(0)
    activations, maxima = random.normal(size=(5, 300)).astype(np.float32), random.uniform(0.5, 2, 300)
    shares = activations / maxima

    found = layer_fired(0, activations, maxima, per_token=7, in_all=9)

    expected = np.argsort(-shares, axis=1)[:, :7]
    assert [[one.neuron.neuron_index for one in row] for row in found.by_token] == expected.tolist()
    assert [one.neuron.neuron_index for one in found.peaks] == np.argsort(-shares.max(0))[:9].tolist()


def test_layers_are_put_together_by_share() -> None:
    above = layer_fired(5, ACTIVATIONS * 1.5, MAXIMA, per_token=2, in_all=3)

    whole = together([fired(), above], per_token=3, in_all=3)

    assert [[str(one.neuron) for one in row] for row in whole.by_token] == [
        ["L5N1", "L3N1", "L5N0"],
        ["L5N0", "L3N0", "L5N1"],
    ]
    assert [str(one.neuron) for one in whole.peaks] == ["L5N1", "L3N1", "L5N0"]


def test_of_no_layer_nothing_fires() -> None:
    assert together([], per_token=3, in_all=3) == LayerFired((), (), 0)
