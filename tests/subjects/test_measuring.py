"""Facts on what single neurons are heard to do on single texts."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import GPT2LMHeadModel

from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.measuring import measure
from neuron_assets.subjects.pieces import Pieces
from neuron_assets.subjects.planted import PlantedSubject
from neuron_assets.subjects.subject import Subject

TEXTS = [(3, "The cat sat"), (0, "the dog sat on"), (3, "log"), (20, "The cat sat"), (7, "the mat, and the")]
LAYER = 1


def alone(subject: Subject, token_ids: Sequence[int], neuron_index: int) -> NDArray[np.float32]:
    """What the neuron does where the subject reads nothing else."""
    heard: list[NDArray[np.float32]] = []

    def receive(_layer: int, activations: torch.Tensor) -> None:
        heard.append(activations[0, :, neuron_index].float().numpy().copy())

    subject.run(np.array([token_ids]), [LAYER], receive)
    (found,) = heard
    return found


@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_each_neuron_is_heard_on_its_own_text_as_if_there_were_no_other(hooked: HookedSubject, batch_size: int) -> None:
    found = measure(hooked, TEXTS, LAYER, batch_size=batch_size)

    assert len(found) == len(TEXTS)
    for (neuron, text), answer in zip(TEXTS, found, strict=True):
        ids = hooked.tokenize(text)
        assert answer.value is not None
        assert answer.value.tokens == tuple(hooked.token_strings(ids))
        assert answer.value.activations == pytest.approx(alone(hooked, ids, neuron), rel=1e-5, abs=1e-5)
    assert len({len(hooked.tokenize(text)) for _, text in TEXTS}) > 2


def test_a_text_is_read_after_the_tokens_that_excerpts_are_read_after(folder: Path, pieces: Pieces) -> None:
    def opened(*beginning: int) -> HookedSubject:
        return HookedSubject("small", GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32), pieces, beginning)

    (plain,), (begun,) = (measure(subject, TEXTS[:1], LAYER) for subject in (opened(), opened(0)))
    assert plain.value is not None
    assert begun.value is not None

    assert begun.value.tokens == plain.value.tokens
    assert begun.value.activations == pytest.approx(alone(opened(0), pieces.tokenize(TEXTS[0][1]), TEXTS[0][0]))
    assert begun.value.activations != pytest.approx(plain.value.activations, abs=1e-3)


def test_a_text_that_cannot_be_read_fails_alone(hooked: HookedSubject) -> None:
    too_long = "cat " * 40
    plain, failed, empty = measure(hooked, [TEXTS[0], (1, too_long), (2, "")], LAYER)
    n_tokens = len(hooked.tokenize(too_long))

    assert plain.failure is None
    assert (failed.value, failed.failure) == (None, f"the subject cannot read its {n_tokens} tokens at once")
    assert (empty.value, empty.failure) == (None, "the subject has no tokens for it")


def test_an_activation_that_is_not_finite_fails_its_text_alone(pieces: Pieces) -> None:
    subject = PlantedSubject(
        "odd", [lambda tokens: [float("nan") if token == "log" else 1.0 for token in tokens]], pieces
    )
    odd, plain = measure(subject, [(0, "log"), (0, "cat")], 0)

    assert (odd.value, odd.failure) == (None, "an activation on it is NaN or infinite")
    assert plain.value is not None
    assert plain.value.activations.tolist() == [1.0] * len(plain.value.tokens)


def test_where_nothing_is_asked_nothing_is_run(hooked: HookedSubject) -> None:
    assert measure(hooked, [], LAYER) == []
