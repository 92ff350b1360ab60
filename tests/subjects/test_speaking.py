"""Facts on models with their heads: whatever runs less than a whole forward pass gives what a whole one gives."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from neuron_assets.errors import (
    NeuronsNotHeard,
    SubjectWithoutHead,
    UnusableSubject,
)
from neuron_assets.subjects.ablation import replace
from neuron_assets.subjects.bundled.opening import open_speaking_bundled, open_speaking_twin
from neuron_assets.subjects.families import FAMILIES
from neuron_assets.subjects.hugging_face import Source, open_speaking
from neuron_assets.subjects.speaking import SpeakingSubject
from tests.subjects.plain_passes import (
    N_EXCERPTS,
    TOKEN_IDS,
    UNITS,
    base_model,
    every_pair,
    heard,
    small,
    speaking,
    worked_out,
)
from tests.subjects.small_models import byte_level, write_model
from tests.subjects.test_families import DISCOVERED


@pytest.mark.parametrize("family", [*sorted(FAMILIES), *sorted(DISCOVERED)])
def test_running_from_a_layer_on_is_running_everything(family: str) -> None:
    model = small(family)
    replacements = every_pair()
    for layer_index in range(3):
        expected = worked_out(model, layer_index, replacements)

        moved = replace(speaking(model), TOKEN_IDS, layer_index, replacements, batch_size=2)

        assert expected.min() > 1e-6
        np.testing.assert_allclose(moved.by_replacement, expected, rtol=2e-3, atol=1e-9)


@pytest.mark.parametrize("family", ["llama", "gemma2", "opt", "bloom"])
def test_what_stands_before_a_text_is_read_and_left_as_it_is(family: str) -> None:
    model, beginning, replacements = small(family), [0, 5], every_pair()

    moved = replace(speaking(model, beginning), TOKEN_IDS, 1, replacements)

    expected = worked_out(model, 1, replacements, beginning)
    np.testing.assert_allclose(moved.by_replacement, expected, rtol=2e-3, atol=1e-9)
    assert not np.allclose(expected, worked_out(model, 1, replacements), rtol=0.05)


def test_blocks_under_the_layer_run_once_an_excerpt() -> None:
    subject = speaking(small("llama"))
    ran = [0, 0, 0]
    for layer_index, projection in enumerate(subject._projections):

        def count(_module: nn.Module, inputs: tuple[torch.Tensor, ...], layer_index: int = layer_index) -> None:
            ran[layer_index] += len(inputs[0])

        projection.register_forward_pre_hook(count)

    replace(subject, TOKEN_IDS, 1, every_pair(), batch_size=2)

    n_rows = N_EXCERPTS * len(UNITS)
    assert ran == [N_EXCERPTS, *[N_EXCERPTS + N_EXCERPTS + n_rows] * 2]  # true, rounded, replaced


@pytest.mark.parametrize("family", ["gptj", "gpt2"])
def test_a_failing_pass_leaves_nothing_behind(family: str) -> None:
    subject = speaking(small(family))
    before = heard(subject, 2)
    spoken = subject.speak(TOKEN_IDS, 2)

    def fail(_neurons: torch.Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        subject.speak_again(spoken, torch.arange(3), change=fail)

    assert not any("forward" in vars(part) for part in subject._whole.modules())
    np.testing.assert_array_equal(heard(subject, 2), before)


def test_a_way_round_the_neurons_is_an_error_and_not_silence() -> None:
    subject = speaking(small("bloom", slow_but_exact=True, pretraining_tp=2))

    with pytest.raises(NeuronsNotHeard, match=r"layer 0 of bloom .* was not called"):
        replace(subject, TOKEN_IDS, 0, every_pair())


def test_a_model_without_its_head_is_refused() -> None:
    with pytest.raises(SubjectWithoutHead, match="gpt2 was opened without its head"):
        speaking(base_model("gpt2"))


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2"])
def test_a_folder_is_opened_with_its_head(family: str, tmp_path: Path) -> None:
    model, pairs = small(family), every_pair()
    write_model(tmp_path, model, byte_level(beginning=True))

    subject = open_speaking(Source(family, str(tmp_path)), device="cpu")

    expected = worked_out(model, 1, pairs, beginning=[0])
    moved = replace(subject, TOKEN_IDS, 1, pairs)
    np.testing.assert_allclose(moved.by_replacement, expected, rtol=2e-3, atol=1e-9)


def test_a_head_that_is_missing_is_no_random_one(tmp_path: Path) -> None:
    write_model(tmp_path, base_model("llama", tie_word_embeddings=False), byte_level())

    with pytest.raises(UnusableSubject, match=r"lack 1 of its weights, lm_head\.weight first"):
        open_speaking(Source("llama", str(tmp_path)), device="cpu")


@pytest.mark.parametrize("opened", [open_speaking_bundled, lambda: open_speaking_twin(0)])
def test_neurons_of_what_is_shipped_move_it_as_a_whole_pass_says(opened: Callable[[], SpeakingSubject]) -> None:
    subject, pairs = opened(), every_pair()

    moved = replace(subject, TOKEN_IDS, 4, pairs, batch_size=4)

    expected = worked_out(subject._whole, 4, pairs)
    assert expected.min() > 1e-7
    np.testing.assert_allclose(moved.by_replacement, expected, rtol=2e-3, atol=1e-12)
