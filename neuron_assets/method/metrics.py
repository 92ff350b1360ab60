"""Numbers beside the correlation: what one metric of a simulation is, and its interval over documents.

A metric is a function of sums over tokens, so that a document is a row of numbers and any choice of documents is scored
from the total of their rows: a draw of documents is a product of counts and rows, as in `intervals.py`.

Put here: the shape that all such metrics have, and their intervals. Keep out: the metrics themselves
(`calibrated_scores.py`, `natural_rate.py`), and the correlation, which has its own way (`scoring.py`, `intervals.py`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from neuron_assets.method.intervals import Interval, LayerInterval, mean_interval
from neuron_assets.method.records import NeuronId
from neuron_assets.method.resampling import neuron_draws, percentiles, too_few_documents, too_often_undefined

_CHUNK_BYTES = 1 << 24
"""About what the totals of the draws at hand may take, whatever the number of columns."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number on how well a simulation follows a neuron: a value, or the reason why there is none."""

    name: str
    value: float | None
    chance: float | None
    """What the same metric gives to a simulation that knows nothing of the neuron but how active it is on the whole;
    None where the value is, and where no such thing can be said."""
    failure: str | None = None
    """Why `value` is None."""


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What some metrics of one neuron are made of: rows that add up over any choice of documents."""

    neuron: NeuronId
    document_indices: Int[np.ndarray, " row"]
    """Distinct within a stratum."""
    stratum_sizes: tuple[int, ...]
    """Rows of each stratum, one after the other; documents are drawn within each. Random ones first, then top ones."""
    sums: Float[np.ndarray, "row column"]
    values: Callable[[Float[np.ndarray, "draw column"]], Float[np.ndarray, "draw metric"]]
    """From totals of rows to the metrics, NaN where undefined. NaN stays within `method/`."""
    lowest: float
    """No metric can be under it, and none above 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Some metrics of one simulation on one sample of excerpts, in a told order."""

    metrics: tuple[Metric, ...]
    n_excerpts: int
    n_documents: int
    """Distinct ones, all strata together."""
    evidence: Evidence | None
    """None where there is nothing to add up; no metric has a value then."""


def unmeasured(names: Sequence[str], document_indices: Int[np.ndarray, " excerpt"], failure: str) -> Measured:
    """No value for any of the names, all for one reason."""
    metrics = tuple(Metric(name, None, None, failure) for name in names)
    return Measured(metrics, len(document_indices), len(np.unique(document_indices)), None)


def rows_by_document(
    per_excerpt: Float[np.ndarray, "excerpt column"], document_indices: Int[np.ndarray, " excerpt"]
) -> tuple[Int[np.ndarray, " row"], Float[np.ndarray, "row column"]]:
    """The distinct documents, ascending, and the sum of each one's excerpts."""
    documents, row = np.unique(document_indices, return_inverse=True)
    sums = np.zeros((len(documents), per_excerpt.shape[1]))
    np.add.at(sums, row, per_excerpt)
    return documents, sums


def metric_intervals(
    measured: Measured, *, seed: int, n_draws: int = 1000, level: float = 0.95
) -> tuple[Interval, ...]:
    """The interval of each metric, in their order: percentile bootstrap over documents, as `neuron_intervals` has it.

    All metrics of a neuron on the same documents share their draws, also with its correlation. What was decided
    elsewhere (calibration, thresholds, the neuron's maximum) stays as it is in every draw. A draw in which a metric is
    undefined is left out for that metric; above a tenth of them it has no interval. The numbers depend on the seed and
    on what was measured only.
    """
    n_documents, evidence = measured.n_documents, measured.evidence
    failure = too_few_documents(n_documents)
    if failure is not None or evidence is None or all(metric.value is None for metric in measured.metrics):
        return tuple(Interval(None, None, n_documents, metric.failure or failure) for metric in measured.metrics)
    counts = neuron_draws(evidence.neuron, evidence.stratum_sizes, seed=seed, n_draws=n_draws)
    ends = percentiles(np.ascontiguousarray(_drawn_values(evidence, counts).T), level)
    return tuple(
        _interval(metric, n_documents, *row)
        for metric, row in zip(measured.metrics, zip(*ends, strict=True), strict=True)
    )


def layer_metric_interval(
    measured: Sequence[Measured], place: int, *, seed: int, n_draws: int = 1000, level: float = 0.95
) -> LayerInterval:
    """The mean of the metrics that stand in one place, over a layer's neurons, and its interval as `layer_interval`'s.

    Neurons without a value are left out of the mean and counted.
    """
    values = [each.metrics[place].value for each in measured]
    points = np.array([np.nan if value is None else value for value in values])
    scored = [
        each.evidence for each, value in zip(measured, values, strict=True) if each.evidence and value is not None
    ]

    def drawn(
        documents: Int[np.ndarray, " document"], taken: Float[np.ndarray, "document draw"]
    ) -> Float[np.ndarray, "draw neuron"]:
        counts = (taken[np.searchsorted(documents, evidence.document_indices)] for evidence in scored)
        return np.stack(
            [_drawn_values(each, of_rows)[:, place] for each, of_rows in zip(scored, counts, strict=True)], axis=1
        )

    of_scored = [evidence.document_indices for evidence in scored]
    lowest = min((evidence.lowest for evidence in scored), default=-np.inf)
    return mean_interval(points, of_scored, drawn, lowest=lowest, seed=seed, n_draws=n_draws, level=level)


def _drawn_values(evidence: Evidence, counts: Float[np.ndarray, "row draw"]) -> Float[np.ndarray, "draw metric"]:
    """A run of draws at a time, whose length depends on the number of columns only."""
    length = max(1, _CHUNK_BYTES // (8 * evidence.sums.shape[1]))
    runs = [counts[:, start : start + length] for start in range(0, counts.shape[1], length)]
    return np.concatenate([evidence.values(run.T @ evidence.sums) for run in runs])


def _interval(metric: Metric, n_documents: int, low: float, high: float, undefined: float) -> Interval:
    failure = metric.failure or too_often_undefined(float(undefined))
    if failure is not None:
        return Interval(None, None, n_documents, failure)
    return Interval(float(low), float(high), n_documents)
