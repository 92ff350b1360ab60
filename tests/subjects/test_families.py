"""Facts on families of models: what is heard of each is what its weights say, worked out beside it in numpy."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel

from neuron_assets.errors import NeuronsDiffer, NeuronsNotHeard, SubjectOfExperts, UnknownFamily, UnusableSubject
from neuron_assets.subjects import families
from neuron_assets.subjects.families import FAMILIES, anatomy
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.hugging_face import Beginning, Source, open_hugging_face
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.subject import Subject
from tests.subjects.small_models import byte_level, small_config, small_model, write_model

Array = NDArray[np.float64]
Weights = Mapping[str, Array]
"""Of one MLP, by the name in it."""


def gelu(x: Array) -> Array:
    return np.asarray(x / 2 * (1 + erf(x / np.sqrt(2))))


def tanh_gelu(x: Array) -> Array:
    return np.asarray(x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


def silu(x: Array) -> Array:
    return np.asarray(x / (1 + np.exp(-x)))


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


def squared_relu(x: Array) -> Array:
    return relu(x) ** 2


def linear(weights: Weights, name: str, x: Array) -> Array:
    return np.asarray(x @ weights[f"{name}.weight"].T + weights.get(f"{name}.bias", 0.0))


def plain(name: str, function: Callable[[Array], Array]) -> Callable[[Weights, Array], Array]:
    return lambda weights, x: function(linear(weights, name, x))


def gated(function: Callable[[Array], Array]) -> Callable[[Weights, Array], Array]:
    return lambda weights, x: function(linear(weights, "gate_proj", x)) * linear(weights, "up_proj", x)


def both_in_one(function: Callable[[Array], Array]) -> Callable[[Weights, Array], Array]:
    def neurons(weights: Weights, x: Array) -> Array:
        gate, up = np.split(linear(weights, "gate_up_proj", x), 2, axis=-1)
        return function(gate) * up

    return neurons


def transposed(weights: Weights, x: Array) -> Array:
    return tanh_gelu(x @ weights["c_fc.weight"] + weights["c_fc.bias"])


@dataclass(frozen=True, slots=True)
class Mlp:
    neurons: Callable[[Weights, Array], Array]
    """From its weights and what goes into it."""
    name: str = "mlp"
    blocks: str = "model.layers"


MLPS: Mapping[str, Mlp] = {
    "bloom": Mlp(plain("dense_h_to_4h", tanh_gelu), blocks="transformer.h"),
    "codegen": Mlp(plain("fc_in", tanh_gelu), blocks="transformer.h"),
    "cohere": Mlp(gated(silu)),
    "falcon": Mlp(plain("dense_h_to_4h", gelu), blocks="transformer.h"),
    "gemma": Mlp(gated(tanh_gelu)),
    "gemma2": Mlp(gated(tanh_gelu)),
    "gemma3_text": Mlp(gated(tanh_gelu)),
    "glm": Mlp(both_in_one(silu)),
    "gpt2": Mlp(transposed, blocks="transformer.h"),
    "gpt_bigcode": Mlp(plain("c_fc", tanh_gelu), blocks="transformer.h"),
    "gpt_neo": Mlp(plain("c_fc", tanh_gelu), blocks="transformer.h"),
    "gpt_neox": Mlp(plain("dense_h_to_4h", gelu), blocks="gpt_neox.layers"),
    "gptj": Mlp(plain("fc_in", tanh_gelu), blocks="transformer.h"),
    "granite": Mlp(gated(silu)),
    "llama": Mlp(gated(silu)),
    "mistral": Mlp(gated(silu)),
    "mpt": Mlp(plain("up_proj", gelu), "ffn", "transformer.blocks"),
    "olmo": Mlp(gated(silu)),
    "olmo2": Mlp(gated(silu)),
    "opt": Mlp(plain("fc1", relu), "fc1", "model.decoder.layers"),
    "phi": Mlp(plain("fc1", tanh_gelu)),
    "phi3": Mlp(both_in_one(silu)),
    "qwen2": Mlp(gated(silu)),
    "qwen3": Mlp(gated(silu)),
    "smollm3": Mlp(gated(silu)),
    "stablelm": Mlp(gated(silu)),
    "starcoder2": Mlp(plain("c_fc", tanh_gelu)),
}
DISCOVERED: Mapping[str, Mlp] = {
    "nemotron": Mlp(plain("up_proj", squared_relu)),
    "olmo3": Mlp(gated(silu)),
    "exaone4": Mlp(gated(silu)),
    "persimmon": Mlp(plain("dense_h_to_4h", squared_relu)),
}
"""Families that the table does not know."""
TOKEN_IDS = np.random.default_rng(0).integers(2, 300, (3, 7))


def heard(subject: Subject, layers: tuple[int, ...] = (0, 1)) -> dict[int, NDArray[np.float32]]:
    received: dict[int, NDArray[np.float32]] = {}

    def receive(layer_index: int, activations: torch.Tensor) -> None:
        assert layer_index not in received
        received[layer_index] = activations.float().numpy().copy()

    subject.run(TOKEN_IDS, layers, receive)
    return received


def worked_out(mlp: Mlp, folder: Path, token_ids: NDArray[np.int64]) -> list[Array]:
    """What the neurons of each layer do, from what goes into its MLP in the library's own forward pass, and weights."""
    stock: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    blocks = stock.get_submodule(mlp.blocks)
    entered: list[Array] = []

    def keep(_mlp: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        entered.append(inputs[0].double().numpy().reshape(*token_ids.shape, -1))

    for block in blocks.children():
        block.get_submodule(mlp.name).register_forward_pre_hook(keep)
    with torch.no_grad():
        stock(input_ids=torch.from_numpy(token_ids))
    found = []
    for block, x in zip(blocks.children(), entered, strict=True):
        part = block if mlp.name == "fc1" else block.get_submodule(mlp.name)
        weights = {name: weight.double().detach().numpy() for name, weight in part.named_parameters()}
        found.append(mlp.neurons(weights, x))
    return found


def test_every_known_family_is_tested() -> None:
    assert set(MLPS) == set(FAMILIES)
    assert set(DISCOVERED).isdisjoint(FAMILIES)


@pytest.mark.parametrize("family", [*MLPS, *DISCOVERED])
def test_what_is_heard_is_what_the_weights_say(family: str, tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config(family)), byte_level())

    subject = open_hugging_face(Source(family, str(tmp_path)), device="cpu")

    received = heard(subject)
    expected = worked_out({**MLPS, **DISCOVERED}[family], tmp_path, TOKEN_IDS)
    assert (subject.n_layers, subject.n_neurons) == (2, expected[0].shape[-1])
    for layer_index, activations in enumerate(expected):
        assert np.abs(activations).max() > 0.1
        np.testing.assert_allclose(received[layer_index], activations, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt", "bloom", "falcon", "gemma3_text"])
@pytest.mark.parametrize("beginning", ["auto", "always"])
def test_what_stands_before_a_text_is_read_and_not_handed_on(family: str, beginning: Beginning, tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config(family)), byte_level(beginning=beginning == "auto"))

    subject = open_hugging_face(Source(family, str(tmp_path)), device="cpu", beginning=beginning)

    read = np.concatenate([np.zeros((3, 1), np.int64), TOKEN_IDS], 1)
    for layer_index, activations in enumerate(worked_out(MLPS[family], tmp_path, read)):
        np.testing.assert_allclose(heard(subject)[layer_index], activations[:, 1:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("beginning", ["never", "auto"])
def test_nothing_stands_before_a_text_where_nothing_should(beginning: Beginning, tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config("llama")), byte_level(beginning=beginning == "never"))

    subject = open_hugging_face(Source("llama", str(tmp_path)), device="cpu", beginning=beginning)

    for layer_index, activations in enumerate(worked_out(MLPS["llama"], tmp_path, TOKEN_IDS)):
        np.testing.assert_allclose(heard(subject)[layer_index], activations, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("family", sorted(MLPS))
def test_structure_alone_finds_what_the_table_says(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_model(small_config(family))
    known = anatomy("known", model)
    monkeypatch.setattr(families, "FAMILIES", {})

    found = anatomy("discovered", model)

    assert list(map(id, found.projections)) == list(map(id, known.projections))
    assert found.n_neurons == known.n_neurons


@pytest.mark.parametrize("family", sorted(MLPS))
def test_one_layer_is_heard_as_all_are(family: str) -> None:
    subject = HookedSubject(family, small_model(small_config(family)), Pieces(byte_level()))
    ran: list[int] = []
    for layer_index, block in enumerate(subject._blocks):
        block.register_forward_pre_hook(lambda *_, layer_index=layer_index: ran.append(layer_index))

    everything, one = heard(subject), heard(subject, (0,))

    assert ran == [0, 1, 0]
    np.testing.assert_array_equal(one[0], everything[0])


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe", "gpt_oss", "olmoe", "granitemoe"])
def test_mixtures_of_experts_are_refused(family: str) -> None:
    model = small_model(small_config(family))

    with pytest.raises(SubjectOfExperts, match="most of its neurons are not computed at most tokens"):
        HookedSubject("many experts", model, Pieces(byte_level()))


def test_one_block_of_experts_is_enough_to_be_refused() -> None:
    model = small_model(small_config("llama"))
    model.model.layers[1].mlp.experts = nn.ModuleList([nn.Linear(2, 2)])

    with pytest.raises(SubjectOfExperts):
        anatomy("one", model)


def test_a_model_without_mlps_is_refused() -> None:
    model = small_model(small_config("mamba"))

    with pytest.raises(UnknownFamily, match=r"0 lists of blocks were found.*add a line for 'mamba' to FAMILIES"):
        anatomy("mamba", model)


def test_a_block_with_two_candidates_is_refused() -> None:
    model = small_model(small_config("nemotron"))
    model.model.layers[1].also = nn.Linear(7, 32)

    with pytest.raises(UnknownFamily, match="2 output projections in a block were found"):
        anatomy("two", model)


def test_layers_of_different_widths_are_refused() -> None:
    model = small_model(small_config("llama"))
    model.model.layers[1].mlp.down_proj = nn.Linear(49, 32)

    with pytest.raises(NeuronsDiffer, match=r"not equally many neurons \(48, 49\)"):
        anatomy("uneven", model)


def test_a_way_round_the_projection_is_an_error_and_not_silence() -> None:
    config = small_config("bloom", slow_but_exact=True, pretraining_tp=2)
    subject = HookedSubject("bloom", small_model(config), Pieces(byte_level()))

    with pytest.raises(NeuronsNotHeard, match=r"layer 0 of bloom .* was not called"):
        heard(subject)


def test_a_model_that_keeps_tokens_first_is_not_taken_to_keep_excerpts_first() -> None:
    model = small_model(small_config("llama"))
    model.model.layers[0].mlp.down_proj.register_forward_pre_hook(lambda _module, inputs: inputs[0].transpose(0, 1))
    subject = HookedSubject("turned", model, Pieces(byte_level()))

    with pytest.raises(NeuronsNotHeard, match=r"layer 0 of turned .* they came as \[.*\], not as \d+ excerpts of \d+"):
        heard(subject)


def test_a_model_that_reads_both_ways_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path, small_model(small_config("bert", is_decoder=False)), byte_level())

    with pytest.raises(UnusableSubject, match="a bert model is no causal language model"):
        open_hugging_face(Source("bert", str(tmp_path)), device="cpu")
