"""What the scores of a layer say, without what is heavy in them: read once for each content that a file has had.

Here: which score stands for a neuron, and the means beside it. Not here: a page (`study_page.py`, `layer_page.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import polars as pl
from upath import UPath

from neuron_assets.errors import MissingTable
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.samples import SAMPLES
from neuron_assets.method.summary import HALF
from neuron_assets.tables.declared import as_declared
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import read_table
from neuron_assets.viewer.shelf import OpenStudy

OWN = "own"
"""Among the lines of a layer: what stands for its neurons, whoever wrote it."""

_SCORE = ("ev_correlation", "ev_correlation_low", "ev_correlation_high", "failure", "interval_failure")
_COLUMNS = ("layer_index", "neuron_index", "candidate", "author", "chosen", "scorer", "sample", *_SCORE)
_KEPT = 128
"""Layers that are kept in memory, each some bytes a neuron."""

_Means: TypeAlias = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True, slots=True, eq=False)
class LayerScores:
    """One layer's scores."""

    layer_index: int
    content: str
    """Hash of the table that this is of."""
    neurons: pl.DataFrame
    """What stands for each neuron: neuron_index, candidate, sample and the score with its interval."""
    means: _Means
    """By line (OWN, a control or a lookup) and sample: n, n_undefined, mean, share_above_half."""
    authors: tuple[str, ...]
    """All whose scores are reported here, lookups among them."""

    def of_sample(self, sample: str) -> pl.DataFrame:
        return self.neurons.filter(pl.col("sample") == sample)


def layer_scores(study: OpenStudy, layer_index: int) -> LayerScores | None:
    """None where the layer has no scores; units that the study has no more are left out. Raises TableError."""
    facts = study.facts("scores", layer_index)
    if facts is None:
        return None
    study.check("scores", layer_index)
    path = study.store.path(study.name, "scores", study.key(layer_index))
    try:
        neurons, means, authors = _read(path, facts.content, study.study.n_units)
    except MissingTable:
        return None
    return LayerScores(layer_index, facts.content, neurons, means, authors)


def explanations_of(study: OpenStudy, layer_index: int, neurons: Sequence[int] | None = None) -> pl.DataFrame | None:
    """The table `candidates` without what is not shown; None where the layer has none. Raises TableError.

    `neurons` are those that are wanted, all if not given.
    """
    where = None if neurons is None else pl.col("neuron_index").is_in(list(neurons))
    columns = ("neuron_index", "candidate", "author", "explanation", "failure")
    return study.layer("candidates", layer_index, columns, where)


def texts_are_those_scored(study: OpenStudy, layer_index: int) -> bool:
    """Whether the candidates that lie there are those that the scores are of. Raises TableError."""
    scores, candidates = (study.facts(table, layer_index) for table in ("scores", "candidates"))
    if scores is None or candidates is None:
        return False
    name = study.store.name(study.store.path(study.name, "candidates", study.key(layer_index)))
    return scores.inputs.get(name) == candidates.content


@lru_cache(maxsize=_KEPT)
def _read(path: UPath, _content: str, n_units: int) -> tuple[pl.DataFrame, _Means, tuple[str, ...]]:
    wanted = pl.col("sample").is_in(SAMPLES) & (pl.col("neuron_index") < n_units)
    scores = as_declared(path, "scores", read_table(path, "scores", wanted, _COLUMNS))
    own = of_chosen(scores)
    beside = scores.filter(pl.col("author").is_in(CONTROLS) | (pl.col("scorer") != "simulation"))
    lines = pl.concat([own.with_columns(line=pl.lit(OWN)), beside.with_columns(line="author")])
    score = pl.col("ev_correlation")
    means = lines.group_by("line", "sample").agg(
        n=pl.len(), n_undefined=score.null_count(), mean=score.mean(), share_above_half=(score > HALF).mean()
    )
    authors = tuple(scores["author"].unique().sort())
    by_line = {(row["line"], row["sample"]): row for row in means.to_dicts()}
    return own.select("neuron_index", "candidate", "sample", *_SCORE), by_line, authors
