"""Facts on finding active tokens at the rate at which they occur."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.metrics import Measured, Metric, metric_intervals
from neuron_assets.method.natural_rate import (
    NATURAL_RATE_METRICS,
    active_tokens,
    fit_threshold,
    measure_at_natural_rate,
)
from neuron_assets.method.records import Answer, NeuronId

Tokens = tuple[np.ndarray, np.ndarray]
"""Whether each token is active, and its simulated value."""


def brute_auprc(active: np.ndarray, simulated: np.ndarray) -> float:
    """Average precision, threshold by threshold: as it is defined, and nothing saved."""
    total, recall_before = 0.0, 0.0
    for threshold in sorted(set(simulated.ravel().tolist()), reverse=True):
        predicted = simulated >= threshold
        hits = int((predicted & active).sum())
        recall, precision = hits / int(active.sum()), hits / int(predicted.sum())
        total += (recall - recall_before) * precision
        recall_before = recall
    return total


def brute_decided(active: np.ndarray, simulated: np.ndarray, threshold: float) -> tuple[float, float, float]:
    """F1 (of precision and recall, by its textbook formula), precision, recall."""
    predicted = simulated >= threshold
    hits = int((predicted & active).sum())
    recall = hits / int(active.sum())
    if not predicted.any():
        return 0.0, math.nan, recall
    precision = hits / int(predicted.sum())
    return (2 * precision * recall / (precision + recall) if hits else 0.0), precision, recall


def some_sample(rng: np.random.Generator, *, decimals: int, n: int = 30, rate: float = 0.1) -> Tokens:
    active = rng.random((n, 8)) < rate
    simulated = np.clip(3 * active + rng.exponential(2, active.shape), 0, 10)
    return active, np.round(simulated, decimals)


def measured(
    sample: Tokens,
    threshold: Answer[float],
    documents: Sequence[int] | None = None,
    neuron: NeuronId = NeuronId(4, 2),  # noqa: B008  # frozen
) -> Measured:
    active, simulated = sample
    indices = np.arange(len(active)) if documents is None else np.array(documents, dtype=np.int64)
    return measure_at_natural_rate(neuron, Answer(active), simulated, indices, threshold)


def values(found: Measured) -> dict[str, float | None]:
    return {metric.name: metric.value for metric in found.metrics}


def row(*numbers: float) -> np.ndarray:
    return np.array([numbers], dtype=np.float64)


def told(active: Sequence[int]) -> Answer[np.ndarray]:
    return Answer(np.array([active], dtype=bool))


@pytest.mark.parametrize(("share", "expected"), [(0.1, [3, 4, 5]), (0.5, [5])])
def test_active_is_what_exceeds_a_share_of_the_maximum_over_train(share: float, expected: list[int]) -> None:
    found = active_tokens(row(-3.0, 0.1, 0.2, 0.3, 1.0, 1.1), 2.0, share).value

    assert found is not None
    assert np.flatnonzero(found).tolist() == expected


@pytest.mark.parametrize("largest", [0.0, -0.5])
def test_a_neuron_that_was_never_above_0_has_no_active_tokens(largest: float) -> None:
    found = active_tokens(row(-1, 0, 1), largest)
    reason = "the neuron is never above 0 on train"

    assert found == Answer(None, reason)
    assert fit_threshold(found, row(0, 1, 2)) == Answer(None, f"no threshold: {reason}")
    natural = measure_at_natural_rate(NeuronId(0, 0), found, row(0, 1, 2), np.array([0]), Answer(1.0))
    assert {metric.failure for metric in natural.metrics} == {reason}


def test_an_activation_that_is_not_finite_is_neither_active_nor_silent() -> None:
    assert active_tokens(row(0, math.nan, 1), 1.0) == Answer(None, "not finite")


@pytest.mark.parametrize("decimals", [0, 12])
def test_the_threshold_has_the_highest_f1_and_is_the_highest_of_these(decimals: int) -> None:
    for seed in range(20):
        active, simulated = some_sample(np.random.default_rng(seed), decimals=decimals, n=5, rate=0.3)
        by_f1 = {value: brute_decided(active, simulated, value)[0] for value in simulated.ravel().tolist()}
        best = max(value for value, f1 in by_f1.items() if f1 == pytest.approx(max(by_f1.values()), abs=1e-12))

        assert fit_threshold(Answer(active), simulated) == Answer(best)


def test_of_thresholds_with_one_f1_the_highest_counts() -> None:
    """At 9: 1 of 1 predicted right, 1 of 3 found, F1 1/2. At 5: 1 of 2 right. At 1: 3 of 9, F1 again 1/2."""
    simulated = row(9, 5, 1, 1, 1, 1, 1, 1, 1)
    active = told([1, 0, 1, 1, 0, 0, 0, 0, 0])

    assert fit_threshold(active, simulated) == Answer(9.0)


@pytest.mark.parametrize(
    ("active", "simulated", "failure"),
    [
        (told([0, 0]), row(1, 2), "no threshold: nothing is active on calibration"),
        (told([0, 1]), row(math.nan, 2), "no threshold: 1 of 1 excerpts have no simulation"),
        (told([0, 1]), row(math.inf, 2), "no threshold: not finite"),
        (Answer(np.zeros((0, 2), dtype=bool)), np.zeros((0, 2)), "no threshold: no excerpts"),
    ],
)
def test_without_a_threshold_only_auprc_is_left(
    active: Answer[np.ndarray], simulated: np.ndarray, failure: str
) -> None:
    threshold = fit_threshold(active, simulated)
    found = measured(some_sample(np.random.default_rng(0), decimals=0), threshold)

    assert threshold == Answer(None, failure)
    assert found.metrics[0].value is not None
    assert found.metrics[1:] == tuple(Metric(name, None, None, failure) for name in NATURAL_RATE_METRICS[1:])
    intervals = metric_intervals(found, seed=0)
    assert intervals[0].low is not None
    assert [each.failure for each in intervals] == [None, failure, failure, failure]


def test_auprc_by_hand() -> None:
    """Values 9, 5, 5, 1 and four 0: recall 1/5, 2/5, 3/5 and 1; precision 1, 2/3, 3/4 and 5/8."""
    sample = np.array([[1, 0, 1, 1, 1, 1, 0, 0]], dtype=bool), row(9, 5, 5, 1, 0, 0, 0, 0)

    assert values(measured(sample, Answer(5.0))) == pytest.approx(
        {"auprc": 0.2 * (1 + 2 / 3 + 3 / 4) + 0.4 * 5 / 8, "f1": 4 / 8, "precision": 2 / 3, "recall": 2 / 5}
    )


@pytest.mark.parametrize("decimals", [0, 12])
@pytest.mark.parametrize("seed", range(5))
def test_the_metrics_are_what_they_are_defined_to_be(seed: int, decimals: int) -> None:
    active, simulated = some_sample(np.random.default_rng(seed), decimals=decimals)
    found = measured((active, simulated), Answer(3.0))
    expected = (brute_auprc(active, simulated), *brute_decided(active, simulated, 3.0))

    assert values(found) == pytest.approx(dict(zip(NATURAL_RATE_METRICS, expected, strict=True)), abs=1e-12)


def test_tokens_of_one_value_come_in_together_whatever_their_order() -> None:
    active, simulated = some_sample(np.random.default_rng(7), decimals=0)
    order = np.random.default_rng(8).permutation(len(active))
    before, after = (measured((active[rows], simulated[rows]), Answer(2.0)) for rows in (np.arange(len(active)), order))
    constant = measured((active, np.full(active.shape, 4.0)), Answer(2.0))

    assert before.metrics == after.metrics
    assert constant.metrics[0].value == pytest.approx(active.mean())


def test_chance_levels_are_those_of_numbers_that_know_nothing() -> None:
    """A constant has exactly the chance level, and so has the mean of random numbers, nearly."""
    rng = np.random.default_rng(9)
    active = some_sample(rng, decimals=0, n=200)[0]
    constant = measured((active, np.ones(active.shape)), Answer(1.0))
    auprcs = [values(measured((active, rng.random(active.shape)), Answer(0.5)))["auprc"] for _ in range(30)]

    for metric in constant.metrics[:3]:
        assert metric.value == pytest.approx(metric.chance)
    assert constant.metrics[3] == Metric("recall", 1.0, None)
    assert np.mean(np.array(auprcs, dtype=float)) == pytest.approx(active.mean(), rel=0.1)


def test_where_nothing_is_predicted_there_is_no_precision_and_f1_is_0() -> None:
    found = measured(some_sample(np.random.default_rng(1), decimals=0), Answer(11.0))

    assert values(found) == {"auprc": values(found)["auprc"], "f1": 0.0, "precision": None, "recall": 0.0}
    assert found.metrics[2].failure == "nothing is predicted"
    assert [each.failure for each in metric_intervals(found, seed=0)] == [None, None, "nothing is predicted", None]


def test_under_five_active_tokens_there_are_no_metrics() -> None:
    active, simulated = np.zeros((20, 8), dtype=bool), np.random.default_rng(0).random((20, 8))
    active[::5, 3] = True
    reason = "4 of the 5 active tokens that it needs"

    found = measured((active, simulated), Answer(0.5))
    assert found.metrics == tuple(Metric(name, None, None, reason) for name in NATURAL_RATE_METRICS)
    assert {each.failure for each in metric_intervals(found, seed=0)} == {reason}
    active[7, 7] = True
    assert measured((active, simulated), Answer(0.5)).metrics[0].failure is None


@pytest.mark.parametrize(
    ("lost", "failure"), [(math.nan, "1 of 30 excerpts have no simulation"), (math.inf, "not finite")]
)
def test_a_simulation_that_is_not_whole_has_no_metrics(lost: float, failure: str) -> None:
    active, simulated = some_sample(np.random.default_rng(0), decimals=0)
    simulated[4] = lost

    assert {metric.failure for metric in measured((active, simulated), Answer(1.0)).metrics} == {failure}


def test_no_excerpts_have_no_metrics() -> None:
    found = measured((np.zeros((0, 8), dtype=bool), np.zeros((0, 8))), Answer(1.0), [])

    assert {metric.failure for metric in found.metrics} == {"no excerpts"}
    assert (found.n_excerpts, found.n_documents, found.evidence) == (0, 0, None)


def test_natural_rate_wants_token_by_token() -> None:
    with pytest.raises(UnequalLengths):
        fit_threshold(told([0, 1]), row(1, 2, 3))
    with pytest.raises(UnequalLengths):
        measure_at_natural_rate(NeuronId(0, 0), told([0, 1]), row(1, 2, 3), np.array([0]), Answer(1.0))


@pytest.mark.parametrize("decimals", [0, 12])
def test_an_interval_is_that_of_resampled_documents_measured_anew(decimals: int) -> None:
    rng = np.random.default_rng(3)
    active, simulated = some_sample(rng, decimals=decimals, n=24)
    documents = rng.integers(10, 22, 24)
    distinct, n_draws = np.unique(documents), 200
    picks = np.random.default_rng([6, 4, 2]).integers(len(distinct), size=(len(distinct), n_draws))
    drawn = []
    for draw in range(n_draws):
        rows = np.concatenate([np.flatnonzero(documents == distinct[pick]) for pick in picks[:, draw]])
        a, s = active[rows], simulated[rows]
        drawn.append((brute_auprc(a, s), *brute_decided(a, s, 4.0)))
    expected = np.quantile(np.array(drawn), [0.05, 0.95], axis=0).T

    found = metric_intervals(
        measured((active, simulated), Answer(4.0), documents.tolist()), seed=6, n_draws=n_draws, level=0.9
    )
    assert np.array([(each.low, each.high) for each in found]) == pytest.approx(expected, abs=1e-12)
    assert {each.n_documents for each in found} == {len(distinct)}


@pytest.mark.parametrize(("n_loud", "defined"), [(8, True), (1, False)])
def test_metrics_that_hang_on_one_document_have_no_interval(n_loud: int, defined: bool) -> None:  # noqa: FBT001
    active = np.zeros((30, 8), dtype=bool)
    active[:n_loud, :6] = True
    found = metric_intervals(measured((active, np.ones(active.shape)), Answer(0.5)), seed=0)

    assert {each.low is not None for each in found} == {defined}
    assert {each.failure for each in found} == ({None} if defined else {"35% of the draws have no score"})


def test_intervals_are_the_same_to_the_bit_in_any_order_and_in_any_run_of_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = [some_sample(np.random.default_rng(i), decimals=12 * (i % 2)) for i in range(6)]
    all_of_them = [measured(sample, Answer(3.0), neuron=NeuronId(0, i)) for i, sample in enumerate(samples)]
    before = [metric_intervals(each, seed=1, n_draws=100) for each in all_of_them]

    assert before[::-1] == [metric_intervals(each, seed=1, n_draws=100) for each in all_of_them[::-1]]
    monkeypatch.setattr("neuron_assets.method.metrics._CHUNK_BYTES", 1)
    assert before == [metric_intervals(each, seed=1, n_draws=100) for each in all_of_them]
    assert len({each[0] for each in before}) == 6


def test_ninety_of_a_hundred_intervals_hold_the_value_of_all_documents() -> None:
    """One excerpt of five has active tokens; documents differ in how many, and in how well they are simulated."""
    rng = np.random.default_rng(1)
    loud = rng.random((4000, 1)) < 0.2
    active = loud & (rng.random((4000, 16)) < rng.uniform(0.05, 0.3, (4000, 1)))
    noise = rng.exponential(1, active.shape) * rng.uniform(0.2, 1.5, (4000, 1))
    simulated = np.round(rng.uniform(0, 6, (4000, 1)) * active + noise)
    truth = values(measured((active, simulated), Answer(3.0)))
    samples = [rng.permutation(4000)[:200] for _ in range(150)]
    intervals = [
        metric_intervals(
            measured((active[rows], simulated[rows]), Answer(3.0), neuron=NeuronId(0, i)), seed=0, n_draws=200
        )
        for i, rows in enumerate(samples)
    ]

    for place, name in enumerate(NATURAL_RATE_METRICS):
        held = [each[place].low <= truth[name] <= each[place].high for each in intervals]  # type: ignore[operator]
        assert 0.85 <= np.mean(held) <= 0.99
