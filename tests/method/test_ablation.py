"""Facts on the ablation score."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.special import softmax

from neuron_assets.method.ablation import ABLATION_METRICS, Divergences, jensen_shannon, measure_ablation
from neuron_assets.method.metrics import Measured, metric_intervals
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import Rows

N_TOP, N_RANDOM = 10, 10
ROWS = Rows(np.arange(N_TOP), np.arange(N_TOP, N_TOP + N_RANDOM))
TRUE = np.random.default_rng(0).uniform(0.01, 0.2, N_TOP + N_RANDOM)
SILENT = np.full(N_TOP + N_RANDOM, 1e-13)


def record(documents: NDArray[np.int64] | None = None) -> NeuronRecord:
    n_excerpts = N_TOP + N_RANDOM
    excerpts = np.arange(n_excerpts)
    documents = excerpts // 2 if documents is None else documents
    tokens = Tokens(np.zeros((n_excerpts, 4), np.int64), ("a",))
    activations = np.zeros((n_excerpts, 4))
    return NeuronRecord(NeuronId(3, 7), Exemplars(tokens, activations, excerpts < N_TOP, documents, excerpts))


def measured(
    simulated: NDArray[np.float64], mean_ablated: NDArray[np.float64] = TRUE, noise: NDArray[np.float64] = SILENT
) -> Measured:
    return measure_ablation(record(), ROWS, Divergences(simulated, mean_ablated, noise))


def test_the_divergence_is_scipys_distance_squared() -> None:
    first, second = np.random.default_rng(0).normal(scale=3, size=(2, 5, 7, 300))

    expected = jensenshannon(softmax(first, -1), softmax(second, -1), axis=-1) ** 2
    np.testing.assert_allclose(jensen_shannon(first, second), expected, rtol=1e-10)


def test_the_divergence_of_coins_has_a_closed_form() -> None:
    p, q = 0.9, 0.3

    def entropy(x: float) -> float:
        return float(-x * np.log(x) - (1 - x) * np.log(1 - x))

    found = jensen_shannon(np.log([p, 1 - p]), np.log([q, 1 - q]) + 5)

    assert float(found) == pytest.approx(entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2, rel=1e-12)


def test_the_divergence_of_equal_logits_is_0_and_of_disjoint_ones_ln_2() -> None:
    logits = np.array([[0.0, 2000.0, -3.0], [1.0, 1.0, 1.0]])

    np.testing.assert_allclose(jensen_shannon(logits, logits + 100), [0, 0], atol=1e-20)
    assert float(jensen_shannon(logits[0], np.roll(logits[0], 1))) == pytest.approx(np.log(2))


def test_half_precision_logits_are_compared_in_double() -> None:
    logits = np.random.default_rng(0).normal(size=(2, 400)).astype(np.float16)

    found = jensen_shannon(*logits)

    assert found.dtype == np.float64
    assert float(found) == float(jensen_shannon(*logits.astype(np.float64)))


def test_a_simulation_that_moves_nothing_has_1_and_the_mean_has_0() -> None:
    perfect, mean = measured(np.zeros(20)), measured(TRUE)

    assert [metric.name for metric in perfect.metrics] == list(ABLATION_METRICS)
    assert [metric.value for metric in perfect.metrics] == [1, pytest.approx(TRUE.mean())]
    assert mean.metrics[0].value == pytest.approx(0, abs=1e-15)
    assert mean.metrics[0].chance == 0


def test_the_score_is_a_ratio_of_means_and_not_a_mean_of_ratios() -> None:
    simulated = 10 * TRUE**2

    found = measured(simulated)

    assert found.metrics[0].value == pytest.approx(1 - simulated.mean() / TRUE.mean())
    assert abs(1 - simulated.mean() / TRUE.mean() - (1 - (simulated / TRUE).mean())) > 0.01
    assert (found.n_excerpts, found.n_documents) == (20, 10)


def test_a_simulation_worse_than_the_mean_is_below_0() -> None:
    assert measured(3 * TRUE).metrics[0].value == pytest.approx(-2)


def test_only_the_rows_of_the_sample_count() -> None:
    simulated = np.concatenate([np.zeros(N_TOP), TRUE[N_TOP:]])
    random_only = Rows(np.zeros(0, np.int64), ROWS.random)

    found = measure_ablation(record(), random_only, Divergences(simulated, TRUE, SILENT))

    assert found.metrics[0].value == pytest.approx(0, abs=1e-15)
    assert found.metrics[1].value == pytest.approx(TRUE[N_TOP:].mean())
    assert (found.n_excerpts, found.n_documents) == (10, 5)


@pytest.mark.parametrize(
    ("mean_ablated", "noise", "failure"),
    [
        (0.9e-8, 0, "mean ablation moves the output by 9.0e-09 nats, under 1e-08"),
        (0, 0, "mean ablation moves the output by 0.0e+00 nats, under 1e-08"),
        (1e-3, 1.1e-4, "mean ablation moves the output by 1.0e-03 nats, under 10 times rounding's 1.1e-04"),
        (1e-3, 0.9e-4, None),
        (1.1e-8, 0, None),
    ],
)
def test_a_neuron_that_hardly_moves_the_output_has_no_score(
    mean_ablated: float, noise: float, failure: str | None
) -> None:
    found = measured(np.zeros(20), np.full(20, float(mean_ablated)), np.full(20, float(noise)))

    assert found.metrics[0].failure == failure
    assert found.metrics[0].value == (1 if failure is None else None)
    assert found.metrics[1].value == pytest.approx(mean_ablated)
    interval = metric_intervals(found, seed=0)[0]
    assert (interval.failure, interval.low) == (failure, 1 if failure is None else None)


def test_an_excerpt_without_simulation_leaves_no_score_and_the_effect() -> None:
    simulated = np.zeros(20)
    simulated[[2, 13]] = np.nan

    found = measured(simulated)

    assert found.metrics[0].failure == "2 of 20 excerpts have no simulation"
    assert found.metrics[1].value == pytest.approx(TRUE.mean())
    score, effect = metric_intervals(found, seed=0)
    assert score.failure == "2 of 20 excerpts have no simulation"
    assert effect.low is not None
    elsewhere = measure_ablation(record(), Rows(ROWS.top[3:], ROWS.random[4:]), Divergences(simulated, TRUE, SILENT))
    assert elsewhere.metrics[0].value == 1


def test_numbers_that_are_not_finite_are_no_score() -> None:
    broken = np.where(np.arange(20) == 4, np.inf, TRUE)

    assert [metric.failure for metric in measured(TRUE, broken).metrics] == ["not finite", "not finite"]
    assert [metric.failure for metric in measured(broken).metrics] == ["not finite", None]


def test_no_excerpts_are_no_score() -> None:
    nothing = Rows(np.zeros(0, np.int64), np.zeros(0, np.int64))

    found = measure_ablation(record(), nothing, Divergences(TRUE, TRUE, SILENT))

    assert [metric.failure for metric in found.metrics] == ["no excerpts"] * 2
    assert (found.n_excerpts, found.n_documents, found.evidence) == (0, 0, None)


def test_the_interval_is_that_of_documents_drawn_one_by_one() -> None:
    random = np.random.default_rng(3)
    simulated = TRUE * random.uniform(0, 1.5, 20)
    documents = np.array([0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 0, 1, 1, 7, 8, 8, 9, 10, 11, 12])
    found = measure_ablation(record(documents), ROWS, Divergences(simulated, TRUE, SILENT))

    interval, effect = metric_intervals(found, seed=5, n_draws=4000)

    draws = []
    for _ in range(4000):
        drawn = []
        for rows in (ROWS.top, ROWS.random):
            of_stratum = np.unique(documents[rows])
            for document in random.choice(of_stratum, len(of_stratum)):
                drawn.extend(rows[documents[rows] == document].tolist())
        draws.append((1 - simulated[drawn].sum() / TRUE[drawn].sum(), TRUE[drawn].mean()))
    expected = np.quantile(draws, [0.025, 0.975], axis=0)
    for of_metric, ends in zip((interval, effect), expected.T, strict=True):
        assert (of_metric.low, of_metric.high) == pytest.approx(tuple(ends), abs=0.1 * (ends[1] - ends[0]))


def test_a_neurons_interval_depends_on_no_other_and_on_the_seed() -> None:
    found = measured(TRUE * np.linspace(0, 2, 20))

    again = measured(TRUE * np.linspace(0, 2, 20))

    assert metric_intervals(found, seed=1) == metric_intervals(again, seed=1)
    assert metric_intervals(found, seed=1) != metric_intervals(found, seed=2)
