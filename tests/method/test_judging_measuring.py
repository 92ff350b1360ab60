"""Facts on judgements as metrics: their order, chance levels, and where there is nothing to judge."""

import numpy as np
import pytest

from neuron_assets.method.judging.activity import Known, NaturalCounts
from neuron_assets.method.judging.asking import Scorer
from neuron_assets.method.judging.cases import cases_for
from neuron_assets.method.judging.choosing import ChoicePlan
from neuron_assets.method.judging.measuring import JUDGED_METRICS, measure_judged
from neuron_assets.method.judging.metrics import Judgements
from neuron_assets.method.records import Answer, Exemplars, NeuronId, NeuronRecord, Tokens

NEURON = NeuronId(1, 7)
COUNTS = NaturalCounts(np.full(10, 4), np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 3]), np.full(10, 1))
"""Of 40 excerpts 8 are active."""


def said(n: int = 12) -> Judgements:
    """Of 12, the first half active; one of each half is judged wrongly."""
    probabilities = np.r_[np.ones(n // 2), np.zeros(n - n // 2)]
    probabilities[[0, -1]] = [0.0, 1.0]
    strata = np.r_[np.zeros(n // 2, np.int64), np.tile([1, 2], n)[: n - n // 2]]
    return Judgements(NEURON, probabilities, strata, np.arange(n))


@pytest.mark.parametrize("scorer", ["detection", "fuzzing"])
def test_every_metric_stands_in_its_place_with_its_chance(scorer: Scorer) -> None:
    measured, intervals = measure_judged(scorer, said(), Answer(COUNTS), seed=0, n_draws=200)
    by_name = {metric.name: metric for metric in measured.metrics}

    assert tuple(by_name) == JUDGED_METRICS[scorer]
    assert (measured.n_excerpts, measured.n_documents) == (12, 12)
    assert by_name["balanced_accuracy"].value == pytest.approx(5 / 6)
    assert [metric.chance for metric in measured.metrics] == pytest.approx(
        [0.5, 0.5, 0.2, 2 * 0.2 / 1.2][: len(by_name)]
    )
    for metric, interval in zip(measured.metrics, intervals, strict=True):
        assert metric.failure is None
        assert interval.low is not None
        assert interval.high is not None
        assert metric.value is not None
        assert interval.low <= metric.value <= interval.high


def test_a_metric_without_a_value_has_no_chance_and_no_interval() -> None:
    measured, intervals = measure_judged("detection", said(4), Answer(COUNTS), seed=0, n_draws=200)

    for metric, interval in zip(measured.metrics, intervals, strict=True):
        assert (metric.value, metric.chance, interval.low, interval.high) == (None,) * 4
        assert metric.failure == interval.failure == "2 of the 5 active excerpts that it needs"


def test_of_a_neuron_that_is_never_active_nothing_is_judged_and_the_reason_is_told() -> None:
    tokens = Tokens(np.zeros((3, 2), np.int64), ("a",))
    numbers = np.arange(3)
    exemplars = Exemplars(tokens, np.zeros((3, 2), np.float32), np.zeros(3, bool), numbers, numbers)
    unknown: Answer[Known] = Answer(None, "the neuron is never above 0 on train")
    cases = cases_for("fuzzing", NeuronRecord(NEURON, exemplars), unknown, ChoicePlan(2, 1, 0))
    nothing = Judgements(NEURON, np.zeros(0), cases.strata, cases.record.exemplars.document_indices)
    measured, intervals = measure_judged("fuzzing", nothing, Answer(None, unknown.failure), seed=0, n_draws=200)

    assert cases.shown() == []
    assert {metric.failure for metric in measured.metrics} == {unknown.failure}
    assert {interval.failure for interval in intervals} == {unknown.failure}
    assert measured.n_excerpts == 0
