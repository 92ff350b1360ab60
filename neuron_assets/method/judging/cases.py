"""What a judge is asked about one neuron by one scorer: excerpts, in the order of asking, with their right answers.

Here: the choice and the marks put together. Not here: either of them (`choosing.py`), the questions (`asking.py`).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from neuron_assets.method.judging.activity import Known
from neuron_assets.method.judging.choosing import ChoicePlan, choose_excerpts, marked_tokens
from neuron_assets.method.judging.examples import ShownExcerpt
from neuron_assets.method.records import Answer, NeuronRecord

Scorer = Literal["detection", "fuzzing", "embedding"]
"""What judges are needed for. A judge is asked the first two; the third holds the same excerpts as detection against
the explanation, by how alike a sentence-embedding model finds them."""


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """The excerpts of one neuron that are judged."""

    scorer: Scorer
    record: NeuronRecord
    """Each excerpt once, in the order of asking."""
    strata: Int[np.ndarray, " judged"]
    """Index into STRATA."""
    marked: Bool[np.ndarray, "judged token"]
    """For fuzzing only."""

    def shown(self) -> list[ShownExcerpt]:
        """As a judge is shown them."""
        strings = self.record.exemplars.tokens.strings
        return [
            ShownExcerpt(tuple(strings[code] for code in codes), frozenset(np.flatnonzero(marks).tolist()))
            for codes, marks in zip(self.record.exemplars.tokens.codes.tolist(), self.marked, strict=True)
        ]


def cases_for(scorer: Scorer, held_out: NeuronRecord, known: Answer[Known], plan: ChoicePlan) -> Cases:
    """Of a neuron whose activity is not known there are none. Raises ValueError as `choose_excerpts`."""
    if known.value is None:
        nothing = held_out.only(np.zeros(0, np.int64))
        return Cases(scorer, nothing, np.zeros(0, np.int64), np.zeros(nothing.exemplars.activations.shape, bool))
    chosen = choose_excerpts(held_out, known.value, plan)
    record = held_out.only(chosen.rows)
    if scorer == "fuzzing":
        return Cases(scorer, record, chosen.strata, marked_tokens(held_out, known.value, chosen, plan))
    return Cases(scorer, record, chosen.strata, np.zeros(record.exemplars.activations.shape, bool))
