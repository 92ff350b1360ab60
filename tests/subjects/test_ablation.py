"""Facts on ablation: whatever runs less than a whole forward pass gives what a whole one with a hook gives."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from torch import nn
from transformers import PreTrainedModel

from neuron_assets.errors import (
    LayerOutOfRange,
    NeuronOutOfRange,
    NeuronsNotHeard,
    NotReplaceable,
    SubjectMismatch,
    SubjectWithoutHead,
    UnequalLengths,
    UnusableSubject,
)
from neuron_assets.method.ablation import Divergences, measure_ablation
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import Rows
from neuron_assets.subjects import ablation
from neuron_assets.subjects.ablation import Replacements, replace, replaceable
from neuron_assets.subjects.bundled.opening import open_speaking_bundled, open_speaking_twin
from neuron_assets.subjects.derived import DerivedSubject, Units
from neuron_assets.subjects.families import FAMILIES, anatomy
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.hugging_face import Source, open_speaking
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.planted import PlantedSubject
from neuron_assets.subjects.signed import SignedSubject
from neuron_assets.subjects.speaking import SpeakingSubject
from tests.subjects.small_models import byte_level, small_config, small_model, write_model
from tests.subjects.test_families import DISCOVERED

Array = NDArray[np.float64]
N_EXCERPTS, N_TOKENS, N_VOCABULARY = 3, 7, 400
TOKEN_IDS = np.random.default_rng(0).integers(2, 300, (N_EXCERPTS, N_TOKENS))
UNITS = (0, 17, 47)


MORE: Mapping[str, Mapping[str, object]] = {
    "cohere": {"logit_scale": 0.3},
    "gemma2": {"final_logit_softcapping": 5.0},
    "gpt_neo": {"attention_types": [[["global", "local", "global"], 1]]},
    "granite": {"residual_multiplier": 0.4, "logits_scaling": 1.7},
}
"""So that what a family does otherwise has an effect."""


def small(family: str, **more: object) -> PreTrainedModel:
    """Three layers, so that one can be skipped."""
    return small_model(small_config(family, num_hidden_layers=3, **MORE.get(family, {}), **more))


def base_model(family: str, **more: object) -> PreTrainedModel:
    model = small(family, **more).base_model
    assert isinstance(model, PreTrainedModel)
    return model


def speaking(model: PreTrainedModel, beginning: Sequence[int] = ()) -> SpeakingSubject:
    return SpeakingSubject(model.config.model_type, model, Pieces(byte_level()), beginning)


def every_pair(n_tokens: int = N_TOKENS, seed: int = 1) -> Replacements:
    """Three neurons on every excerpt, in an order of no kind."""
    random = np.random.default_rng(seed)
    pairs = random.permutation([(unit, excerpt) for unit in UNITS for excerpt in range(N_EXCERPTS)])
    return Replacements(pairs[:, 0], pairs[:, 1], random.normal(scale=3, size=(len(pairs), n_tokens)))


def said(model: PreTrainedModel, read: NDArray[np.int64], layer_index: int, neuron: int, put: Array | None) -> Array:
    """The probabilities of a plain forward pass over one excerpt [token, vocabulary], at the last tokens of `read`."""

    def hook(_projection: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        changed = inputs[0].clone()
        if put is not None:
            changed.view(len(read), -1)[-len(put) :, neuron] = torch.from_numpy(put).to(changed.dtype)
        return (changed,)

    handle = anatomy("plain", model).projections[layer_index].register_forward_pre_hook(hook)
    with torch.no_grad():
        logits = model(input_ids=torch.from_numpy(read)[None], use_cache=False).logits[0]
    handle.remove()
    return np.asarray(torch.softmax(logits.double(), -1).numpy())


def worked_out(
    model: PreTrainedModel, layer_index: int, replacements: Replacements, beginning: Sequence[int] = ()
) -> Array:
    rows = zip(replacements.unit_indices, replacements.excerpt_rows, replacements.activations, strict=True)
    found = []
    for unit, excerpt, put in rows:
        read = np.concatenate([np.array(beginning, np.int64), TOKEN_IDS[excerpt]])
        true, other = (said(model, read, layer_index, unit, each)[-N_TOKENS:] for each in (None, put))
        found.append((jensenshannon(true, other, axis=1) ** 2).mean())
    return np.array(found)


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


def heard(subject: SpeakingSubject, layer_index: int, token_ids: NDArray[np.int64] = TOKEN_IDS) -> NDArray[np.float32]:
    received: list[NDArray[np.float32]] = []
    subject.run(token_ids, [layer_index], lambda _layer_index, block: received.append(block.float().numpy().copy()))
    return received[0]


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("beginning", [(), (0,)])
def test_true_activations_move_nothing(family: str, beginning: tuple[int, ...]) -> None:
    subject = speaking(small(family), beginning)
    for layer_index in range(3):
        pairs = every_pair()
        true = heard(subject, layer_index)[pairs.excerpt_rows, :, pairs.unit_indices]

        moved = replace(subject, TOKEN_IDS, layer_index, Replacements(pairs.unit_indices, pairs.excerpt_rows, true))

        assert moved.by_replacement.max() <= moved.by_rounding.max() < 1e-8


def test_a_negated_unit_is_its_neuron_negated() -> None:
    subject, pairs = speaking(small("llama")), every_pair()
    negated = Replacements(pairs.unit_indices + subject.n_neurons, pairs.excerpt_rows, -pairs.activations)

    as_units = replace(subject, TOKEN_IDS, 1, negated)

    np.testing.assert_array_equal(as_units.by_replacement, replace(subject, TOKEN_IDS, 1, pairs).by_replacement)


@pytest.mark.parametrize("family", ["gpt2", "gemma2"])
def test_batches_and_pieces_change_nothing_but_rounding(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    subject, pairs = speaking(small(family)), every_pair()
    whole = replace(subject, TOKEN_IDS, 0, pairs, batch_size=100)
    shapes: list[tuple[int, ...]] = []
    made = subject.logits

    def noted(last: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(last.shape))
        return made(last)

    monkeypatch.setattr(subject, "logits", noted)
    monkeypatch.setattr(ablation, "_LOGITS_AT_ONCE", 2 * 2 * N_VOCABULARY)
    monkeypatch.setattr(ablation, "_NUMBERS_IN_CACHE", 1)

    in_pieces = replace(subject, TOKEN_IDS, 0, pairs, batch_size=2)

    assert {n_rows * n_tokens for n_rows, n_tokens, _width in shapes} <= {1, 2, 3, 4}
    np.testing.assert_allclose(in_pieces.by_replacement, whole.by_replacement, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(in_pieces.by_rounding, whole.by_rounding, rtol=0.5, atol=1e-14)


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


def test_progress_is_heard_to_the_end() -> None:
    heard_of: list[tuple[int, int]] = []

    subject = speaking(small("gpt2"))
    replace(subject, TOKEN_IDS, 0, every_pair(), batch_size=2, on_progress=lambda *told: heard_of.append(told))

    assert heard_of == sorted(heard_of)
    assert heard_of[-1] == (9, 9)


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


def test_rounding_is_felt_as_the_dtype_has_it() -> None:
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        model = small("llama")
        nn.Module.to(model, dtype=dtype)
        found[dtype] = replace(speaking(model), TOKEN_IDS, 1, every_pair()).by_rounding

    assert (found[torch.float32] > 0).all()
    assert (found[torch.float32] < 1e-9).all()
    # Noise is of the size of a step, divergence of its square.
    ratio = (torch.finfo(torch.bfloat16).eps / torch.finfo(torch.float32).eps) ** 2
    assert ratio / 100 < np.mean(found[torch.bfloat16]) / np.mean(found[torch.float32]) < ratio * 100


def test_the_divergence_is_the_definitions() -> None:
    random = torch.Generator().manual_seed(0)
    first, second = torch.randn(5, 11, generator=random), torch.randn(2, 5, 11, generator=random)

    found = ablation.jensen_shannon(first, second).numpy()

    p, q = (torch.softmax(logits.double(), -1).numpy() for logits in (first, second))
    np.testing.assert_allclose(found, jensenshannon(p[np.newaxis], q, axis=-1) ** 2, rtol=1e-10)


def test_distributions_without_a_common_token_are_ln_2_apart() -> None:
    far = torch.tensor([[0.0, 2000.0, 0.0]])

    assert ablation.jensen_shannon(far, far.roll(1, -1)[None]).item() == pytest.approx(np.log(2))
    assert ablation.jensen_shannon(far, far[None]).item() < 1e-290


def test_what_cannot_be_replaced_is_refused() -> None:
    subject, pairs = speaking(small("gpt2")), every_pair()

    with pytest.raises(LayerOutOfRange, match="Layer 3 does not exist"):
        replace(subject, TOKEN_IDS, 3, pairs)
    with pytest.raises(NeuronOutOfRange, match="L0N96 does not exist"):
        replace(subject, TOKEN_IDS, 0, Replacements(pairs.unit_indices + 49, pairs.excerpt_rows, pairs.activations))
    with pytest.raises(UnequalLengths):
        replace(subject, TOKEN_IDS, 0, every_pair(N_TOKENS + 1))
    with pytest.raises(SubjectMismatch, match="32 positions"):
        replace(subject, np.zeros((3, 33), np.int64), 0, every_pair(33))


def test_a_way_round_the_neurons_is_an_error_and_not_silence() -> None:
    subject = speaking(small("bloom", slow_but_exact=True, pretraining_tp=2))

    with pytest.raises(NeuronsNotHeard, match=r"layer 0 of bloom .* was not called"):
        replace(subject, TOKEN_IDS, 0, every_pair())


def test_a_model_without_its_head_is_refused() -> None:
    with pytest.raises(SubjectWithoutHead, match="gpt2 was opened without its head"):
        speaking(base_model("gpt2"))


def test_only_neurons_can_be_replaced() -> None:
    subject, pieces = speaking(small("gpt2")), Pieces(byte_level())
    units = Units(3, "residual", lambda _layer_index, _heard: lambda heard: heard[..., :3])

    assert replaceable(subject) is subject
    assert replaceable(SignedSubject(subject)) is subject
    others = (DerivedSubject(subject, units), SignedSubject(DerivedSubject(subject, units)))
    for other in (*others, PlantedSubject("planted", [], pieces)):
        with pytest.raises(NotReplaceable, match="are no neurons of a language model"):
            replaceable(other)
    with pytest.raises(SubjectWithoutHead):
        replaceable(HookedSubject("gpt2", base_model("gpt2"), pieces))


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


@pytest.mark.parametrize("family", ["gpt2", "llama", "gpt_neox", "gemma2"])
def test_the_truth_scores_1_and_the_mean_0(family: str) -> None:
    subject = speaking(small(family))
    true = heard(subject, 1)[:, :, UNITS[1]].astype(np.float64)  # excerpt, token
    mean = np.full_like(true, true.mean())
    everywhere = np.arange(N_EXCERPTS)

    def moved_by(put: Array) -> ablation.Moved:
        return replace(subject, TOKEN_IDS, 1, Replacements(np.full(N_EXCERPTS, UNITS[1]), everywhere, put))

    noise, mean_ablated = moved_by(mean).by_rounding, moved_by(mean).by_replacement
    tokens = Tokens(np.zeros(TOKEN_IDS.shape, np.int64), ("a",))
    nothing = np.zeros(N_EXCERPTS, bool)
    record = NeuronRecord(NeuronId(1, UNITS[1]), Exemplars(tokens, true, nothing, everywhere, everywhere))

    def score(put: Array) -> float | None:
        divergences = Divergences(moved_by(put).by_replacement, mean_ablated, noise)
        return measure_ablation(record, Rows(everywhere[:0], everywhere), divergences).metrics[0].value

    half_way = score((true + mean) / 2)
    assert score(true) == pytest.approx(1, abs=1e-6)
    assert score(mean) == pytest.approx(0, abs=1e-12)
    assert half_way is not None
    assert 0.2 < half_way < 1
