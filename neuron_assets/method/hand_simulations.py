"""How well people who read only an explanation foresee a neuron, beside the model that read the same.

Here: the score of simulations by hand, the model's on the same excerpts, and how far the two agree. Not here: which
simulations count (`labels.py`), where they are read from (`tables/hand_simulated.py`).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from neuron_assets.method.intervals import Interval, neuron_interval
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import Judgement, Rows, judge
from neuron_assets.method.scoring import Score, score

_OF_TWO = {
    "the neuron is constant": "the model's simulation is constant",
    "the simulation is constant": "the person's simulation is constant",
}
"""Reasons why there is no score, where the neuron's place is the model's."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoredSimulation:
    """One simulation, scored as any other: of both strata together, with its interval over documents."""

    judgement: Judgement
    interval: Interval


@dataclass(frozen=True, slots=True, eq=False)
class BesideTheModel:
    """A person's simulation and the model's, of the same explanation on the same excerpts."""

    person: ScoredSimulation
    model: ScoredSimulation
    """NaN rows of the model's leave it without a score, and so without agreement."""
    agreement: Score
    """Of the person's numbers with the model's; what the neuron did is no part of it."""


def beside_the_model(
    record: NeuronRecord,
    by_hand: Float[np.ndarray, "excerpt token"],
    by_model: Float[np.ndarray, "excerpt token"],
    *,
    seed: int,
    n_draws: int,
) -> BesideTheModel:
    """Scores of both on all excerpts of the record, 0 to 10 a token; a row of NaN says that there is none."""
    person, model = (_scored(record, each, seed, n_draws) for each in (by_hand, by_model))
    return BesideTheModel(person, model, _agreement(by_hand, by_model))


def _scored(
    record: NeuronRecord, simulated: Float[np.ndarray, "excerpt token"], seed: int, n_draws: int
) -> ScoredSimulation:
    is_top = record.exemplars.is_top
    judgement = judge(record, Rows(np.flatnonzero(is_top), np.flatnonzero(~is_top)), simulated)
    if judgement.sums is None:
        return ScoredSimulation(judgement, Interval(None, None, 0, "there is no score"))
    return ScoredSimulation(judgement, neuron_interval(judgement.sums, seed=seed, n_draws=n_draws))


def _agreement(by_hand: Float[np.ndarray, "excerpt token"], by_model: Float[np.ndarray, "excerpt token"]) -> Score:
    n_missing = int(np.isnan(by_model).any(axis=1).sum())
    if n_missing:
        return Score(None, None, None, f"{n_missing} of {len(by_model)} excerpts have no simulation by the model")
    found = score(by_model, by_hand)
    return replace(found, failure=_OF_TWO.get(str(found.failure), found.failure))
