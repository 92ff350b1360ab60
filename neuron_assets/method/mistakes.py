"""Where a simulation goes wrong, and what each mistake costs the score.

With a and s both centred and divided by their root mean square deviation, 1 - r is the mean over all tokens of
(s - a)^2 / 2: so every token has its share of what the correlation lacks, and the shares add up.

Here: these shares, and the excerpts that cost most. Not here: what is made of them (`rules/revising.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.scoring import score

_ROUNDING = 1e-12
"""Costs below this are errors of arithmetic."""

Fault = Literal["fires", "silent"]
"""Wrongly, either."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One excerpt on which a simulation goes wrong."""

    row: int
    """Of the exemplars."""
    cost: float
    """What its tokens take from the correlation: its share of 1 - r."""
    token: int
    """The place of the token that costs most."""
    fault: Fault
    """What the simulation does at that token: more than the neuron, or less, each measured by its own spread."""


def costs(
    true: Float[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"]
) -> Float[np.ndarray, "excerpt token"]:
    """What each token takes from the correlation, 0 or more; the sum is 1 - r, and 1/2 for a constant simulation.

    All are 0 where nothing can be told: no excerpts, a constant neuron, numbers that are not finite. Raises
    UnequalLengths unless both have one shape.
    """
    signed = _differences(true, simulated)
    return np.asarray(signed**2 / (2 * max(signed.size, 1)))


def mistakes(
    true: Float[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"], n: int
) -> tuple[Mistake, ...]:
    """The `n` excerpts that cost most, the costliest first; those that cost nothing are none."""
    signed, cost = _differences(true, simulated), costs(true, simulated)
    by_excerpt = cost.sum(axis=1)
    rows = [row for row in np.argsort(-by_excerpt, kind="stable")[:n].tolist() if by_excerpt[row] > _ROUNDING]
    return tuple(_mistake(row, float(by_excerpt[row]), signed[row].tolist()) for row in rows)


def _mistake(row: int, cost: float, signed: Sequence[float]) -> Mistake:
    token = max(range(len(signed)), key=lambda place: abs(signed[place]))
    return Mistake(row, cost, token, "fires" if signed[token] > 0 else "silent")


def _differences(
    true: Float[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"]
) -> Float[np.ndarray, "excerpt token"]:
    """Simulated less true, each in units of its own spread over all tokens."""
    if true.shape != simulated.shape:
        raise UnequalLengths(true.size, simulated.size)
    failure = score(true, simulated).failure
    if failure is not None and failure != "the simulation is constant":
        return np.zeros(true.shape)
    neuron = _standardised(true)
    return -neuron if failure is not None else _standardised(simulated) - neuron


def _standardised(values: Float[np.ndarray, "excerpt token"]) -> Float[np.ndarray, "excerpt token"]:
    centred = values.astype(np.float64) - float(values.mean(dtype=np.float64))
    return np.asarray(centred / np.sqrt(np.mean(centred**2)))
