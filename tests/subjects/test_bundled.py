"""Facts on opening what is shipped."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from neuron_assets.errors import LayerOutOfRange
from neuron_assets.method.planted import PLANTED_UNITS
from neuron_assets.subjects.bundled.opening import open_bundled, open_planted, open_untrained_twin
from neuron_assets.subjects.subject import check_sizes


def weights_of(model: torch.nn.Module) -> dict[str, NDArray[np.float32]]:
    return {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}


def test_half_precision_weights_are_opened_in_full(folder: Path) -> None:
    opened = weights_of(open_bundled(folder)._base)

    in_file = load_file(folder / "model.safetensors")
    stored = {name.removeprefix("transformer."): weight for name, weight in in_file.items()}
    assert opened.keys() == stored.keys()
    for name, weight in opened.items():
        assert weight.dtype == np.float32
        assert stored[name].dtype == np.float16
        np.testing.assert_array_equal(weight, stored[name])


def test_a_missing_weight_is_no_random_one(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, tmp_path / "model.safetensors")

    with pytest.raises(RuntimeError, match=r"h\.1\.mlp\.c_fc\.weight"):
        open_bundled(tmp_path)


def test_the_twin_is_the_same_for_the_same_seed(folder: Path) -> None:
    first, again, other = (weights_of(open_untrained_twin(seed, folder)._base) for seed in (7, 7, 8))

    for name, weight in first.items():
        np.testing.assert_array_equal(weight, again[name])
    assert (first["wte.weight"] != other["wte.weight"]).all()


def test_the_twin_has_the_shape_of_the_trained_model(folder: Path) -> None:
    twin, trained = weights_of(open_untrained_twin(0, folder)._base), weights_of(open_bundled(folder)._base)

    assert {name: weight.shape for name, weight in twin.items()} == {name: w.shape for name, w in trained.items()}


def test_the_twin_is_drawn_as_gpt2_was(folder: Path) -> None:
    weights = weights_of(open_untrained_twin(0, folder)._base)

    assert weights["wte.weight"].std() == pytest.approx(0.02, rel=0.05)
    assert weights["h.1.mlp.c_proj.weight"].std() == pytest.approx(0.02 / 6**0.5, rel=0.15)
    assert weights["h.1.attn.c_proj.weight"].std() == pytest.approx(0.02 / 6**0.5, rel=0.15)
    assert (weights["h.2.ln_1.weight"] == 1).all()
    assert (weights["h.2.mlp.c_fc.bias"] == 0).all()


def test_the_twin_comes_from_numpys_generator_by_name(folder: Path) -> None:
    weights = weights_of(open_untrained_twin(5, folder)._base)

    drawn = np.random.default_rng(5).standard_normal(12 * 36) * 0.02
    np.testing.assert_array_equal(weights["h.0.attn.c_attn.weight"].ravel(), drawn.astype(np.float32))


def test_opening_the_twin_leaves_the_global_generator_alone(folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)

    torch.manual_seed(3)
    open_untrained_twin(0, folder)

    assert torch.equal(torch.rand(4), expected)


def test_planted_neurons_do_what_their_rules_say(folder: Path) -> None:
    subject = open_planted(
        [lambda strings: [float("cat" in string) for string in strings], lambda strings: [*range(len(strings))]], folder
    )
    token_ids = np.array([subject.tokenize("The cat sat on the mat")[:4], subject.tokenize("the dog sat on")[:4]])
    received: list[tuple[int, list[list[list[float]]]]] = []

    subject.run(token_ids, [0], lambda layer_index, block: received.append((layer_index, block.tolist())))

    assert (subject.n_layers, subject.n_neurons) == (1, 2)
    cats = [[float("cat" in string) for string in subject.token_strings(excerpt)] for excerpt in token_ids.tolist()]
    assert received == [(0, [[[cat, float(place)] for place, cat in enumerate(excerpt)] for excerpt in cats])]


def test_every_planted_unit_is_a_neuron(folder: Path) -> None:
    subject = open_planted(folder=folder)
    received: list[torch.Tensor] = []

    subject.run(np.arange(2, 34).reshape(2, 16), [0], lambda _layer_index, block: received.append(block))

    check_sizes(subject, n_layers=1, n_neurons=len(PLANTED_UNITS))
    assert received[0].shape == (2, 16, len(PLANTED_UNITS))


def test_planted_neurons_have_one_layer(folder: Path) -> None:
    with pytest.raises(LayerOutOfRange, match="planted has 1 layers"):
        open_planted([len_of_each], folder).run(np.zeros((1, 3), np.int64), [1], lambda *_arguments: None)


def len_of_each(strings: Sequence[str]) -> list[float]:
    return [float(len(string)) for string in strings]
