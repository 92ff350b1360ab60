"""Which held-out excerpts a score is made from, and the judgement of one simulation on them.

Here: top-and-random and random-only (Bills et al. 2023), and natural-rate, our own: excerpts as they come, the same
for all neurons, so many that an explanation which is too broad is punished for it (docs/scores.md). And what each
judgement carries on for its intervals. Not here: the arithmetic (`scoring.py`, `intervals.py`), who simulated.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.method.intervals import NeuronSums
from neuron_assets.method.natural_rate import FEWEST_ACTIVE
from neuron_assets.method.records import Answer, Exemplars, NeuronRecord
from neuron_assets.method.scoring import Score, document_sums, score

Sample = Literal["top_and_random", "random_only", "natural_rate"]
SAMPLES: tuple[Sample, ...] = get_args(Sample)
"""What is reported."""

CHOOSING: Literal["choosing"] = "choosing"
"""The excerpts of `calibration` that the choice between candidates is made on (`choosing.py`): never reported."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The rows of a neuron's held-out exemplars that one score is made from."""

    top: Int[np.ndarray, " top"]
    random: Int[np.ndarray, " random"]

    @property
    def both(self) -> Int[np.ndarray, " row"]:
        return np.concatenate([self.top, self.random])


@dataclass(frozen=True, slots=True, eq=False)
class Judgement:
    """One simulation on one sample of held-out excerpts."""

    score: Score
    sums: NeuronSums | None
    """None where there was no simulation."""
    n_excerpts: int
    n_tokens: int


def sampled_rows(exemplars: Exemplars, n_top: int, n_random: int) -> Mapping[Sample, Rows]:
    """The rows of either sample.

    Top-and-random: the first `n_top` top excerpts and the first `n_random` random ones that are not among them.
    Random-only: all random excerpts, drawn without looking, so one of them may be a top excerpt too.
    """
    top = np.flatnonzero(exemplars.is_top)[:n_top]
    random = np.flatnonzero(~exemplars.is_top)
    new = random[~np.isin(exemplars.excerpt_indices[random], exemplars.excerpt_indices[top])]
    nothing = np.zeros(0, np.int64)
    return {"top_and_random": Rows(top, new[:n_random]), "random_only": Rows(nothing, random)}


def judge_natural(
    record: NeuronRecord,
    simulated: Float[np.ndarray, "excerpt token"],
    active: Answer[Bool[np.ndarray, "excerpt token"]],
) -> Judgement:
    """The score on all of the record's exemplars, which are natural ones; `active` says of each token whether it is."""
    judgement = judge(record, every_row(record.exemplars), simulated)
    n_active = 0 if active.value is None else int(active.value.sum())
    if n_active >= FEWEST_ACTIVE:
        return judgement
    failure = active.failure or f"{n_active} of the {FEWEST_ACTIVE} active tokens that it needs"
    return replace(judgement, score=Score(None, None, None, failure), sums=None)


def simulated_rows(exemplars: Exemplars, n_top: int) -> Int[np.ndarray, " row"]:
    """The rows that any sample may need, each excerpt once: what has to be simulated."""
    rows = np.concatenate([np.flatnonzero(exemplars.is_top)[:n_top], np.flatnonzero(~exemplars.is_top)])
    _, first = np.unique(exemplars.excerpt_indices[rows], return_index=True)
    return rows[np.sort(first)]


def shown_rows(exemplars: Exemplars) -> Int[np.ndarray, " row"]:
    """The rows of each excerpt once: a random excerpt that is a top one too counts as a top one."""
    _, first = np.unique(exemplars.excerpt_indices, return_index=True)
    return np.sort(first)


def every_row(exemplars: Exemplars) -> Rows:
    """All rows as drawn without looking: what natural excerpts are."""
    return Rows(np.zeros(0, np.int64), np.arange(len(exemplars.is_top)))


def judge(record: NeuronRecord, rows: Rows, simulated: Float[np.ndarray, "excerpt token"]) -> Judgement:
    """The score of a simulation of all of the record's exemplars, on some of their rows.

    A row of NaN says that the excerpt could not be simulated; the score is then undefined, not made of the others.
    """
    n_tokens = record.exemplars.activations.shape[1]
    both = rows.both
    if np.isnan(simulated[both]).any():
        n_missing = int(np.isnan(simulated[both]).any(axis=1).sum())
        failure = f"{n_missing} of {len(both)} excerpts have no simulation"
        return Judgement(Score(None, None, None, failure), None, len(both), len(both) * n_tokens)
    true, documents = record.exemplars.activations, record.exemplars.document_indices
    top, random = (document_sums(true[part], simulated[part], documents[part]) for part in (rows.top, rows.random))
    sums = NeuronSums(record.neuron, top if len(rows.top) else None, random)
    return Judgement(score(true[both], simulated[both]), sums, len(both), len(both) * n_tokens)
