"""Which of a neuron's candidates stands for it: the one that does best on documents that it was not made from.

The documents of the `calibration` pool are cut in two. Counterexamples come from the one half (`look`), so a candidate
may have been made with it in sight; the choice is made on the other (`choose`), for every kind of candidate alike. What
the chosen one is worth is then told on `valid`: its score on the half it was chosen on is flattered by the choice.

Here: the halves, a candidate's score on one, the choice. Not here: what was gained (`paired.py`).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import shown_rows
from neuron_assets.method.scoring import Score, score

Half = Literal["look", "choose"]


@dataclass(frozen=True, slots=True)
class Contender:
    """A candidate as the choice sees it."""

    candidate: int
    """Its number among the neuron's candidates."""
    author: str
    has_text: bool
    """Whether there is an explanation at all; one that could not be made has none."""
    score: Score
    """On the choosing half."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Of one neuron: a candidate, or a reason why there is none."""

    candidate: int | None
    ev_correlation: float | None
    """Of the chosen one on the choosing half: what it was chosen by, not what it is worth. None where it had none."""
    n_scored: int
    """Candidates that had a score there; with one or none, nothing was chosen between."""
    failure: str | None = None
    """Why `candidate` is None."""


def half_of(document_index: int, seed: int) -> Half:
    """The half that a document falls into, told by the seed and its index alone; either is as likely."""
    digest = hashlib.blake2b(f"{seed} {document_index}".encode(), digest_size=1).digest()
    return "look" if digest[0] % 2 else "choose"


def rows_in(record: NeuronRecord, half: Half, seed: int) -> Int[np.ndarray, " row"]:
    """The rows of a `calibration` record whose documents fall into one half, each excerpt once."""
    rows = shown_rows(record.exemplars)
    documents = record.exemplars.document_indices[rows].tolist()
    return rows[np.array([half_of(document, seed) == half for document in documents], np.bool_)]


def choosing_score(record: NeuronRecord, simulated: Float[np.ndarray, "excerpt token"], seed: int) -> Score:
    """The score of a simulation of a `calibration` record on its choosing half, top and random excerpts together.

    A row of NaN says that the excerpt could not be simulated; the score is undefined where one of this half is.
    """
    rows = rows_in(record, "choose", seed)
    n_missing = int(np.isnan(simulated[rows]).any(axis=1).sum())
    if n_missing:
        return Score(None, None, None, f"{n_missing} of {len(rows)} excerpts have no simulation")
    return score(record.exemplars.activations[rows], simulated[rows])


def chosen(contenders: Sequence[Contender]) -> Choice:
    """The contender with the highest correlation; of several as high, the one with the lowest number.

    Where none has a correlation, the first that has a text. A control takes no part.
    """
    able = sorted(
        (one for one in contenders if one.has_text and one.author not in CONTROLS), key=lambda one: one.candidate
    )
    if not able:
        return Choice(None, None, 0, "no candidate has a text")
    scored = [(one.score.ev_correlation, one.candidate) for one in able if one.score.ev_correlation is not None]
    if not scored:
        return Choice(able[0].candidate, None, 0)
    best, candidate = max(scored, key=lambda pair: (pair[0], -pair[1]))
    return Choice(candidate, best, len(scored))
