"""What was judged, as metrics in the shape that all others have.

Here: which metrics each scorer has, and their chance levels. Not here: the arithmetic (`judging/metrics.py`).
"""

from collections.abc import Mapping

import numpy as np

from neuron_assets.method.intervals import Interval
from neuron_assets.method.judging.activity import NaturalCounts
from neuron_assets.method.judging.cases import Scorer
from neuron_assets.method.judging.metrics import Judgements, judging_metrics
from neuron_assets.method.metrics import Measured, Metric, unmeasured
from neuron_assets.method.records import Answer

_BALANCED = ("balanced_accuracy", "auroc")
JUDGED_METRICS: Mapping[Scorer, tuple[str, ...]] = {
    "detection": (*_BALANCED, "precision", "f1"),
    "fuzzing": _BALANCED,
    "embedding": ("auroc",),
}
"""In text as it comes nobody marks tokens, so fuzzing has no natural rate; and similarity is no verdict, so that only
its order counts."""


def measure_judged(
    scorer: Scorer, said: Judgements, natural: Answer[NaturalCounts], *, seed: int, n_draws: int
) -> tuple[Measured, tuple[Interval, ...]]:
    """The metrics of the scorer, with their intervals, in the order above.

    `natural` is empty where it is not known when the neuron is active; nothing has a value then. Chance is a judge who
    says yes to all or, where it is as good, yes or no by a coin: 1/2 for what is balanced, and with r the natural rate
    of active excerpts r for precision and 2 r / (1 + r) for F1.
    """
    names = JUDGED_METRICS[scorer]
    if natural.value is None:
        measured = unmeasured(names, said.document_indices, natural.failure or "not known when it is active")
        failures = [metric.failure for metric in measured.metrics]
        return measured, tuple(Interval(None, None, measured.n_documents, failure) for failure in failures)
    found = judging_metrics(said, natural.value if scorer == "detection" else None, seed=seed, n_draws=n_draws)
    chances = _chances(natural.value)
    metrics = tuple(
        Metric(name, None, None, found[name].failure)
        if found[name].value is None
        else Metric(name, found[name].value, chances[name])
        for name in names
    )
    intervals = tuple(
        Interval(found[name].low, found[name].high, found[name].n_documents, found[name].failure) for name in names
    )
    n_documents = len(np.unique(said.document_indices))
    return Measured(metrics, len(said.strata), n_documents, None), intervals


def _chances(natural: NaturalCounts) -> Mapping[str, float]:
    rate = float(natural.n_active.sum() / max(natural.n_excerpts.sum(), 1))
    return {"balanced_accuracy": 0.5, "auroc": 0.5, "precision": rate, "f1": 2 * rate / (1 + rate)}
