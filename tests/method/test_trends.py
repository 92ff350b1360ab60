"""Facts on bins of equal counts, and on the points of a trend."""

from collections.abc import Sequence

import numpy as np
import pytest

from neuron_assets.method.intervals import NeuronSums, layer_interval
from neuron_assets.method.records import NeuronId
from neuron_assets.method.scoring import document_sums
from neuron_assets.method.trends import FEWEST_IN_A_BIN, MOST_BINS, bins_of_equal_counts, lines_of, shares_above


def neuron(index: int, noise: float, documents: Sequence[int] = range(12)) -> tuple[NeuronSums, float]:
    """A neuron on one excerpt of each document, and the correlation of its simulation."""
    rng = np.random.default_rng(index)
    true = rng.exponential(1, (len(documents), 10))
    simulated = true + noise * rng.normal(size=true.shape)
    sums = NeuronSums(NeuronId(0, index), None, document_sums(true, simulated, np.array(documents, np.int64)))
    return sums, float(np.corrcoef(true.ravel(), simulated.ravel())[0, 1])


def places(*indices: int) -> np.ndarray:
    return np.array(indices, np.int64)


@pytest.mark.parametrize("n", [1, 9, 19, 20, 25, 99, 100, 101, 1234])
def test_bins_have_equal_counts_and_rising_values(n: int) -> None:
    values = np.random.default_rng(n).permutation(n).astype(float)
    bins = bins_of_equal_counts(values)
    counts = np.bincount(bins)
    by_value = bins[np.argsort(values)]

    assert len(counts) == min(MOST_BINS, max(1, n // FEWEST_IN_A_BIN))
    assert counts.max() - counts.min() <= 1
    assert (np.diff(by_value) >= 0).all()


def test_the_edges_of_bins_are_those_of_the_sorted_values() -> None:
    values = np.arange(25, dtype=float)[::-1]

    assert bins_of_equal_counts(values).tolist() == [1] * 12 + [0] * 13


def test_equal_values_stand_in_one_bin_and_no_number_is_left_out() -> None:
    values = np.array([0.0] * 17 + [1.0] * 8 + [2.0] * 5)  # of 30, in three bins: places 0, 17 and 25

    assert bins_of_equal_counts(values).tolist() == [0] * 17 + [1] * 8 + [2] * 5
    assert bins_of_equal_counts(np.array([3.0] * 40)).tolist() == [0] * 40
    assert set(bins_of_equal_counts(np.array([0.0] * 25 + [1.0] * 5)).tolist()) == {0, 1}


def test_no_values_have_no_bins() -> None:
    assert bins_of_equal_counts(np.empty(0)).tolist() == []


def test_a_point_is_the_mean_of_its_neurons_and_counts_those_without_a_score() -> None:
    known = [neuron(index, noise) for index, noise in enumerate((0.2, 0.5, 1.0, 2.0))]
    [line] = lines_of([[known[0][0], None, known[1][0], known[2][0], known[3][0]]], seed=0, n_draws=50)
    found = line.point(places(0, 1, 3))

    assert found.n_neurons == 3
    assert found.n_undefined == 1
    assert found.mean == pytest.approx((known[0][1] + known[2][1]) / 2, abs=1e-12)
    assert found.mean is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.mean < found.high


def test_the_interval_is_that_of_a_layer_up_to_the_luck_of_the_draws() -> None:
    sums = [neuron(index, 0.3 + index / 10)[0] for index in range(15)]
    [line] = lines_of([sums], seed=1, n_draws=4000)
    found, expected = line.point(np.arange(15)), layer_interval(sums, seed=2, n_draws=4000)

    assert found.mean == pytest.approx(expected.mean, abs=1e-12)
    assert [found.low, found.high] == pytest.approx([expected.low, expected.high], abs=0.01)


def test_neurons_without_any_score_make_a_point_that_says_why_it_has_none() -> None:
    [line] = lines_of([[None, None, None]], seed=0, n_draws=20)
    found = line.point(places(0, 1, 2))

    assert (found.mean, found.low, found.high) == (None, None, None)
    assert (found.n_neurons, found.n_undefined) == (3, 3)
    assert found.failure is not None
    assert shares_above(line.values) == (None, None, None)


def test_few_documents_or_one_neuron_leave_a_mean_without_an_interval() -> None:
    few = [neuron(index, 0.5, range(4))[0] for index in range(3)]
    [line] = lines_of([few], seed=0, n_draws=20)
    [many] = lines_of([[neuron(0, 0.5)[0]]], seed=0, n_draws=20)

    for found, reason in ((line.point(np.arange(3)), "documents"), (many.point(places(0)), "neurons")):
        assert found.mean is not None
        assert found.low is None
        assert reason in str(found.failure)


def test_a_difference_is_drawn_with_the_same_documents_on_both_sides() -> None:
    first = [neuron(index, 1.5)[0] for index in range(8)]
    second = [neuron(index, 0.2)[0] for index in range(8)]
    before, after = lines_of([first, second], seed=0, n_draws=500)
    same, gain = after.less(after).point(np.arange(8)), after.less(before).point(np.arange(8))

    assert (same.mean, same.low, same.high) == (0, 0, 0)
    assert gain.mean == pytest.approx(float(np.mean(after.values - before.values)), abs=1e-12)
    assert gain.low is not None
    assert gain.low > 0


def test_a_difference_is_undefined_where_either_side_is() -> None:
    sums = [neuron(index, 0.5)[0] for index in range(3)]
    before, after = lines_of([[None, *sums[1:]], [*sums[:2], None]], seed=0, n_draws=20)
    found = after.less(before).point(np.arange(3))

    assert (found.n_neurons, found.n_undefined, found.mean) == (3, 2, 0)
    assert "neurons" in str(found.failure)


def test_shares_are_of_the_scores_that_there_are_and_a_limit_is_not_above_itself() -> None:
    assert shares_above(np.array([0.5, 0.6, 0.71, np.nan, 0.81])) == (0.75, 0.5, 0.25)
