"""Simulating all tokens at once by a model in this process: exact, and no part of a prompt read more than needed.

What all prompts begin with is read once and its keys and values kept; neurons and excerpts go through together, padded
on the right, where a causal model cannot see the padding. Only hidden states in front of an unknown rating are used,
and only the rows of the output matrix that stand for the numbers are multiplied with them.

Where the tokenizer reads 10 as 1 and 0, the probability of 0 after 1 is needed in each of these places: a second pass
appends one token 1 a place, each of which sees only what stands before its own place. It needs a true log-probability,
so there, and only there, whole rows of logits are made, a few at a time.

Here: the passes. Not here: the prompt (`method/simulating/all_at_once.py`), the arithmetic of distributions
(`method/simulating/expected.py`), loading (`local.py`).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from neuron_assets.errors import UnusableModel
from neuron_assets.language_models.local import LocalModel
from neuron_assets.language_models.value_tokens import ValueTokens, encoded, token_index, value_tokens
from neuron_assets.method.few_shot import FewShotNeuron
from neuron_assets.method.records import LARGEST
from neuron_assets.method.simulating.all_at_once import excerpt_part, explanation_part, shared_part
from neuron_assets.method.simulating.expected import (
    distribution_from_log_probabilities,
    distribution_from_split_log_probabilities,
)

_AT_ONCE = 64
"""Places whose whole rows of logits are held at a time: 64 MB for a vocabulary of 256,000."""


def simulate_all_at_once(
    model: LocalModel,
    items: Iterable[tuple[str, Sequence[Sequence[str]]]],
    few_shot: Sequence[FewShotNeuron],
    *,
    rows_at_once: int,
) -> Iterator[Float[np.ndarray, "excerpt token value"]]:
    """For each explanation with the tokens of its excerpts, in order: probabilities of 0 to 10 for each token.

    `rows_at_once` excerpts, of whatever neurons, go through the model together; they change speed and memory, and the
    numbers by rounding only. Excerpts of one item are of equal length, else ValueError. An excerpt whose prompt is
    longer than the model can read, or of which it makes NaN, is NaN throughout: it has no simulation.

    Raises UnusableModel where the worked examples alone are too long, or the model's numbers cannot be read this way.
    """
    simulator = _Simulator.open(model, few_shot)
    waiting: deque[tuple[Float[np.ndarray, "excerpt token value"], int]] = deque()
    rows: list[_Row] = []
    n_rows = n_done = 0
    for explanation, excerpts in items:
        rooms = np.full((len(excerpts), len(excerpts[0]) if excerpts else 0, LARGEST + 1), np.nan)
        made = [simulator.row(explanation, tokens, room) for tokens, room in zip(excerpts, rooms, strict=True)]
        rows += [row for row in made if row is not None]
        n_rows += sum(row is not None for row in made)
        waiting.append((rooms, n_rows))
        while len(rows) >= rows_at_once:
            simulator.run(rows[:rows_at_once])
            del rows[:rows_at_once]
            n_done += rows_at_once
        while waiting and waiting[0][1] <= n_done:
            yield waiting.popleft()[0]
    if rows:
        simulator.run(rows)
    yield from (rooms for rooms, _ in waiting)


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """One excerpt, behind the shared part."""

    ids: list[int]
    marks: Int[np.ndarray, " token"]
    """Which of `ids` begin with the mark for unknown."""
    room: Float[np.ndarray, "token value"]
    """Where its distributions go."""


@dataclass(frozen=True, slots=True, eq=False)
class _Simulator:
    """A model that has read the shared part."""

    model: LocalModel
    number: int
    """Of the neuron asked about, among those of the prompt."""
    shared_ids: tuple[int, ...]
    kept: tuple[tuple[torch.Tensor, torch.Tensor], ...]
    """Keys and values of the shared part, by layer: [1 head token width]."""
    values: ValueTokens
    head: nn.Linear

    @classmethod
    def open(cls, model: LocalModel, few_shot: Sequence[FewShotNeuron]) -> "_Simulator":
        _refuse_other_attention(model)
        text = shared_part(few_shot)
        ids = model.tokenizer(text, split_special_tokens=True)["input_ids"]
        probe = explanation_part("words", len(few_shot) + 1) + excerpt_part([" a", "b"]).text
        whole = model.tokenizer(text + probe, split_special_tokens=True)["input_ids"]
        if whole != ids + encoded(model, probe).ids:
            raise UnusableModel(model.name, "its tokenizer reads across the end of a line")
        if model.longest_text is not None and len(ids) >= model.longest_text:
            reason = f"the worked examples alone take {len(ids)} tokens, and it can read {model.longest_text}"
            raise UnusableModel(model.name, reason)
        head, values = _head(model), value_tokens(model)
        _refuse_other_head(model, ids, head, values)
        cache = DynamicCache()
        with torch.inference_mode():
            model.model.base_model(torch.tensor([ids], device=model.model.device), past_key_values=cache)
        return cls(model, len(few_shot) + 1, tuple(ids), _kept(model, cache), values, head)

    def row(self, explanation: str, tokens: Sequence[str], room: Float[np.ndarray, "token value"]) -> _Row | None:
        """None where the prompt would be too long. Raises ValueError where the tokens are not as many as the room's."""
        if len(tokens) != len(room):
            raise ValueError(f"An excerpt of {len(tokens)} tokens stands among excerpts of {len(room)}.")
        before, part = explanation_part(explanation, self.number), excerpt_part(tokens)
        read = encoded(self.model, before + part.text)
        marks = [token_index(self.model, read, len(before) + offset) for offset in part.unknown_offsets]
        longest = self.model.longest_text
        if longest is not None and len(self.shared_ids) + len(read.ids) > longest:
            return None
        return _Row(read.ids, np.array(marks), room)

    @torch.inference_mode()
    def run(self, rows: Sequence[_Row]) -> None:
        """Fills the rooms of these rows."""
        device = self.model.model.device
        ids, marks = (_padded(lists).to(device) for lists in ([row.ids for row in rows], [row.marks for row in rows]))
        marks = marks.clamp(min=1)
        cache = self._cache(len(rows))
        positions = len(self.shared_ids) + torch.arange(ids.shape[1], device=device)[None]
        hidden = self.model.model.base_model(
            input_ids=ids, past_key_values=cache, position_ids=positions, use_cache=True
        ).last_hidden_state
        # What a model says of a place stands in the token before it.
        states = torch.gather(hidden, 1, (marks - 1)[:, :, None].expand(-1, -1, hidden.shape[-1]))
        logits = _logits(states, self.head, self.values.ids)
        if self.values.ten is not None:
            found = distribution_from_log_probabilities(logits.cpu().numpy())
        else:
            after_one = self._after_one(cache, marks, ids.shape[1])
            found = distribution_from_split_log_probabilities(logits.cpu().numpy(), after_one.cpu().numpy())
        for row, distribution in zip(rows, found, strict=True):
            own = distribution[: len(row.marks)]
            row.room[:] = own if np.isfinite(own).all() else np.nan

    def _cache(self, n_rows: int) -> DynamicCache:
        """The shared part for so many rows: views, which the library copies and never writes to when it appends."""
        cache = DynamicCache()
        for layer_index, (keys, values) in enumerate(self.kept):
            cache.update(keys, values, layer_index)
            layer = cache.layers[layer_index]
            assert isinstance(layer, DynamicLayer)
            layer.keys, layer.values = (kept.expand(n_rows, -1, -1, -1) for kept in (keys, values))
        return cache

    def _after_one(
        self, cache: DynamicCache, marks: Int[torch.Tensor, "row place"], n_read: int
    ) -> Float[torch.Tensor, "row place digit"]:
        """Log-probabilities of the ten digits, had 1 been the rating: one token more a place, unseen by the others."""
        n_rows, n_places = marks.shape
        n_shared = len(self.shared_ids)
        at = torch.arange(n_read, device=marks.device)
        seen = torch.cat(
            [
                torch.ones(n_rows, n_places, n_shared, dtype=torch.bool, device=marks.device),
                at[None, None] < marks[:, :, None],
                torch.eye(n_places, dtype=torch.bool, device=marks.device).expand(n_rows, -1, -1),
            ],
            dim=2,
        )
        dtype = self.model.model.dtype
        mask = torch.zeros(seen.shape, dtype=dtype, device=marks.device).masked_fill(~seen, torch.finfo(dtype).min)
        states = self.model.model.base_model(
            input_ids=torch.full_like(marks, self.values.ids[1]),
            past_key_values=cache,
            position_ids=n_shared + marks,
            attention_mask=mask[:, None],
            use_cache=True,
        ).last_hidden_state
        flat = states.flatten(0, 1)
        whole = torch.cat([self.head(some).float().logsumexp(-1) for some in flat.split(_AT_ONCE)])
        return _logits(states, self.head, self.values.ids) - whole.view(n_rows, n_places, 1)


