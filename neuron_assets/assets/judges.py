"""Who judges, by what the study names.

Put here: from a study's `judge` to something that says how likely a yes is. Keep out: how each of them works
(`method/judging/`, `language_models/`), and the asset (`judgements.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl

from neuron_assets.assets.asked import RequestDesk
from neuron_assets.assets.books import Errand
from neuron_assets.method.judging.by_simulation import detection_by_simulation, fuzzing_by_simulation
from neuron_assets.method.judging.cases import Cases
from neuron_assets.method.records import Answer
from neuron_assets.study import Study
from neuron_assets.tables.explained import simulated_matrix


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


@dataclass(frozen=True, slots=True)
class Judge:
    """Somebody who says whether excerpts hold what an explanation says."""

    identity: str
    """All that an answer depends on beside explanation and excerpts; a model by who it was observed to be."""
    judge: Callable[[Iterable[Claim]], Iterator[Judged]]
    """In the order of what is given."""
    facts: Callable[[], Mapping[str, Any]] = dict
    """What it took, for people: requests, tokens, money."""


@contextmanager
def open_judge(study: Study, desk: RequestDesk, errand: Errand, simulations: pl.DataFrame | None) -> Iterator[Judge]:
    """`simulations` are those of the layer, for a judge who turns them into verdicts.

    Raises LanguageModelError for models that cannot be used.
    """
    assert simulations is not None
    by_candidate = simulations.partition_by("neuron_index", "candidate", as_dict=True)
    judge = partial(_by_simulation, by_candidate, study.judge.threshold)
    yield Judge(study.judge_identity, lambda claims: map(judge, claims))


def _by_simulation(simulations: Mapping[tuple[Any, ...], pl.DataFrame], threshold: float, claim: Claim) -> Judged:
    """An excerpt that could not be simulated is not judged, for the same reason."""
    cases = claim.cases
    rows = simulations[cases.record.neuron.neuron_index, claim.candidate]
    simulated = simulated_matrix(rows, cases.record).astype(np.float64)
    if cases.scorer == "detection":
        probabilities = detection_by_simulation(simulated, threshold)
    else:
        probabilities = fuzzing_by_simulation(simulated, cases.marked, threshold)
    failures = dict(rows.select("excerpt_index", "failure").iter_rows())
    return [
        Answer(None, failures[excerpt]) if np.isnan(probability) else Answer(probability)
        for excerpt, probability in zip(
            cases.record.exemplars.excerpt_indices.tolist(), probabilities.tolist(), strict=True
        )
    ]
