"""What a judge is given, and what comes back.

Put here: those two. Keep out: who judges (`judges.py`, `similarity.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from neuron_assets.method.judging.cases import Cases
from neuron_assets.method.records import Answer


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """An explanation, and the excerpts on which it is held against what the neuron did."""

    candidate: int
    explanation: str
    cases: Cases

    @property
    def about(self) -> str:
        return f"{self.cases.record.neuron} candidate {self.candidate}"


Judged = Sequence[Answer[float]]
"""One answer an excerpt: how likely a yes is."""
