"""On which excerpts candidates are simulated: those that the scorers of the study judge, or are fitted on.

Put here: which rows of `activations` these are. Keep out: what is made of them (`simulations.py`, `scores.py`).
"""

from collections.abc import Sequence

import polars as pl

from neuron_assets.method.records import Split
from neuron_assets.study import Study
from neuron_assets.tables.parquet import StoredTable
from neuron_assets.tables.validation import checked

SIMULATED = "simulated"
"""Note of `simulations`: the pools and samples that are simulated in it."""


def is_simulated(study: Study) -> pl.Expr:
    """Whether a row of `activations` is one of an excerpt that the neuron's candidates are simulated on."""
    exemplar = ((pl.col("kind") == "top") & (pl.col("rank") < study.scoring.top)) | (pl.col("kind") == "random")
    pools: list[Split] = ["valid", "calibration"] if study.scoring.calibrates else ["valid"]
    simulated = exemplar & pl.col("split").is_in(pools)
    if study.scoring.at_natural_rate:
        simulated |= (pl.col("kind") == "natural") & (pl.col("split") == "valid")
    return simulated


def held_out(study: Study, activations: StoredTable, neuron_indices: Sequence[int]) -> pl.DataFrame:
    """Rows of `activations`, each excerpt once a neuron, those of `valid` first.

    Raises UnreadableTable or InvalidTable.
    """
    rows = activations.read(is_simulated(study) & pl.col("neuron_index").is_in(list(neuron_indices)))
    ordered = checked("activations", rows).sort("neuron_index", pl.col("split") != "valid", maintain_order=True)
    return ordered.unique(["neuron_index", "excerpt_index"], keep="first", maintain_order=True)


def most_excerpts(study: Study) -> int:
    """How many excerpts of a neuron are simulated, if none is there twice."""
    splits, scoring = study.splits, study.scoring
    n_valid = scoring.top + splits.valid.random + (splits.natural if scoring.at_natural_rate else 0)
    return n_valid + (scoring.top + splits.calibration.random if scoring.calibrates else 0)


def simulated_in_words(study: Study) -> str:
    scoring = study.scoring
    parts = {"valid": True, "natural": scoring.at_natural_rate, "calibration": scoring.calibrates}
    return ", ".join(name for name, wanted in parts.items() if wanted)
