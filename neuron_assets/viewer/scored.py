"""What the scores of a layer say, without what is heavy in them: read once for each content that a file has had.

Here: which score stands for a neuron, and the means beside it. Not here: a page (`study_page.py`, `layer_page.py`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import polars as pl
from upath import UPath

from neuron_assets.errors import MissingTable, UnreadableTable
from neuron_assets.method.controls import CONTROLS
from neuron_assets.method.samples import SAMPLES
from neuron_assets.method.summary import HALF
from neuron_assets.tables.declared import as_declared
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.parquet import TableFacts, read_with_facts
from neuron_assets.viewer.shelf import OpenStudy

OWN = "own"
"""Among the lines of a layer: what stands for its neurons, whoever wrote it."""

_SCORE = ("ev_correlation", "ev_correlation_low", "ev_correlation_high", "failure", "interval_failure")
_KEYS = ("layer_index", "neuron_index", "candidate", "author", "chosen", "scorer", "sample")
_COLUMNS = (*_KEYS, "explainer", "simulator", *_SCORE)
_KEPT = 128
"""Layers that are kept in memory, each some bytes a neuron."""


@dataclass(frozen=True, slots=True, eq=False)
class LayerScores:
    """One layer's scores."""

    layer_index: int
    facts: TableFacts
    """Of the table that this is of."""
    neurons: pl.DataFrame
    """What stands for each neuron: neuron_index, candidate, sample and the score with its interval."""
    means: Mapping[tuple[str, str], Mapping[str, Any]]
    """By line (OWN, a control or a lookup) and sample: n, n_undefined, mean, share_above_half."""
    authors: tuple[str, ...]
    """All whose scores are reported here, lookups among them."""
    explainers: tuple[str, ...]
    """Identities, as the rows of what stands have them."""
    simulators: tuple[str, ...]

    def of_sample(self, sample: str) -> pl.DataFrame:
        return self.neurons.filter(pl.col("sample") == sample)


def layer_scores(study: OpenStudy, layer_index: int) -> LayerScores | None:
    """None where the layer has no scores; units that the study has no more are left out. Raises TableError."""
    try:
        return _layer_scores(study, layer_index)
    except UnreadableTable:  # it may have been replaced between two reads of it
        return _layer_scores(study, layer_index)


def outdated(what: str, study: OpenStudy) -> str:
    """What is told where study.yaml, as it is now, would make other tables than lie there."""
    again = f"neuron-assets materialize {study.name}"
    return f"{what} made by an earlier version of study.yaml, or of this package: {again}"


def _layer_scores(study: OpenStudy, layer_index: int) -> LayerScores | None:
    facts = study.facts("scores", layer_index)
    if facts is None:
        return None
    study.check("scores", layer_index)
    path = study.store.path(study.name, "scores", study.key(layer_index))
    try:
        rows = _read(path, facts.content, layer_index, study.study.n_units)
    except MissingTable:
        return None
    return replace(rows, facts=facts)  # equal rows may be of another lineage


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
def _read(path: UPath, content: str, layer_index: int, n_units: int) -> LayerScores:
    """Raises UnreadableTable where the file has another content by now, and keeps no rows of that."""
    wanted = pl.col("sample").is_in(SAMPLES) & (pl.col("neuron_index") < n_units)
    facts, rows = read_with_facts(path, "scores", wanted, _COLUMNS)
    if facts.content != content:
        raise UnreadableTable(path, "it was replaced while it was read")
    scores = as_declared(path, "scores", rows)
    own = of_chosen(scores)
    beside = scores.filter(pl.col("author").is_in(CONTROLS) | (pl.col("scorer") != "simulation"))
    lines = pl.concat([own.with_columns(line=pl.lit(OWN)), beside.with_columns(line="author")])
    score = pl.col("ev_correlation")
    means = lines.group_by("line", "sample").agg(
        n=pl.len(), n_undefined=score.null_count(), mean=score.mean(), share_above_half=(score > HALF).mean()
    )
    return LayerScores(
        layer_index,
        facts,
        own.select("neuron_index", "candidate", pl.col("sample").cast(pl.Enum(SAMPLES)), *_SCORE),
        {(row["line"], row["sample"]): row for row in means.to_dicts()},
        authors=tuple(scores["author"].unique().sort()),
        explainers=tuple(own["explainer"].unique().sort()),
        simulators=tuple(own["simulator"].unique().sort()),
    )
