"""Explanations, candidates, simulations and judgements as rows.

Here: the tables below `activations`. Not here: excerpts and activations (`rows.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Float

from neuron_assets.method.controls import CONTROLS, OVER_BROAD_CONTROL, SHUFFLED_CONTROL, lenders
from neuron_assets.method.intervals import Interval
from neuron_assets.method.labels import HUMAN
from neuron_assets.method.records import Answer, NeuronId, NeuronRecord
from neuron_assets.method.samples import SAMPLES, Judgement, Sample
from neuron_assets.method.simulating.simulated import SimulatedExcerpt
from neuron_assets.tables.rows import frame, matrix, sums_as_lists
from neuron_assets.tables.schemas import empty

REVISION = "revision"
"""The author of a candidate that was made from another one."""

MEANINGS = "meanings"
"""The author of a candidate that is a list of meanings."""

NOBODY = "none"
"""Stands for the explainer and simulator of a lookup, which has neither."""


def explanations_frame(
    explainer: str, neurons: Sequence[NeuronId], answers: Sequence[Sequence[Answer[str]]]
) -> pl.DataFrame:
    """One row a neuron and sample."""
    rows = [
        (neuron, sample, answer)
        for neuron, samples in zip(neurons, answers, strict=True)
        for sample, answer in enumerate(samples)
    ]
    return frame(
        "explanations",
        {
            "layer_index": [neuron.layer_index for neuron, _, _ in rows],
            "neuron_index": [neuron.neuron_index for neuron, _, _ in rows],
            "sample": [sample for _, sample, _ in rows],
            "explainer": [explainer for _ in rows],
            "explanation": [answer.value for _, _, answer in rows],
            "failure": [answer.failure for _, _, answer in rows],
        },
    )


def candidates_frame(  # noqa: PLR0913  # all that becomes a candidate
    explanations: pl.DataFrame,
    author: str,
    revised: pl.DataFrame | None = None,
    lists: pl.DataFrame | None = None,
    labels: pl.DataFrame | None = None,
    *,
    control_seed: int | None,
    over_broad: str | None,
) -> pl.DataFrame:
    """Each explanation as a candidate of its neuron, then the revised ones by round, lists by length, and controls.

    First a shuffled control, if there is a seed; then `over_broad`. Last come what people wrote of these neurons, so
    that no label changes the number of another candidate.

    The shuffled control borrows another neuron's first explanation. A lone neuron has none.
    """
    own = explanations.select(
        "layer_index",
        "neuron_index",
        pl.col("sample").alias("candidate"),
        pl.lit(None, pl.Int32).alias("parent"),
        pl.lit(author).alias("author"),
        pl.lit(None, pl.Int32).alias("taken_from"),
        "explainer",
        "explanation",
        "failure",
    )
    if explanations.is_empty():
        return own
    if revised is not None:
        own = pl.concat([own, _with_numbers(revised, own, REVISION, "round")]).sort("neuron_index", "candidate")
    if lists is not None:
        own = pl.concat([own, _with_numbers(lists, own, MEANINGS, "list")]).sort("neuron_index", "candidate")
    with_shuffled = own if control_seed is None else _with_shuffled(own, control_seed)
    with_controls = with_shuffled if over_broad is None else _with_over_broad(with_shuffled, over_broad)
    return with_controls if labels is None else _with_labels(with_controls, labels)


def _with_numbers(made: pl.DataFrame, first: pl.DataFrame, author: str, number: str) -> pl.DataFrame:
    """As candidates after the first ones; the column `number` counts them, from 1."""
    last = first.group_by("neuron_index").agg(pl.col("candidate").max().alias("last"))
    columns = {
        "candidate": pl.col("last") + pl.col(number),
        "author": pl.lit(author),
        "taken_from": pl.lit(None, pl.Int32),
    }
    return made.join(last, on="neuron_index").with_columns(**columns).select(first.columns)


def _with_over_broad(candidates: pl.DataFrame, text: str) -> pl.DataFrame:
    columns = {
        "parent": pl.lit(None, pl.Int32),
        "author": pl.lit(OVER_BROAD_CONTROL),
        "taken_from": pl.lit(None, pl.Int32),
        "explainer": pl.lit(NOBODY),
        "explanation": pl.lit(text),
        "failure": pl.lit(None, pl.String),
    }
    numbers = candidates.group_by("layer_index", "neuron_index").agg(pl.col("candidate").max() + 1)
    return pl.concat([candidates, numbers.with_columns(**columns)]).sort("neuron_index", "candidate")


def _with_labels(candidates: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    columns = {
        "candidate": pl.col("last") + 1 + pl.col("label"),
        "parent": pl.lit(None, pl.Int32),
        "taken_from": pl.lit(None, pl.Int32),
        "explainer": pl.lit(NOBODY),
        "failure": pl.lit(None, pl.String),
    }
    last = candidates.group_by("layer_index", "neuron_index").agg(pl.col("candidate").max().alias("last"))
    written = labels.join(last, on=("layer_index", "neuron_index")).with_columns(**columns)
    return pl.concat([candidates, written.select(candidates.columns)]).sort("neuron_index", "candidate")


def _with_shuffled(own: pl.DataFrame, control_seed: int) -> pl.DataFrame:
    layer_index = int(own["layer_index"][0])
    lender_of = lenders(own["neuron_index"].unique(maintain_order=True).to_list(), layer_index, control_seed)
    pairs = pl.DataFrame(list(lender_of.items()), {"neuron_index": pl.Int32, "taken_from": pl.Int32}, orient="row")
    counts = own.group_by("neuron_index").agg((pl.col("candidate").max() + 1).alias("candidate"))
    texts = own.filter(pl.col("candidate") == 0).select(
        pl.col("neuron_index").alias("taken_from"), "layer_index", "parent", "explainer", "explanation", "failure"
    )
    borrowed = pairs.join(counts, on="neuron_index").join(texts, on="taken_from")
    controls = borrowed.with_columns(pl.lit(SHUFFLED_CONTROL).alias("author")).select(own.columns)
    return pl.concat([own, controls]).sort("neuron_index", "candidate")


@dataclass(frozen=True, slots=True)
class Scored:
    """One judgement and whose it is."""

    neuron: NeuronId
    candidate: int | None
    author: str
    chosen: bool
    scorer: str
    sample: Sample | Literal["choosing"]
    explainer: str
    simulator: str
    judgement: Judgement
    interval: Interval | None = None
    """Where it is known without drawing documents: that there is none, and why."""


def simulations_frame(
    simulator: str,
    record: NeuronRecord,
    candidate: int,
    explanation: str | None,
    answers: Sequence[Answer[SimulatedExcerpt]],
) -> pl.DataFrame:
    """One row an excerpt of the record, of which there is one answer each; a row without a simulation says why."""
    values = [answer.value for answer in answers]
    excerpt_indices = record.exemplars.excerpt_indices.astype(np.int32)
    return frame(
        "simulations",
        {
            "layer_index": record.neuron.layer_index,
            "neuron_index": record.neuron.neuron_index,
            "candidate": candidate,
            "excerpt_index": excerpt_indices,
            "simulator": simulator,
            "explanation": pl.Series([explanation] * len(answers), dtype=pl.String),
            "simulated": [None if value is None else value.expected.tolist() for value in values],
            "distribution": [None if value is None else _listed(value.distribution) for value in values],
            "failure": [answer.failure for answer in answers],
        },
    )


def _listed(distribution: Float[np.ndarray, "token value"] | None) -> list[list[float]] | None:
    return None if distribution is None else distribution.tolist()


def simulated_matrix(simulations: pl.DataFrame, record: NeuronRecord) -> Float[np.ndarray, "excerpt token"]:
    """One candidate's simulations by the rows of the record; NaN where an excerpt has none."""
    there = simulations.filter(pl.col("simulated").is_not_null())
    values = matrix(there["simulated"])
    row_of = {excerpt: row for row, excerpt in enumerate(there["excerpt_index"].to_list())}
    found = np.full(record.exemplars.activations.shape, np.nan, np.float32)
    for row, excerpt in enumerate(record.exemplars.excerpt_indices.tolist()):
        if excerpt in row_of:
            found[row] = values[row_of[excerpt]]
    return found


