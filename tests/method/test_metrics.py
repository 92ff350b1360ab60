"""Facts on means of metrics over a layer."""

from collections.abc import Sequence

import numpy as np
import pytest

from neuron_assets.method.intervals import LayerInterval
from neuron_assets.method.metrics import Measured, layer_metric_interval
from neuron_assets.method.natural_rate import NATURAL_RATE_METRICS, measure_at_natural_rate
from neuron_assets.method.records import Answer, NeuronId

THRESHOLD = 3.0
PRECISION = NATURAL_RATE_METRICS.index("precision")
AUPRC = NATURAL_RATE_METRICS.index("auprc")
Layer = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Of all neurons on the same excerpts: active, simulated [neuron excerpt token], and the excerpts' documents."""


def some_layer(n_neurons: int = 4, n_excerpts: int = 18) -> Layer:
    rng = np.random.default_rng(n_neurons)
    active = rng.random((n_neurons, n_excerpts, 8)) < 0.2
    return active, np.round(2 * active + rng.exponential(1.5, active.shape)), rng.integers(5, 15, n_excerpts)


def measured(layer: Layer, thresholds: Sequence[float] = ()) -> list[Measured]:
    active, simulated, documents = layer
    return [
        measure_at_natural_rate(NeuronId(0, i), Answer(a), s, documents, Answer(threshold))
        for i, (a, s, threshold) in enumerate(
            zip(active, simulated, thresholds or [THRESHOLD] * len(active), strict=True)
        )
    ]


def test_an_interval_of_a_mean_is_that_of_resampled_documents_and_neurons_measured_anew() -> None:
    layer = some_layer()
    active, simulated, documents = layer
    distinct, n_draws = np.unique(documents), 200
    draws = np.random.default_rng([3, 0, 0, 1])
    picks = distinct[draws.integers(len(distinct), size=(len(distinct), n_draws))]
    means = []
    for draw in range(n_draws):
        rows = np.concatenate([np.flatnonzero(documents == document) for document in picks[:, draw]])
        predicted = simulated[:, rows] >= THRESHOLD
        precisions = (predicted & active[:, rows]).sum(axis=(1, 2)) / predicted.sum(axis=(1, 2))
        means.append(precisions[draws.integers(4, size=4)].mean())
    predicted = simulated >= THRESHOLD
    mean = float(((predicted & active).sum(axis=(1, 2)) / predicted.sum(axis=(1, 2))).mean())
    low, high = np.quantile(means, [0.025, 0.975]) - np.mean(means) + mean

    found = layer_metric_interval(measured(layer), PRECISION, seed=3, n_draws=n_draws)
    assert (found.mean, found.low, found.high) == pytest.approx((mean, low, high), abs=1e-12)
    assert (found.n_neurons, found.n_undefined, found.failure) == (4, 0, None)


def test_neurons_without_a_value_are_counted_and_in_no_mean() -> None:
    layer = some_layer(5)
    one_silent = measured(layer, [THRESHOLD] * 4 + [100.0])
    found = layer_metric_interval(one_silent, PRECISION, seed=0, n_draws=100)
    without = layer_metric_interval(one_silent[:4], PRECISION, seed=0, n_draws=100)

    assert (found.mean, found.low, found.high) == (without.mean, without.low, without.high)
    assert (found.n_neurons, found.n_undefined) == (5, 1)
    assert layer_metric_interval(one_silent, AUPRC, seed=0, n_draws=100).n_undefined == 0


def test_no_neurons_have_no_mean() -> None:
    expected = LayerInterval(None, None, None, 0, 0, "0 of the 2 scored neurons that an interval needs")

    assert layer_metric_interval([], AUPRC, seed=0) == expected


def test_an_interval_of_a_mean_holds_it_and_keeps_within_the_range_of_the_metric() -> None:
    active, _, documents = some_layer()
    perfect = layer_metric_interval(measured((active, 9.0 * active, documents)), AUPRC, seed=0, n_draws=100)
    some = layer_metric_interval(measured(some_layer()), AUPRC, seed=0, n_draws=100)

    assert (perfect.mean, perfect.low, perfect.high) == (1.0, 1.0, 1.0)
    assert some.low is not None
    assert some.mean is not None
    assert some.high is not None
    assert 0 < some.low < some.mean < some.high < 1
