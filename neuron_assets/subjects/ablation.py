"""What becomes of a model's next-token distributions when a neuron does something else than it did.

Here: replacing neurons in the forward pass, and how far the distributions move. Not here: what they are replaced by,
the score that is made of it (`method.ablation`), the forward pass itself (`speaking.py`).

Each excerpt is run once up to the layer; each replacement runs from there on, and many of them in one batch. Logits are
made for a few tokens at a time, so that no block [excerpt, token, vocabulary] ever stands in memory.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int

from neuron_assets.errors import NeuronOutOfRange, NotReplaceable, SubjectWithoutHead, UnequalLengths
from neuron_assets.method.records import NeuronId
from neuron_assets.subjects.devices import works_in_small_steps
from neuron_assets.subjects.hooked import HookedSubject
from neuron_assets.subjects.signed import SignedSubject
from neuron_assets.subjects.speaking import Change, SpeakingSubject, Spoken
from neuron_assets.subjects.subject import Subject

_LOGITS_AT_ONCE = 1 << 22
_NUMBERS_IN_CACHE = 1 << 17
"""Of one tensor, where a processor works on several, number by number."""
_NOTHING = 1e-300
"""Of a probability."""


@dataclass(frozen=True, slots=True, eq=False)
class Replacements:
    """Each row: one unit of a layer, one excerpt, and what the unit is made to do there."""

    unit_indices: Int[np.ndarray, " row"]
    """Of n neurons a layer, unit i is neuron i, and unit n + i is neuron i negated (`signed.py`)."""
    excerpt_rows: Int[np.ndarray, " row"]
    """Which of the excerpts that are given beside."""
    activations: Float[np.ndarray, "row token"]
    """In the unit's own unit, finite."""


@dataclass(frozen=True, slots=True, eq=False)
class Moved:
    """Jensen-Shannon divergences in nats between next-token distributions, means over an excerpt's tokens.

    Not finite only where the model itself computes what is not.
    """

    by_replacement: Float64[np.ndarray, " row"]
    """Between the model as it is and the model with this replacement."""
    by_rounding: Float64[np.ndarray, " excerpt"]
    """Between the model as it is and the model whose residual stream, before the layer, is moved by one step of its
    dtype at each number, up and down in turn. Nothing as small as this can be told from noise."""


def replaceable(subject: Subject) -> SpeakingSubject:
    """The model whose neurons the subject's units are, of one sign or both.

    Raises NotReplaceable for units that are no neurons, SubjectWithoutHead.
    """
    match subject:
        case SpeakingSubject():
            return subject
        case SignedSubject():
            return replaceable(subject.unsigned)
        case HookedSubject():
            raise SubjectWithoutHead(subject.name)
        case _:
            raise NotReplaceable(subject.name)


def replace(  # noqa: PLR0913 - the last two cannot change the result
    subject: SpeakingSubject,
    token_ids: Int[np.ndarray, "excerpt token"],
    layer_index: int,
    replacements: Replacements,
    *,
    batch_size: int = 32,
    on_progress: Callable[[int, int], None] = lambda _n_done, _n_rows: None,
) -> Moved:
    """How far each replacement moves what the model says after each token of its excerpt.

    A unit is replaced at all tokens of an excerpt, not at those that a text begins with. The true distributions of an
    excerpt are made once a batch: rows of one excerpt are cheapest in one call. `on_progress` hears how many
    rows are done, and of how many. Raises LayerOutOfRange, NeuronOutOfRange, SubjectMismatch, UnequalLengths.
    """
    _check(subject, layer_index, token_ids, replacements)
    moved = Moved(np.empty(len(replacements.excerpt_rows)), np.empty(len(token_ids)))
    in_order = np.argsort(replacements.excerpt_rows, kind="stable")
    n_done = 0
    for first in range(0, len(token_ids), batch_size):
        excerpts = np.arange(first, min(first + batch_size, len(token_ids)))
        spoken = subject.speak(token_ids[excerpts], layer_index)
        moved.by_rounding[excerpts] = _moved_by_rounding(subject, spoken)
        begin, end = np.searchsorted(replacements.excerpt_rows[in_order], [first, excerpts[-1] + 1])
        for rows in _batches(in_order[begin:end], batch_size):
            excerpt_rows = torch.from_numpy(replacements.excerpt_rows[rows] - first)
            last = subject.speak_again(spoken, excerpt_rows, change=_change(subject, replacements, rows))
            moved.by_replacement[rows] = _divergences(subject, spoken, excerpt_rows, last)
            n_done += len(rows)
            on_progress(n_done, len(in_order))
    return moved