def scores_frame(scored: Sequence[Scored], intervals: Sequence[Interval | None]) -> pl.DataFrame:
    """One row a judgement; an interval is None where there was nothing to make one from."""
    rows = [_score_row(one, interval) for one, interval in zip(scored, intervals, strict=True)]
    if not rows:
        return empty("scores")
    return frame("scores", {name: [row[name] for row in rows] for name in rows[0]})


def _score_row(one: Scored, interval: Interval | None) -> dict[str, Any]:
    score, sums = one.judgement.score, one.judgement.sums
    return {
        "layer_index": one.neuron.layer_index,
        "neuron_index": one.neuron.neuron_index,
        "candidate": one.candidate,
        "author": one.author,
        "chosen": one.chosen,
        "scorer": one.scorer,
        "sample": one.sample,
        "explainer": one.explainer,
        "simulator": one.simulator,
        "ev_correlation": score.ev_correlation,
        "ev_correlation_low": interval.low if interval else None,
        "ev_correlation_high": interval.high if interval else None,
        "r2": score.r2,
        "absolute_deviation": score.absolute_deviation,
        "n_excerpts": one.judgement.n_excerpts,
        "n_documents": interval.n_documents if interval else 0,
        "n_tokens": one.judgement.n_tokens,
        "failure": score.failure,
        "interval_failure": interval.failure if interval else "there is no score",
        "document_sums": sums_as_lists(sums.top, sums.random) if sums else [],
    }


