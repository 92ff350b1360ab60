"""Which tokens a neuron makes a model say, and which it keeps it from saying.

Formula: the weight of neuron n on token t is row n of the MLP's output projection, times diag(gain of the last norm),
times row t of the unembedding: how far a unit of activation moves the logit of t on the straight way to the head, up to
a factor that is common to all tokens. Here: the tokens of the largest and of the smallest weights. Not here: where a
family keeps these weights (`speaking.py`), what the neuron does in fact, through later layers too (`ablation.py`).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int

from neuron_assets.subjects.speaking import SpeakingSubject

_WEIGHTS_AT_ONCE = 1 << 24
_CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, eq=False)
class OutputSide:
    """Of each neuron of a layer the tokens that it moves most, the strongest first, equal ones by ascending id."""

    up: Int[np.ndarray, "neuron place"]
    """Token ids."""
    up_weights: Float32[np.ndarray, "neuron place"]
    """Logits a unit of activation, up to the common factor; descending."""
    down: Int[np.ndarray, "neuron place"]
    """Token ids."""
    down_weights: Float32[np.ndarray, "neuron place"]
    """Ascending."""

    def with_negated(self) -> "OutputSide":
        """Of n neurons those of 2n units: unit n + i is neuron i negated (`signed.py`)."""
        return OutputSide(
            np.concatenate([self.up, self.down]),
            np.concatenate([self.up_weights, -self.down_weights]),
            np.concatenate([self.down, self.up]),
            np.concatenate([self.down_weights, -self.up_weights]),
        )


def output_side(
    subject: SpeakingSubject, layer_index: int, n_kept: int = 10, *, device: torch.device = _CPU
) -> OutputSide:
    """Of all neurons of a layer, `n_kept` tokens either way, or all there are; raises LayerOutOfRange.

    A model may know more tokens than its tokenizer; those show as <token 50300>. `device` is where it is reckoned.
    """
    vectors = subject.output_vectors(layer_index).to(device)
    up = down = _Most(vectors[:, :0], torch.empty(len(vectors), 0, dtype=torch.int64, device=device))
    length = max(1, _WEIGHTS_AT_ONCE // len(vectors))
    for first in range(0, subject.n_vocabulary, length):
        rows = subject.unembedding(slice(first, first + length)).to(device)
        weights = vectors @ rows.T  # neuron, token
        token_ids = torch.arange(first, first + len(rows), device=device).expand(len(weights), -1)
        up = _most(up, _Most(weights, token_ids), n_kept)
        down = _most(down, _Most(-weights, token_ids), n_kept)
    found = (up.token_ids, up.weights, down.token_ids, -down.weights)
    return OutputSide(*(each.cpu().numpy() for each in found))


def strings(subject: SpeakingSubject, token_ids: Int[np.ndarray, "neuron place"]) -> list[list[str]]:
    """What a reader sees of the tokens of each neuron."""
    return [subject.token_strings(of_neuron) for of_neuron in token_ids.tolist()]


class _Most(NamedTuple):
    weights: torch.Tensor
    """[neuron, token]"""
    token_ids: torch.Tensor


def _most(kept: _Most, new: _Most, n_kept: int) -> _Most:
    """The largest of both. Few of the new ones are looked at closely, as sorting is slow."""
    largest, places = new.weights.topk(min(n_kept, new.weights.shape[1]), dim=1)
    weights = torch.cat([kept.weights, largest], 1)
    token_ids = torch.cat([kept.token_ids, new.token_ids.gather(1, places)], 1)
    by_id = token_ids.argsort(dim=1)
    order = by_id.gather(1, weights.gather(1, by_id).argsort(dim=1, descending=True, stable=True))[:, :n_kept]
    return _Most(weights.gather(1, order), token_ids.gather(1, order))
