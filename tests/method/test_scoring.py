"""Facts on the score of one neuron. The golden numbers come from the code of Bills et al. (2023)."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neuron_assets.errors import UnequalLengths
from neuron_assets.method.scoring import Score, correlation_from_sums, document_sums, score, score_ragged

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "golden" / "scores.json").read_text())

floats = st.floats(-100, 100, width=32)
pairs = arrays(np.float64, (2, 3, 4), elements=floats)


def ragged(*excerpts: list[Any]) -> list[np.ndarray]:
    return [np.array(excerpt, dtype=np.float64) for excerpt in excerpts]


def row(*values: float) -> np.ndarray:
    return np.array([values], dtype=np.float64)


def told(value: object) -> float | None:
    """A number of the paper's code as this package says it: NaN and -Infinity are None.

    On purpose: a NaN in a table is neither missing nor a number, spoils every mean it meets, and -inf turns a mean
    over a layer into -inf. The reason stands beside the None.
    """
    number = math.nan if value is None else float(str(value))
    return number if math.isfinite(number) else None


def assert_golden(found: Score, expected: tuple[object, object, object]) -> None:
    values = (found.ev_correlation, found.r2, found.absolute_deviation)
    assert values == tuple(None if told(value) is None else pytest.approx(told(value), abs=1e-9) for value in expected)
    assert (found.failure is None) == (told(expected[0]) is not None)


@pytest.mark.parametrize("case", GOLDEN["sequence_scores"], ids=lambda case: case["name"])
def test_the_score_of_an_excerpt_is_the_papers(case: dict[str, Any]) -> None:
    true, simulated = ragged(case["true"]), ragged(case["predicted"])
    expected = case["correlation"], case["rsquared"], case["absolute_dev_explained"]

    if "raises" in expected:
        with pytest.raises(UnequalLengths):
            score_ragged(true, simulated)
    else:
        assert_golden(score_ragged(true, simulated), expected)


@pytest.mark.parametrize("case", GOLDEN["aggregate"], ids=lambda case: case["name"])
def test_the_score_of_several_excerpts_is_the_papers(case: dict[str, Any]) -> None:
    true = ragged(*(sequence["true"] for sequence in case["sequences"]))
    simulated = ragged(*(sequence["predicted"] for sequence in case["sequences"]))
    keys = "ev_correlation_score", "rsquared_score", "absolute_dev_explained_score"

    assert_golden(score_ragged(true, simulated), tuple(case["result"][key] for key in keys))
    for a, s, alone in zip(true, simulated, case["result"]["per_sequence"], strict=True):
        assert_golden(score_ragged([a], [s]), tuple(alone[key] for key in keys))


@pytest.mark.parametrize("case", GOLDEN["aggregate"], ids=lambda case: case["name"])
def test_the_score_is_not_the_mean_over_excerpts(case: dict[str, Any]) -> None:
    mean = told(case["result"]["mean_of_per_sequence_correlations_for_contrast"])
    total = told(case["result"]["ev_correlation_score"])

    assert total is None or total != pytest.approx(mean, abs=1e-4)


@pytest.mark.parametrize(
    ("true", "simulated", "expected"),
    [
        (row(0, 1, 2, 3), row(2, 2, 2, 2), Score(None, 4 / 7, 1 / 3, "the simulation is constant")),
        (row(2, 2, 2, 2), row(0, 1, 2, 3), Score(None, 0.625, 0.5, "the neuron is constant")),
        (row(1, 1, 1), row(3, 3, 3), Score(None, -3.0, -1.0, "the neuron is constant")),
        (row(0, 0, 0), row(0, 1, 2), Score(None, None, None, "the neuron is constant")),  # the paper's code: -inf
        (row(0, 0, 0), row(0, 0, 0), Score(None, None, None, "the neuron is constant")),
        (row(2), row(1), Score(None, 0.75, 0.5, "one token")),
        (row(0), row(1), Score(None, None, None, "one token")),
        (np.zeros((0, 64)), np.zeros((0, 64)), Score(None, None, None, "no excerpts")),
        (np.zeros((3, 0)), np.zeros((3, 0)), Score(None, None, None, "no excerpts")),
        (row(0, math.nan, 1), row(0, 1, 2), Score(None, None, None, "not finite")),
        (row(0, 1, 2), row(0, math.inf, 2), Score(None, None, None, "not finite")),
        (row(0, 1e200), row(0, 1), Score(None, None, None, "too small or too large for float64")),
        (row(0, 1e-200), row(0, 1), Score(None, None, None, "too small or too large for float64")),
    ],
)
def test_what_is_undefined_is_none_and_says_why(true: np.ndarray, simulated: np.ndarray, expected: Score) -> None:
    found = score(true, simulated)

    assert found.failure == expected.failure
    assert found.ev_correlation is None
    assert (found.r2, found.absolute_deviation) == pytest.approx((expected.r2, expected.absolute_deviation), abs=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [0.1, -0.17, 7.3, 1000.1])
def test_rounding_is_no_variation(value: float, dtype: type[np.floating[Any]]) -> None:
    constant = np.full((10, 64), value, dtype=dtype)
    rounded = constant.copy()
    rounded[::3] = np.nextafter(constant[::3], dtype(np.inf))
    other = np.random.default_rng(0).normal(size=(10, 64))

    for neuron in (constant, rounded):
        assert score(neuron, other).failure == "the neuron is constant"
        assert score(other, neuron).failure == "the simulation is constant"


def test_one_loud_token_is_variation() -> None:
    true, simulated = np.full((200, 64), 1.0), np.zeros((200, 64))
    true[3, 5], simulated[3, 5] = 1.001, 10

    assert score(true, simulated).ev_correlation == pytest.approx(1)


def test_a_silent_excerpt_does_not_spoil_the_score() -> None:
    true, simulated = np.array([[0.0, 0.0, 0.0], [0.0, 2.0, 1.0]]), np.array([[0.0, 0.0, 0.0], [0.0, 5.0, 5.0]])

    assert score(true, simulated).ev_correlation == pytest.approx(np.corrcoef(true.ravel(), simulated.ravel())[0, 1])


@pytest.mark.parametrize(
    ("true", "simulated"),
    [([[1, 2], [3]], [[1, 2]]), ([[1, 2], [3]], [[1], [2, 3]]), ([[1, 2]], [[1, 2, 3]])],
)
def test_excerpts_must_stand_token_by_token(true: list[list[float]], simulated: list[list[float]]) -> None:
    with pytest.raises(UnequalLengths):
        score_ragged(ragged(*true), ragged(*simulated))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2)])
def test_tables_must_have_one_shape(shape: tuple[int, int]) -> None:
    with pytest.raises(UnequalLengths):
        score(np.zeros((2, 2)), np.zeros(shape))
    with pytest.raises(UnequalLengths):
        document_sums(np.zeros((2, 2)), np.zeros(shape), np.arange(2))


@settings(max_examples=40, deadline=None)
@given(arrays(np.float64, st.shared(array_shapes(min_dims=2, max_dims=2), key="shape")), st.data())
@example(np.array([[5e-324, 1.0]]), None)
def test_no_part_of_a_score_is_ever_nan_or_infinite(true: np.ndarray, data: st.DataObject | None) -> None:
    simulated = true[::-1] if data is None else data.draw(arrays(np.float64, true.shape))
    found = score(true, simulated)

    parts = found.ev_correlation, found.r2, found.absolute_deviation
    assert all(part is None or math.isfinite(part) for part in parts)
    assert all(part is None or part <= 1 for part in parts)
    assert (found.ev_correlation is None) == (found.failure is not None)
    assert found.ev_correlation is None or None not in parts


@settings(max_examples=40, deadline=None)
@given(pairs, st.floats(0.01, 100), st.floats(-100, 100))
def test_a_rising_line_leaves_the_correlation_as_it_is(pair: np.ndarray, slope: float, offset: float) -> None:
    true, simulated = pair
    assume(np.ptp(simulated) > 1e-3 and np.ptp(slope * simulated) > 1e-3 * (abs(offset) + 1))
    before, after = score(true, simulated), score(true, slope * simulated + offset)

    assert after.ev_correlation == pytest.approx(before.ev_correlation, abs=1e-9)
    assert after.failure == before.failure


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_a_falling_line_turns_the_correlation_round(pair: np.ndarray) -> None:
    true, simulated = pair
    found = score(true, simulated).ev_correlation
    assume(found is not None)

    assert score(true, -simulated).ev_correlation == pytest.approx(-(found or 0.0), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_the_correlation_is_symmetric_and_bounded(pair: np.ndarray) -> None:
    found, turned = score(pair[0], pair[1]).ev_correlation, score(pair[1], pair[0]).ev_correlation

    assert found == turned or found == pytest.approx(turned, abs=1e-12)
    assert found is None or -1 <= found <= 1


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_the_order_of_the_excerpts_does_not_matter(pair: np.ndarray) -> None:
    before, after = score(*pair), score(*pair[:, ::-1])

    assert before.ev_correlation == pytest.approx(after.ev_correlation, abs=1e-9)
    assert (before.r2 or 0) == pytest.approx(after.r2 or 0, rel=1e-9, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_the_sums_of_the_documents_hold_the_correlation(pair: np.ndarray) -> None:
    sums = document_sums(pair[0], pair[1], np.array([7, 3, 7]))
    found = float(correlation_from_sums(sums.sums.sum(axis=0)))
    expected = score(*pair).ev_correlation
    assume(expected is None or min(series.std() / np.abs(series).max() for series in pair) > 1e-3)

    assert sums.document_indices.tolist() == [3, 7]
    assert sums.sums[:, 0].tolist() == [4, 8]
    assert found == pytest.approx(math.nan if expected is None else expected, abs=1e-9, nan_ok=True)


def test_sums_of_strata_add_up() -> None:
    rng = np.random.default_rng(0)
    true, simulated, documents = rng.normal(3, 1, (6, 8)), rng.normal(5, 2, (6, 8)), np.array([4, 1, 1, 9, 4, 2])
    parts = [document_sums(true[part], simulated[part], documents[part]) for part in (slice(2), slice(2, 6))]
    together = sum(part.sums.sum(axis=0) for part in parts)

    assert float(correlation_from_sums(np.asarray(together))) == pytest.approx(
        np.corrcoef(true.ravel(), simulated.ravel())[0, 1], abs=1e-12
    )


def test_correlations_come_in_any_shape_and_nan_where_undefined() -> None:
    rng = np.random.default_rng(0)
    lively = document_sums(rng.normal(size=(4, 8)), rng.normal(size=(4, 8)), np.arange(4)).sums
    silent = document_sums(np.full((4, 8), 0.1), rng.normal(size=(4, 8)), np.arange(4)).sums
    found = correlation_from_sums(np.stack([lively, silent, np.zeros((4, 6))]))

    assert found.shape == (3, 4)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


def test_no_excerpts_make_no_documents() -> None:
    sums = document_sums(np.zeros((0, 64)), np.zeros((0, 64)), np.zeros(0, dtype=np.int64))

    assert sums.sums.shape == (0, 6)
