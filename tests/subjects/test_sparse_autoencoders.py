"""Facts on latents: each is what the documented formula says, written out here in numpy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from neuron_assets.errors import LayerWithoutUnits, UnusableUnits
from neuron_assets.subjects.sparse_autoencoders import highest, open_autoencoders
from neuron_assets.subjects.subject import Listenable, Subject
from neuron_assets.subjects.unit_files import read_autoencoders
from tests.subjects.autoencoders import Arrays, arrays, write_autoencoder, written_config
from tests.subjects.told_subject import ToldSubject, units

WIDTH, N_LATENTS = 12, 40
HOOK = "blocks.0.hook_resid_post"


def formula(config: dict[str, Any], weights: Arrays, heard: NDArray[np.float64]) -> NDArray[np.float64]:
    """The latents of each token, in float64."""
    by_name = {name: array.astype(np.float64) for name, array in weights.items()}
    latents = np.zeros((*heard.shape[:2], N_LATENTS))
    for place in np.ndindex(heard.shape[:2]):
        x = heard[place]
        if config["normalize_activations"] == "layer_norm":
            x = x - x.mean()
            x = x / (np.sqrt((x**2).sum() / (WIDTH - 1)) + 1e-5)
        if config["normalize_activations"] == "constant_norm_rescale":
            x = x * np.sqrt(WIDTH) / np.sqrt((x**2).sum())
        if config["apply_b_dec_to_input"]:
            x = x - by_name["b_dec"]
        before = x @ by_name["W_enc"] + by_name["b_enc"]
        if config.get("rescale_acts_by_decoder_norm"):
            before = before * np.sqrt((by_name["W_dec"] ** 2).sum(1))
        shown = range(N_LATENTS)
        if config["architecture"] == "topk":
            shown = sorted(shown, key=lambda latent: (-before[latent], latent))[: config["k"]]  # type: ignore[assignment]
        if config["architecture"] == "jumprelu":
            shown = [latent for latent in shown if before[latent] > by_name["threshold"][latent]]  # type: ignore[assignment]
        for latent in shown:
            latents[*place, latent] = max(0, before[latent])
    return latents


def opened(folder: Path, subject: Listenable, *, centred: bool | None = None) -> Subject:
    return open_autoencoders(subject, read_autoencoders(folder, "layer_{layer}", subject.n_layers, centred=centred))


def latents_of(
    folder: Path, config: dict[str, Any], weights: Arrays, heard: NDArray[np.float64], dtype: torch.dtype
) -> NDArray[np.float64]:
    write_autoencoder(folder / "layer_0", config, weights)
    return units(opened(folder, ToldSubject(heard[None], dtype)), [0], len(heard))[0]


KINDS: list[dict[str, Any]] = [
    {"architecture": "standard"},
    {"architecture": "standard", "apply_b_dec_to_input": False},
    {"architecture": "topk", "k": 1},
    {"architecture": "topk", "k": 7},
    {"architecture": "topk", "k": N_LATENTS},
    {"architecture": "topk", "k": 10 * N_LATENTS},
    {"architecture": "jumprelu"},
    {"architecture": "jumprelu", "apply_b_dec_to_input": False},
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_whole_numbers_give_the_formulas_very_numbers(tmp_path: Path, kind: dict[str, Any], dtype: torch.dtype) -> None:
    random = np.random.default_rng(3)
    weights = arrays(WIDTH, N_LATENTS, whole=True) | {"threshold": random.integers(0, 4, N_LATENTS).astype(np.float32)}
    heard = random.integers(-3, 4, (6, 5, WIDTH)).astype(np.float64)
    config = written_config(WIDTH, N_LATENTS, HOOK, **kind)

    found = latents_of(tmp_path, config, weights, heard, dtype)

    expected = formula(config, weights, heard)
    assert (expected > 0).any()
    np.testing.assert_array_equal(found, expected)


def test_the_ties_and_the_thresholds_that_matter_do_occur() -> None:
    random = np.random.default_rng(3)
    weights = arrays(WIDTH, N_LATENTS, whole=True)
    threshold = random.integers(0, 4, N_LATENTS)
    heard = random.integers(-3, 4, (6, 5, WIDTH))

    before = np.sort((heard - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"], axis=2)[..., ::-1]

    assert (before[..., 6] == before[..., 7]).sum() > 5  # of 30 tokens, the last place of k = 7 is shared
    assert (
        ((heard - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"] == threshold) & (threshold > 0)
    ).sum() > 20


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-5), (torch.bfloat16, 0.06)])
@pytest.mark.parametrize("norm", ["none", "layer_norm", "constant_norm_rescale"])
def test_what_is_heard_is_normalized_as_the_formula_says(
    tmp_path: Path, norm: str, dtype: torch.dtype, tolerance: float
) -> None:
    random = np.random.default_rng(4)
    weights, heard = arrays(WIDTH, N_LATENTS), random.normal(1, 4, (6, 5, WIDTH))
    config = written_config(WIDTH, N_LATENTS, HOOK, normalize_activations=norm)

    found = latents_of(tmp_path, config, weights, heard, dtype)

    expected = formula(config, weights, heard)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * expected.max())


def test_latents_may_be_ranked_in_units_of_their_decoder_row(tmp_path: Path) -> None:
    weights, heard = arrays(WIDTH, N_LATENTS), np.random.default_rng(5).normal(0, 2, (6, 5, WIDTH))
    rescaled = written_config(WIDTH, N_LATENTS, HOOK, architecture="topk", k=6, rescale_acts_by_decoder_norm=True)
    plain = rescaled | {"rescale_acts_by_decoder_norm": False}

    found = latents_of(tmp_path, rescaled, weights, heard, torch.float32)

    np.testing.assert_allclose(found, formula(rescaled, weights, heard), rtol=2e-5, atol=2e-5)
    assert ((formula(plain, weights, heard) > 0) != (found > 0)).any()


def test_a_centred_stream_is_heard_without_its_mean(tmp_path: Path) -> None:
    weights, heard = arrays(WIDTH, N_LATENTS), np.random.default_rng(6).normal(2, 2, (6, 5, WIDTH))
    config = written_config(WIDTH, N_LATENTS, HOOK)
    write_autoencoder(tmp_path / "layer_0", config, weights)

    found = units(opened(tmp_path, ToldSubject(heard[None]), centred=True), [0], 6)[0]

    expected = formula(config, weights, heard - heard.mean(2, keepdims=True))
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    assert np.abs(formula(config, weights, heard) - expected).max() > 0.5


def test_among_equal_latents_those_of_lower_index_are_kept() -> None:
    before = torch.tensor([[1.0, 5, 2, 5, 5, 0], [3, 3, 3, 3, 3, 3], [-1, -2, -1, -3, -4, -1]])

    kept = highest(before, 2)

    assert kept.tolist() == [[0, 5, 0, 5, 0, 0], [3, 3, 0, 0, 0, 0], [-1, 0, -1, 0, 0, 0]]


def test_each_layer_has_its_own_encoder_and_all_hear_at_one_place(tmp_path: Path) -> None:
    heard = np.random.default_rng(7).normal(0, 2, (3, 4, 5, WIDTH))
    weights = [arrays(WIDTH, N_LATENTS, seed=layer) for layer in range(3)]
    config = written_config(WIDTH, N_LATENTS, HOOK)
    for layer in (0, 2):
        told = written_config(WIDTH, N_LATENTS, f"blocks.{layer}.hook_mlp_out")
        write_autoencoder(tmp_path / f"layer_{layer}", told, weights[layer])
    subject = ToldSubject(heard)

    found = units(opened(tmp_path, subject), [0, 2], 4)

    assert subject.sites == ["mlp_output"]
    for layer in (0, 2):
        np.testing.assert_allclose(found[layer], formula(config, weights[layer], heard[layer]), rtol=2e-5, atol=2e-5)


def test_the_subject_still_reads_and_shows_tokens(tmp_path: Path) -> None:
    write_autoencoder(tmp_path / "layer_0", written_config(WIDTH, N_LATENTS, HOOK), arrays(WIDTH, N_LATENTS))
    subject = opened(tmp_path, ToldSubject(np.zeros((1, 2, 3, WIDTH))))

    assert (subject.name, subject.n_layers, subject.n_neurons) == ("told", 1, N_LATENTS)
    assert (subject.tokenize("four"), subject.token_strings([1, 2]), subject.text([1])) == ([4], ["<1>", "<2>"], "<1>")


def test_a_layer_that_turns_out_to_have_no_encoder_is_named(tmp_path: Path) -> None:
    write_autoencoder(tmp_path / "layer_0", written_config(WIDTH, N_LATENTS, HOOK), arrays(WIDTH, N_LATENTS))

    with pytest.raises(LayerWithoutUnits, match=f"Layer 1 has no units in {tmp_path}; layers that have: 0"):
        units(opened(tmp_path, ToldSubject(np.zeros((2, 2, 3, WIDTH)))), [1], 2)


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    write_autoencoder(tmp_path / "layer_0", written_config(WIDTH, N_LATENTS, HOOK), arrays(WIDTH, N_LATENTS))

    with pytest.raises(UnusableUnits, match="made for 12 numbers, the residual of told is 13"):
        units(opened(tmp_path, ToldSubject(np.zeros((1, 2, 3, 13)))), [0], 2)


@pytest.mark.parametrize("name", ["W_enc", "b_enc", "b_dec"])
def test_weights_that_are_no_numbers_are_refused(tmp_path: Path, name: str) -> None:
    weights = arrays(WIDTH, N_LATENTS)
    weights[name].flat[3] = np.nan
    write_autoencoder(tmp_path / "layer_0", written_config(WIDTH, N_LATENTS, HOOK), weights)

    with pytest.raises(UnusableUnits, match=f"`{name}` holds what is no finite number"):
        units(opened(tmp_path, ToldSubject(np.zeros((1, 2, 3, WIDTH)))), [0], 2)
