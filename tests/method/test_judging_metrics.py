"""Facts on what is made of verdicts: balanced accuracy, AUROC, precision at the natural rate, and their intervals."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.method.judging.activity import NaturalCounts
from neuron_assets.method.judging.choosing import ACTIVE, BESIDE, HARD, PLAIN
from neuron_assets.method.judging.metrics import Judgements, Metric, judging_metrics
from neuron_assets.method.records import NeuronId

NEURON = NeuronId(2, 30)


def judgements(
    active: Sequence[float],
    plain: Sequence[float] = (),
    hard: Sequence[float] = (),
    beside: Sequence[float] = (),
    *,
    per_document: int = 1,
) -> Judgements:
    """The probabilities of a yes, kind by kind; so many excerpts in a row are of one document."""
    kinds = {ACTIVE: active, PLAIN: plain, HARD: hard, BESIDE: beside}
    probabilities = np.array([value for values in kinds.values() for value in values], np.float64)
    strata = np.array([kind for kind, values in kinds.items() for _ in values], np.int64)
    return Judgements(NEURON, probabilities, strata, np.arange(len(strata)) // per_document)


def counts(n_excerpts: int, n_active: int, n_hard: int = 0) -> NaturalCounts:
    """One excerpt a document: first the active ones, then the hard ones."""
    places = np.arange(n_excerpts)
    active, hard = places < n_active, (places >= n_active) & (places < n_active + n_hard)
    return NaturalCounts(np.ones(n_excerpts, np.int64), active.astype(np.int64), hard.astype(np.int64))


def found(name: str, said: Judgements, natural: NaturalCounts | None = None) -> Metric:
    return judging_metrics(said, natural, seed=7)[name]


def value(name: str, said: Judgements, natural: NaturalCounts | None = None) -> float:
    number = found(name, said, natural).value
    assert number is not None
    return number


YES, NO = [1.0], [0.0]


def test_balanced_accuracy_is_the_mean_of_the_shares_of_right_verdicts() -> None:
    said = judgements(YES * 9 + NO, plain=NO * 3 + YES, hard=NO * 2 + YES * 2)

    assert pytest.approx(value("balanced_accuracy", said)) == (0.9 + 5 / 8) / 2


def test_a_probability_of_a_half_is_no_yes() -> None:
    assert value("balanced_accuracy", judgements([0.5] * 5, plain=[0.5] * 5)) == 0.5
    assert value("balanced_accuracy", judgements([0.51] * 5, plain=[0.5] * 5)) == 1.0


@given(
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9]), min_size=5, max_size=8),
    st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.9]), min_size=5, max_size=8),
)
def test_auroc_is_the_share_of_pairs_in_the_right_order_ties_counting_half(
    active: list[float], plain: list[float]
) -> None:
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(active, plain)]

    metrics = judging_metrics(judgements(active, plain), seed=0, n_draws=10)
    assert np.mean(won) == pytest.approx(metrics["auroc"].value)


def test_precision_is_told_by_bayes_with_hard_and_plain_excerpts_in_their_natural_shares() -> None:
    said = judgements(YES * 8 + NO * 2, plain=NO * 9 + YES, hard=NO * 4 + YES * 6)
    natural = counts(1000, n_active=50, n_hard=190)
    false = (190 * 0.6 + 760 * 0.1) / 950

    expected = 0.05 * 0.8 / (0.05 * 0.8 + 0.95 * false)
    assert expected == pytest.approx(value("precision", said, natural))


def test_the_precision_of_a_judge_who_sees_all_excerpts_is_the_share_of_active_ones_where_he_says_yes() -> None:
    """With the whole sample judged nothing has to be reckoned up: Bayes must give back what can be counted."""
    rng = np.random.default_rng(0)
    verdicts = [(rng.random(n) < chance).astype(float).tolist() for n, chance in ((40, 0.9), (300, 0.05), (60, 0.5))]
    active, plain, hard = verdicts

    counted = sum(active) / sum(map(sum, verdicts))
    assert counted == pytest.approx(value("precision", judgements(active, plain, hard), counts(400, 40, 60)))


def test_f1_is_that_of_precision_and_the_share_of_active_excerpts_that_are_found() -> None:
    said = judgements(YES * 6 + NO * 4, plain=NO * 9 + YES)
    precision = value("precision", said, counts(1000, 100))

    assert 2 * precision * 0.6 / (precision + 0.6) == pytest.approx(value("f1", said, counts(1000, 100)))


def test_without_a_false_alarm_precision_does_not_see_what_is_missed_and_f1_does() -> None:
    whole, missing = (judgements(YES * n + NO * (10 - n), plain=NO * 10) for n in (10, 3))

    assert value("precision", whole, counts(1000, 100)) == value("precision", missing, counts(1000, 100)) == 1.0
    assert value("f1", whole, counts(1000, 100)) == 1.0
    assert value("f1", missing, counts(1000, 100)) == pytest.approx(2 * 0.3 / 1.3)


@pytest.mark.slow
def test_a_concept_fifty_times_too_broad_is_nearly_right_on_a_balanced_choice_and_nearly_always_wrong_in_text() -> None:
    """The neuron is active in one excerpt of a thousand, the explanation fits fifty of them."""
    n_natural, n_active, n_fitting = 20_000, 20, 1_000
    n_silent_fitting = (n_fitting - n_active) / (n_natural - n_active)  # what a judge calls active among silent ones
    n_yes = round(400 * n_silent_fitting)
    said = judgements(YES * 400, plain=YES * n_yes + NO * (400 - n_yes))
    natural = counts(n_natural, n_active)

    assert value("balanced_accuracy", said) > 0.97
    assert value("auroc", said) > 0.97
    precision = found("precision", said, natural)
    assert precision.value == pytest.approx(n_active / n_fitting, rel=0.05)  # 0.02
    assert precision.high is not None
    assert precision.high < 0.06


GOOD = judgements([0.9] * 9 + [0.4], plain=[0.1] * 8 + [0.6], hard=[0.2] * 8 + [0.7], per_document=2)
NATURAL = counts(200, 20, 40)
ALL = ("balanced_accuracy", "auroc", "precision", "f1")


def with_answer(stratum: int, old: float, new: float) -> Judgements:
    """GOOD with one answer changed."""
    row = np.flatnonzero((GOOD.strata == stratum) & (old == GOOD.probabilities))[0]
    probabilities = GOOD.probabilities.copy()
    probabilities[row] = new
    return replace(GOOD, probabilities=probabilities)


@pytest.mark.parametrize("name", ALL)
def test_a_missing_and_an_extra_label_both_lower_each_metric(name: str) -> None:
    whole = value(name, GOOD, NATURAL)

    assert value(name, with_answer(ACTIVE, 0.9, 0.3), NATURAL) < whole
    assert value(name, with_answer(PLAIN, 0.1, 0.8), NATURAL) < whole
    assert value(name, with_answer(HARD, 0.2, 0.8), NATURAL) < whole


def test_marks_beside_the_active_tokens_count_as_other_excerpts_do() -> None:
    right, wrong = (judgements(YES * 5, plain=NO * 3, beside=NO * (3 - n) + YES * n) for n in (0, 1))

    assert value("balanced_accuracy", wrong) == pytest.approx(value("balanced_accuracy", right) - 1 / 12)
    assert value("auroc", wrong) == pytest.approx(value("auroc", right) - 1 / 12)


def test_one_answer_that_cannot_be_read_leaves_all_undefined_and_is_no_label() -> None:
    for metric in judging_metrics(with_answer(PLAIN, 0.1, np.nan), NATURAL, seed=0).values():
        assert metric == Metric(None, None, None, 28, 14, "1 of 28 excerpts have no verdict")


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (judgements(YES * 4, plain=NO * 9), "4 of the 5 active excerpts that it needs"),
        (judgements(YES * 9, plain=NO * 2, hard=NO * 2), "4 of the 5 other excerpts that it needs"),
        (judgements([]), "0 of the 5 active excerpts that it needs"),
    ],
)
def test_too_few_excerpts_are_a_reason_and_no_number(said: Judgements, failure: str) -> None:
    metrics = judging_metrics(said, NATURAL, seed=0)

    assert set(metrics) == set(ALL)
    assert {(metric.value, metric.low, metric.failure) for metric in metrics.values()} == {(None, None, failure)}


def test_where_nothing_is_called_active_there_is_no_precision_rather_than_a_perfect_one() -> None:
    silent = judgements(NO * 10, plain=NO * 5, hard=NO * 5)

    assert found("precision", silent, NATURAL).failure == "the judge says yes to no excerpt"
    assert value("balanced_accuracy", silent) == 0.5
    assert value("f1", silent, NATURAL) == 0.0
    assert value("f1", judgements(NO * 10, plain=NO * 5, hard=YES * 5), NATURAL) == 0.0


@pytest.mark.parametrize(
    ("natural", "failure"),
    [
        (counts(200, 4), "4 of the 5 active excerpts that a natural rate needs"),
        (counts(200, 20, 3), "of 3 hard excerpts of the natural-rate sample none was judged"),
    ],
)
def test_a_natural_rate_that_says_too_little_is_a_reason_and_no_number(natural: NaturalCounts, failure: str) -> None:
    said = judgements(YES * 9 + NO, plain=NO * 9 + YES)

    assert found("precision", said, natural) == Metric(None, None, None, 20, 20, failure)
    assert found("balanced_accuracy", said, natural).value == pytest.approx(0.9)


def test_without_a_natural_rate_sample_no_precision_is_spoken_of() -> None:
    assert list(judging_metrics(GOOD, seed=0)) == ["balanced_accuracy", "auroc"]


def test_an_interval_is_that_of_resampled_documents_judged_anew() -> None:
    """Each kind is resampled apart, in the order of kinds, a document with all its excerpts of that kind."""
    draws = np.random.default_rng([7, NEURON.layer_index, NEURON.neuron_index])
    kinds = []
    for stratum in (ACTIVE, PLAIN, HARD):
        rows = np.flatnonzero(GOOD.strata == stratum)
        documents = [rows[GOOD.document_indices[rows] == one] for one in np.unique(GOOD.document_indices[rows])]
        kinds.append((documents, draws.integers(len(documents), size=(len(documents), 1000))))
    balanced, auroc = [], []
    for draw in range(1000):
        taken = [np.concatenate([documents[pick] for pick in picks[:, draw]]) for documents, picks in kinds]
        yes, no = GOOD.probabilities[taken[0]], GOOD.probabilities[np.concatenate(taken[1:])]
        balanced.append((np.mean(yes > 0.5) + np.mean(no <= 0.5)) / 2)
        auroc.append(np.mean([1.0 if a > b else 0.5 if a == b else 0.0 for a, b in product(yes, no)]))

    for name, drawn in (("balanced_accuracy", balanced), ("auroc", auroc)):
        metric = found(name, GOOD)
        assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx([metric.low, metric.high])


def test_documents_are_resampled_whole() -> None:
    """Four excerpts of a document that agree are no four witnesses."""
    half = [0.9, 0.9, 0.9, 0.9, 0.1, 0.1, 0.1, 0.1] * 3
    apart, together = (found("balanced_accuracy", judgements(half, plain=half, per_document=size)) for size in (1, 4))

    assert apart.value == together.value == 0.5
    assert apart.low is not None
    assert apart.high is not None
    assert together.low is not None
    assert together.high is not None
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_without_a_wrong_verdict_the_interval_still_says_how_little_that_proves() -> None:
    perfect = judgements(YES * 10, plain=NO * 10)
    balanced, precision = (found(name, perfect, counts(2000, 20)) for name in ("balanced_accuracy", "precision"))

    assert balanced.value == precision.value == balanced.high == precision.high == 1.0
    # Of 10 silent excerpts without a false alarm: up to 1 - 0.025^(1/11) = 28.5 % of all may give one.
    assert precision.low is not None
    assert precision.low == pytest.approx(0.01 / (0.01 + 0.99 * 0.285), rel=0.25)
    assert balanced.low is not None
    assert 0.75 < balanced.low < 0.9
    assert found("auroc", perfect).low is None
    assert str(found("auroc", perfect).failure).startswith("all draws say the same")


def test_fewer_than_five_documents_have_no_interval() -> None:
    metric = found("balanced_accuracy", judgements(YES * 5 + NO * 5, plain=NO * 10, per_document=5))

    assert metric == Metric(0.75, None, None, 20, 4, "4 of the 5 documents that an interval needs")


def test_a_neuron_has_the_same_numbers_to_the_bit_whatever_else_is_reckoned() -> None:
    first = judging_metrics(GOOD, NATURAL, seed=3)
    other = judging_metrics(replace(GOOD, neuron=NeuronId(2, 31)), NATURAL, seed=3)

    assert judging_metrics(GOOD, NATURAL, seed=3) == first
    assert judging_metrics(GOOD, seed=3)["auroc"] == first["auroc"]
    assert {name: metric.value for name, metric in other.items()} == {name: m.value for name, m in first.items()}
    assert other["precision"].low != first["precision"].low
    assert judging_metrics(GOOD, NATURAL, seed=4)["precision"].low != first["precision"].low


@pytest.mark.slow
def test_ninety_five_of_a_hundred_intervals_hold_the_precision_of_all_text() -> None:
    """A known population: rate 0.1, a judge with TPR 0.8 and FPR 0.1; 30 + 30 excerpts judged, 300 natural ones."""
    rng = np.random.default_rng(4)
    truth = 0.1 * 0.8 / (0.1 * 0.8 + 0.9 * 0.1)
    held = []
    for neuron_index in range(300):
        active, plain = ((rng.random(30) < chance).astype(float).tolist() for chance in (0.8, 0.1))
        said = replace(judgements(active, plain), neuron=NeuronId(0, neuron_index))
        metric = found("precision", said, counts(300, int(rng.binomial(300, 0.1))))
        assert metric.low is not None
        assert metric.high is not None
        held.append(metric.low <= truth <= metric.high)

    assert 0.9 < np.mean(held) < 0.99
