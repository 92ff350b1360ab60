"""Facts on subjects that are language models: what is heard is what the weights say."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import load_file
from torch import nn
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import QuickGELUActivation

from neuron_assets.errors import LayerOutOfRange, SubjectMismatch
from neuron_assets.subjects.harvest import HarvestPlan, Kept, harvest
from neuron_assets.subjects.hooked import WRITTEN_OUT_TANH_GELUS, HookedSubject, with_one_kernel_gelu
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.subject import Subject, check_sizes


def heard(subject: Subject, token_ids: NDArray[np.int64], layers: list[int]) -> dict[int, NDArray[np.float32]]:
    received: dict[int, NDArray[np.float32]] = {}

    def receive(layer_index: int, activations: torch.Tensor) -> None:
        received[layer_index] = activations.numpy().copy()

    subject.run(token_ids, layers, receive)
    return received


def test_activations_are_what_the_weights_say(
    hooked: HookedSubject, folder: Path, token_ids: NDArray[np.int64]
) -> None:
    stored = load_file(folder / "model.safetensors")
    weights = {name.removeprefix("transformer."): array.astype(np.float64) for name, array in stored.items()}

    received = heard(hooked, token_ids, [0, 1, 2])

    for layer_index, activations in enumerate(_written_out(weights, token_ids, n_layers=3, n_heads=3)):
        np.testing.assert_allclose(received[layer_index], activations, rtol=2e-4, atol=2e-4)


def _written_out(
    weights: dict[str, NDArray[np.float64]], token_ids: NDArray[np.int64], *, n_layers: int, n_heads: int
) -> list[NDArray[np.float64]]:
    """GPT-2 in numpy: what the neurons of each layer do [excerpt, token, neuron]."""
    n_tokens = token_ids.shape[1]
    stream = weights["wte.weight"][token_ids] + weights["wpe.weight"][:n_tokens]
    causal = np.tril(np.ones((n_tokens, n_tokens), bool))
    neurons = []
    for layer_index in range(n_layers):
        block = {name.removeprefix(f"h.{layer_index}."): weight for name, weight in weights.items()}
        query, key, value = (
            part.reshape(*part.shape[:2], n_heads, -1).swapaxes(1, 2)  # excerpt, head, token, width
            for part in np.split(_linear(_norm(stream, block, "ln_1"), block, "attn.c_attn"), 3, axis=-1)
        )
        scores = np.where(causal, query @ key.swapaxes(2, 3) / np.sqrt(query.shape[-1]), -np.inf)
        attention = np.exp(scores - scores.max(-1, keepdims=True))
        attention /= attention.sum(-1, keepdims=True)
        stream = stream + _linear((attention @ value).swapaxes(1, 2).reshape(stream.shape), block, "attn.c_proj")
        before = _linear(_norm(stream, block, "ln_2"), block, "mlp.c_fc")
        neurons.append(before / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (before + 0.044715 * before**3))))
        stream = stream + _linear(neurons[-1], block, "mlp.c_proj")
    return neurons


def _linear(x: NDArray[np.float64], block: dict[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    return np.asarray(x @ block[f"{name}.weight"] + block[f"{name}.bias"])


def _norm(x: NDArray[np.float64], block: dict[str, NDArray[np.float64]], name: str) -> NDArray[np.float64]:
    scaled = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
    return np.asarray(scaled * block[f"{name}.weight"] + block[f"{name}.bias"])


def test_layers_that_are_not_asked_change_nothing(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    everything = heard(hooked, token_ids, [0, 1, 2])

    one = heard(hooked, token_ids, [1])

    assert list(one) == [1]
    np.testing.assert_array_equal(one[1], everything[1])


def test_blocks_above_the_highest_asked_layer_do_not_run(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    ran: list[int] = []
    for layer_index, block in enumerate(hooked._blocks):
        block.register_forward_pre_hook(lambda *_arguments, layer_index=layer_index: ran.append(layer_index))

    heard(hooked, token_ids, [1])
    heard(hooked, token_ids, [2])

    assert ran == [0, 1, 0, 1, 2]


def test_a_failing_receiver_leaves_no_hook_behind(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    def receive(layer_index: int, activations: torch.Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hooked.run(token_ids, [0], receive)

    assert list(heard(hooked, token_ids, [2])) == [2]


def test_the_head_is_never_run(pieces: Pieces, token_ids: NDArray[np.int64]) -> None:
    config = GPT2Config(vocab_size=320, n_positions=16, n_embd=12, n_layer=1, n_head=3, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    model.lm_head.register_forward_pre_hook(lambda *_arguments: pytest.fail("the head ran"))

    received = heard(HookedSubject("with a head", model, pieces), token_ids, [0])

    assert received[0].shape == (5, 11, 48)


@pytest.mark.parametrize("kind", WRITTEN_OUT_TANH_GELUS)
def test_the_fast_gelu_is_the_slow_one(kind: type[nn.Module]) -> None:
    inputs = torch.cat(
        [torch.linspace(-12, 12, 200_001), torch.randn(100_000, generator=torch.Generator().manual_seed(0))]
    )
    slow = kind()
    fast = with_one_kernel_gelu(nn.Sequential(kind()))

    assert isinstance(fast.get_submodule("0"), nn.GELU)
    assert float((slow(inputs) - fast(inputs)).abs().max()) <= 2e-6


def test_the_coarse_gelu_is_another_function_and_left_as_it_is() -> None:
    kept = with_one_kernel_gelu(nn.Sequential(QuickGELUActivation()))

    assert isinstance(kept.get_submodule("0"), QuickGELUActivation)


def test_sizes_are_those_of_the_weights(hooked: HookedSubject) -> None:
    assert (hooked.n_layers, hooked.n_neurons) == (3, 21)

    check_sizes(hooked, n_layers=3, n_neurons=21)


def test_other_sizes_than_the_studys_are_refused(hooked: HookedSubject) -> None:
    with pytest.raises(SubjectMismatch, match="bundled has 3 layers, the study says 4"):
        check_sizes(hooked, n_layers=4, n_neurons=21)
    with pytest.raises(SubjectMismatch, match="bundled has 21 neurons a layer, the study says 20"):
        check_sizes(hooked, n_layers=3, n_neurons=20)


def test_a_layer_that_does_not_exist_is_refused(hooked: HookedSubject, token_ids: NDArray[np.int64]) -> None:
    with pytest.raises(LayerOutOfRange, match="Layer 3 does not exist"):
        heard(hooked, token_ids, [0, 3])


def test_excerpts_longer_than_the_model_reads_are_refused(hooked: HookedSubject) -> None:
    with pytest.raises(SubjectMismatch, match=r"16 positions, the study says 17 tokens .* Lower `excerpt_length`"):
        heard(hooked, np.zeros((1, 17), np.int64), [0])


def test_what_stands_before_a_text_counts_as_read(pieces: Pieces) -> None:
    config = GPT2Config(vocab_size=320, n_positions=8, n_embd=12, n_layer=1, n_head=3, bos_token_id=0, eos_token_id=0)
    subject = HookedSubject("short", GPT2LMHeadModel(config), pieces, [0])

    assert heard(subject, np.ones((2, 7), np.int64), [0])[0].shape == (2, 7, 48)
    with pytest.raises(SubjectMismatch, match="short has 8 positions, the study says 8 tokens an excerpt after those"):
        heard(subject, np.ones((2, 8), np.int64), [0])


def test_a_language_model_is_harvested_layer_by_layer(hooked: HookedSubject) -> None:
    token_ids = np.random.default_rng(1).integers(0, 320, (30, 16))
    pools = np.repeat([0, 2], 15)
    plan = HarvestPlan({"train": Kept(4, 3), "valid": Kept(2, 4)}, seed=5, n_sampled_tokens=10_000, rows_as="float32")
    blocks: list[NDArray[np.float32]] = []
    hooked.run(token_ids, [1], lambda _layer_index, block: blocks.append(block.numpy().copy()))

    found = harvest(hooked, token_ids, pools, [1], plan, batch_size=4)[1].pools["train"].top

    peaks = blocks[0][:15].max(1)  # excerpt, neuron
    np.testing.assert_allclose(found.peaks, np.sort(peaks, 0)[::-1][:4].T, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found.peaks, found.rows.max(2))
