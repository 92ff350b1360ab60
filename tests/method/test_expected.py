"""Facts on the mean of the eleven numbers. The golden numbers come from the code of Bills et al. (2023)."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

from neuron_assets.errors import UnreadableReply
from neuron_assets.method.simulating.expected import (
    distribution_from_alternatives,
    distribution_from_log_probabilities,
    distribution_from_split_log_probabilities,
    expected_values,
)

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "simulating.json").read_text())
CASES = {case["name"]: case for case in GOLDEN["expected_value_from_top_logprobs"]}
UNREADABLE_HERE = ["no_digit_at_all", "empty"]
"""Deviation: there the mean of nothing is 0.0; here it is a failure, and never a number."""
NOT_A_NUMBER_THERE = ["underflow"]
"""Deviation: there a tiny probability underflows, and the mean is NaN; here the shares are right."""


def expected(alternatives: dict[str, float]) -> float:
    return float(expected_values(distribution_from_alternatives(alternatives)[None])[0])


@pytest.mark.parametrize("name", sorted(set(CASES) - {*UNREADABLE_HERE, *NOT_A_NUMBER_THERE}))
def test_means_and_distributions_agree_with_the_reference(name: str) -> None:
    case = CASES[name]
    alternatives = {text: float(value) for text, value in case["top_logprobs"].items()}
    result = case["result"]
    distribution = np.zeros(11)
    distribution[np.array(result["distribution_values"], dtype=int)] = result["distribution_probabilities"]

    assert result["expected_value"] == pytest.approx(expected(alternatives), abs=1e-9)
    assert distribution.tolist() == pytest.approx(distribution_from_alternatives(alternatives).tolist(), abs=1e-9)


@pytest.mark.parametrize("name", UNREADABLE_HERE)
def test_no_number_among_the_alternatives_is_a_failure_where_the_reference_says_zero(name: str) -> None:
    assert CASES[name]["result"]["expected_value"] == 0.0
    with pytest.raises(UnreadableReply, match="no number from 0 to 10"):
        expected(CASES[name]["top_logprobs"])


def test_tiny_probabilities_keep_their_shares_where_the_reference_says_nan() -> None:
    assert CASES["underflow"]["result"]["expected_value"] == "NaN"
    assert expected(CASES["underflow"]["top_logprobs"]) == 3.0
    assert expected({"2": -2000.0, "4": -2000.0}) == 3.0


@pytest.mark.parametrize("text", [" 5", "05", "5.0", "11", "-1", "5\n", "\N{FULLWIDTH DIGIT FIVE}"])
def test_only_the_exact_texts_of_the_eleven_numbers_count(text: str) -> None:
    assert expected({text: math.log(0.4), "2": math.log(0.1)}) == 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_log_probability_that_is_none_is_a_failure(value: float) -> None:
    with pytest.raises(UnreadableReply, match="NaN or infinite"):
        expected({"3": value, "4": -1.0})


def test_numbers_without_any_probability_are_a_failure() -> None:
    with pytest.raises(UnreadableReply):
        expected({"3": -math.inf})


def logs(probabilities: dict[int, float]) -> Float[np.ndarray, " digit"]:
    """Log-probabilities of the ten digits; those not named have none."""
    return np.array([math.log(probabilities[digit]) if digit in probabilities else -np.inf for digit in range(10)])


def test_ten_in_two_tokens_takes_its_share_from_one() -> None:
    distribution = distribution_from_split_log_probabilities(logs({0: 0.2, 1: 0.4}), logs({0: 0.25, 2: 0.25}))

    # 0 has 0.2, 1 has 0.4 * 0.5, 10 has 0.4 * 0.25, and 12 is no value.
    assert [0.4, 0.4, *[0.0] * 8, 0.2] == pytest.approx(distribution.tolist())


def test_without_a_digit_after_one_there_is_no_ten() -> None:
    distribution = distribution_from_split_log_probabilities(logs({1: 0.3, 3: 0.3}), logs({}))

    assert pytest.approx((distribution[1], distribution[3], distribution[10])) == (0.5, 0.5, 0.0)


def test_a_zero_that_is_certain_after_one_leaves_nothing_for_one() -> None:
    distribution = distribution_from_split_log_probabilities(logs({1: 0.3, 3: 0.3}), logs({0: 1.0}))

    assert pytest.approx((distribution[1], distribution[3], distribution[10])) == (0.0, 0.5, 0.5)


@given(
    st.lists(st.floats(-1e6, 0), min_size=11, max_size=11),
    st.floats(-1e3, 1e3),
)
def test_a_distribution_sums_to_one_and_does_not_depend_on_a_common_constant(
    values: list[float], constant: float
) -> None:
    found = distribution_from_log_probabilities(np.array(values))

    assert found.sum() == pytest.approx(1)
    assert found.tolist() == pytest.approx(distribution_from_log_probabilities(np.array(values) + constant).tolist())
