"""How a harvest is cut so that it fits into memory: which layers in one pass, how many excerpts in a batch.

Here: reckoning, before the pass. Not here: what is done where the reckoning was too bold (`harvest`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int

from neuron_assets.subjects import devices
from neuron_assets.subjects.corpus_plan import HarvestPlan
from neuron_assets.subjects.subject import Subject

BATCH_SIZE_ON_A_CPU = 32
_LARGEST_BATCH = 1024
_SHARE_OF_STATE = 0.5
"""Of the memory that is free: what the state of the layers of one pass may take. The rest is for running the subject,
for what else the machine does, and for the tables of one layer."""
_SHARE_OF_BATCH = 0.5
"""Of a GPU's memory that is free beside the state: what running one batch may take."""
_TENSORS_AT_ONCE = 8
"""As many tensors of the size of a layer's activations, in 32 bits, are thought to be there at once in a forward pass,
with the reduction over tokens."""


@dataclass(frozen=True, slots=True)
class Lent:
    """What a subject lends of one layer and one excerpt."""

    device: torch.device
    n_tokens: int
    n_neurons: int


def look_at(subject: Subject, token_ids: Int[np.ndarray, "excerpt token"], layer_index: int) -> Lent:
    """Runs the first excerpt up to one layer, to see what comes."""
    seen: list[Lent] = []

    def receive(_layer_index: int, activations: Float[torch.Tensor, "excerpt token neuron"]) -> None:
        seen.append(Lent(activations.device, activations.shape[1], activations.shape[2]))

    with torch.inference_mode():
        subject.run(token_ids[:1], [layer_index], receive)
    return seen[0]


def state_bytes(plan: HarvestPlan, lent: Lent) -> int:
    """What the running state of one layer takes."""
    dtype: torch.dtype = getattr(torch, plan.rows_as)
    row_bytes = lent.n_tokens * dtype.itemsize
    top = sum(kept.top for kept in plan.kept.values()) * (8 + row_bytes)  # a key and a row
    drawn = sum(kept.random + kept.natural for kept in plan.kept.values())
    random = drawn * (4 + 20 + row_bytes)  # peak, drawn places, row
    fixed = 4 * plan.n_sampled_tokens + 4 * lent.n_tokens + 44 + 4 * len(plan.kept)  # sample, scratch, moments, lowest
    return lent.n_neurons * (top + random + fixed)


def layer_groups(layers: Sequence[int], bytes_a_layer: int, most_bytes: int) -> list[list[int]]:
    """The layers of each pass, ascending: as few passes as fit, and at least one layer each.

    A pass ends above its highest layer. So what does not divide evenly is missing in the first group, the cheapest.
    """
    at_once = max(1, most_bytes // bytes_a_layer)
    ordered = sorted(layers)
    first = len(ordered) % at_once
    bounds = [0, *range(first or at_once, len(ordered) + 1, at_once)]
    return [ordered[begin:end] for begin, end in pairwise(bounds)]


def bytes_for_state(device: torch.device) -> int:
    """Of the memory that is free now, there and beside the CPU: what is kept on a GPU ends up here, all at once."""
    return int(min(map(devices.free_bytes, (device, torch.device("cpu")))) * _SHARE_OF_STATE)


def fitting_batch_size(lent: Lent, bytes_of_state: int) -> int:
    """On a CPU more gives nothing; on a GPU the largest power of two that surely fits beside the state."""
    if lent.device.type != "cuda":
        return BATCH_SIZE_ON_A_CPU
    free = devices.free_bytes(lent.device) - bytes_of_state - devices.bytes_to_hold(lent.device)
    an_excerpt = lent.n_tokens * lent.n_neurons * 4 * _TENSORS_AT_ONCE
    most = max(1, int(free * _SHARE_OF_BATCH) // an_excerpt)
    return min(_LARGEST_BATCH, 1 << (most.bit_length() - 1))
