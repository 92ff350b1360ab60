"""What a simulation is worth to the model itself: the neuron does what was simulated, and the output is looked at.

Formula (our own): with JSD the Jensen-Shannon divergence of the next-token distributions from those of the true pass,
in nats, a mean over an excerpt's tokens,

    ablation = 1 - mean over excerpts of JSD(simulated, true) / mean over excerpts of JSD(mean-ablated, true).

1: the model says what it said. 0: the simulation is as good as the neuron's mean over `train`, at every token. Below 0:
worse than that. Put here: the divergence, the score, and what its interval is made from. Keep out: running the model
(`subjects.ablation`), calibrating the simulation (`calibration.py`), the interval (`metrics.py`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64

from neuron_assets.method.metrics import Evidence, Measured, Metric, rows_by_document, unmeasured
from neuron_assets.method.records import NeuronRecord
from neuron_assets.method.samples import Rows

ABLATION_METRICS = ("ablation", "mean_ablation")
"""The score, and the mean over excerpts of JSD(mean-ablated, true): how much the neuron matters there at all."""

SMALLEST_DIVERGENCE = 1e-8
"""In nats. A neuron whose mean ablation moves the model less than this does not matter enough to be scored."""
TIMES_NOISE = 10
"""A divergence under so many times that of rounding is not told from it."""


@dataclass(frozen=True, slots=True, eq=False)
class Divergences:
    """How far a model's next-token distributions are from those of its true pass, in nats, means over tokens."""

    simulated: Float[np.ndarray, " excerpt"]
    """With the calibrated simulation in the neuron's place; NaN where there is none."""
    mean_ablated: Float[np.ndarray, " excerpt"]
    """With the neuron's mean over `train` at every token."""
    noise: Float[np.ndarray, " excerpt"]
    """With every number of the residual stream before the layer moved by one step of its dtype."""


def jensen_shannon(
    first: Float[np.ndarray, "*axes vocabulary"], second: Float[np.ndarray, "*axes vocabulary"]
) -> Float64[np.ndarray, "*axes"]:
    """In nats, 0 to ln 2, between the distributions that two sets of logits stand for.

    With m = (p + q) / 2: (sum p ln(p / m) + sum q ln(q / m)) / 2, in float64. Models are compared by the same formula,
    a few tokens at a time (`subjects.ablation`).
    """
    log_p, log_q = _log_softmax(first), _log_softmax(second)
    log_m = np.logaddexp(log_p, log_q) - np.log(2)
    p_from_m, q_from_m = (np.exp(log) * (log - log_m) for log in (log_p, log_q))
    return np.asarray(np.maximum((p_from_m + q_from_m).sum(-1) / 2, 0))


def _log_softmax(logits: Float[np.ndarray, "*axes vocabulary"]) -> Float64[np.ndarray, "*axes vocabulary"]:
    wide = logits.astype(np.float64)
    return np.asarray(wide - np.logaddexp.reduce(wide, axis=-1, keepdims=True))


def measure_ablation(record: NeuronRecord, rows: Rows, divergences: Divergences) -> Measured:
    """Both of ABLATION_METRICS on some rows of the record's exemplars; `divergences` has all of these, in their order.

    The score is undefined where an excerpt has no simulation, and where mean ablation moves the model by less than
    SMALLEST_DIVERGENCE or TIMES_NOISE times what rounding does. Its chance level is 0, by definition.
    """
    documents = record.exemplars.document_indices
    parts = [part for part in (rows.random, rows.top) if len(part)]
    if not parts:
        return unmeasured(ABLATION_METRICS, documents[:0], "no excerpts")
    both = np.concatenate(parts)
    per_excerpt = np.stack(
        [np.ones(len(documents)), divergences.simulated, divergences.mean_ablated, divergences.noise], axis=1
    ).astype(np.float64)
    if not np.isfinite(per_excerpt[both, 2:]).all():
        return unmeasured(ABLATION_METRICS, documents[both], "not finite")

    strata = [rows_by_document(per_excerpt[part], documents[part]) for part in parts]
    found, sums = (np.concatenate(each) for each in zip(*strata, strict=True))
    score, moved = _values(sums.sum(axis=0)).tolist()
    failure = _why_unscored(per_excerpt[both])
    metrics = (
        Metric("ablation", score, 0.0) if failure is None else Metric("ablation", None, None, failure),
        Metric("mean_ablation", moved, None),
    )
    sizes = tuple(len(of_stratum) for of_stratum, _ in strata)
    evidence = Evidence(record.neuron, found, sizes, sums, _values, lowest=-np.inf)
    return Measured(metrics, len(both), len(np.unique(found)), evidence)


def _why_unscored(per_excerpt: Float[np.ndarray, "excerpt 4"]) -> str | None:
    n_missing = int(np.isnan(per_excerpt[:, 1]).sum())
    if n_missing:
        return f"{n_missing} of {len(per_excerpt)} excerpts have no simulation"
    if not np.isfinite(per_excerpt[:, 1]).all():
        return "not finite"
    _, _, moved, noise = per_excerpt.mean(axis=0).tolist()
    if moved < SMALLEST_DIVERGENCE:
        return f"mean ablation moves the output by {moved:.1e} nats, under {SMALLEST_DIVERGENCE:.0e}"
    if moved < TIMES_NOISE * noise:
        return f"mean ablation moves the output by {moved:.1e} nats, under {TIMES_NOISE} times rounding's {noise:.1e}"
    return None


def _values(sums: Float[np.ndarray, "*axes 4"]) -> Float[np.ndarray, "*axes 2"]:
    """From totals of 1, simulated, mean-ablated and noise, over excerpts, to both metrics; NaN where undefined."""
    n, simulated, moved, noise = np.moveaxis(sums, -1, 0)
    with np.errstate(all="ignore"):
        is_defined = (moved >= SMALLEST_DIVERGENCE * n) & (moved >= TIMES_NOISE * noise)
        score = np.where(is_defined, 1 - simulated / moved, np.nan)
        return np.stack([score, moved / n], axis=-1)
