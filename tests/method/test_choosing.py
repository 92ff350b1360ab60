"""Facts on the choice between candidates, and on the two halves of the calibration pool."""

import numpy as np
import pytest

from neuron_assets.method.choosing import Choice, Contender, choosing_score, chosen, half_of, rows_in
from neuron_assets.method.controls import SHUFFLED_CONTROL
from neuron_assets.method.records import Exemplars, NeuronId, NeuronRecord, Tokens
from neuron_assets.method.scoring import Score

SEED = 3


def contender(candidate: int, r: float | None, author: str = "explainer", *, has_text: bool = True) -> Contender:
    return Contender(candidate, author, has_text, Score(r, None, None, None if r is not None else "constant"))


def record() -> NeuronRecord:
    """Twelve excerpts of eight documents; the last one was drawn a second time."""
    rng = np.random.default_rng(0)
    documents = np.array([0, 0, 1, 2, 3, 4, 5, 5, 6, 7, 7, 7])
    excerpts = np.array([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 20])
    tokens = Tokens(np.zeros((12, 6), np.int32), ("a",))
    activations = rng.normal(size=(12, 6))
    activations[11] = activations[10]
    return NeuronRecord(NeuronId(0, 0), Exemplars(tokens, activations, np.arange(12) < 5, documents, excerpts))


def test_a_document_lies_in_one_half_with_all_its_excerpts() -> None:
    one = record()
    look, choose = (rows_in(one, half, SEED) for half in ("look", "choose"))
    documents = one.exemplars.document_indices

    assert len(look) > 0
    assert len(choose) > 0
    assert not set(documents[look]) & set(documents[choose])
    assert sorted([*look, *choose]) == list(range(11))  # the second drawing of an excerpt is left out


def test_halves_are_about_as_large_and_hang_on_the_seed_and_the_document_alone() -> None:
    halves = [half_of(document, SEED) for document in range(2000)]
    others = [half_of(document, SEED + 1) for document in range(2000)]

    assert halves == [half_of(document, SEED) for document in range(2000)]
    assert 900 <= halves.count("look") <= 1100
    assert 900 <= sum(a == b for a, b in zip(halves, others, strict=True)) <= 1100


def test_a_choosing_score_is_the_correlation_on_the_choosing_half_alone() -> None:
    one = record()
    rows = rows_in(one, "choose", SEED)
    simulated = np.random.default_rng(1).normal(size=(12, 6))
    elsewhere = simulated.copy()
    elsewhere[rows_in(one, "look", SEED)] = np.nan  # never looked at
    expected = np.corrcoef(one.exemplars.activations[rows].ravel(), simulated[rows].ravel())[0, 1]

    assert choosing_score(one, simulated, SEED).ev_correlation == pytest.approx(expected, abs=1e-12)
    assert choosing_score(one, elsewhere, SEED).ev_correlation == pytest.approx(expected, abs=1e-12)


def test_an_excerpt_without_simulation_leaves_no_score_to_choose_by() -> None:
    one = record()
    rows = rows_in(one, "choose", SEED)
    simulated = np.random.default_rng(1).normal(size=(12, 6))
    simulated[rows[0], 2] = np.nan

    found = choosing_score(one, simulated, SEED)
    assert (found.ev_correlation, found.failure) == (None, f"1 of {len(rows)} excerpts have no simulation")


def test_the_highest_correlation_is_chosen() -> None:
    assert chosen([contender(0, 0.2), contender(1, 0.6), contender(2, 0.4)]) == Choice(1, 0.6, 3)
    assert chosen([contender(0, -0.2), contender(1, None)]) == Choice(0, -0.2, 1)


def test_of_equals_the_earliest_is_chosen_in_whatever_order_they_come() -> None:
    assert chosen([contender(2, 0.5), contender(1, 0.5), contender(0, 0.1)]) == Choice(1, 0.5, 3)


def test_without_any_correlation_the_first_with_a_text_is_chosen() -> None:
    assert chosen([contender(2, None), contender(0, None, has_text=False), contender(1, None)]) == Choice(1, None, 0)


def test_a_candidate_without_text_is_not_chosen_even_with_a_score() -> None:
    assert chosen([contender(0, 0.9, has_text=False), contender(1, 0.1)]) == Choice(1, 0.1, 1)


def test_a_shuffled_control_takes_no_part() -> None:
    assert chosen([contender(0, 0.1), contender(1, 0.9, SHUFFLED_CONTROL)]) == Choice(0, 0.1, 1)
    assert chosen([contender(1, 0.9, SHUFFLED_CONTROL)]) == Choice(None, None, 0, "no candidate has a text")


def test_nothing_is_chosen_from_nothing() -> None:
    assert chosen([]) == Choice(None, None, 0, "no candidate has a text")
