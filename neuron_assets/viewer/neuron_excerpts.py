"""The excerpts of one neuron as its page shows them, and what they tell of tokens.

Here: which excerpts, their texts, what was simulated on them. Not here: scores and candidates (`neuron.py`), colours
(`excerpts.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.method.lookups import PSEUDO_COUNT
from neuron_assets.viewer.neuron import Candidate, Desk

_ACTIVATIONS = ("neuron_index", "split", "kind", "rank", "excerpt_index", "peak", "activations")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One excerpt as the neuron saw it."""

    excerpt_index: int
    kind: str
    """top or random."""
    document: str
    tokens: tuple[str, ...]
    peak: float
    activations: tuple[float, ...]
    """Raw."""
    simulated: tuple[float, ...] | None
    """0 to 10, of the explanation that stands; None where nobody was asked, or where that failed."""
    failure: str | None
    """Why there is no simulation, where there should be one."""


@dataclass(frozen=True, slots=True)
class ExcitingToken:
    """What one token of the excerpts of `train` does to the neuron."""

    token: str
    mean: float
    peak: float
    n: int


@dataclass(frozen=True, slots=True)
class SeenExcerpts:
    """Those of one pool, and what is told of `train`."""

    pool: str
    excerpts: tuple[Excerpt, ...]
    """Top ones first, by falling peak."""
    exciting: tuple[ExcitingToken, ...]
    drawn: tuple[float, ...]
    """Activations on every token of the random excerpts of `train`: drawn without looking, so text as it comes."""


def see_excerpts(desk: Desk, pool: str, standing: Candidate | None, n_exciting: int = 12) -> SeenExcerpts:
    """Reads the rows of this neuron, and the texts of its excerpts in `pool` and `train`."""
    nothing = SeenExcerpts(pool, (), (), ())
    rows = desk.rows("activations", _ACTIVATIONS)
    if rows is None:
        return nothing
    rows = rows.filter((pl.col("kind") != "natural") & pl.col("split").is_in(["train", pool]))
    drawn = rows.filter((pl.col("split") == "train") & (pl.col("kind") == "random"))["activations"].explode()
    wanted = rows["excerpt_index"].unique().sort().to_list()
    texts = desk.tried(lambda: desk.study.excerpts(wanted, ("excerpt_index", "document", "tokens")), None)
    if texts is None:
        return nothing
    rows = rows.join(texts, on="excerpt_index", maintain_order="left")
    simulated = _simulated(desk, pool, standing)
    of_pool = rows.filter(pl.col("split") == pool).sort(pl.col("kind") != "top", "rank", maintain_order=True)
    return SeenExcerpts(
        pool,
        tuple(_excerpt(row, simulated) for row in of_pool.to_dicts()),
        _exciting(rows.filter(pl.col("split") == "train"), n_exciting),
        tuple(drawn.drop_nulls()),
    )


def _simulated(desk: Desk, pool: str, standing: Candidate | None) -> Mapping[int, Mapping[str, Any]]:
    """By excerpt: what was simulated from the text that stands now, and not from one before it."""
    if pool == "train" or standing is None:
        return {}
    table = "final_simulations" if pool == "test" else "simulations"
    columns = ("neuron_index", "candidate", "excerpt_index", "explanation", "simulated", "failure")
    rows = desk.rows(table, columns)
    if rows is None:
        return {}
    own = rows.filter(pl.col("candidate") == standing.number)
    of_text = own.filter(pl.col("explanation").eq_missing(pl.lit(standing.explanation, pl.String)))
    if of_text.height < own.height:
        desk.tell("What was simulated belongs to an earlier explanation, and is left out. Simulate again.")
    return {row["excerpt_index"]: row for row in of_text.to_dicts()}


def _excerpt(row: Mapping[str, Any], simulations: Mapping[int, Mapping[str, Any]]) -> Excerpt:
    simulation = simulations.get(row["excerpt_index"], {"simulated": None, "failure": None})
    return Excerpt(
        excerpt_index=row["excerpt_index"],
        kind=row["kind"],
        document=row["document"],
        tokens=tuple(row["tokens"]),
        peak=row["peak"],
        activations=tuple(row["activations"]),
        simulated=None if simulation["simulated"] is None else tuple(simulation["simulated"]),
        failure=simulation["failure"],
    )


def _exciting(train: pl.DataFrame, most: int) -> tuple[ExcitingToken, ...]:
    """The tokens of highest mean; one that was seen a few times only stands lower."""
    tokens = train.unique("excerpt_index", maintain_order=True).select("tokens", "activations")
    if tokens.is_empty():
        return ()
    value = pl.col("activations")
    by_token = (
        tokens.explode("tokens", "activations")
        .group_by("tokens", maintain_order=True)
        .agg(value.mean().alias("mean"), value.max().alias("peak"), pl.len().alias("n"))
        .filter(pl.col("peak") > 0)
        .sort(pl.col("mean") * pl.col("n") / (pl.col("n") + PSEUDO_COUNT), descending=True, maintain_order=True)
        .head(most)
    )
    return tuple(ExcitingToken(*row) for row in by_token.iter_rows())
