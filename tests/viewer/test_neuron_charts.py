"""The small pictures of the neuron page, as geometry."""

import pytest

from neuron_assets.viewer.charts import HEIGHT, WIDTH, activation_histogram, whisker


def test_every_token_is_in_one_bar_and_the_fullest_bar_is_the_highest() -> None:
    found = activation_histogram([-1.0] * 90 + [0.5, 1.0, 3.0])

    assert found is not None
    assert sum(bar.count for bar in found.bars) == found.n == 93
    assert (found.bars[0].count, found.bars[0].height, found.bars[0].y) == (90, HEIGHT, 0)
    assert found.zero == pytest.approx(WIDTH / 4)


def test_zero_is_marked_only_where_it_lies_within() -> None:
    found = activation_histogram([1.0, 2.0])

    assert found is not None
    assert found.zero is None
    assert activation_histogram([]) is None


def test_a_neuron_that_never_changes_has_a_histogram_too() -> None:
    found = activation_histogram([0.0] * 5)

    assert found is not None
    assert [bar.count for bar in found.bars] == [5]


def test_a_score_below_the_left_end_is_drawn_there() -> None:
    assert whisker(-0.9, -1.0, 1.0).value == whisker(-0.9, -1.0, 1.0).low == 0
    assert whisker(1.0, None, None).value == 100
