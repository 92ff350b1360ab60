"""Which candidate stands for a neuron, where it has several.

Put here: the contenders of a neuron, as its choice sees them. Keep out: the choice itself (`method/choosing.py`), and
what the chosen one is worth (`scores.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neuron_assets.assets.held_out import HeldOut
from neuron_assets.assets.predictions import Prediction
from neuron_assets.method.choosing import Contender, choosing_score, chosen, rows_in
from neuron_assets.method.intervals import Interval
from neuron_assets.method.labels import is_of_study
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import Judgement
from neuron_assets.method.scoring import Score
from neuron_assets.study import Study

_NOT_REPORTED = "candidates were chosen by it; what the chosen one is worth is told on valid"


@dataclass(frozen=True, slots=True)
class Decision:
    """Of one neuron."""

    candidate: int | None
    """That stands for it; None where several have no text, or nobody chose between them."""
    judgements: Mapping[int, tuple[Judgement, Interval]]
    """By candidate, what it was chosen by; nothing where there was no choice."""


def decide(study: Study, held: HeldOut, predictions: Sequence[Prediction]) -> Decision:
    """Among the predictions of a neuron's candidates; a lone one stands for it. Controls and people take no part."""
    own = {one.candidate: one for one in predictions if one.candidate is not None and is_of_study(one.author)}
    if not study.chooses:
        return Decision(next(iter(own)) if len(own) == 1 else None, {})
    record, seed = held.calibration, study.scoring.choosing_seed
    assert record is not None
    scores = {number: choosing_score(record, one.expected(record), seed) for number, one in own.items()}
    choice = chosen(
        [Contender(number, one.author, one.explanation is not None, scores[number]) for number, one in own.items()]
    )
    return Decision(choice.candidate, {number: _judged(record, seed, each) for number, each in scores.items()})


def _judged(record: NeuronRecord, seed: int, score: Score) -> tuple[Judgement, Interval]:
    rows = rows_in(record, "choose", seed)
    n_documents = len(np.unique(record.exemplars.document_indices[rows]))
    n_tokens = record.exemplars.activations[rows].size
    return Judgement(score, None, len(rows), n_tokens), Interval(None, None, n_documents, _NOT_REPORTED)
