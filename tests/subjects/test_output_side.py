"""Facts on the output side of neurons: the formula, written out beside it with the weights' own names."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from neuron_assets.errors import LayerOutOfRange
from neuron_assets.subjects import output_side as module
from neuron_assets.subjects.bundled.opening import FOLDER, open_speaking_bundled
from neuron_assets.subjects.families import FAMILIES
from neuron_assets.subjects.output_side import output_side, strings
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.speaking import SpeakingSubject
from tests.subjects.small_models import byte_level, small_config, small_model

Array = NDArray[np.float64]

LAST_NORMS: Mapping[str, str | None] = {
    "bloom": "transformer.ln_f",
    "codegen": "transformer.ln_f",
    "cohere": "model.norm",
    "falcon": "transformer.ln_f",
    "gemma": "model.norm",
    "gemma2": "model.norm",
    "gemma3_text": "model.norm",
    "glm": "model.norm",
    "gpt2": "transformer.ln_f",
    "gpt_bigcode": "transformer.ln_f",
    "gpt_neo": "transformer.ln_f",
    "gpt_neox": "gpt_neox.final_layer_norm",
    "gptj": "transformer.ln_f",
    "granite": "model.norm",
    "llama": "model.norm",
    "mistral": "model.norm",
    "mpt": "transformer.norm_f",
    "olmo": None,
    "olmo2": "model.norm",
    "opt": "model.decoder.final_layer_norm",
    "phi": "model.final_layernorm",
    "phi3": "model.norm",
    "qwen2": "model.norm",
    "qwen3": "model.norm",
    "smollm3": "model.norm",
    "stablelm": "model.norm",
    "starcoder2": "model.norm",
}
NORMS_AFTER_MLP = {
    "gemma2": "model.layers.1.post_feedforward_layernorm",
    "gemma3_text": "model.layers.1.post_feedforward_layernorm",
    "olmo2": "model.layers.1.post_feedforward_layernorm",
}
ONE_LESS = ("gemma", "gemma2", "gemma3_text")
"""These keep a gain of 1 as 0."""


def speaking(model: PreTrainedModel) -> SpeakingSubject:
    return SpeakingSubject("small", model, Pieces(byte_level()))


def written_out(family: str, model: PreTrainedModel) -> Array:
    """The weight of each neuron of layer 1 on each token."""
    weights = {name: tensor.detach().double().numpy() for name, tensor in model.state_dict().items()}
    name = FAMILIES[family].output_projection
    projection = next(tensor for key, tensor in weights.items() if key.endswith(f".1.{name}.weight"))
    vectors = projection if family == "gpt2" else projection.T
    for norm in (NORMS_AFTER_MLP.get(family), LAST_NORMS[family]):
        if norm is not None:
            vectors = vectors * (weights[f"{norm}.weight"] + (1 if family in ONE_LESS else 0))
    if family == "opt":
        vectors = vectors @ weights["model.decoder.project_out.weight"].T
    return np.asarray(vectors @ weights["lm_head.weight"].T)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_the_tokens_are_those_of_the_formula(family: str) -> None:
    model = small_model(small_config(family, **({"word_embed_proj_dim": 16} if family == "opt" else {})))
    expected = written_out(family, model)

    found = output_side(speaking(model), 1, n_kept=5)

    order = np.argsort(expected, axis=1)
    np.testing.assert_array_equal(found.up, order[:, ::-1][:, :5])
    np.testing.assert_array_equal(found.down, order[:, :5])
    np.testing.assert_allclose(found.up_weights, np.take_along_axis(expected, found.up, 1), rtol=1e-4)
    np.testing.assert_allclose(found.down_weights, np.take_along_axis(expected, found.down, 1), rtol=1e-4)
    assert (found.up_weights > 0).all()
    assert (found.down_weights < 0).all()


def test_every_family_is_tested() -> None:
    assert set(LAST_NORMS) == set(FAMILIES)


def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = speaking(small_model(small_config("llama")))
    whole = output_side(subject, 0, n_kept=30)
    monkeypatch.setattr(module, "_WEIGHTS_AT_ONCE", 48 * 7)

    in_pieces = output_side(subject, 0, n_kept=30)

    np.testing.assert_array_equal(in_pieces.up, whole.up)
    np.testing.assert_array_equal(in_pieces.down, whole.down)
    np.testing.assert_allclose(in_pieces.up_weights, whole.up_weights, rtol=1e-5)


def test_equal_weights_stand_by_ascending_id() -> None:
    model = small_model(small_config("llama", tie_word_embeddings=False))
    head = model.get_parameter("lm_head.weight")
    with torch.no_grad():
        head.copy_(head[:1].expand_as(head))

    found = output_side(speaking(model), 0, n_kept=400)

    np.testing.assert_array_equal(found.up, np.broadcast_to(np.arange(400), (48, 400)))
    np.testing.assert_array_equal(found.down, found.up)


def test_a_negated_unit_pushes_the_other_way() -> None:
    found = output_side(speaking(small_model(small_config("gpt2"))), 0, n_kept=4)

    both = found.with_negated()

    assert both.up.shape == (2 * len(found.up), 4)
    np.testing.assert_array_equal(both.up[: len(found.up)], found.up)
    np.testing.assert_array_equal(both.up[len(found.up) :], found.down)
    np.testing.assert_array_equal(both.up_weights[len(found.up) :], -found.down_weights)
    np.testing.assert_array_equal(both.down[len(found.up) :], found.up)


def test_more_tokens_than_there_are_are_all() -> None:
    found = output_side(speaking(small_model(small_config("gpt2"))), 0, n_kept=1000)

    np.testing.assert_array_equal(np.sort(found.up, axis=1), np.broadcast_to(np.arange(400), (48, 400)))


def test_half_precision_is_ranked_in_full() -> None:
    model = small_model(small_config("gemma2"))
    torch.nn.Module.to(model, dtype=torch.bfloat16)
    rounded = output_side(speaking(model), 1, n_kept=3)
    torch.nn.Module.to(model, dtype=torch.float32)

    np.testing.assert_array_equal(rounded.up, output_side(speaking(model), 1, n_kept=3).up)


def test_the_bundled_neurons_show_their_tokens() -> None:
    from safetensors.numpy import load_file

    subject = open_speaking_bundled()
    weights = load_file(FOLDER / "model.safetensors")
    named = {name.removeprefix("transformer."): array.astype(np.float64) for name, array in weights.items()}
    expected = named["h.5.mlp.c_proj.weight"][17] * named["ln_f.weight"] @ named["wte.weight"].T

    found = output_side(subject, 5, n_kept=3)

    token_ids = np.argsort(expected)[::-1][:3]
    assert found.up.shape == (768, 3)
    assert strings(subject, found.up)[17] == subject.token_strings(token_ids.tolist())


def test_a_layer_that_does_not_exist_is_refused() -> None:
    with pytest.raises(LayerOutOfRange, match="Layer 2 does not exist"):
        output_side(speaking(small_model(small_config("gpt2"))), 2)
