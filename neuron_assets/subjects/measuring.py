"""What single neurons do on single texts that are no excerpts of the corpus.

Here: the way from texts to activations. Not here: who wrote them, and what they are held against (`method/revising/`).
Texts of equally many tokens are run together and none is padded, so that nothing is asked of a subject but to run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int

from neuron_assets.errors import SubjectMismatch
from neuron_assets.method.records import Answer
from neuron_assets.subjects.subject import Subject


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a neuron did on a text."""

    tokens: tuple[str, ...]
    """As the subject cuts the text, and a reader sees them."""
    activations: Float32[np.ndarray, " token"]
    """Raw, in the neuron's own unit."""


def measure(
    subject: Subject, texts: Sequence[tuple[int, str]], layer_index: int, *, batch_size: int = 32
) -> list[Answer[Heard]]:
    """Of each neuron of the layer with its text, in their order; the text is read from its first token on.

    A text without tokens, one that the subject cannot read at once, and one with an activation that is not finite is a
    failure. Raises LayerOutOfRange.
    """
    token_ids = [subject.tokenize(text) for _, text in texts]
    found: list[Answer[Heard]] = [Answer(None, "the subject has no tokens for it")] * len(texts)
    for rows in _batches(token_ids, batch_size):
        ids, neurons = np.array([token_ids[row] for row in rows]), [texts[row][0] for row in rows]
        try:
            heard = _heard(subject, ids, neurons, layer_index)
        except SubjectMismatch:
            heard = [Answer(None, f"the subject cannot read its {ids.shape[1]} tokens at once")] * len(rows)
        for row, answer in zip(rows, heard, strict=True):
            found[row] = answer
    return found


def _batches(token_ids: Sequence[Sequence[int]], batch_size: int) -> list[list[int]]:
    """Places of texts of one length, at most so many."""
    by_length: dict[int, list[int]] = {}
    for row, ids in enumerate(token_ids):
        by_length.setdefault(len(ids), []).append(row)
    return [
        rows[start : start + batch_size]
        for length, rows in sorted(by_length.items())
        if length
        for start in range(0, len(rows), batch_size)
    ]


def _heard(
    subject: Subject, token_ids: Int[np.ndarray, "text token"], neurons: Sequence[int], layer_index: int
) -> Sequence[Answer[Heard]]:
    """Raises SubjectMismatch where the texts are too long."""
    taken: dict[int, Float[np.ndarray, "text token"]] = {}

    def receive(layer: int, activations: Float[torch.Tensor, "text token neuron"]) -> None:
        own = activations[torch.arange(len(neurons)), :, torch.tensor(neurons)]
        taken[layer] = own.to(torch.float32).cpu().numpy()

    subject.run(token_ids, [layer_index], receive)
    return [
        Answer(Heard(tuple(subject.token_strings(ids)), numbers))
        if np.isfinite(numbers).all()
        else Answer(None, "an activation on it is NaN or infinite")
        for ids, numbers in zip(token_ids.tolist(), taken[layer_index], strict=True)
    ]
