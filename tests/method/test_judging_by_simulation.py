"""Facts on the judge without a language model: verdicts from simulated activations."""

import numpy as np
import pytest

from neuron_assets.method.judging.by_simulation import detection_by_simulation, fuzzing_by_simulation

SIMULATED = np.array([[0.0, 3.0, 1.0], [2.0, 0.0, 0.0], [2.1, 9.0, 0.0], [0.0, 0.0, 0.0]])


def test_an_excerpt_is_active_where_a_simulated_activation_is_above_the_threshold() -> None:
    found = detection_by_simulation(SIMULATED, threshold=2.0)

    assert (found > 0.5).tolist() == [True, False, True, False]
    assert found.argsort().tolist() == [3, 1, 0, 2]  # as their peaks 0, 2, 3, 9
    assert found[3] == 0.0
    assert found.max() < 1


def test_each_marked_token_has_to_be_above_it() -> None:
    marked = np.array([[False, True, False], [True, True, False], [True, True, False], [False, False, False]])
    found = fuzzing_by_simulation(SIMULATED, marked, threshold=2.0)

    assert (found > 0.5).tolist() == [True, False, True, False]
    assert found[[1, 3]].tolist() == [0.0, 0.0]


def test_an_excerpt_without_a_simulation_has_no_verdict() -> None:
    missing = np.array([[np.nan, np.nan], [4.0, 0.0]])

    assert np.isnan(detection_by_simulation(missing)).tolist() == [True, False]
    assert np.isnan(fuzzing_by_simulation(missing, np.array([[True, False]] * 2))).tolist() == [True, False]


@pytest.mark.parametrize("threshold", [0.0, -1.0, np.nan])
def test_a_threshold_that_is_not_positive_is_an_error(threshold: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        detection_by_simulation(SIMULATED, threshold=threshold)
