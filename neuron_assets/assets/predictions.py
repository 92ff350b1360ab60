"""Who predicts what a neuron does: the candidates, by their simulations, and the lookups, by a table.

Put here: predictions, whoever made them, in one shape for all scorers. Keep out: how well they fit (`scores.py`,
`metrics.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl
from jaxtyping import Float

from neuron_assets.method.calibration import Calibration, CalibrationKind, fit_calibration
from neuron_assets.method.lookups import BigramLookup, UnigramLookup, fit_bigram, fit_unigram
from neuron_assets.method.records import Answer, Exemplars, NeuronRecord
from neuron_assets.method.samples import shown_rows
from neuron_assets.tables.explained import NOBODY, simulated_matrix

LOOKUPS: Mapping[str, Callable[[Exemplars], UnigramLookup | BigramLookup]] = {
    "unigram_lookup": fit_unigram,
    "bigram_lookup": fit_bigram,
}


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """What somebody expects one neuron to do, on whatever excerpts."""

    candidate: int | None
    """None for a lookup, which reads no explanation."""
    author: str
    scorer: str
    explainer: str
    simulator: str
    explanation: str | None
    """That was simulated; None where there was none, and for a lookup."""
    expected: Callable[[NeuronRecord], Float[np.ndarray, "excerpt token"]]
    """On the exemplars of a record of the neuron; NaN where an excerpt has no simulation."""

    def calibration(self, kind: CalibrationKind, fitted_on: NeuronRecord) -> Answer[Calibration]:
        """The map from what is expected to the neuron's unit, or why there is none."""
        return fit_calibration(kind, fitted_on.exemplars.activations, self.expected(fitted_on))


def of_candidates(candidates: pl.DataFrame, simulations: pl.DataFrame) -> Callable[[int], Iterator[Prediction]]:
    """Gives the predictions of each neuron's candidates, by neuron_index."""
    simulated = simulations.partition_by("neuron_index", "candidate", as_dict=True)
    by_neuron = candidates.partition_by("neuron_index", as_dict=True)

    def of_neuron(neuron_index: int) -> Iterator[Prediction]:
        for row in by_neuron[(neuron_index,)].to_dicts():
            rows = simulated[(neuron_index, row["candidate"])]
            yield Prediction(
                candidate=row["candidate"],
                author=row["author"],
                scorer="simulation",
                explainer=row["explainer"],
                simulator=rows["simulator"][0],
                explanation=row["explanation"],
                expected=partial(simulated_matrix, rows),
            )

    return of_neuron


def of_lookups(shown: NeuronRecord, names: Iterable[str]) -> Iterator[Prediction]:
    """Tables of mean activations fitted on a neuron's `train` exemplars: the bar for an explanation in words."""
    once = shown.only(shown_rows(shown.exemplars)).exemplars
    for name in names:
        yield Prediction(None, name, name, NOBODY, NOBODY, None, partial(_looked_up, LOOKUPS[name](once)))


def _looked_up(lookup: UnigramLookup | BigramLookup, record: NeuronRecord) -> Float[np.ndarray, "excerpt token"]:
    return lookup.predict(record.exemplars.tokens)
