"""Facts on differences of one number a neuron: mean, interval, wins."""

import numpy as np
import pytest

from neuron_assets.method.comparing import FEWEST_COMPARED, mean_difference, win_rate


def test_a_constant_difference_is_known_exactly() -> None:
    first = np.arange(8) / 8
    found = mean_difference(first, first + 0.25, seed=3)

    assert (found.mean, found.low, found.high, found.n_neurons, found.failure) == (0.25, 0.25, 0.25, 8, None)


def test_equal_numbers_differ_by_nothing_at_all() -> None:
    numbers = np.random.default_rng(0).normal(size=31)
    found = mean_difference(numbers, numbers, seed=0)

    assert (found.mean, found.low, found.high) == (0.0, 0.0, 0.0)
    assert win_rate(numbers, numbers) == 0.5


def test_the_interval_is_that_of_resampled_neurons() -> None:
    first, second = np.random.default_rng(1).normal(size=(2, 400))
    found = mean_difference(first, second, seed=5, n_draws=20_000)
    differences = second - first
    error = differences.std() / np.sqrt(400)

    assert found.mean == pytest.approx(differences.mean(), abs=1e-12)
    assert found.low is not None
    assert found.high is not None
    assert (found.low, found.high) == pytest.approx(
        (differences.mean() - 1.96 * error, differences.mean() + 1.96 * error), abs=0.05 * error
    )


def test_the_interval_needs_some_neurons() -> None:
    few, enough = (
        mean_difference(np.zeros(n), np.arange(n) / 1, seed=0) for n in (FEWEST_COMPARED - 1, FEWEST_COMPARED)
    )

    assert (few.mean, few.low, few.high) == (1.5, None, None)
    assert few.failure == "4 of the 5 neurons with both values that an interval needs"
    assert enough.low is not None
    assert mean_difference(np.zeros(0), np.zeros(0), seed=0).mean is None


def test_draws_depend_on_the_seed() -> None:
    first, second = np.random.default_rng(2).normal(size=(2, 20))
    one, again, other = (mean_difference(first, second, seed=seed) for seed in (1, 1, 2))

    assert one == again
    assert (one.low, one.high) != (other.low, other.high)


def test_ties_count_half_a_win() -> None:
    assert win_rate(np.array([1.0, 1.0, 1.0, 1.0]), np.array([2.0, 3.0, 1.0, 0.0])) == (2 + 0.5) / 4
    assert win_rate(np.zeros(0), np.zeros(0)) is None


def test_numbers_of_other_neurons_are_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        mean_difference(np.zeros(6), np.zeros(7), seed=0)
