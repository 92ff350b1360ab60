"""The values of several studies, neuron by neuron, as the table `comparison`.

Here: which rows stand side by side, and what is said of those that have no other. Not here: the arithmetic
(`method/paired.py`, `method/comparing.py`), which studies may be compared and what they cost (`assets/comparing.py`).
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from neuron_assets.method.comparing import mean_difference, win_rate
from neuron_assets.method.intervals import LayerInterval
from neuron_assets.method.paired import layer_difference
from neuron_assets.tables.explained import of_chosen
from neuron_assets.tables.rows import frame
from neuron_assets.tables.schemas import KEYS, empty
from neuron_assets.tables.summarized import sums_of

CORRELATION = "ev_correlation"

_NEURON = ("layer_index", "neuron_index")
_WHAT = ("scorer", "sample", "metric")
_MOST_REASONS, _LONGEST_REASON = 3, 80
"""Reasons that are told of neurons that are left out, the most frequent first; and characters of each."""


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars a neuron, or why they are not known."""

    dollars: float | None
    failure: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """One of the studies that are compared."""

    name: str
    explainer: str
    """Identity, as the simulator's."""
    simulator: str
    layers: Collection[int]
    """Those whose scores are there and still stand."""
    values: pl.DataFrame
    """As `values_of` gives them, of all these layers."""
    cost: Callable[[Collection[int]], Cost]
    """Of some layers together."""


@dataclass(frozen=True, slots=True)
class Draws:
    """Of the bootstrap."""

    seed: int
    number: int


def values_of(scores: pl.DataFrame, metrics: pl.DataFrame | None) -> pl.DataFrame:
    """A row a neuron, scorer, sample and metric: the value of the candidate that stands for its neuron, or why none."""
    own = of_chosen(scores)
    columns = (*_NEURON, *_WHAT, "value", "failure", "document_sums")
    correlations = own.with_columns(metric=pl.lit(CORRELATION), value=CORRELATION).select(columns)
    if metrics is None:
        return correlations
    stands = own.select(*_NEURON, "candidate").unique()
    measured = metrics.join(stands, on=stands.columns, how="semi")
    no_sums = pl.lit(None, correlations.schema["document_sums"])
    return pl.concat([correlations, measured.with_columns(document_sums=no_sums).select(columns)])


def comparison_frame(baseline: Side, others: Sequence[Side], draws: Draws) -> pl.DataFrame:
    """A row an other study, layer or all layers, scorer, sample and metric. The order of neurons does not matter.

    Raises ValueError where two studies scored a neuron on different excerpts.
    """
    rows = [row for other in others for row in _rows(baseline, other, draws)]
    if not rows:
        return empty("comparison")
    table = frame("comparison", {name: [row[name] for row in rows] for name in rows[0]})
    return table.sort(KEYS["comparison"], nulls_last=True)


def _rows(baseline: Side, other: Side, draws: Draws) -> Iterator[dict[str, Any]]:
    pairs = _pairs(baseline, other)
    for (scorer, sample, metric), of_metric in pairs.partition_by(*_WHAT, as_dict=True).items():
        what = {"scorer": scorer, "sample": sample, "metric": metric}
        by_layer: list[tuple[object, pl.DataFrame]] = [
            (layer, of_layer) for (layer,), of_layer in of_metric.partition_by("layer_index", as_dict=True).items()
        ]
        for layer, rows in [*by_layer, (None, of_metric)]:
            layers = rows["layer_index"].unique().to_list()
            yield (
                _whose(baseline, other)
                | {"layer_index": layer}
                | what
                | _compared(rows, draws, is_correlation=metric == CORRELATION)
                | _costs(baseline, other, layers)
            )


def _pairs(baseline: Side, other: Side) -> pl.DataFrame:
    """All neurons of either, by layer and index; of each side value, sums, and why there is no value."""
    on = [*_NEURON, *_WHAT]
    first, second = (_with_reasons(side) for side in (baseline, other))
    pairs = first.join(second, on=on, how="full", coalesce=True, suffix="_other").sort(on)
    return pairs.with_columns(
        _absent(baseline, "value", "failure").alias("failure"),
        _absent(other, "value_other", "failure_other").alias("failure_other"),
    )


def _with_reasons(side: Side) -> pl.DataFrame:
    """Whose reason it is, where there are none to compare with."""
    reason = pl.col("failure").str.slice(0, _LONGEST_REASON)
    return side.values.with_columns(failure=pl.concat_str(pl.lit(f"{side.name}: "), reason))


def _absent(side: Side, value: str, failure: str) -> pl.Expr:
    """The failure; of a row that the side does not have, why it has none."""
    has_layer = pl.col("layer_index").is_in(list(side.layers))
    no_row, no_layer = (
        pl.lit(f"{side.name}: {why}") for why in ("not asked for", "no scores of this layer that stand")
    )
    missing = pl.when(has_layer).then(no_row).otherwise(no_layer)
    return pl.when(pl.col(value).is_null()).then(pl.coalesce(failure, missing))


def _whose(baseline: Side, other: Side) -> dict[str, Any]:
    return {
        "baseline": baseline.name,
        "study": other.name,
        "baseline_explainer": baseline.explainer,
        "explainer": other.explainer,
        "baseline_simulator": baseline.simulator,
        "simulator": other.simulator,
    }


def _compared(rows: pl.DataFrame, draws: Draws, *, is_correlation: bool) -> dict[str, Any]:
    both = rows.drop_nulls(["value", "value_other"])
    first, second = both["value"].to_numpy(), both["value_other"].to_numpy()
    found = (
        _difference_of_sums(both, draws)
        if is_correlation
        else mean_difference(first, second, seed=draws.seed, n_draws=draws.number)
    )
    left_out = rows.filter(pl.col("value").is_null() | pl.col("value_other").is_null())
    return {
        "n_neurons": both.height,
        "n_left_out": left_out.height,
        "left_out": _reasons(left_out),
        "baseline_mean": both["value"].mean(),
        "mean": both["value_other"].mean(),
        "difference": found.mean,
        "difference_low": found.low,
        "difference_high": found.high,
        "win_rate": win_rate(first, second),
        "failure": "no neuron has a value in both" if found.mean is None else None,
        "interval_failure": found.failure,
    }


def _difference_of_sums(both: pl.DataFrame, draws: Draws) -> LayerInterval:
    first = both.select(*_NEURON, pl.col("value").alias(CORRELATION), "document_sums")
    second = both.select(
        *_NEURON, pl.col("value_other").alias(CORRELATION), pl.col("document_sums_other").alias("document_sums")
    )
    return layer_difference(sums_of(first), sums_of(second), seed=draws.seed, n_draws=draws.number)


def _reasons(left_out: pl.DataFrame) -> str | None:
    """Such as `3 x mine: the simulation is constant; 1 x ...`; None where there is nothing to tell."""
    if left_out.is_empty():
        return None
    reason = pl.concat_str("failure", "failure_other", separator=", ", ignore_nulls=True)
    counts = left_out.group_by(reason=reason).len().sort(["len", "reason"], descending=[True, False])
    told = [f"{number} x {text}" for text, number in counts.head(_MOST_REASONS).iter_rows()]
    n_more = counts.height - len(told)
    return "; ".join([*told, *([f"and {n_more} reasons more"] if n_more else [])])


def _costs(baseline: Side, other: Side, layers: Collection[int]) -> dict[str, Any]:
    first, second = baseline.cost(layers), other.cost(layers)
    return {
        "baseline_cost": first.dollars,
        "cost": second.dollars,
        "baseline_cost_failure": first.failure,
        "cost_failure": second.failure,
    }
