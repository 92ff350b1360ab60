"""All neurons of a layer, a row each: what stands for it, how well that does, and how the neuron behaves.

Here: joining the tables, and choosing rows of it. Not here: reading scores (`scored.py`), the page (`layer_page.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import polars as pl

from neuron_assets.errors import TableError
from neuron_assets.tables.explained import of_study
from neuron_assets.viewer.scored import LayerScores, explanations_of, layer_scores, texts_are_those_scored
from neuron_assets.viewer.shelf import OpenStudy

STATES = ("explained", "failed", "unexplained")
_STATISTICS = ("neuron_index", "share_active", "kurtosis")
_SCORED = {
    "score": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "undefined": pl.String,
    "random": pl.Float64,
    "random_low": pl.Float64,
    "random_high": pl.Float64,
}


@dataclass(frozen=True, slots=True)
class Range:
    """Both ends belong to it; None is no end."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which neurons are looked at; all of them if nothing is said."""

    ranges: Mapping[str, Range] = field(default_factory=dict)
    """By column; a row without a value there is in no range."""
    state: str | None = None
    """One of STATES."""
    words: str = ""
    """All of them stand in the explanation, in whatever case."""

    def of(self, neurons: pl.DataFrame) -> pl.DataFrame:
        """The rows that are wanted, in their order."""
        rules = [pl.lit(True)]  # noqa: FBT003  # a literal of polars
        rules += [pl.col(column) >= ends.least for column, ends in self.ranges.items() if ends.least is not None]
        rules += [pl.col(column) <= ends.most for column, ends in self.ranges.items() if ends.most is not None]
        rules += [] if self.state is None else [_IS_IN_STATE[self.state]]
        text = pl.col("explanation").str.to_lowercase()
        rules += [text.str.contains(word, literal=True) for word in self.words.lower().split()]
        return neurons.filter(rules)


_IS_IN_STATE = {
    "explained": pl.col("explanation").is_not_null(),
    "failed": pl.col("failure").is_not_null(),
    "unexplained": pl.col("candidate").is_null(),
}


@dataclass(frozen=True, slots=True, eq=False)
class LayerNeurons:
    """What the tables say of a layer."""

    neurons: pl.DataFrame
    """By neuron_index: share_active and kurtosis; candidate, author, explanation; scores; failure: why one is missing.
    """
    told: tuple[str, ...]
    """What is wrong or missing, a line each."""


def read_layer(study: OpenStudy, layer_index: int) -> LayerNeurons:
    """What cannot be read is null, and told."""
    told: list[str] = []
    scores, candidates, statistics = None, None, None
    try:
        scores = layer_scores(study, layer_index)
    except TableError as error:
        told.append(f"Without scores. {error}")
    try:
        candidates = explanations_of(study, layer_index)
    except TableError as error:
        told.append(f"Without explanations. {error}")
    try:
        statistics = study.layer("neuron_statistics", layer_index, _STATISTICS)
    except TableError as error:
        told.append(f"Without density and kurtosis. {error}")
    if statistics is None and not told:
        told.append(f"Not harvested yet: neuron-assets materialize {study.name} --layers {layer_index}")
    if scores is not None and candidates is not None and not texts_are_those_scored(study, layer_index):
        told.append(
            "The explanations were made again since they were scored; scores stand here without the texts, which are "
            f"not those they are of. neuron-assets materialize {study.name} --layers {layer_index}"
        )
        candidates = candidates.with_columns(explanation=pl.lit(None, pl.String))
    return LayerNeurons(_joined(study.study.n_units, statistics, candidates, scores), tuple(told))


def _joined(
    n_units: int, statistics: pl.DataFrame | None, candidates: pl.DataFrame | None, scores: LayerScores | None
) -> pl.DataFrame:
    """Of all units that the study has, whatever the tables hold."""
    neurons = pl.DataFrame({"neuron_index": pl.Series(range(n_units), dtype=pl.Int32)})
    if statistics is None:
        empty = {"share_active": pl.Float64, "kurtosis": pl.Float64}
        statistics = pl.DataFrame(schema={"neuron_index": pl.Int32, **empty})
    neurons = neurons.join(statistics, on="neuron_index", how="left", maintain_order="left")
    scored = _scored(scores)
    neurons = neurons.join(scored, on="neuron_index", how="left", maintain_order="left")
    texts = _standing(candidates, scored)
    neurons = neurons.join(texts, on="neuron_index", how="left", maintain_order="left")
    return neurons.with_columns(failure=pl.coalesce("failure", "undefined"))


def _scored(scores: LayerScores | None) -> pl.DataFrame:
    """A row a neuron that was scored: of which candidate, and on both samples."""
    if scores is None:
        return pl.DataFrame(schema={"neuron_index": pl.Int32, "stands": pl.Int32, **_SCORED})
    value, low, high = "ev_correlation", "ev_correlation_low", "ev_correlation_high"
    top = scores.of_sample("top_and_random").select(
        "neuron_index", stands="candidate", score=value, low=low, high=high, undefined="failure"
    )
    random = scores.of_sample("random_only").select("neuron_index", random=value, random_low=low, random_high=high)
    return top.unique("neuron_index", keep="first").join(
        random.unique("neuron_index", keep="first"), on="neuron_index", how="left"
    )


def _standing(candidates: pl.DataFrame | None, scored: pl.DataFrame) -> pl.DataFrame:
    """The candidates that the scores are of; of neurons that are not scored the first."""
    if candidates is None:
        columns = dict.fromkeys(("author", "explanation", "failure"), pl.String)
        return pl.DataFrame(schema={"neuron_index": pl.Int32, "candidate": pl.Int32, **columns})
    own = candidates.filter(of_study())
    stands = own.join(scored.select("neuron_index", "stands"), on="neuron_index", how="left")
    first = pl.col("candidate").min().over("neuron_index")
    return stands.filter(pl.col("candidate") == pl.coalesce("stands", first)).drop("stands")