def _check(
    subject: SpeakingSubject,
    layer_index: int,
    token_ids: Int[np.ndarray, "excerpt token"],
    replacements: Replacements,
) -> None:
    if replacements.activations.shape[1] != token_ids.shape[1]:
        raise UnequalLengths(token_ids.shape[1], replacements.activations.shape[1])
    for unit_index in np.unique(replacements.unit_indices).tolist():
        if not 0 <= unit_index < 2 * subject.n_neurons:
            raise NeuronOutOfRange(str(NeuronId(layer_index, unit_index)), subject.n_neurons, subject.name)


def _batches(rows: Int[np.ndarray, " row"], batch_size: int) -> Iterator[Int[np.ndarray, " row"]]:
    for first in range(0, len(rows), batch_size):
        yield rows[first : first + batch_size]


def _change(subject: SpeakingSubject, replacements: Replacements, rows: Int[np.ndarray, " row"]) -> Change:
    is_negated = replacements.unit_indices[rows] >= subject.n_neurons
    signs = np.where(is_negated, -1.0, 1.0)[:, np.newaxis]
    activations = torch.from_numpy(replacements.activations[rows] * signs)
    neuron_indices = torch.from_numpy(replacements.unit_indices[rows] % subject.n_neurons)

    def change(neurons: Float[torch.Tensor, "row token neuron"]) -> None:
        row = torch.arange(len(neurons), device=neurons.device)
        neurons[row, :, neuron_indices.to(neurons.device)] = activations.to(neurons.device, neurons.dtype)

    return change


def _moved_by_rounding(subject: SpeakingSubject, spoken: Spoken) -> Float64[np.ndarray, " excerpt"]:
    step = torch.finfo(spoken.stream.dtype).eps
    up_and_down = torch.ones_like(spoken.stream[0]).flatten()
    up_and_down[1::2] = -1
    nudged = spoken.stream * (1 + step * up_and_down.view_as(spoken.stream[0]))
    everything = torch.arange(len(spoken.read))
    return _divergences(subject, spoken, everything, subject.speak_again(spoken, everything, stream=nudged))


def _divergences(
    subject: SpeakingSubject,
    spoken: Spoken,
    excerpt_rows: Int[torch.Tensor, " row"],
    last: Float[torch.Tensor, "row token last"],
) -> Float64[np.ndarray, " row"]:
    """Between the true pass and another one, a mean over tokens for each row."""
    found = np.empty(len(last))
    for excerpt_row in sorted(set(excerpt_rows.tolist())):  # the true distributions are made once for all rows of it
        rows = (excerpt_rows == excerpt_row).nonzero().flatten()
        true, others = spoken.last[excerpt_row].unsqueeze(0), last[rows.to(last.device)]
        totals = torch.zeros(len(rows), dtype=torch.float64)
        for tokens in _pieces(true.shape[1], _LOGITS_AT_ONCE // (len(rows) * subject.n_vocabulary)):
            logits = subject.logits(true[:, tokens])[0], subject.logits(others[:, tokens])
            totals += _total_divergence(*logits).cpu()
        found[rows.numpy()] = (totals / true.shape[1]).numpy()
    return found


def _pieces(n_tokens: int, length: int) -> Iterator[slice]:
    for first in range(0, n_tokens, max(1, length)):
        yield slice(first, first + max(1, length))


def _total_divergence(
    true: Float[torch.Tensor, "token vocabulary"], others: Float[torch.Tensor, "row token vocabulary"]
) -> Float64[torch.Tensor, " row"]:
    if others.device.type == "mps":  # Apple's GPUs have no 64 bits
        true, others = true.cpu(), others.cpu()
    n_tokens = others.shape[1]
    length = _NUMBERS_IN_CACHE // others[:, 0].numel() if works_in_small_steps(others.device) else n_tokens
    totals = torch.zeros(len(others), dtype=torch.float64, device=others.device)
    for tokens in _pieces(n_tokens, length):
        totals += jensen_shannon(true[tokens], others[:, tokens]).sum(1)
    return totals


def jensen_shannon(
    first: Float[torch.Tensor, "token vocabulary"], second: Float[torch.Tensor, "row token vocabulary"]
) -> Float64[torch.Tensor, "row token"]:
    """Between what the logits of one pass say and those of each of many, in nats, 0 to ln 2.

    It is the entropy of the mean of both distributions less the mean of their entropies, right to about 1e-14.
    """
    log_p, log_q = torch.log_softmax(first.double(), -1), torch.log_softmax(second.double(), -1)
    p, q = log_p.exp(), log_q.exp()
    minus_entropies = (p * log_p).sum(-1) + (q * log_q).sum(-1)
    mean = (p + q).div_(2).clamp_(min=_NOTHING)
    return (minus_entropies / 2 - (mean * mean.log()).sum(-1)).clamp(min=0)
