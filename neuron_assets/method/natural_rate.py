"""Does an explanation find the neuron's active tokens, as rare as they really are? AUPRC, F1, precision, recall.

Our own definition (docs/scores.md). Among top excerpts a concept that is fifty times too broad looks right, since most
of what it says too much is not there to be seen. So these are computed on excerpts that were drawn without looking, the
same for all neurons. The unit of decision is the token: it is *active* where the activation is above a share of the
neuron's maximum over `train`, and it is *predicted* where the simulated value is at or above a threshold fitted on
`calibration`; AUPRC needs no threshold.

Put here: what active means, the threshold, the four metrics. Keep out: which excerpts are drawn, and the intervals
(`metrics.py`).
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.metrics import Evidence, Measured, Metric, rows_by_document, unmeasured
from neuron_assets.method.records import Answer, NeuronId

ACTIVE_SHARE = 0.1
"""Of the neuron's maximum over `train`, unless the study says otherwise."""

FEWEST_ACTIVE = 5
"""Active tokens of the natural-rate sample, under which its metrics hang on chance."""

NATURAL_RATE_METRICS = ("auprc", "f1", "precision", "recall")


def active_tokens(
    activations: Float[np.ndarray, "excerpt token"], largest: float, share: float = ACTIVE_SHARE
) -> Answer[Bool[np.ndarray, "excerpt token"]]:
    """Where a > share x largest, the neuron's maximum over `train`; none, and why, for a neuron that never was above 0.

    Both in the neuron's own unit; the share lies between 0 and 1.
    """
    if not largest > 0:
        return Answer(None, "the neuron is never above 0 on train")
    if not np.isfinite(activations).all():
        return Answer(None, "not finite")
    return Answer(activations.astype(np.float64) > share * largest)


def fit_threshold(
    active: Answer[Bool[np.ndarray, "excerpt token"]], simulated: Float[np.ndarray, "_ _"]
) -> Answer[float]:
    """The simulated value from which on a token counts as predicted: the one with the highest F1 on these excerpts.

    They are those of `calibration`; `simulated` is 0 to 10. Candidates are the values that occur. Of several with one
    F1 the highest counts. None, and why, where an excerpt has no simulation (a row of NaN) or nothing is active. Raises
    UnequalLengths unless both have one shape.
    """
    if active.value is None:
        return Answer(None, f"no threshold: {active.failure}")
    failure = _why_unusable(active.value, simulated)
    if failure is not None:
        return Answer(None, f"no threshold: {failure}")
    if not active.value.any():
        return Answer(None, "no threshold: nothing is active on calibration")
    values, place = np.unique(simulated.ravel(), return_inverse=True)
    n_tokens = np.bincount(place)[::-1].cumsum()  # from the highest value down
    n_hits = np.bincount(place, active.value.ravel(), len(values))[::-1].cumsum()
    f1 = 2 * n_hits / (n_tokens + n_hits[-1])
    return Answer(float(values[::-1][np.argmax(f1)]))


def measure_at_natural_rate(
    neuron: NeuronId,
    active: Answer[Bool[np.ndarray, "excerpt token"]],
    simulated: Float[np.ndarray, "excerpt token"],
    document_indices: Int[np.ndarray, " excerpt"],
    threshold: Answer[float],
) -> Measured:
    """AUPRC, F1, precision and recall, in this order; without a threshold, AUPRC alone.

    `simulated` is on the scale of the threshold; a row of NaN says that the excerpt could not be simulated, and the
    metrics are then undefined. Raises UnequalLengths unless active and simulated have one shape.

    - AUPRC is the average precision: sum over the distinct simulated values, from the highest down, of (recall here -
      recall one value higher) x precision here, where all tokens at or above the value are predicted. Tokens of one
      value come in together; nothing is interpolated. Its chance level is the share of active tokens.
    - F1 = 2 hits / (predicted + active), 0 where nothing is predicted. Chance: every token is predicted.
    - Precision = hits / predicted, undefined where nothing is predicted. Chance: the share of active tokens.
    - Recall = hits / active. It has no chance level: predicting more never lowers it.
    """
    if active.value is None:
        return unmeasured(NATURAL_RATE_METRICS, document_indices, active.failure or "not known what is active")
    n_active = int(active.value.sum())
    failure = _why_unusable(active.value, simulated)
    if failure is None and n_active < FEWEST_ACTIVE:
        failure = f"{n_active} of the {FEWEST_ACTIVE} active tokens that it needs"
    if failure is not None:
        return unmeasured(NATURAL_RATE_METRICS, document_indices, failure)

    columns = _columns(active.value, simulated, threshold.value)
    documents, sums = rows_by_document(columns, document_indices)
    metrics = _metrics(sums.sum(axis=0), n_active / active.value.size, threshold.failure)
    evidence = Evidence(neuron, documents, (len(documents),), sums, _values, lowest=0.0)
    return Measured(metrics, len(simulated), len(documents), evidence)


