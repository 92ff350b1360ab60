"""How far calibrated simulations lie from the neuron, in its own unit: r2 and absolute deviation.

Formulas: Bills et al. (2023). a are the true activations, c the calibrated simulated ones, sums over all tokens:
r2 = 1 - sum (a - c)^2 / sum a^2 and absolute deviation = 1 - sum |a - c| / sum |a|. Unlike the correlation they see
whether the size is right, and unlike the textbook's r2, the paper's gives credit for the neuron's mean. So what the
mean alone would get stands beside each as `chance`.

Put here: these two on held-out excerpts. Keep out: fitting the map (`calibration.py`), the intervals (`metrics.py`).
"""

from functools import partial

import numpy as np
from jaxtyping import Float

from neuron_assets.method.calibration import Calibration
from neuron_assets.method.metrics import Evidence, Measured, Metric, rows_by_document, unmeasured
from neuron_assets.method.records import Answer, NeuronRecord
from neuron_assets.method.samples import Rows

CALIBRATED_METRICS = ("r2", "absolute_deviation")

_LEFT, _LEFT_BY_MEAN = slice(2, 4), slice(4, 6)
"""Columns of the sums: what the simulation leaves unexplained, and what the mean would leave."""


def measure_calibrated(
    record: NeuronRecord,
    rows: Rows,
    simulated: Float[np.ndarray, "excerpt token"],
    calibration: Answer[Calibration],
) -> Measured:
    """Both metrics of a simulation of all of the record's exemplars, on some of their rows, in this order.

    `simulated` is uncalibrated, 0 to 10; a row of NaN says that the excerpt could not be simulated, and the metrics are
    then undefined. The calibration comes from other excerpts, or with the reason why there is none.
    """
    parts = [part for part in (rows.random, rows.top) if len(part)]
    both = np.concatenate([rows.random, rows.top])
    documents = record.exemplars.document_indices
    n_missing = int(np.isnan(simulated[both]).any(axis=1).sum())
    if n_missing:
        return unmeasured(
            CALIBRATED_METRICS, documents[both], f"{n_missing} of {len(both)} excerpts have no simulation"
        )
    if calibration.value is None:
        return unmeasured(CALIBRATED_METRICS, documents[both], calibration.failure or "no calibration")
    if len(both) == 0:
        return unmeasured(CALIBRATED_METRICS, documents[both], "no excerpts")
    with np.errstate(all="ignore"):  # what is not finite has no metric, and `_metrics` says so
        columns = _columns(record.exemplars.activations, calibration.value(simulated), calibration.value.mean)
    strata = [rows_by_document(columns[part], documents[part]) for part in parts]
    found, sums = (np.concatenate(each) for each in zip(*strata, strict=True))
    sizes = tuple(len(of_stratum) for of_stratum, _ in strata)
    values = partial(_shares_explained, left=_LEFT)
    evidence = Evidence(record.neuron, found, sizes, sums, values, lowest=-np.inf)
    return Measured(_metrics(sums.sum(axis=0)), len(both), len(np.unique(found)), evidence)


def _metrics(totals: Float[np.ndarray, " column"]) -> tuple[Metric, ...]:
    values, chances = (_shares_explained(totals, left=left).tolist() for left in (_LEFT, _LEFT_BY_MEAN))
    failure = "the neuron is 0 throughout" if np.isfinite(totals).all() else "not finite"
    return tuple(
        Metric(name, value, chance) if np.isfinite([value, chance]).all() else Metric(name, None, None, failure)
        for name, value, chance in zip(CALIBRATED_METRICS, values, chances, strict=True)
    )


def _columns(
    true: Float[np.ndarray, "excerpt token"], calibrated: Float[np.ndarray, "excerpt token"], mean: float
) -> Float[np.ndarray, "excerpt 6"]:
    """Sums over the tokens of aa, |a|, (a - c)^2, |a - c|, (a - m)^2, |a - m|, with m the mean on `calibration`."""
    a = true.astype(np.float64)
    series = (a, a - calibrated, a - mean)
    return np.stack([column for x in series for column in ((x * x).sum(axis=1), np.abs(x).sum(axis=1))], axis=1)


def _shares_explained(sums: Float[np.ndarray, "*axes 6"], left: slice) -> Float[np.ndarray, "*axes 2"]:
    """1 - what is left as a share of the activations; NaN where these are 0."""
    size = sums[..., :2]
    with np.errstate(all="ignore"):
        return np.where(size > 0, 1 - sums[..., left] / size, np.nan)
