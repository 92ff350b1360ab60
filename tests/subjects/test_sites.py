"""Facts on the places where a language model is heard: each is what the weights and the library say."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from transformers import (
    AutoModel,
    Gemma2Config,
    Glm4Config,
    GPT2Model,
    GraniteConfig,
    HyperCLOVAXConfig,
    LlamaConfig,
    Olmo2Config,
    PreTrainedConfig,
)

from neuron_assets.errors import LayerOutOfRange
from neuron_assets.subjects.hooked import HookedSubject, _hook
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.sites import Site
from neuron_assets.subjects.subject import Listenable

LAYERS = [0, 1, 2]


def heard(
    subject: Listenable, token_ids: NDArray[np.int64], site: Site, layers: list[int] = LAYERS
) -> dict[int, NDArray[np.float32]]:
    received: dict[int, NDArray[np.float32]] = {}

    def receive(layer_index: int, values: torch.Tensor) -> None:
        received[layer_index] = values.numpy().copy()

    subject.listen(token_ids, layers, site, receive)
    return received


@pytest.fixture
def stock(folder: Path) -> GPT2Model:
    """The library's own model, as it opens it itself."""
    model: GPT2Model = GPT2Model.from_pretrained(
        folder, local_files_only=True, attn_implementation="eager", dtype=torch.float32
    )
    return model


def test_the_residual_stream_is_the_librarys(
    hooked: HookedSubject, stock: GPT2Model, token_ids: NDArray[np.int64]
) -> None:
    with torch.inference_mode():
        said = stock(torch.from_numpy(token_ids), output_hidden_states=True)
        normed = stock.ln_f(torch.from_numpy(heard(hooked, token_ids, "residual")[2]))

    before, after = heard(hooked, token_ids, "residual_before"), heard(hooked, token_ids, "residual")
    assert list(before) == list(after) == LAYERS
    for layer_index in LAYERS:
        np.testing.assert_allclose(before[layer_index], said.hidden_states[layer_index], rtol=1e-5, atol=1e-5)
    for layer_index in LAYERS[:-1]:
        np.testing.assert_allclose(after[layer_index], said.hidden_states[layer_index + 1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(normed, said.last_hidden_state, rtol=1e-5, atol=1e-5)  # the library gives that normed


def test_an_mlps_output_is_made_of_its_neurons(
    hooked: HookedSubject, folder: Path, token_ids: NDArray[np.int64]
) -> None:
    stored = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("transformer."): array.astype(np.float64) for name, array in stored.items()}

    neurons, outputs = heard(hooked, token_ids, "neurons"), heard(hooked, token_ids, "mlp_output")

    for layer_index in LAYERS:
        name = f"h.{layer_index}.mlp.c_proj"
        expected = neurons[layer_index].astype(np.float64) @ weights[f"{name}.weight"] + weights[f"{name}.bias"]
        np.testing.assert_allclose(outputs[layer_index], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("site", ["neurons", "mlp_output", "residual_before", "residual"])
def test_one_layer_is_heard_as_among_all(hooked: HookedSubject, token_ids: NDArray[np.int64], site: Site) -> None:
    everything = heard(hooked, token_ids, site)

    one = heard(hooked, token_ids, site, [1])

    assert list(one) == [1]
    np.testing.assert_array_equal(one[1], everything[1])


@pytest.mark.parametrize(
    ("config", "more", "stream"),
    [
        (LlamaConfig, {}, "post_attention_layernorm"),
        (Gemma2Config, {}, "pre_feedforward_layernorm"),
        (Olmo2Config, {}, "mlp"),
        (Glm4Config, {}, "post_attention_layernorm"),
        (GraniteConfig, {"residual_multiplier": 0.22}, "post_attention_layernorm"),
        (
            HyperCLOVAXConfig,
            {"residual_multiplier": 0.4, "use_post_norm": True},
            "post_attention_layernorm",
        ),
    ],
)
def test_an_mlps_output_is_what_it_adds_to_the_stream(
    config: type[PreTrainedConfig], more: dict[str, Any], stream: str
) -> None:
    sizes: dict[str, Any] = {
        "vocab_size": 50,
        "pad_token_id": 0,
        "hidden_size": 16,
        "intermediate_size": 24,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "num_hidden_layers": 2,
        **more,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        opened = AutoModel.from_config(config(**sizes), attn_implementation="eager")  # type: ignore[no-untyped-call]
        model = opened.eval()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    block, added, streams = model.layers[1], list[torch.Tensor](), list[torch.Tensor]()
    _hook(block, block.mlp.down_proj, "mlp_output", added.append)
    _hook(block, block.mlp.down_proj, "residual", streams.append)
    getattr(block, stream).register_forward_pre_hook(lambda _module, inputs: streams.append(inputs[0]))

    with torch.inference_mode():
        model(input_ids=torch.arange(20).reshape(2, 10))

    before, after = streams
    torch.testing.assert_close(added[0], after - before, rtol=1e-4, atol=1e-4)


def test_running_is_listening_to_the_neurons(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    received: dict[int, NDArray[np.float32]] = {}
    hooked.run(token_ids, LAYERS, lambda layer, values: received.update({layer: values.numpy().copy()}))

    for layer_index, values in heard(hooked, token_ids, "neurons").items():
        np.testing.assert_array_equal(received[layer_index], values)


def test_no_place_lends_what_was_there_on_the_beginning(
    stock: GPT2Model, pieces: Pieces, token_ids: NDArray[np.int64]
) -> None:
    subject = HookedSubject("begins", stock, pieces, beginning=[7])
    written_out = HookedSubject("written out", stock, pieces)
    longer = np.concatenate([np.full((len(token_ids), 1), 7), token_ids], 1)

    for site in get_args(Site):
        expected = heard(written_out, longer, site)
        for layer_index, values in heard(subject, token_ids, site).items():
            np.testing.assert_array_equal(values, expected[layer_index][:, 1:])


def test_a_layer_that_does_not_exist_cannot_be_listened_to(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    with pytest.raises(LayerOutOfRange):
        heard(hooked, token_ids, "residual", [3])
