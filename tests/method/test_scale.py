"""Facts on the scale of 0 to 10. The golden numbers come from the code of Bills et al. (2023)."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from neuron_assets.method.scale import largest_activation, scaled_activations

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "scores.json").read_text())

activations = arrays(np.float32, (3, 5), elements=st.floats(-50, 50, width=32))


def excerpts_of(case: dict[str, Any]) -> list[np.ndarray]:
    return [np.array(record, dtype=np.float64) for record in case["records"]]


@pytest.mark.parametrize("case", GOLDEN["normalize_activations"], ids=lambda case: case["name"])
def test_scaled_activations_are_the_papers(case: dict[str, Any]) -> None:
    excerpts = excerpts_of(case)
    given_largest = case["max_activation_given"]
    largest = largest_activation(excerpts) if given_largest is None else float(given_largest)
    scaled = [scaled_activations(excerpt, largest) for excerpt in excerpts]

    assert largest == case["max_activation_used"]
    assert [excerpt.tolist() for excerpt in scaled] == case["normalized"]
    assert np.mean(np.concatenate(scaled) > 0) == pytest.approx(case["non_zero_proportion"], abs=1e-9)


@pytest.mark.parametrize("case", GOLDEN["max_activation_edge_cases"], ids=lambda case: str(case["records"]))
def test_without_tokens_there_is_no_largest_activation(case: dict[str, Any]) -> None:
    assert case["result"] == "raises"
    with pytest.raises(ValueError, match="no excerpts, or one without tokens"):
        largest_activation(excerpts_of(case))


def test_a_table_of_excerpts_and_a_list_of_them_have_one_largest_activation() -> None:
    table = np.array([[0.0, 1.5], [-4.0, 0.5]])

    assert largest_activation(table) == largest_activation(list(table)) == 1.5


def test_a_neuron_that_is_never_positive_is_silent() -> None:
    silent = np.array([[-1.0, -0.1], [0.0, -3.0]])

    assert largest_activation(silent) == 0
    assert scaled_activations(silent, 0.0).tolist() == [[0, 0], [0, 0]]


def test_half_precision_is_widened_before_it_is_multiplied() -> None:
    huge = np.array([60_000.0, 30_000.0], dtype=np.float16)  # ten times as much overflows float16

    assert scaled_activations(huge, largest_activation([huge])).tolist() == [10, 5]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_place_on_the_scale(bad: float) -> None:
    spoiled = np.array([1.0, bad])

    with pytest.raises(ValueError, match="NaN or infinite"):
        largest_activation([spoiled])
    with pytest.raises(ValueError, match="NaN or infinite"):
        scaled_activations(spoiled, 1.0)


@settings(max_examples=40, deadline=None)
@given(activations)
def test_scaled_activations_lie_between_0_and_10_and_the_largest_is_10(excerpts: np.ndarray) -> None:
    largest = largest_activation(excerpts)
    scaled = scaled_activations(excerpts, largest)

    assert scaled.shape == excerpts.shape
    assert ((scaled >= 0) & (scaled <= 10)).all()
    assert scaled.max() == (10 if largest > 0 else 0)


@settings(max_examples=40, deadline=None)
@given(activations, st.integers(-20, 20))
def test_the_unit_of_the_neuron_does_not_matter(excerpts: np.ndarray, power: int) -> None:
    other_unit = np.ldexp(excerpts.astype(np.float64), power)

    assert np.array_equal(
        scaled_activations(excerpts, largest_activation(excerpts)),
        scaled_activations(other_unit, largest_activation(other_unit)),
    )
