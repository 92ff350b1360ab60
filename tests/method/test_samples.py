"""Which excerpts a score is made from: no token twice, nothing left out in silence."""

import numpy as np
import pytest

from neuron_assets.method.controls import lenders
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.samples import judge, sampled_rows, shown_rows, simulated_rows
from neuron_assets.method.summary import summarize

EXCERPTS = [7, 3, 9, 1, 3, 8, 9, 5]
"""Three top ones, then random ones, of which 3 and 9 are top ones too."""


def record() -> NeuronRecord:
    random = np.random.default_rng(0)
    return NeuronRecord(
        NeuronId(0, 0),
        Exemplars(
            tokens=Tokens(random.integers(0, 3, (8, 5)).astype(np.int32), ("a", "b", "c")),
            activations=random.normal(size=(8, 5)).astype(np.float32),
            is_top=np.arange(8) < 3,
            document_indices=np.arange(8, dtype=np.int32),
            excerpt_indices=np.array(EXCERPTS, np.int32),
        ),
    )


def test_top_and_random_counts_no_excerpt_twice() -> None:
    rows = sampled_rows(record().exemplars, 3, 2)["top_and_random"]

    assert rows.top.tolist() == [0, 1, 2]
    assert rows.random.tolist() == [3, 5]


def test_an_excerpt_that_is_top_and_random_is_shown_once_as_a_top_one() -> None:
    assert shown_rows(record().exemplars).tolist() == [0, 1, 2, 3, 5, 7]


def test_random_only_takes_every_random_excerpt_also_one_that_is_a_top_one() -> None:
    rows = sampled_rows(record().exemplars, 3, 2)["random_only"]

    assert rows.top.tolist() == []
    assert rows.random.tolist() == [3, 4, 5, 6, 7]


def test_what_is_simulated_is_all_that_any_sample_needs_once() -> None:
    exemplars = record().exemplars
    simulated = set(exemplars.excerpt_indices[simulated_rows(exemplars, 2)].tolist())
    needed = {EXCERPTS[row] for rows in sampled_rows(exemplars, 2, 2).values() for row in rows.both.tolist()}

    assert needed <= simulated
    assert len(simulated) == len(simulated_rows(exemplars, 2))


def test_an_excerpt_without_simulation_leaves_the_score_undefined_with_a_reason() -> None:
    simulated = np.ones((8, 5), np.float32) * np.arange(5, dtype=np.float32)
    simulated[5] = np.nan
    samples = sampled_rows(record().exemplars, 3, 2)

    judged = judge(record(), samples["top_and_random"], simulated)

    assert judged.score.ev_correlation is None
    assert judged.score.failure == "1 of 5 excerpts have no simulation"
    assert judged.sums is None


def test_a_true_simulation_scores_one() -> None:
    found = record()
    judged = judge(found, sampled_rows(found.exemplars, 3, 2)["random_only"], found.exemplars.activations)

    assert judged.score.ev_correlation == pytest.approx(1.0)
    assert (judged.n_excerpts, judged.n_tokens) == (5, 25)


@pytest.mark.parametrize("n_neurons", [0, 1, 2, 3, 40])
def test_every_neuron_borrows_from_another_and_each_lends_once(n_neurons: int) -> None:
    found = lenders(range(n_neurons), 0, 0)

    assert (n_neurons if n_neurons > 1 else 0) == len(found)
    assert len(found) == len(set(found.values()))
    assert not any(neuron == lender for neuron, lender in found.items())


def test_one_more_neuron_changes_the_lender_of_one_other() -> None:
    before, after = lenders(range(40), 2, 5), lenders(range(41), 2, 5)

    assert sum(before[neuron] != after[neuron] for neuron in before) == 1


def test_undefined_scores_are_counted_and_in_no_mean() -> None:
    found = summarize([4, 5, 6], [0.2, None, 0.6], [], seed=0, n_draws=100)

    assert (found.n_neurons, found.n_undefined) == (3, 1)
    assert (found.best_neuron, found.worst_neuron) == (6, 4)
    assert found.share_above_half == 0.5
    assert found.median == pytest.approx(0.4)


def test_a_layer_without_any_score_has_no_numbers() -> None:
    found = summarize([4], [None], [], seed=0, n_draws=100)

    assert (
        found.n_neurons,
        found.n_undefined,
        found.median,
        found.best_neuron,
        found.interval.mean,
    ) == (1, 1, None, None, None)