def reported(scores: pl.DataFrame) -> pl.DataFrame:
    """Without those that candidates were chosen by."""
    return scores.filter(pl.col("sample").is_in(SAMPLES))


def of_explainer(scores: pl.DataFrame) -> pl.DataFrame:
    """The reported scores of what the explainer wrote, without controls, lookups and people."""
    return reported(scores).filter((pl.col("scorer") == "simulation") & of_study())


def of_study() -> pl.Expr:
    """Whether the author of a row is the study's own: neither a control nor a person."""
    return ~pl.col("author").is_in(CONTROLS) & ~by_people()


def is_explained() -> pl.Expr:
    """Whether a row of candidates is a text of the study's own, neither a control nor a person's nor a failure."""
    return of_study() & pl.col("explanation").is_not_null()


def by_people() -> pl.Expr:
    """Whether a person wrote the text of a row."""
    return pl.col("author").str.starts_with(HUMAN)


def standing(candidates: pl.DataFrame, scores: pl.DataFrame) -> pl.DataFrame:
    """The candidates that stand for their neurons, and the controls."""
    stands = candidates.join(of_chosen(scores), on=("neuron_index", "candidate"), how="semi", maintain_order="left")
    controls = candidates.filter(pl.col("author").is_in(CONTROLS))
    return pl.concat([stands, controls]).sort("neuron_index", "candidate")


def of_first(scores: pl.DataFrame) -> pl.DataFrame:
    """Of those the first of each neuron."""
    own = of_explainer(scores)
    return own.filter(pl.col("candidate") == pl.col("candidate").min().over("layer_index", "neuron_index"))


def of_chosen(scores: pl.DataFrame) -> pl.DataFrame:
    """Of the same the ones that stand for their neuron; where none was chosen, as none has a text, the first."""
    own = of_explainer(scores)
    first = pl.col("candidate") == pl.col("candidate").min().over("layer_index", "neuron_index")
    return own.filter(pl.col("chosen") | (first & ~pl.col("chosen").any().over("layer_index", "neuron_index")))
