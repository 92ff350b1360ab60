"""Facts on simulations in the neuron's own unit. The golden numbers come from the code of Bills et al. (2023)."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.calibrated_scores import CALIBRATED_METRICS, measure_calibrated
from neuron_assets.method.calibration import (
    CALIBRATION_KINDS,
    Calibration,
    CalibrationKind,
    LinearCalibration,
    PercentileCalibration,
    calibrated,
    fit_calibration,
)
from neuron_assets.method.metrics import Metric, metric_intervals
from neuron_assets.method.records import Answer, Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import Rows, judge
from neuron_assets.method.scoring import score
from neuron_assets.method.simulating.simulated import SimulatedExcerpt

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "calibration.json").read_text())
KINDS: dict[str, CalibrationKind] = {
    "LinearCalibratedNeuronSimulator": "linear",
    "PercentileMatchingCalibratedNeuronSimulator": "percentile",
}
N_TOKENS = 16


def fitted(kind: CalibrationKind, true: np.ndarray, simulated: np.ndarray) -> Calibration:
    found = fit_calibration(kind, true, simulated)
    assert found.value is not None
    return found.value


def some_record(rng: np.random.Generator, n_top: int = 6, n_random: int = 6) -> NeuronRecord:
    """Two excerpts share a document in either stratum, and one document is in both."""
    documents = np.array([3, 3, *range(4, 2 + n_top), *(50, 50, *range(60, 57 + n_random), 3)], dtype=np.int64)
    n = n_top + n_random
    true = rng.exponential(1, (n, N_TOKENS)) * np.where(np.arange(n) < n_top, 4, 1)[:, np.newaxis]
    tokens = Tokens(np.zeros((n, N_TOKENS), dtype=np.int64), ("a",))
    return NeuronRecord(NeuronId(1, 7), Exemplars(tokens, true, np.arange(n) < n_top, documents, np.arange(n)))


def all_rows(record: NeuronRecord) -> Rows:
    return Rows(np.flatnonzero(record.exemplars.is_top), np.flatnonzero(~record.exemplars.is_top))


def simulation_of(record: NeuronRecord, rng: np.random.Generator) -> np.ndarray:
    true = record.exemplars.activations
    return np.clip(2 * true + rng.normal(0, 1, true.shape), 0, 10)


@pytest.mark.parametrize("case", GOLDEN["calibration"], ids=lambda case: case["name"])
def test_a_calibration_is_the_papers(case: dict[str, Any]) -> None:
    true, simulated = np.array(case["calibration_true"]), np.array(case["calibration_predicted"])
    expected = case["result"]
    found = fitted(KINDS[case["calibrator"]], true, simulated)

    applied = found(np.array(case["apply_to"], dtype=np.float64))
    np.testing.assert_allclose(applied, expected["applied"], rtol=1e-9, atol=1e-12)
    if isinstance(found, LinearCalibration):
        assert (found.slope, found.intercept) == pytest.approx((expected["slope"], expected["intercept"]), rel=1e-9)


def test_a_calibrated_excerpt_is_the_papers() -> None:
    golden = GOLDEN["calibrated_sequence_json"]
    before = golden["uncalibrated_simulation"]
    low, high = golden["distribution_values"][0]
    line = LinearCalibration(slope=(high - low) / 10, intercept=low, mean=0.0)
    distribution = np.zeros((len(before["tokens"]), 11))
    for row, values, shares in zip(
        distribution, before["distribution_values"], before["distribution_probabilities"], strict=True
    ):
        row[np.array(values, dtype=int)] = shares
    found = calibrated(SimulatedExcerpt(np.array(before["expected_activations"]), distribution), line)

    np.testing.assert_allclose(found.expected, golden["expected_activations"], rtol=1e-9)
    for values, before_values, shares in zip(
        golden["distribution_values"], before["distribution_values"], golden["distribution_probabilities"], strict=True
    ):
        places = np.array(before_values, dtype=int)
        np.testing.assert_allclose(found.values[places], values, rtol=1e-9, atol=1e-12)
        assert shares in found.uncalibrated.distribution[:, places].tolist()  # type: ignore[index]  # it has one
    assert found.uncalibrated.expected.tolist() == before["expected_activations"]


def test_the_line_is_that_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(3, 2, (5, 8))
    simulated = true + rng.normal(size=true.shape)
    found = fitted("linear", true, simulated)

    assert isinstance(found, LinearCalibration)
    assert (found.slope, found.intercept) == pytest.approx(tuple(np.polyfit(simulated.ravel(), true.ravel(), 1)))
    assert found.mean == pytest.approx(true.mean())


def test_percentiles_make_one_distribution_of_the_other_and_keep_the_order() -> None:
    rng = np.random.default_rng(1)
    true, simulated = rng.exponential(1, (5, 8)), rng.uniform(0, 10, (5, 8))
    found = fitted("percentile", true, simulated)

    assert isinstance(found, PercentileCalibration)
    assert np.sort(found(simulated), axis=None) == pytest.approx(np.sort(true, axis=None))
    assert (np.diff(found(np.linspace(-1, 11, 100))) >= 0).all()
    assert found(np.array([-5.0, 15.0])).tolist() == [true.min(), true.max()]


def test_a_value_that_came_often_becomes_the_largest_of_its_activations() -> None:
    """The trap of percentiles: silence as most simulators write it, 0, turns into what is seldom surpassed."""
    true, simulated = np.arange(20.0)[np.newaxis], np.repeat([0.0, 10.0], [18, 2])[np.newaxis]

    assert fitted("percentile", true, simulated)(np.array([0.0, 10.0])).tolist() == [17.0, 19.0]
    assert fitted("linear", true, simulated)(np.array([0.0, 10.0])) == pytest.approx([8.5, 18.5])


@pytest.mark.parametrize("kind", CALIBRATION_KINDS)
def test_no_map_turns_an_explanation_that_is_upside_down(kind: CalibrationKind) -> None:
    """A line of least squares would: -0.9 becomes +0.9 and earns an r2 of 0.8."""
    rng = np.random.default_rng(2)
    record = some_record(rng)
    true = record.exemplars.activations
    simulated = np.clip(10 - 0.9 * true + rng.normal(0, 0.5, true.shape), 0, 10)
    falling = np.polyval(np.polyfit(simulated.ravel(), true.ravel(), 1), simulated)
    judged = judge(record, all_rows(record), simulated).score
    map_ = fitted(kind, true, simulated)
    after = score(true, map_(simulated)).ev_correlation
    r2 = measure_calibrated(record, all_rows(record), simulated, Answer(map_)).metrics[0]

    assert (score(true, falling).ev_correlation or 0) > 0.9
    assert (judged.ev_correlation or 0) < -0.9
    assert after is None or after < 0
    assert r2.value is not None
    assert r2.chance is not None
    assert r2.value <= r2.chance


@pytest.mark.parametrize("simulated", [np.full((3, 4), 2.0), -np.arange(12.0).reshape(3, 4)], ids=["flat", "falling"])
def test_a_line_that_does_not_rise_is_the_mean(simulated: np.ndarray) -> None:
    true = np.arange(12.0).reshape(3, 4)

    found = fitted("linear", true, simulated)
    assert isinstance(found, LinearCalibration)
    assert (found.slope, found.intercept, found.mean) == (0.0, 5.5, 5.5)


@pytest.mark.parametrize(
    ("true", "simulated", "failure"),
    [
        (np.zeros((0, 4)), np.zeros((0, 4)), "no calibration: no excerpts"),
        (
            np.zeros((2, 2)),
            np.array([[1, 2], [math.nan, math.nan]]),
            "no calibration: 1 of 2 excerpts have no simulation",
        ),
        (np.array([[0, math.inf]]), np.zeros((1, 2)), "no calibration: not finite"),
        (np.zeros((1, 2)), np.array([[0, math.inf]]), "no calibration: not finite"),
    ],
)
@pytest.mark.parametrize("kind", CALIBRATION_KINDS)
def test_without_a_whole_simulation_there_is_no_map(
    kind: CalibrationKind, true: np.ndarray, simulated: np.ndarray, failure: str
) -> None:
    assert fit_calibration(kind, true, simulated) == Answer(None, failure)


def test_calibration_wants_token_by_token() -> None:
    with pytest.raises(UnequalLengths):
        fit_calibration("linear", np.zeros((2, 2)), np.zeros((2, 3)))


@pytest.mark.parametrize("kind", CALIBRATION_KINDS)
def test_calibrated_metrics_are_those_of_the_calibrated_simulation(kind: CalibrationKind) -> None:
    rng = np.random.default_rng(3)
    elsewhere, record = some_record(rng), some_record(rng)
    map_ = fitted(kind, elsewhere.exemplars.activations, simulation_of(elsewhere, rng))
    simulated = simulation_of(record, rng)
    measured = measure_calibrated(record, all_rows(record), simulated, Answer(map_))
    true = record.exemplars.activations
    mean = np.full(true.shape, elsewhere.exemplars.activations.mean())
    expected, of_mean = score(true, map_(simulated)), score(true, mean)

    assert tuple(metric.name for metric in measured.metrics) == CALIBRATED_METRICS
    assert [metric.value for metric in measured.metrics] == pytest.approx([expected.r2, expected.absolute_deviation])
    assert [metric.chance for metric in measured.metrics] == pytest.approx([of_mean.r2, of_mean.absolute_deviation])
    assert (measured.n_excerpts, measured.n_documents) == (12, 9)


def test_an_interval_of_a_calibrated_metric_is_that_of_resampled_documents_measured_anew() -> None:
    rng = np.random.default_rng(4)
    record = some_record(rng)
    simulated = simulation_of(record, rng)
    map_ = LinearCalibration(0.45, 0.1, 1.0)
    measured = measure_calibrated(record, all_rows(record), simulated, Answer(map_))
    true, documents = record.exemplars.activations, record.exemplars.document_indices
    draws, n_draws = np.random.default_rng([5, 1, 7]), 300
    values = np.empty((2, n_draws))
    strata = [all_rows(record).random, all_rows(record).top]
    distinct = [np.unique(documents[stratum]) for stratum in strata]
    picks = [draws.integers(len(each), size=(len(each), n_draws)) for each in distinct]
    for draw in range(n_draws):
        rows = np.concatenate(
            [
                stratum[documents[stratum] == document]
                for stratum, each, picked in zip(strata, distinct, picks, strict=True)
                for document in each[picked[:, draw]]
            ]
        )
        drawn = score(true[rows], map_(simulated[rows]))
        values[:, draw] = (drawn.r2, drawn.absolute_deviation)
    expected = np.quantile(values, [0.025, 0.975], axis=1).T

    found = metric_intervals(measured, seed=5, n_draws=n_draws)
    assert np.array([(each.low, each.high) for each in found]) == pytest.approx(expected, abs=1e-12)
    assert {each.n_documents for each in found} == {9}


def test_what_has_no_calibrated_metric_says_why() -> None:
    rng = np.random.default_rng(6)
    record = some_record(rng)
    simulated = simulation_of(record, rng)
    lost = simulated.copy()
    lost[3] = math.nan
    map_: Answer[Calibration] = Answer(LinearCalibration(1.0, 0.0, 0.0))
    silent = NeuronRecord(
        record.neuron,
        Exemplars(
            record.exemplars.tokens,
            np.zeros_like(record.exemplars.activations),
            record.exemplars.is_top,
            record.exemplars.document_indices,
            record.exemplars.excerpt_indices,
        ),
    )
    nothing = Rows(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    found = [
        (measure_calibrated(record, all_rows(record), lost, map_), "1 of 12 excerpts have no simulation"),
        (
            measure_calibrated(record, all_rows(record), simulated, Answer(None, "no calibration: why")),
            "no calibration: why",
        ),
        (measure_calibrated(silent, all_rows(record), simulated, map_), "the neuron is 0 throughout"),
        (measure_calibrated(record, all_rows(record), np.full_like(simulated, math.inf), map_), "not finite"),
        (measure_calibrated(record, nothing, simulated, map_), "no excerpts"),
    ]

    for measured, failure in found:
        assert measured.metrics == tuple(Metric(name, None, None, failure) for name in CALIBRATED_METRICS)
        for interval in metric_intervals(measured, seed=0):
            assert (interval.low, interval.high, interval.failure) == (None, None, failure)
    without_the_lost = Rows(all_rows(record).top[:3], all_rows(record).random)
    assert measure_calibrated(record, without_the_lost, lost, map_).metrics[0].value is not None
