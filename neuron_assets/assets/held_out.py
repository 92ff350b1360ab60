"""What was held out from the explainer: excerpts that candidates are simulated on, fitted on and judged on.

Put here: which rows of `activations` these are, as the study's scorers ask for them, and as records. Keep out: what is
made of them (`simulations.py`, `scores.py`, `metrics.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
import polars as pl
from jaxtyping import Bool

from neuron_assets.method.judging.activity import known_from
from neuron_assets.method.judging.cases import Cases, cases_for
from neuron_assets.method.natural_rate import active_tokens
from neuron_assets.method.records import Answer, Kind, NeuronRecord, Split
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.rows import Corpus, activations_of, neuron_records
from neuron_assets.tables.validation import checked

SIMULATED = "simulated"
"""Note of `simulations`: the pools and samples that are simulated in it."""


def simulates_natural(study: Study) -> bool:
    """Whether candidates are simulated on excerpts as they come: scored there, or judged by what was simulated."""
    return study.scoring.at_natural_rate or bool(study.scoring.judged and study.judge.provider == "simulation")


def is_judged(study: Study) -> pl.Expr:
    """Whether a row of `activations` is one of an excerpt that may be judged; with excerpts as they come."""
    is_kept = (pl.col("kind") != "top") | (pl.col("rank") < study.scoring.top)
    return is_kept & (pl.col("split") == "valid")


def is_simulated(study: Study) -> pl.Expr:
    """Whether a row of `activations` is one of an excerpt that the neuron's candidates are simulated on."""
    exemplar = ((pl.col("kind") == "top") & (pl.col("rank") < study.scoring.top)) | (pl.col("kind") == "random")
    pools: list[Split] = ["valid", "calibration"] if study.simulates_calibration else ["valid"]
    simulated = exemplar & pl.col("split").is_in(pools)
    if simulates_natural(study):
        simulated |= (pl.col("kind") == "natural") & (pl.col("split") == "valid")
    return simulated


def simulated_rows_of(study: Study, activations: StoredTable, neuron_indices: Sequence[int]) -> pl.DataFrame:
    """Rows of `activations`, each excerpt once a neuron, those of `valid` first.

    Raises UnreadableTable or InvalidTable.
    """
    rows = activations.read(is_simulated(study) & pl.col("neuron_index").is_in(list(neuron_indices)))
    ordered = checked("activations", rows).sort("neuron_index", pl.col("split") != "valid", maintain_order=True)
    return ordered.unique(["neuron_index", "excerpt_index"], keep="first", maintain_order=True)


def most_excerpts(study: Study) -> int:
    """How many excerpts of a neuron are simulated, if none is there twice."""
    pools = [study.splits.valid, *([study.splits.calibration] if study.simulates_calibration else [])]
    n_natural = study.splits.natural if simulates_natural(study) else 0
    return n_natural + sum(min(study.scoring.top, pool.top) + pool.random for pool in pools)


def simulated_in_words(study: Study) -> str:
    parts = {"valid": True, "natural": simulates_natural(study), "calibration": study.simulates_calibration}
    return ", ".join(name for name, wanted in parts.items() if wanted)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """What one neuron did where nobody who explained it looked."""

    valid: NeuronRecord
    natural: NeuronRecord | None
    """Excerpts as they come, the same for all neurons; None where the study does not ask for them."""
    calibration: NeuronRecord | None
    """What was simulated of that pool; None where nothing was."""
    largest: float
    """The neuron's maximum over `train`."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What was kept of one layer's neurons, as records."""

    study: Study
    activations: StoredTable
    texts: Corpus
    statistics: pl.DataFrame
    """Of the table `neuron_statistics`."""

    def shown(self, neuron_indices: Sequence[int]) -> Iterator[NeuronRecord]:
        """The `train` exemplars of each of these neurons, ascending."""
        return self._records("train", neuron_indices)

    def held_out(self, neuron_indices: Sequence[int]) -> Iterator[HeldOut]:
        """Of each of these neurons, ascending."""
        scoring, largest = self.study.scoring, dict(self.statistics.select("neuron_index", "maximum").iter_rows())
        valid = self._records("valid", neuron_indices)
        n = len(neuron_indices)
        natural = self.natural(neuron_indices) if scoring.at_natural_rate else repeat(None, n)
        calibration = self._fitted_on(neuron_indices) if self.study.simulates_calibration else repeat(None, n)
        for record, drawn, fitted in zip(valid, natural, calibration, strict=True):
            yield HeldOut(record, drawn, fitted, largest[record.neuron.neuron_index])

    def cases(self, neuron_indices: Sequence[int]) -> Iterator[Cases]:
        """What is judged of each of these neurons, ascending, by scorer."""
        judging = self.study.judging
        kinds: Sequence[Kind] = ("top", "random", "natural")
        rows = activations_of(self.activations, "valid", neuron_indices, kinds).filter(is_judged(self.study))
        for shown, held_out in zip(self.shown(neuron_indices), neuron_records(rows, self.texts), strict=True):
            known = known_from(shown.exemplars, share=judging.active_share)
            for scorer in self.study.scoring.judged:
                yield cases_for(scorer, held_out, known, judging.plan(scorer))

    def natural(self, neuron_indices: Sequence[int]) -> Iterator[NeuronRecord]:
        """Excerpts of `valid` as they come; of no neuron, where none are kept."""
        return self._records("valid", neuron_indices, ("natural",))

    def active(self, of: HeldOut, record: NeuronRecord) -> Answer[Bool[np.ndarray, "excerpt token"]]:
        """Which tokens of a record are active, as the study defines it."""
        return active_tokens(record.exemplars.activations, of.largest, self.study.activations.active_share)

    def _fitted_on(self, neuron_indices: Sequence[int]) -> Iterator[NeuronRecord]:
        rows = activations_of(self.activations, "calibration", neuron_indices).filter(is_simulated(self.study))
        once = rows.unique(["neuron_index", "excerpt_index"], keep="first", maintain_order=True)
        return neuron_records(once, self.texts)

    def _records(
        self, split: Split, neuron_indices: Sequence[int], kinds: Sequence[Kind] = ("top", "random")
    ) -> Iterator[NeuronRecord]:
        return neuron_records(activations_of(self.activations, split, neuron_indices, kinds), self.texts)