def _logits(
    states: Float[torch.Tensor, "*axes width"], head: nn.Linear, token_ids: Sequence[int]
) -> Float[torch.Tensor, "*axes value"]:
    """Logits of some tokens, in float32 whatever the model computes in."""
    rows = list(token_ids)
    logits: Float[torch.Tensor, "*axes value"] = states.float() @ head.weight[rows].float().T
    return logits if head.bias is None else logits + head.bias[rows].float()


def _padded(lists: Sequence[Sequence[int] | Int[np.ndarray, " _"]]) -> Int[torch.Tensor, "row _"]:
    return nn.utils.rnn.pad_sequence([torch.as_tensor(each, dtype=torch.long) for each in lists], batch_first=True)


def _refuse_other_attention(model: LocalModel) -> None:
    """Keys and values can be kept and shared as it is done here only where every token sees all before it."""
    config = model.model.config.get_text_config()
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    if any(kind != "full_attention" for kind in kinds or []) or (kinds is None and window is not None):
        raise UnusableModel(model.name, "some of its layers do not attend to the whole text")


def _kept(model: LocalModel, cache: DynamicCache) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    kept = []
    for layer in cache.layers:
        if not isinstance(layer, DynamicLayer) or layer.keys is None or layer.values is None:
            raise UnusableModel(model.name, "some of its layers keep something else than keys and values")
        kept.append((layer.keys, layer.values))
    return tuple(kept)


def _head(model: LocalModel) -> nn.Linear:
    head = model.model.get_output_embeddings()  # type: ignore[no-untyped-call]  # the library has no types there
    if not isinstance(head, nn.Linear):
        raise UnusableModel(model.name, "it has no output matrix with a row a token")
    return head


def _refuse_other_head(model: LocalModel, ids: Sequence[int], head: nn.Linear, values: ValueTokens) -> None:
    """Some models scale or bend their logits; what is read from the rows of the head must be what the model says."""
    some = torch.tensor([list(ids[:16])], device=model.model.device)
    with torch.inference_mode():
        states = model.model.base_model(some).last_hidden_state[:, -1]
        read = _logits(states, head, values.ids)
        said = model.model(some).logits[:, -1, list(values.ids)].float()
    tolerance = 1e-3 if model.model.dtype == torch.float32 else 0.1
    if not torch.allclose(read, said, rtol=tolerance, atol=tolerance):
        raise UnusableModel(model.name, "its logits are not its hidden states times its output matrix")