def _why_unusable(active: Bool[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "_ _"]) -> str | None:
    if active.shape != simulated.shape:
        axis = 0 if len(active) != len(simulated) else 1
        raise UnequalLengths(active.shape[axis], simulated.shape[axis])
    if active.size == 0:
        return "no excerpts"
    n_missing = int(np.isnan(simulated).any(axis=1).sum())
    if n_missing:
        return f"{n_missing} of {len(simulated)} excerpts have no simulation"
    return None if np.isfinite(simulated).all() else "not finite"


def _metrics(totals: Float[np.ndarray, " column"], rate: float, no_threshold: str | None) -> tuple[Metric, ...]:
    values = _values(totals[np.newaxis])[0]
    chances = (rate, 2 * rate / (1 + rate), rate, None)
    metrics = []
    for name, value, chance in zip(NATURAL_RATE_METRICS, values.tolist(), chances, strict=True):
        failure = None if name == "auprc" else no_threshold
        if failure is None and np.isnan(value):
            failure = "nothing is predicted"
        metrics.append(Metric(name, value, chance) if failure is None else Metric(name, None, None, failure))
    return tuple(metrics)


def _columns(
    active: Bool[np.ndarray, "excerpt token"], simulated: Float[np.ndarray, "excerpt token"], threshold: float | None
) -> Float[np.ndarray, "excerpt column"]:
    """Of each excerpt: hits, predicted, then active tokens by simulated value, then all tokens by it, highest first.

    Only values at which some token is active have columns. A value without adds nothing to the average precision but
    tokens that are predicted from the next lower value on, so its tokens count there; below the last they never count.
    Takes 16 bytes x excerpts x such values.
    """
    predicted = simulated >= (np.inf if threshold is None else threshold)
    decided = np.stack([(active & predicted).sum(axis=1), predicted.sum(axis=1)], axis=1)
    values = np.unique(simulated[active])
    place = np.searchsorted(-values[::-1], -simulated, side="left")  # of the highest of the values not above it
    n_places = len(values) + 1
    cells = place + n_places * np.arange(len(simulated))[:, np.newaxis]
    by_value = [
        np.bincount(cells.ravel(), weights.ravel(), n_places * len(simulated)).reshape(len(simulated), n_places)[:, :-1]
        for weights in (active, np.ones_like(active))
    ]
    return np.concatenate([decided.astype(np.float64), *by_value], axis=1)


def _values(totals: Float[np.ndarray, "draw column"]) -> Float[np.ndarray, "draw 4"]:
    """AUPRC, F1, precision, recall from totals of the columns; NaN where undefined, all of them where none is active.

    The totals are whole numbers, so that no order of adding can change a bit.
    """
    hits, predicted, by_value = totals[:, 0], totals[:, 1], totals[:, 2:]
    active, tokens = np.split(by_value, 2, axis=1)
    n_active = active.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision_here = np.nan_to_num(active.cumsum(axis=1) / tokens.cumsum(axis=1), nan=0.0)
        auprc = (active * precision_here).sum(axis=1) / n_active
        f1 = 2 * hits / (predicted + n_active)
        values = np.stack([auprc, f1, hits / predicted, hits / n_active], axis=1)
    values[n_active == 0] = np.nan
    return values
