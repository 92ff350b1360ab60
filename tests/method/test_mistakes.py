"""Facts on what each token takes from a correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.mistakes import costs, mistakes


@given(st.integers(0, 10_000))
def test_costs_add_up_to_what_the_correlation_lacks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.normal(3, 2, (4, 7)).astype(np.float32)
    simulated = rng.integers(0, 11, (4, 7)).astype(np.float64)
    r = np.corrcoef(true.ravel(), simulated.ravel())[0, 1]
    found = costs(true, simulated)

    assert found.sum() == pytest.approx(1 - r, abs=1e-6)
    assert (found >= 0).all()


def test_unit_and_offset_cost_nothing() -> None:
    true = np.array([[0.0, 1, 2], [5, 0, 0]])

    assert costs(true, 3.3 * true + 0.1).sum() == pytest.approx(0, abs=1e-12)
    assert mistakes(true, 3.3 * true + 0.1, 2) == ()


def test_the_costliest_excerpts_come_first_each_with_its_worst_token() -> None:
    true = np.array([[0.0, 0, 0, 0], [0, 10, 0, 0], [0, 0, 10, 0], [0, 0, 0, 10]])
    simulated = true.copy()
    simulated[0, 3] = 10  # fires wrongly
    simulated[2, 2] = 4  # too little
    found = mistakes(true, simulated, 2)

    assert [(one.row, one.token, one.fault) for one in found] == [(0, 3, "fires"), (2, 2, "silent")]
    assert [one.cost for one in found] == pytest.approx(sorted(costs(true, simulated).sum(axis=1))[:1:-1])


def test_a_silent_simulation_is_silent_where_the_neuron_is_loudest() -> None:
    true = np.array([[0.0, 0, 1, 0], [0, 9, 0, 0]])
    found = mistakes(true, np.zeros((2, 4)), 1)

    assert [(one.row, one.token, one.fault) for one in found] == [(1, 1, "silent")]
    assert costs(true, np.zeros((2, 4))).sum() == pytest.approx(0.5)


@pytest.mark.parametrize("true", [np.zeros((2, 3)), np.full((2, 3), np.nan), np.zeros((0, 3))])
def test_where_nothing_can_be_told_there_are_no_mistakes(true: np.ndarray) -> None:
    simulated = np.arange(true.size, dtype=float).reshape(true.shape)

    assert mistakes(true, simulated, 5) == ()
    assert not costs(true, simulated).any()


def test_simulated_excerpts_of_another_length_are_refused() -> None:
    with pytest.raises(UnequalLengths):
        mistakes(np.zeros((2, 3)), np.zeros((2, 4)), 1)
