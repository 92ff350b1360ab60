"""Facts on ablation: how far replacing a neuron moves what a model says, and what cannot be replaced."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from neuron_assets.errors import (
    LayerOutOfRange,
    NeuronOutOfRange,
    NotReplaceable,
    SubjectMismatch,
    SubjectWithoutHead,
    UnequalLengths,
)
from neuron_assets.method.ablation import Divergences, measure_ablation
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import Rows
from neuron_assets.subjects import ablation
from neuron_assets.subjects.ablation import Replacements, replace, replaceable
from neuron_assets.subjects.derived import DerivedSubject, Units
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.planted import PlantedSubject
from neuron_assets.subjects.signed import SignedSubject
from tests.subjects.plain_passes import (
    N_EXCERPTS,
    N_TOKENS,
    N_VOCABULARY,
    TOKEN_IDS,
    UNITS,
    Array,
    base_model,
    every_pair,
    heard,
    small,
    speaking,
)
from tests.subjects.small_models import byte_level


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


def test_progress_is_heard_to_the_end() -> None:
    heard_of: list[tuple[int, int]] = []

    subject = speaking(small("gpt2"))
    replace(subject, TOKEN_IDS, 0, every_pair(), batch_size=2, on_progress=lambda *told: heard_of.append(told))

    assert heard_of == sorted(heard_of)
    assert heard_of[-1] == (9, 9)


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
